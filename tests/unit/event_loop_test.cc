// The event loop on reports that are made up: which come when, where the kernel's own come as they
// please. Tasks are real ones, which nobody traces.
#include "supervisor/event_loop.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "policy/builder.h"
#include "supervisor/signals.h"

namespace vitrine::supervisor {
namespace {

using intercept::Stop;
using tracee::TaskEvent;
using Kind = TaskEvent::Kind;

constexpr std::uint64_t kNothingToDecide = ~0ULL;
char program_path[] = "/program";
char* no_words[] = {nullptr};

std::uint64_t address_of(const void* what) { return reinterpret_cast<std::uint64_t>(what); }

bool install_filter() {
  sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  const sock_fprog program{1, &allow};
  return ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

bool is_killed(pid_t pid) {
  for (int i = 0; i < 500; ++i) {
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT | WNOHANG) != 0) break;
    if (info.si_pid == pid) return info.si_code == CLD_KILLED && info.si_status == SIGKILL;
    ::usleep(10'000);
  }
  return false;
}

// A process with two threads, which do nothing. What lies at an address here lies there as well.
class Guest {
 public:
  struct Walls {
    bool no_new_privs = true;
    bool no_capabilities = true;
    bool filter = false;  // lets everything through
  };
  explicit Guest(Walls walls) {
    int ready[2];
    EXPECT_EQ(::pipe2(ready, O_CLOEXEC), 0);
    pid_ = ::fork();
    if (pid_ == 0) live(walls, ready[1]);
    EXPECT_EQ(::read(ready[0], &thread_, sizeof thread_), static_cast<ssize_t>(sizeof thread_));
    ::close(ready[0]);
    ::close(ready[1]);
  }
  Guest() : Guest(Walls{}) {}
  ~Guest() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Guest(const Guest&) = delete;
  Guest& operator=(const Guest&) = delete;
  pid_t pid() const { return pid_; }
  pid_t thread() const { return thread_; }

 private:
  [[noreturn]] static void live(Walls walls, int ready) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct none[2]{};
    const bool built = (!walls.no_new_privs || ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) &&
                       (!walls.no_capabilities || ::syscall(SYS_capset, &header, none) == 0) &&
                       (!walls.filter || install_filter());
    if (!built) ::_exit(1);
    std::thread second([ready] {
      const auto tid = static_cast<pid_t>(::syscall(SYS_gettid));
      (void)!::write(ready, &tid, sizeof tid);
      for (;;) ::pause();
    });
    for (;;) ::pause();
  }

  pid_t pid_ = -1;
  pid_t thread_ = -1;
};

// Says what it was asked to do, and does nothing.
class Recorder final : public intercept::Interceptor {
 public:
  const intercept::Capabilities& capabilities() const override { return capabilities_; }
  Result<std::optional<Stop>> on_stop(const TaskEvent& event) override {
    if (event.value == kNothingToDecide) {
      note("went on", event.tid);
      return std::nullopt;
    }
    SyscallEvent call;
    call.tid = event.tid;
    call.audit_arch = foreign ? AUDIT_ARCH_I386 : arch::kNativeAuditArch;
    call.number = event.value;
    call.arguments = arguments[event.value];
    if (when_stopped) when_stopped(event.tid);
    return Stop(call, 0);
  }
  Status resume(pid_t tid, int) override {
    note("resumed", tid);
    return {};
  }
  void task_started(pid_t, pid_t, pid_t) override {}
  void task_ended(pid_t) override {}
  void task_executed(pid_t, pid_t) override {}
  bool sibling_executes(pid_t, pid_t tid) const override { return tid == beside_execution; }
  void name_task(pid_t, const std::string&) override {}
  void observe(const Observer& observer) override { observer_ = observer; }
  int pollable_fd() const override { return -1; }
  Result<std::optional<Stop>> next() override { return std::nullopt; }
  Result<Outcome> apply(Stop stop, Effect effect) override {
    if (fails) note("failed", stop.event().tid);
    if (fails) return fail(EIO, "apply");
    const bool restart = std::holds_alternative<Restart>(effect);
    const bool proceed = std::holds_alternative<Continue>(effect);
    note(restart ? "restarted" : (proceed ? "continued" : "answered"), stop.event().tid);
    return Outcome{};
  }

  // What was done to `tid` since it was last asked.
  std::string done_to(pid_t tid) {
    std::string text;
    for (const auto& [what, to] : std::exchange(done_, {})) {
      if (to == tid) text += (text.empty() ? "" : ", ") + what;
    }
    return text;
  }

  bool has_done_to(pid_t tid) const {
    return std::ranges::any_of(done_, [tid](const auto& each) { return each.second == tid; });
  }

