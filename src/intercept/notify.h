// The `notify` backend: supervised calls arrive by seccomp user notification
// (seccomp_unotify(2), kernel/seccomp.c), descriptors are installed with SECCOMP_IOCTL_NOTIF_ADDFD.
//
// Executions alone come as ptrace stops (RET_TRACE): the program's call has to become another one,
// execveat of a descriptor, and a notification cannot change registers.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "base/unique_fd.h"
#include "intercept/injector.h"
#include "intercept/interceptor.h"

namespace vitrine::intercept {

class NotifyInterceptor final : public Interceptor {
 public:
  // Takes the listener of the first task's filter, and the channel for executions.
  static Result<std::unique_ptr<NotifyInterceptor>> create(UniqueFd listener,
                                                           DescriptorChannel channel);

  const Capabilities& capabilities() const override;
  int pollable_fd() const override { return listener_.get(); }
  Result<std::optional<Stop>> next() override;
  Result<std::optional<Stop>> on_stop(const tracee::TaskEvent& event) override;
  Result<Outcome> apply(Stop stop, Effect effect) override;
  Status resume(pid_t tid, int signal) override;
  void task_started(pid_t tid, pid_t tgid, pid_t parent) override {
    injector_.task_started(tid, tgid, parent);
  }
  void task_ended(pid_t tid) override { injector_.task_ended(tid); }
  void task_executed(pid_t former, pid_t tid) override { injector_.task_executed(former, tid); }
  bool sibling_executes(pid_t tgid, pid_t tid) const override {
    return injector_.sibling_executes(tgid, tid);
  }
  void name_task(pid_t tid, const std::string& name) override { injector_.name_task(tid, name); }

 private:
  NotifyInterceptor(UniqueFd listener, DescriptorChannel channel)
      : listener_(std::move(listener)), injector_(std::move(channel), false) {}
  Result<bool> send(std::uint64_t id, std::int64_t value, unsigned flags);
  Result<Outcome> restart(std::uint64_t id, pid_t tid);
  Result<Outcome> respond(std::uint64_t id, std::int64_t value, bool proceed);
  Result<Outcome> install(std::uint64_t id, const InstallFd& effect);

  UniqueFd listener_;
  Injector injector_;
  // Sized by SECCOMP_GET_NOTIF_SIZES: a newer kernel's structures may be longer than the header's.
  std::vector<std::byte> request_;
  std::vector<std::byte> response_;
};

}  // namespace vitrine::intercept
