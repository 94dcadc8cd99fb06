// pass_on: returns another operation's error as one's own.
#pragma once

#include "base/result.h"

namespace vitrine::vfs {

[[nodiscard]] inline tl::unexpected<Error> pass_on(const Error& error) {
  return tl::make_unexpected(error);
}

}  // namespace vitrine::vfs
