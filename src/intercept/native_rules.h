// The register values for which the kernel's filter allows a kConditional call by itself. Only
// registers can be compared: whatever lies in memory is the supervisor's to read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "arch/syscall_table.h"

namespace vitrine::intercept {

// Allowed when (argument & mask) == value (and likewise the second condition). Arguments that the
// kernel takes as int are compared with a 32-bit mask: the kernel ignores the upper half, so the
// filter must not look at it either.
struct NativeRule {
  std::string_view syscall;
  unsigned argument;
  std::uint64_t mask;
  std::uint64_t value;
  // A second condition, where `mask2` is not 0.
  unsigned argument2 = 0;
  std::uint64_t mask2 = 0;
  std::uint64_t value2 = 0;
};

std::span<const NativeRule> native_rules();

// Calls whose answer takes calls that the program did not make, or other registers: they arrive as
// ptrace stops in every backend.
std::span<const NativeRule> traced_rules();

// Whether one of the call's arguments that are descriptors has this number. Not mmap's: it is -1
// more often than not, and what this guards cannot be mapped.
bool is_descriptor_argument(const arch::SyscallRow& row, std::size_t argument);
bool names_descriptor(const arch::SyscallRow& row, std::span<const std::uint64_t, 6> arguments,
                      int number);

// The same question for backends without a filter: does a rule allow these registers?
bool allowed_natively(std::string_view syscall, std::span<const std::uint64_t, 6> arguments);

}  // namespace vitrine::intercept