  intercept::Capabilities capabilities_{.name = "recorder"};
  pid_t beside_execution = 0;  // a sibling of this one executes
  bool fails = false;          // to answer
  bool foreign = false;        // the calls' ABI
  std::function<void(pid_t)> when_stopped;
  Observer observer_;
  std::unordered_map<std::uint64_t, std::array<std::uint64_t, 6>> arguments;  // by call

 private:
  void note(std::string what, pid_t tid) { done_.emplace_back(std::move(what), tid); }
  std::vector<std::pair<std::string, pid_t>> done_;
};

// Keeps the task of each call that was written.
class CallLog final : public audit::AuditSink {
 public:
  audit::Level level() const override { return audit::Level::kAll; }
  bool wants_lookups() const override { return false; }
  void write(const audit::StartRecord&) override {}
  void write(const audit::SyscallRecord& record) override { tids.push_back(record.tid); }
  void write(const audit::ProcessRecord&) override {}
  void write(const audit::SignalRecord&) override {}
  void write(const audit::LimitRecord&) override {}
  void write(const audit::SampleRecord&) override {}
  Status finish(const Report&) override { return {}; }
  Status health() const override { return {}; }

  std::vector<std::int64_t> tids;
};

// The loop relays them, and gives up what nobody writes to any more.
class StandardDescriptors {
 public:
  explicit StandardDescriptors(int output) {
    const UniqueFd nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
    for (int number = 0; number < 3; ++number) {
      kept_[static_cast<std::size_t>(number)].reset(::fcntl(number, F_DUPFD_CLOEXEC, 3));
      ::dup2(number == 1 && output >= 0 ? output : nothing.get(), number);
    }
  }
  ~StandardDescriptors() {
    for (int number = 0; number < 3; ++number)
      ::dup2(kept_[static_cast<std::size_t>(number)].get(), number);
  }
  StandardDescriptors(const StandardDescriptors&) = delete;
  StandardDescriptors& operator=(const StandardDescriptors&) = delete;

 private:
  std::array<UniqueFd, 3> kept_;
};

class EventLoopTest : public testing::Test {
 protected:
  using Step = std::function<std::optional<TaskEvent>()>;

