// Interceptor: how supervised calls arrive and how they are answered. Three implementations, one
// contract; the life of the tree (clones, execs, signals, exits) is ptrace's in all of them.
//
// A Stop is a task that waits for an answer: it is move-only, and each is given to apply() once.
// Dropping a Stop leaves its task waiting until it is killed: an error never lets a call through.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "core/call.h"
#include "core/effect.h"
#include "tracee/ptrace.h"

namespace vitrine::intercept {

struct Capabilities {
  std::string_view name;
  bool uses_filter = false;    // seccomp filters before the supervisor is asked
  bool uses_listener = false;  // calls arrive on pollable_fd()
  bool sees_results = false;   // the result of a continued call is known
};

class Stop {
 public:
  Stop(const SyscallEvent& event, std::uint64_t cookie) : event_(event), cookie_(cookie) {}
  Stop(Stop&&) = default;
  Stop& operator=(Stop&&) = default;
  Stop(const Stop&) = delete;
  Stop& operator=(const Stop&) = delete;

  const SyscallEvent& event() const { return event_; }
  std::uint64_t cookie() const { return cookie_; }

 private:
  SyscallEvent event_;
  std::uint64_t cookie_;
};

class Interceptor {
 public:
  virtual ~Interceptor() = default;
  virtual const Capabilities& capabilities() const = 0;

  // --- stops that ptrace reports (kSeccompStop, kSyscallStop). nullopt: nothing to decide, the
  // task has been resumed. kTaskGone errors are the task's end, not a fault.
  virtual Result<std::optional<Stop>> on_stop(const tracee::TaskEvent& event) = 0;
  // Resumes a task from any other stop, so that its next call is seen. `signal` is delivered.
  virtual Status resume(pid_t tid, int signal) = 0;
  // --- the tree, as it changes. `parent`: the tgid it was created by.
  virtual void task_started(pid_t tid, pid_t tgid, pid_t parent) = 0;
  virtual void task_ended(pid_t tid) = 0;
  // `former`: the id that it had before; the leader's from now on.
  virtual void task_executed(pid_t former, pid_t tid) = 0;

  // Whether a thread of `tgid` other than `tid` is on the way of an execution that was let go on.
  // It may take the tid of a stopped leader at any moment: stops of its siblings are to be left
  // alone.
  virtual bool sibling_executes(pid_t tgid, pid_t tid) const = 0;

  // The task, in the stop of its execution, gets this name (prctl(2), PR_SET_NAME) before it makes
  // its first call. Only for those whose calls of prctl are not supervised.
  virtual void name_task(pid_t tid, const std::string& name) = 0;

  // --- every single call (capabilities().sees_results). The observer is told of each call that the
  // kernel performed: its registers, the leading bytes of what it wrote out of the program's
  // memory, and its result, which is missing when the task ended in it.
  using Observer = std::function<void(const SyscallEvent&, const std::string& leading_bytes,
                                      std::optional<std::int64_t> result)>;
  virtual void observe(const Observer&) {}
  // EFBIG is followed by SIGXFSZ, in whose stop the supervisor may replace it. So the observer is
  // told of it when that stop says what the program sees (nullopt: it enters the call again), or at
  // the task's next call or end.
  virtual void result_settled(pid_t, std::optional<std::int64_t>) {}

  // --- calls that arrive on a descriptor
  // Readable when next() may have a Stop; -1: stops come as ptrace events only.
  virtual int pollable_fd() const = 0;
  // The next waiting call; nullopt: none after all (its task died or was interrupted).
  virtual Result<std::optional<Stop>> next() = 0;
  // Performs the effect. An error is the supervisor's own (the caller ends the run); a task that
  // died meanwhile is an Outcome with delivered == false.
  virtual Result<Outcome> apply(Stop stop, Effect effect) = 0;
};

}  // namespace vitrine::intercept
