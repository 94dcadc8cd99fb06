#include "intercept/patience.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <optional>
#include <utility>

#include "tracee/usage.h"

namespace vitrine::intercept {
namespace {

// Injected calls take microseconds; the rest is for a machine that is busy with other things.
constexpr Nanoseconds kLongestInjectedCall = std::chrono::seconds(2);
constexpr Nanoseconds kLongestRun = std::chrono::milliseconds(50);  // CPU time
// The end also where the task does not run at all. Nothing that it could be led into would keep it
// asleep: any call stops it, and its signals are blocked.
constexpr Nanoseconds kLongestWait = std::chrono::seconds(30);
constexpr long kAgain = 10'000'000;  // ns

// Only interrupts. Not SIGALRM, which a caller may have set for itself (alarm(2) outlives exec).
int interrupting_signal() { return SIGRTMIN; }

std::optional<timer_t> timer;
std::function<bool()> run_has_ended;

void set_timer(const itimerspec& value) {
  if (timer) (void)::timer_settime(*timer, 0, &value, nullptr);
}

}  // namespace

Status Patience::prepare() {
  if (timer) return {};
  struct sigaction nothing {};
  nothing.sa_handler = [](int) {};  // without SA_RESTART
  if (::sigaction(interrupting_signal(), &nothing, nullptr) != 0) return fail_errno("sigaction");
  sigset_t signal;
  ::sigemptyset(&signal);
  ::sigaddset(&signal, interrupting_signal());
  if (::pthread_sigmask(SIG_UNBLOCK, &signal, nullptr) != 0) return fail_errno("pthread_sigmask");
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = interrupting_signal();
  event._sigev_un._tid = static_cast<pid_t>(::syscall(SYS_gettid));
  timer_t made{};
  if (::timer_create(CLOCK_MONOTONIC, &event, &made) != 0) {
    return fail_errno("timer_create (RLIMIT_SIGPENDING)");
  }
  timer = made;
  return {};
}

void Patience::watch(std::function<bool()> has_ended) { run_has_ended = std::move(has_ended); }

Patience::Patience(pid_t tid) : tid_(tid), started_(monotonic_now()) {
  set_timer({{0, kAgain}, {0, kAgain}});
}

Patience::~Patience() { set_timer({}); }

bool Patience::is_over() {
  if (run_has_ended && run_has_ended()) return true;
  const Nanoseconds waited = monotonic_now() - started_;
  if (waited > kLongestWait) return true;
  const Result<Nanoseconds> used = tracee::thread_cpu_time(tid_);
  if (!used) return waited > kLongestInjectedCall;
  if (!used_) used_ = *used;
  return waited > kLongestInjectedCall && *used - *used_ > kLongestRun;
}

}  // namespace vitrine::intercept
