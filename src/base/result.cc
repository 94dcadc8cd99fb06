#include "base/result.h"

#include <cerrno>
#include <cstring>

namespace vitrine {

std::string Error::message() const {
  if (kind == Kind::kInvalid || kind == Kind::kViolation) return what;
  if (kind == Kind::kTaskGone) return what + ": the task is gone";
  return what + ": " + std::strerror(code);
}

tl::unexpected<Error> fail_errno(std::string_view operation) {
  const int code = errno;
  return fail(code, operation);
}

tl::unexpected<Error> fail(int code, std::string_view operation) {
  return tl::make_unexpected(Error{Error::Kind::kSystem, code, std::string(operation)});
}

tl::unexpected<Error> fail_invalid(std::string sentence) {
  return tl::make_unexpected(Error{Error::Kind::kInvalid, EINVAL, std::move(sentence)});
}

tl::unexpected<Error> fail_violation(std::string sentence) {
  return tl::make_unexpected(Error{Error::Kind::kViolation, EPERM, std::move(sentence)});
}

tl::unexpected<Error> fail_task_gone(std::string_view operation) {
  return tl::make_unexpected(Error{Error::Kind::kTaskGone, ESRCH, std::string(operation)});
}

}  // namespace vitrine