  void SetUp() override {
    ASSERT_EQ(::sigprocmask(SIG_BLOCK, nullptr, &mask_), 0);
    ASSERT_EQ(::sched_getaffinity(0, sizeof cpus_, &cpus_), 0);
    Result<UniqueFd> signals = take_signals();
    ASSERT_TRUE(signals);
    signals_ = std::move(*signals);
    self_ = UniqueFd(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
    ASSERT_TRUE(self_);
    policy::PolicyBuilder builder;
    builder.add_file({ShowRule{"/proc/self/exe", program_path}, {"program", ""}});
    builder.add_file({ScratchRule{"/tmp", 1U << 20}, {"scratch", ""}});
    limits_.processes = std::uint64_t{4};
    builder.set_limits(limits_);
    policy_ = std::make_unique<policy::Policy>(std::move(builder).build());
    auto files = vfs::FileSystem::build(policy_->files(), {.identity = {1000, 1000}});
    ASSERT_TRUE(files) << files.error().message();
    files_ = std::move(*files);
  }
  void TearDown() override {
    ::sigprocmask(SIG_SETMASK, &mask_, nullptr);
    ::sched_setaffinity(0, sizeof cpus_, &cpus_);
  }

  // --- the script: what wait4(2) gives, and what happens in between
  void report(Kind kind, pid_t tid, std::uint64_t value = 0) {
    script_.push_back([=] { return TaskEvent{kind, tid, value, {}}; });
  }
  // The loop has a turn before what follows is heard.
  void turn() {
    script_.push_back([] { return std::nullopt; });
  }
  void then(std::function<void()> what) {
    turn();
    turn();
    script_.push_back([what = std::move(what)] {
      what();
      return std::nullopt;
    });
  }
  void command_runs(const Guest& guest) {
    report(Kind::kExecStop, guest.pid(), static_cast<std::uint64_t>(guest.pid()));
    report(Kind::kInterruptStop, guest.thread());
    then([&] { (void)recorder_.done_to(0); });
  }
  // Nothing happens for a while, and nothing tells of its end but a signal.
  void pause(std::chrono::milliseconds length) {
    script_.push_back([=, this]() -> std::optional<TaskEvent> {
      quiet_until_ = monotonic_now() + length;
      if (waker_.joinable()) waker_.join();
      waker_ = std::thread([length] {
        std::this_thread::sleep_for(length);
        ::kill(::getpid(), SIGCHLD);
      });
      return std::nullopt;
    });
  }
  // The loop has turns until something is done to `tid`, for five seconds at most.
  void until_done_to(pid_t tid) {
    script_.push_back([=, this] { return look_again(tid, monotonic_now() + kLongest); });
  }
  std::optional<TaskEvent> look_again(pid_t tid, Nanoseconds end) {
    if (recorder_.has_done_to(tid) || monotonic_now() >= end) return std::nullopt;
    ::usleep(1000);
    script_.push_front([=, this] { return look_again(tid, end); });
    return std::nullopt;
  }
  static constexpr Nanoseconds kLongest = std::chrono::seconds(5);
  // Standard output is not ours while the loop runs.
  void expect(const std::string& seen, const std::string& wanted, const std::string& of = "") {
    if (seen != wanted) wrong_ += of + " seen: " + seen + ", wanted: " + wanted + "\n";
  }
  Result<std::optional<TaskEvent>> next() {
    if (script_.empty()) return when_over_();
    if (monotonic_now() < quiet_until_) return std::nullopt;
    const Step step = std::move(script_.front());
    script_.pop_front();
    std::optional<TaskEvent> event = step();
    if (!event && monotonic_now() >= quiet_until_)
      ::kill(::getpid(), SIGCHLD);  // so that the loop comes again
    return event;
  }

  Ending run(const Guest& guest) {
    const Ending ending = run_script(guest);
    if (waker_.joinable()) waker_.join();
    EXPECT_EQ(wrong_, "");
    return ending;
  }
  Ending run_script(const Guest& guest) {
    const StandardDescriptors own(output_);
    auto stdio = Stdio::create();
    EXPECT_TRUE(stdio);
    guest_output_ = (*stdio)->guest_ends()[1];
    Launched launched;
    launched.pid = guest.pid();
    EventLoop loop(
        {*policy_, recorder_, *files_, *audit_, tally_, placement_, **stdio, signals_.get(),
         self_.get(), program_path, "", -1, false, [this] { return next(); }},
        std::move(launched), files_->root());
    loop_ = &loop;
    quiet_until_ = {};
    ::kill(::getpid(), SIGCHLD);
    return loop.run();
  }

  sigset_t mask_{};
  cpu_set_t cpus_{};
  UniqueFd signals_;
  UniqueFd self_;
  policy::LimitSettings limits_;
  std::unique_ptr<policy::Policy> policy_;
  std::unique_ptr<vfs::FileSystem> files_;
  std::unique_ptr<audit::AuditSink> audit_ = audit::make_null_sink();
  Tally tally_;
  Placement placement_{0};
  Recorder recorder_;
  EventLoop* loop_ = nullptr;
  int output_ = -1;        // the caller's standard output; -1: none that keeps anything
  int guest_output_ = -1;  // the command's
  std::deque<Step> script_;
  std::function<Result<std::optional<TaskEvent>>()> when_over_ =
      []() -> Result<std::optional<TaskEvent>> { return fail(ECHILD, "wait4"); };
  Nanoseconds quiet_until_{};
  std::thread waker_;
  std::string wrong_;
};

// Whatever is done to such a stop may be done to the program that has taken the task's number.
TEST_F(EventLoopTest, AStopBesideASiblingsExecutionIsLeftAlone) {
  const Guest guest;
  const pid_t leader = guest.pid();
  command_runs(guest);
  const std::pair<TaskEvent, std::string> cases[] = {
      {{Kind::kSyscallStop, leader, kNothingToDecide, {}}, "went on"},
      {{Kind::kSyscallStop, leader, SYS_umask, {}}, "answered"},
      {{Kind::kSeccompStop, leader, SYS_umask, {}}, "answered"},
      {{Kind::kSignalStop, leader, SIGUSR1, {}}, "resumed"},
      {{Kind::kInterruptStop, leader, SIGTRAP, {}}, "resumed"},
      {{Kind::kCloneStop, leader, 0, {}}, "resumed"},
      {{Kind::kOtherStop, leader, 0, {}}, "resumed"}};
  for (const auto& each : cases) {
    const TaskEvent& event = each.first;
    const std::string& done = each.second;
    then([&] { recorder_.beside_execution = leader; });
    report(event.kind, event.tid, event.value);
    for (int i = 0; i < 3; ++i) turn();
    then([&] {
      expect(recorder_.done_to(leader), "", std::to_string(static_cast<int>(event.kind)));
      recorder_.beside_execution = 0;
    });
    then([&] {
      expect(recorder_.done_to(leader), done, std::to_string(static_cast<int>(event.kind)));
    });
  }
  run(guest);
}

// The execution waits for just this one (de_thread, fs/exec.c).
TEST_F(EventLoopTest, TheStopBeforeAnEndIsNotHeldUpBesideAnExecution) {
  const Guest guest;
  command_runs(guest);
  then([&] { recorder_.beside_execution = guest.pid(); });
  report(Kind::kExitStop, guest.pid());
  then([&] { expect(recorder_.done_to(guest.pid()), "resumed"); });
  run(guest);
}

// Its sibling begins to execute while ends of others are taken in for its clone.
TEST_F(EventLoopTest, ACloneBesideAnExecutionThatBeginsMeanwhileIsLeftAlone) {
  const Guest guest;
  const pid_t leader = guest.pid();
  command_runs(guest);
  recorder_.when_stopped = [&](pid_t tid) { recorder_.beside_execution = tid; };
  report(Kind::kSyscallStop, leader, SYS_fork);
  for (int i = 0; i < 3; ++i) turn();
  then([&] {
    expect(recorder_.done_to(leader), "");
    recorder_.when_stopped = nullptr;
    recorder_.beside_execution = 0;
  });
  then([&] { expect(recorder_.done_to(leader), "continued"); });
  run(guest);
}

// Another task may have its number before it would have been its turn.
TEST_F(EventLoopTest, AStopThatWasLeftAloneEndsWithItsTask) {
  for (const std::uint64_t call : {static_cast<std::uint64_t>(SYS_fork), kNothingToDecide}) {
    const Guest guest;
    command_runs(guest);
    then([&] { recorder_.beside_execution = guest.thread(); });
    report(Kind::kSyscallStop, guest.thread(), call);
    then([&] { expect(recorder_.done_to(guest.thread()), ""); });
    report(Kind::kKilled, guest.thread(), SIGKILL);
    script_.push_back([&] {
      recorder_.beside_execution = 0;
      return TaskEvent{Kind::kInterruptStop, guest.thread(), 0, {}};
    });
    then([&] { expect(recorder_.done_to(guest.thread()), "resumed"); });
    run(guest);
  }
}

class ExecutionOfAThread : public EventLoopTest {
 protected:
  // The second thread asks for an execution, which is let go on.
  void begin(const Guest& guest) {
    command_runs(guest);
    recorder_.arguments[SYS_execve] = {address_of(program_path), address_of(no_words),
                                       address_of(no_words)};
    report(Kind::kSyscallStop, guest.thread(), SYS_execve);
    then([&] { expect(recorder_.done_to(guest.thread()), "answered"); });
  }
  TaskEvent executed(const Guest& guest) {
    return {Kind::kExecStop, guest.pid(), static_cast<std::uint64_t>(guest.thread()), {}};
  }
};

// It has the number of the program that the clone is not of.
TEST_F(ExecutionOfAThread, AnswersNoCloneOfTheLeaderThatItEnded) {
  const Guest guest;
  begin(guest);
  then([&] {
    recorder_.when_stopped = [&](pid_t) { script_.push_front([&] { return executed(guest); }); };
  });
  report(Kind::kSyscallStop, guest.pid(), SYS_fork);
  turn();
  then([&] { expect(recorder_.done_to(guest.pid()), "resumed"); });
  const Ending ending = run(guest);
  EXPECT_EQ(ending.reason.value_or(""), "");
}

TEST_F(ExecutionOfAThread, DoesNothingToAStopOfTheLeaderThatItEnded) {
  for (const std::uint64_t call : {static_cast<std::uint64_t>(SYS_fork), kNothingToDecide}) {
    const Guest guest;
    begin(guest);
    then([&] { recorder_.beside_execution = guest.pid(); });
    report(Kind::kSyscallStop, guest.pid(), call);
    then([&] { expect(recorder_.done_to(guest.pid()), ""); });
    script_.push_back([&] {
      recorder_.beside_execution = 0;
      return executed(guest);
    });
    then([&] { expect(recorder_.done_to(guest.pid()), "resumed"); });
    const Ending ending = run(guest);
    EXPECT_EQ(ending.reason.value_or(""), "");
  }
}

// Calls that wait for a lock which another process has.
class WaitingCalls : public ExecutionOfAThread {
 protected:
  void SetUp() override {
    ExecutionOfAThread::SetUp();
    auto opened = files_->open({::getpid(), ::getpid(), 022}, files_->root(), "/tmp/locked",
                               O_RDWR | O_CREAT, 0600);
    ASSERT_TRUE(opened) << opened.error().message();
    file_ = std::move(opened->fd);
  }
  void ask(pid_t tid, int command, const struct flock& lock) {
    then([&, command] {
      recorder_.arguments[SYS_fcntl] = {static_cast<std::uint64_t>(file_.get()),
                                        static_cast<std::uint64_t>(command), address_of(&lock)};
    });
    report(Kind::kSyscallStop, tid, SYS_fcntl);
  }
  // `waiting` asks for what `other` has.
  void begin_to_wait(const Guest& guest, const Guest& other, pid_t waiting) {
    command_runs(guest);
    report(Kind::kCloneStop, guest.pid(), static_cast<std::uint64_t>(other.pid()));
    report(Kind::kInterruptStop, other.pid());
    ask(other.pid(), F_SETLK, kLock);
    then([&] { expect(recorder_.done_to(other.pid()), "resumed, answered"); });
    ask(waiting, F_SETLKW, kLock);
    expect_of(waiting, "");
  }
  void let_go(const Guest& other) {
    ask(other.pid(), F_SETLK, kUnlock);
    pause(std::chrono::milliseconds(20));
  }
  void expect_of(pid_t tid, const char* done) {
    then([=, this] { expect(recorder_.done_to(tid), done); });
  }
  void beside(pid_t tid) {
    then([=, this] { recorder_.beside_execution = tid; });
  }

