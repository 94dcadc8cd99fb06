// Result<T>: a value or an Error. Every function that can fail returns one; exceptions stay inside
// `cli`, the profile loader and the JSON library.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace vitrine {

struct Error {
  enum class Kind {
    kSystem,     // a system call failed; `code` is its errno
    kTaskGone,   // the supervised task died while it was being looked at: not a fault of anyone
    kViolation,  // the program did what only an attack does; `what` is a sentence
    kInvalid,    // input (a profile, an option, a log) is wrong; `what` is a sentence for the user
  };
  Kind kind = Kind::kSystem;
  int code = 0;      // errno; EINVAL for kInvalid, ESRCH for kTaskGone
  std::string what;  // the operation ("openat2 /usr/lib"), or the sentence

  // "openat2 /usr/lib: Permission denied", or the sentence alone.
  std::string message() const;
};

template <typename T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

// `operation` failed with the errno that the calling thread has now.
[[nodiscard]] tl::unexpected<Error> fail_errno(std::string_view operation);
// `operation` failed with `code` (a positive errno).
[[nodiscard]] tl::unexpected<Error> fail(int code, std::string_view operation);
[[nodiscard]] tl::unexpected<Error> fail_invalid(std::string sentence);
[[nodiscard]] tl::unexpected<Error> fail_violation(std::string sentence);
[[nodiscard]] tl::unexpected<Error> fail_task_gone(std::string_view operation);

}  // namespace vitrine
