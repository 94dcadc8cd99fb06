// The `notify` backend: supervised calls arrive by seccomp user notification
// (seccomp_unotify(2), kernel/seccomp.c), descriptors are installed with SECCOMP_IOCTL_NOTIF_ADDFD.
#pragma once

#include <cerrno>
#include <memory>
#include <vector>

#include "base/unique_fd.h"
#include "intercept/interceptor.h"

namespace vitrine::intercept {

class NotifyInterceptor final : public Interceptor {
 public:
  // Takes the listener of the first task's filter.
  static Result<std::unique_ptr<NotifyInterceptor>> create(UniqueFd listener);

  const Capabilities& capabilities() const override;
  int pollable_fd() const override { return listener_.get(); }
  Result<std::optional<Stop>> next() override;
  // This backend's filter never asks for a ptrace stop: resuming one would perform an undecided call.
  Result<std::optional<Stop>> on_stop(const tracee::TaskEvent&) override {
    return fail(EIO, "an unexpected stop");
  }
  Status resume(pid_t tid, int signal) override { return tracee::resume(tid, signal); }
  Result<Outcome> apply(Stop stop, Effect effect) override;

 private:
  explicit NotifyInterceptor(UniqueFd listener) : listener_(std::move(listener)) {}
  Result<Outcome> respond(std::uint64_t id, std::int64_t value, int error, bool proceed);
  Result<Outcome> install(std::uint64_t id, const InstallFd& effect);

  UniqueFd listener_;
  // Sized by SECCOMP_GET_NOTIF_SIZES: a newer kernel's structures may be longer than the header's.
  std::vector<std::byte> request_;
  std::vector<std::byte> response_;
};

}  // namespace vitrine::intercept