  static constexpr struct flock kLock { F_WRLCK, SEEK_SET, 0, 0, 0 };
  static constexpr struct flock kUnlock { F_UNLCK, SEEK_SET, 0, 0, 0 };
  UniqueFd file_;
};

TEST_F(WaitingCalls, AreAnsweredOnceTheyNeedNotWait) {
  const Guest guest, other;
  begin_to_wait(guest, other, guest.pid());
  let_go(other);
  until_done_to(guest.pid());
  expect_of(guest.pid(), "answered");
  run(guest);
}

TEST_F(WaitingCalls, AreNotAnsweredBesideASiblingsExecution) {
  const Guest guest, other;
  begin_to_wait(guest, other, guest.pid());
  beside(guest.pid());
  let_go(other);
  expect_of(guest.pid(), "");
  beside(0);
  until_done_to(guest.pid());
  expect_of(guest.pid(), "answered");
  run(guest);
}

TEST_F(WaitingCalls, AreEnteredAgainByAProcessThatStops) {
  const Guest guest, other;
  begin_to_wait(guest, other, guest.pid());
  beside(guest.pid());
  report(Kind::kGroupStop, guest.thread(), SIGSTOP);
  expect_of(guest.pid(), "");
  beside(0);
  report(Kind::kGroupStop, other.pid(), SIGSTOP);
  expect_of(guest.pid(), "");
  report(Kind::kGroupStop, guest.thread(), SIGSTOP);
  expect_of(guest.pid(), "restarted");
  run(guest);
}

TEST_F(WaitingCalls, EndByASignalButBesideASiblingsExecution) {
  const Guest guest, other;
  ASSERT_EQ(::kill(guest.pid(), SIGSTOP), 0);  // so that the next one stays pending
  ASSERT_EQ(::waitpid(guest.pid(), nullptr, WUNTRACED), guest.pid());
  begin_to_wait(guest, other, guest.pid());
  beside(guest.pid());
  then([&] { ::kill(guest.pid(), SIGUSR1); });
  pause(std::chrono::milliseconds(20));
  expect_of(guest.pid(), "");
  beside(0);
  until_done_to(guest.pid());
  expect_of(guest.pid(), "restarted");
  run(guest);
}

// Another task may have its number at once.
TEST_F(WaitingCalls, EndWithTheirTask) {
  const Guest guest, other;
  begin_to_wait(guest, other, guest.thread());
  report(Kind::kKilled, guest.thread(), SIGKILL);
  report(Kind::kInterruptStop, guest.thread());
  let_go(other);
  expect_of(guest.thread(), "resumed");
  run(guest);
}

TEST_F(WaitingCalls, EndWithTheLeaderThatAnExecutionEnds) {
  const Guest guest, other;
  begin_to_wait(guest, other, guest.pid());
  recorder_.arguments[SYS_execve] = {address_of(program_path), address_of(no_words),
                                     address_of(no_words)};
  report(Kind::kSyscallStop, guest.thread(), SYS_execve);
  turn();
  script_.push_back([&] { return executed(guest); });
  let_go(other);
  expect_of(guest.pid(), "resumed");
  run(guest);
}

TEST_F(WaitingCalls, ThatCannotBeAnsweredEndTheRun) {
  for (const bool stopped : {false, true}) {
    const Guest guest, other;
    recorder_.fails = false;
    begin_to_wait(guest, other, guest.pid());
    beside(stopped ? 0 : guest.pid());
    if (!stopped) ask(other.pid(), F_SETLK, kUnlock);
    then([&] { recorder_.fails = true; });
    if (stopped) report(Kind::kGroupStop, guest.thread(), SIGSTOP);
    beside(0);
    until_done_to(guest.pid());
    turn();
    const Ending ending = run(guest);
    EXPECT_EQ(ending.verdict, Verdict::kInternalError) << stopped;
    EXPECT_EQ(ending.reason.value_or("").substr(0, 6), "apply:") << stopped;
    EXPECT_TRUE(is_killed(guest.pid()));
  }
}

// What a start-up that silently did nothing leaves is found from outside.
class FromOutside : public EventLoopTest {
 protected:
  std::string refusal(Guest::Walls walls) {
    const Guest guest(walls);
    report(Kind::kExecStop, guest.pid(), static_cast<std::uint64_t>(guest.pid()));
    turn();
    const Ending ending = run(guest);
    if (ending.verdict != Verdict::kSetupError) return "none";
    EXPECT_EQ(recorder_.done_to(guest.pid()), "");
    EXPECT_TRUE(is_killed(guest.pid()));
    const std::string reason = ending.reason.value_or("");
    return reason.substr(0, reason.find(':'));
  }
};

TEST_F(FromOutside, WithAllWallsTheCommandRuns) {
  EXPECT_EQ(refusal({}), "none");
  recorder_.capabilities_.uses_filter = true;
  EXPECT_EQ(refusal({.filter = true}), "none");
}

TEST_F(FromOutside, NewPrivilegesAreARefusal) {
  EXPECT_EQ(refusal({.no_new_privs = false}), "no_new_privs is not set");
}

TEST_F(FromOutside, CapabilitiesAreARefusal) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root has capabilities to leave behind";
  EXPECT_EQ(refusal({.no_capabilities = false}), "capabilities are left");
}

TEST_F(FromOutside, NoFilterIsARefusal) {
  recorder_.capabilities_.uses_filter = true;
  EXPECT_EQ(refusal({}), "no filter is in place");
}

// One of this process's own, which the command has as well, is not the one that was wanted.
TEST_F(FromOutside, TheFilterOfTheSurroundingsIsARefusal) {
  recorder_.capabilities_.uses_filter = true;
  const pid_t inner = ::fork();
  if (inner == 0) {
    const bool right = install_filter() && refusal({}) == "the filter is not in place" &&
                       refusal({.filter = true}) == "none" && !HasFailure();
    ::_exit(right ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(inner, &status, 0), inner);
  EXPECT_EQ(status, 0);
}

// Without a filter each call stops, whether it has to be decided or not.
TEST_F(EventLoopTest, ATaskIsBoundByAllItsStopsWhereThereIsNoFilter) {
  for (const bool filter : {false, true}) {
    const Guest guest({.filter = true});
    recorder_.capabilities_.uses_filter = filter;
    command_runs(guest);
    then([&] { placement_.task_ended(placement_.bound()); });
    for (int i = 0; i < 500; ++i) report(Kind::kSyscallStop, guest.thread(), kNothingToDecide);
    pid_t bound = -1;
    then([&] { bound = placement_.bound(); });
    run(guest);
    EXPECT_EQ(bound, filter ? 0 : guest.thread());
    placement_.task_ended(bound);
  }
}

TEST_F(EventLoopTest, MoreInScratchThanItHoldsEndsTheRun) {
  const Guest guest;
  auto opened = files_->open({::getpid(), ::getpid(), 022}, files_->root(), "/tmp/full",
                             O_RDWR | O_CREAT, 0600);
  ASSERT_TRUE(opened) << opened.error().message();
  const std::string piece(1U << 20, 'x');
  for (int i = 0; i < 8; ++i) {
    ASSERT_EQ(::write(opened->fd.get(), piece.data(), piece.size()),
              static_cast<ssize_t>(piece.size()));
  }
  command_runs(guest);
  const Ending ending = run(guest);
  EXPECT_EQ(ending.verdict, Verdict::kMemoryLimit);
  EXPECT_EQ(ending.reason.value_or(""), "more was stored in scratch than it holds");
  EXPECT_TRUE(is_killed(guest.pid()));
}

// One that was made while the tree was being killed.
TEST_F(EventLoopTest, ATaskThatComesWhenTheRunHasEndedIsKilled) {
  const Guest guest, late;
  command_runs(guest);
  report(Kind::kCloneStop, guest.pid(), static_cast<std::uint64_t>(guest.thread()));
  report(Kind::kKilled, guest.pid(), SIGTERM);
  report(Kind::kInterruptStop, late.pid());
  then([&] { expect(recorder_.done_to(late.pid()), ""); });
  EXPECT_EQ(run(guest).verdict, Verdict::kSignaled);
  EXPECT_TRUE(is_killed(late.pid()));
}

// Neither a call nor a signal has to wait for the task's own first stop.
TEST_F(EventLoopTest, ATaskMayBeHeardOfBeforeItsFirstStop) {
  const Guest guest;
  report(Kind::kExecStop, guest.pid(), static_cast<std::uint64_t>(guest.pid()));
  report(Kind::kSignalStop, guest.thread(), SIGUSR1);
  report(Kind::kSyscallStop, guest.thread(), SYS_umask);
  report(Kind::kExited, ::getpid());  // not of this run
  then([&] { expect(recorder_.done_to(guest.thread()), "resumed, answered"); });
  EXPECT_EQ(run(guest).reason.value_or(""), "");
}

TEST_F(EventLoopTest, NothingIsAnsweredToATaskThatIsGone) {
  pid_t gone = 0;
  {
    const Guest guest;
    gone = guest.pid();
  }
  const Guest guest;
  command_runs(guest);
  report(Kind::kSyscallStop, gone, SYS_umask);
  then([&] { expect(recorder_.done_to(gone), ""); });
  EXPECT_EQ(run(guest).reason.value_or(""), "");
}

// The launcher's, whose arguments lie in our memory: no others go on unseen.
TEST_F(EventLoopTest, CallsOfTheLaunchGoOnUpToItsExecution) {
  const Guest guest;
  const pid_t pid = guest.pid();
  const auto call = [&](pid_t tid, std::uint64_t number, const std::string& done) {
    report(Kind::kSyscallStop, tid, number);
    then([=, this] { expect(recorder_.done_to(tid), done, std::to_string(number)); });
  };
  report(Kind::kInterruptStop, guest.thread());
  then([&] { (void)recorder_.done_to(0); });
  for (const auto number : {SYS_close_range, SYS_dup2, SYS_fcntl})
    call(pid, static_cast<std::uint64_t>(number), "continued");
  call(pid, SYS_openat, "answered");
  call(guest.thread(), SYS_execveat, "answered");
  call(pid, SYS_execveat, "continued");
  call(pid, SYS_execveat, "answered");
  EXPECT_EQ(run(guest).reason.value_or(""), "");
}

TEST_F(EventLoopTest, ACallOfTheLaunchInAForeignAbiIsAViolation) {
  const Guest guest;
  recorder_.foreign = true;
  report(Kind::kSyscallStop, guest.pid(), SYS_execveat);
  then([&] { expect(recorder_.done_to(guest.pid()), "answered"); });
  EXPECT_EQ(run(guest).verdict, Verdict::kViolation);
  EXPECT_TRUE(is_killed(guest.pid()));
}

TEST_F(EventLoopTest, AnExecutionThatWasNotDecidedDoesNotGoOn) {
  const Guest guest;
  command_runs(guest);
  report(Kind::kExecStop, guest.pid(), static_cast<std::uint64_t>(guest.pid()));
  then([&] { expect(recorder_.done_to(guest.pid()), ""); });
  run(guest);
}

TEST_F(EventLoopTest, AnAnswerThatCannotBeGivenEndsTheRun) {
  for (const bool launched : {false, true}) {
    const Guest guest;
    recorder_.fails = false;
    if (launched) command_runs(guest);
    then([&] { recorder_.fails = true; });
    report(Kind::kSyscallStop, guest.pid(), SYS_dup2);
    const Ending ending = run(guest);
    EXPECT_EQ(ending.verdict, Verdict::kInternalError) << launched;
    EXPECT_EQ(ending.reason.value_or("").substr(0, 6), "apply:") << launched;
    EXPECT_TRUE(is_killed(guest.pid()));
  }
}

TEST_F(EventLoopTest, ALoopThatHearsOfNothingAnyMoreEndsTheRun) {
  const Guest guest;
  command_runs(guest);
  when_over_ = []() -> Result<std::optional<TaskEvent>> { return fail(EIO, "wait4"); };
  const Ending ending = run(guest);
  EXPECT_EQ(ending.verdict, Verdict::kInternalError);
  EXPECT_EQ(ending.reason.value_or("").substr(0, 6), "wait4:");
  EXPECT_TRUE(is_killed(guest.pid()));
}

TEST_F(EventLoopTest, ACommandThatEndsBeforeItRunsWasNotStarted) {
  const Guest guest;
  report(Kind::kKilled, guest.pid(), SIGKILL);
  const Ending ending = run(guest);
  EXPECT_EQ(ending.verdict, Verdict::kSetupError);
  EXPECT_FALSE(ending.launch_failure);
  EXPECT_EQ(ending.reason.value_or(""), "the command could not be started");
}

// Killed before it ever ran, or all that was heard of it is a signal.
TEST_F(EventLoopTest, ATaskThatCannotBeLookedAtIsNoneOfTheRun) {
  pid_t gone = 0;
  {
    const Guest guest;
    gone = guest.pid();
  }
  const Guest guest;
  command_runs(guest);
  report(Kind::kCloneStop, guest.pid(), static_cast<std::uint64_t>(gone));
  then([&] {
    expect(recorder_.done_to(guest.pid()), "resumed");
    expect(std::to_string(loop_->processes().size()), "1");
    expect(loop_->working_directory(gone), "/");
    expect(loop_->executable(gone), "");
  });
  report(Kind::kSignalStop, gone, SIGUSR1);
  then([&] { expect(recorder_.done_to(gone), "resumed"); });
  EXPECT_EQ(run(guest).usage.processes_peak, 1U);
}

TEST_F(EventLoopTest, ACallOfATaskThatIsGoneIsNotWritten) {
  auto log = std::make_unique<CallLog>();
  const std::vector<std::int64_t>& tids = log->tids;
  audit_ = std::move(log);
  const Guest guest;
  command_runs(guest);
  then([&] {
    SyscallEvent call;
    for (const pid_t tid : {::getppid(), guest.thread(), guest.pid()}) {
      call.tid = tid;
      recorder_.observer_(call, "", 0);
    }
  });
  run(guest);
  EXPECT_EQ(tids, (std::vector<std::int64_t>{2, 1}));
}

// The signal of RLIMIT_FSIZE goes on as it is where it cannot be told what it came by.
TEST_F(EventLoopTest, ASignalOfAFileLimitGoesOnWhereItsCallCannotBeSeen) {
  const Guest guest;  // traced by nobody
  command_runs(guest);
  for (const pid_t tid : {guest.pid(), ::getppid()}) {
    report(Kind::kSignalStop, tid, SIGXFSZ);
    then([=, this] { expect(recorder_.done_to(tid), "resumed"); });
  }
  run(guest);
  Report report;
  tally_.fill(report);
  EXPECT_TRUE(report.limits_hit.empty());
}

// What the program wrote at the very end is still counted, and still read.
class OutputAtTheEnd : public EventLoopTest {
 protected:
  void write_and_end(const Guest& guest, std::size_t size, TaskEvent::Kind end) {
    script_.push_back([=, this, &guest] {
      const std::string text(size, 'x');
      expect(std::to_string(::write(guest_output_, text.data(), size)), std::to_string(size));
      return TaskEvent{Kind::kExecStop, guest.pid(), static_cast<std::uint64_t>(guest.pid()), {}};
    });
    report(end, guest.pid());
  }
  void set_limits() {
    policy::PolicyBuilder builder;
    builder.set_limits(limits_);
    policy_ = std::make_unique<policy::Policy>(std::move(builder).build());
  }
  // A reader that does not read.
  void fill(UniqueFd (&ends)[2]) {
    int numbers[2];
    ASSERT_EQ(::pipe2(numbers, O_CLOEXEC | O_NONBLOCK), 0);
    ends[0].reset(numbers[0]);
    ends[1].reset(numbers[1]);
    const std::string piece(4096, 'x');
    while (::write(numbers[1], piece.data(), piece.size()) > 0) continue;
    output_ = numbers[1];
  }
};

TEST_F(OutputAtTheEnd, PastItsBudgetTheRunHasUsedItUp) {
  limits_.output_bytes = 100;
  set_limits();
  for (const Kind end : {Kind::kExited, Kind::kKilled}) {
    for (const std::size_t size : {100U, 101U}) {
      const Guest guest;
      write_and_end(guest, size, end);
      const Ending ending = run(guest);
      EXPECT_EQ(ending.usage.output_bytes, 100U);
      EXPECT_EQ(ending.verdict == Verdict::kOutputLimit, size > 100) << size;
      EXPECT_EQ(ending.exit_code.has_value(), size == 100 && end == Kind::kExited) << size;
      EXPECT_EQ(ending.reason.value_or(""), size > 100 ? "more than 100 bytes of output" : "");
    }
  }
}

TEST_F(OutputAtTheEnd, IsWaitedForUntilTheWallBudgetOrShortlyAfterALimit) {
  limits_.wall = Nanoseconds(std::chrono::milliseconds(300));
  set_limits();
  for (const Kind end : {Kind::kExited, Kind::kKilled}) {
    UniqueFd ends[2];
    fill(ends);
    const Guest guest;
    if (end == Kind::kKilled) {
      limits_.wall = {};
      set_limits();
    }
    write_and_end(guest, 10, end);
    const Nanoseconds start = monotonic_now();
    EXPECT_EQ(run(guest).verdict, end == Kind::kExited ? Verdict::kExited : Verdict::kSignaled);
    const Nanoseconds took = monotonic_now() - start;
    EXPECT_GE(took, std::chrono::milliseconds(end == Kind::kExited ? 300 : 2000));
    EXPECT_LT(took, std::chrono::seconds(10));
  }
}

TEST_F(OutputAtTheEnd, IsGivenUpWhereSomebodyAsksToEnd) {
  limits_.wall = {};
  set_limits();
  UniqueFd ends[2];
  fill(ends);
  const Guest guest;
  write_and_end(guest, 10, Kind::kExited);
  std::thread asks([] {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    ::kill(::getpid(), SIGTERM);
  });
  const Nanoseconds start = monotonic_now();
  EXPECT_EQ(run(guest).verdict, Verdict::kExited);
  EXPECT_LT(monotonic_now() - start, std::chrono::seconds(10));
  asks.join();
}

}  // namespace
}  // namespace vitrine::supervisor
