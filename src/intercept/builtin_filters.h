// Filters compiled when vitrine was built, for the profiles that restrict no call: compiling one
// takes libseccomp longer (1 ms) than all the rest of the supervisor's start.
#pragma once

#include <linux/filter.h>

#include <span>

#include "intercept/filter.h"

namespace vitrine::intercept {

// FilterRequest::channel of the built-in filters.
inline constexpr int kBuiltinChannel = 1024;

// Empty where there is none (a cross-compiled vitrine): compile_filter() then.
std::span<const sock_filter> builtin_filter(FilterAction action);

}  // namespace vitrine::intercept
