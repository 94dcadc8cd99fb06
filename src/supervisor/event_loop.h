// EventLoop: waits for whatever happens next (a supervised call, a stop of a task, a signal, data
// to relay, a deadline) and gives it to its owner. One thread; nothing in it blocks but the wait.
#pragma once

#include <poll.h>

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

#include "audit/sink.h"
#include "intercept/interceptor.h"
#include "limits/budget.h"
#include "supervisor/deadline.h"
#include "supervisor/dispatcher.h"
#include "supervisor/launcher.h"
#include "supervisor/meter.h"
#include "supervisor/placement.h"
#include "supervisor/stdio.h"
#include "supervisor/tally.h"
#include "tracee/event_queue.h"
#include "tracee/task_table.h"

namespace vitrine::supervisor {

// How the command ended.
struct Ending {
  Verdict verdict = Verdict::kInternalError;
  std::optional<int> exit_code;
  std::optional<int> signal;
  std::optional<std::string> reason;
  std::optional<LaunchFailure> launch_failure;  // the command never ran
  Usage usage;
  std::optional<std::uint64_t> calls;  // every single one, at audit level `all`
};

class EventLoop final : public vfs::ProcessView, public syscalls::BudgetControl {
 public:
  struct Parts {
    const policy::Policy& policy;
    intercept::Interceptor& interceptor;
    vfs::FileSystem& files;
    audit::AuditSink& audit;
    Tally& tally;
    Placement& placement;
    Stdio& stdio;
    int signals;               // from take_signals
    int program;               // opened; not owned
    std::string program_path;  // guest path
    std::string program_name;  // what its process is called
    int channel;               // number of the descriptor channel in every process
    bool measure_data;         // RunRequest::measure_data
    tracee::EventQueue::Source events = tracee::next_task_event;
  };
  EventLoop(const Parts& parts, Launched launched, vfs::DirectoryRef working_directory);

  // Runs until no task of the tree is left.
  Ending run();

  // vfs::ProcessView
  std::vector<pid_t> processes() const override { return tasks_.processes(); }
  std::vector<pid_t> threads(pid_t tgid) const override { return tasks_.threads(tgid); }
  std::optional<pid_t> process_of(pid_t tid) const override;
  bool is_stopped(pid_t tid) const override { return stopped_.contains(tid); }
  std::string working_directory(pid_t tgid) const override;
  std::string executable(pid_t tgid) const override;
  unsigned cpu_count() const override { return parts_.placement.visible_count(); }
  std::optional<std::uint64_t> memory_limit() const override;
  std::uint64_t memory_used() const override { return last_measured_.memory; }
  UniqueFd open_terminal(unsigned number, int flags) const override {
    return parts_.stdio.open_terminal(number, flags);
  }
  int supervisor_descriptor() const override { return parts_.channel; }

  // syscalls::BudgetControl
  const Limits& limits() const override { return parts_.policy.limits(); }
  std::uint64_t memory_used() override;
  bool private_memory_fits(pid_t tgid, std::uint64_t bytes) override;
  std::optional<std::uint64_t> moving_limit(pid_t tgid, int resource) override;
  void keep_limit_below(pid_t tgid, int resource, std::uint64_t soft) override;
  std::uint64_t own_file_limit(pid_t tgid) const override;
  void follow_scratch() override;
  bool shared_memory_fits(std::uint64_t bytes) override;
  bool admit_socket(int fd) override;
  bool admit_watch() override;
  void connection_made(const std::string& prefix) override { meter_.connection_made(prefix); }
  void refused(std::string_view limit) override;
  Nanoseconds elapsed() const override;

 private:
  std::optional<timespec> timeout();
  void wait();
  void take_calls();
  void retry_waiting();
  void take_call(intercept::Stop stop);
  void on_call_stop(const tracee::TaskEvent& event);
  void take_task_events();
  void take_postponed();
  void postpone(pid_t tid, std::variant<tracee::TaskEvent, intercept::Stop> what);
  bool sibling_executes(pid_t tid) const;
  void take_ends();
  void take_signals();
  void pump_output();
  void output_spent(std::uint64_t limit);
  void look_at_budgets(bool now);
  void take_sample(Nanoseconds time);
  void record_limit(std::string_view limit, bool ended);
  void drain_output();

