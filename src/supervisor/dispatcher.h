// Dispatcher: the way of one call. Decode once, ask the policy, let the handler serve, apply the
// effect, and write the one record of it.
#pragma once

#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "audit/sink.h"
#include "intercept/interceptor.h"
#include "policy/policy.h"
#include "supervisor/tally.h"
#include "syscalls/context.h"

namespace vitrine::supervisor {

class Dispatcher {
 public:
  struct Parts {
    const policy::Policy& policy;
    intercept::Interceptor& interceptor;
    tracee::TaskTable& tasks;
    vfs::FileSystem& files;
    syscalls::AffinityControl& affinity;
    syscalls::BudgetControl& budget;
    audit::AuditSink& audit;
    Tally& tally;
    int channel;  // number of the descriptor channel in every process; -1: none
  };
  Dispatcher(const Parts& parts, vfs::DirectoryRef working_directory);

  // Answers one stopped call. An error is the supervisor's own fault; a reason to end the run for a
  // violation is in violation().
  Status dispatch(intercept::Stop stop, Nanoseconds now);
  const std::string& violation() const { return violation_; }
  // Calls that wait (Wait, core/effect.h) are decided again: to be called when something may have
  // changed, and every now and then while has_waiting(). One that a signal is pending for ends as
  // the kernel ends it then (Restart). What was not come to in `most` is the first to be decided
  // the next time.
  bool has_waiting() const { return !waiting_.empty(); }
  Status retry_waiting(Nanoseconds most);
  // A process is being stopped: its tasks that wait here can only take part outside their calls.
  Status restart_waiting(pid_t tgid);
  // Audit level `all`: a call that the kernel performed, with its result.
  void observed(const SyscallEvent& event, const std::string& leading_bytes,
                std::optional<std::int64_t> result);
  std::uint64_t calls_seen() const { return calls_seen_; }

  // --- what the kernel keeps with a task
  void task_started(const tracee::Task& task);
  void task_ended(const tracee::Task& task);
  // exec by a thread that was not the leader: it goes on under the leader's id.
  void task_renamed(pid_t former, const tracee::Task& task);
  // Guest path of a process's working directory.
  std::string working_directory(pid_t tgid) const;
  // Guest path of the program that a process executes.
  std::string program(pid_t tgid) const;

  // The program that `tid` is about to execute: decided for this thread, whatever others of its
  // process execute meanwhile.
  // `name`: what it is to be called; "" for what the kernel calls it.
  void expect_program(pid_t tid, int file, std::string path, std::string name);
  // `former` has executed, and goes on as `tgid`: is it what was decided? Its path is the process's
  // program from then on. Its name.
  Result<std::string> confirm_program(pid_t former, pid_t tgid);

 private:
  // What a record says of a call but for how it ended.
  struct Decided {
    DecodedCall call;
    Decision decision;
    Nanoseconds time{};
    std::string resolved;
    std::vector<Sighting> sightings;
  };
  // A task that waits for the answer to a call.
  struct Waiting {
    intercept::Stop stop;
    DecodedCall call;
    Nanoseconds time{};
    Decision decision;
  };
  struct Expected {
    dev_t device = 0;
    ino_t inode = 0;
    std::string path;
    std::string name;
  };
  Status finish(Waiting taken, tracee::Task& task, syscalls::Answer answer);
  void forget_wait(const tracee::Task& task);
  syscalls::Answer decide(const DecodedCall& call, tracee::Task& task);
  std::optional<syscalls::Answer> restricted(const DecodedCall& call) const;
  syscalls::Answer by_disposition(const DecodedCall& call) const;
  void enforce_on_deny(const DecodedCall& call, syscalls::Answer& answer);
  bool is_recorded(const Decision& decision) const;
  void record(Decided decided, const tracee::Task& task, const Outcome& outcome, Nanoseconds took);
  void write_record(const Decided& decided, const tracee::Task& task,
                    std::optional<std::int64_t> result, std::optional<Nanoseconds> took);
  std::string resolved_path(const DecodedCall& call) const;
  std::shared_ptr<syscalls::FsContext> fs_of(const tracee::Task& task);

  Parts parts_;
  syscalls::SocketTable sockets_;
  std::deque<Waiting> waiting_;
  vfs::DirectoryRef first_working_directory_;
  std::unordered_map<pid_t, std::shared_ptr<syscalls::FsContext>> fs_;  // by tid
  std::unordered_map<pid_t, Expected> expected_;                        // by tid
  std::unordered_map<pid_t, std::string> programs_;                     // by tgid
  // By tid; audit level `all` only: calls that go on in the kernel, recorded when their result is
  // seen.
  std::unordered_map<pid_t, Decided> continued_;
  std::vector<Sighting> sightings_;  // of the call that is being decided
  std::uint64_t calls_seen_ = 0;
  std::string violation_;
};

// What a call named, for reports: its path, or its most telling argument; "" if none.
std::string target_of(const DecodedCall& call);

}  // namespace vitrine::supervisor