  void on_event(const tracee::TaskEvent& event);
  void on_new_task(pid_t tid);
  void on_first_stop(pid_t tid);
  void on_exec(pid_t tid, pid_t former);
  void on_signal_stop(pid_t tid, int signal);
  void on_group_stop(pid_t tid);
  void on_exit_stop(pid_t tid);
  void on_end(const tracee::TaskEvent& event);
  void on_first_process_end(const tracee::TaskEvent& event);
  // True if events of other tasks were taken meanwhile.
  bool make_room_for_clone(const SyscallEvent& event);
  bool another_may_end_now(pid_t caller) const;
  bool admit_launch(const intercept::Stop& stop);
  Status verify_from_outside(pid_t pid) const;
  bool turned_into_no_space(pid_t tid);
  void name_task(pid_t tid, const std::string& name);

  void forward(int signal);
  void begin_suspending();
  void suspend_when_all_stand();
  void stop_with_the_command();
  void continue_the_command();
  bool all_stand(bool uninterruptible_too) const;
  bool is_for_the_shell(const tracee::Task& task, int signal) const;
  void apply_rlimits();
  bool raise_file_limit(pid_t tgid);
  std::uint64_t file_step() const;
  void inherit_limits(const tracee::Task& task);
  bool is_own_file_limit(pid_t tgid) const;
  void end_run(Verdict verdict, std::string reason);
  void kill_tree();
  void fail_internally(const Error& error);
  void lose_sight(const Error& error);
  void resume(pid_t tid, int signal = 0);

  Parts parts_;
  Launched launched_;
  tracee::TaskTable tasks_;
  Dispatcher dispatcher_;
  Meter meter_;
  limits::Budget budget_;
  limits::Measured last_measured_;
  Nanoseconds started_{};     // monotonic; the command's first instruction
  Nanoseconds next_look_{};   // since started_
  Deadline deadline_;         // next_look_
  Nanoseconds next_retry_{};  // likewise
  Nanoseconds next_sample_{};
  Nanoseconds sample_interval_ = std::chrono::milliseconds(50);
  std::uint64_t samples_ = 0;
  std::uint64_t output_ = 0;
  bool output_spent_ = false;
  std::uint64_t watches_ = 0;  // of epoll(7), as many as were ever made
  std::uint64_t data_limit_ = 0;
  std::uint64_t file_limit_ = 0;
  struct OwnLimits {
    std::uint64_t data = UINT64_MAX;
    std::uint64_t file = UINT64_MAX;
  };
  std::unordered_map<pid_t, OwnLimits> own_limits_;  // by tgid: what programs set themselves
  std::unordered_set<pid_t> stopped_;                // tasks in a group-stop
  std::vector<pollfd> waiting_;
  bool scratch_watched_ = false;
  tracee::EventQueue events_;
  struct Postponed {
    pid_t tid;
    std::uint64_t image;  // that the task had (TaskTable::image_of)
    std::variant<tracee::TaskEvent, intercept::Stop> what;
  };
  // Clones that were asked for while making_room_, and stops beside a sibling's execution.
  std::vector<Postponed> postponed_;
  bool making_room_ = false;
  bool events_left_ = false;  // of tasks, whose SIGCHLD has been taken already
  bool listener_open_ = false;
  Nanoseconds next_wait_for_room_{};
  std::optional<Nanoseconds> suspending_since_;  // since started_; the command is being stopped
  std::optional<Nanoseconds> continued_at_;      // with the command, since started_
  pid_t stopped_by_ = 0;  // the process whose stop was the last to suspend this one
  bool launch_admitted_ = false;
  bool command_runs_ = false;  // its exec has been seen and verified
  bool blind_ = false;         // waiting itself fails: nothing will be heard of the tree any more
  bool ending_ = false;
  unsigned forwarded_ = 0;
  Ending ending_as_;
};

}  // namespace vitrine::supervisor
