#include "intercept/patience.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <optional>

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

Nanoseconds end_of_run = Nanoseconds::max();

// One timer, whose signal only interrupts. SIGALRM is nobody's else here (supervisor/signals.cc).
std::optional<timer_t> make_timer() {
  struct sigaction nothing {};
  nothing.sa_handler = [](int) {};  // without SA_RESTART
  if (::sigaction(SIGALRM, &nothing, nullptr) != 0) return std::nullopt;
  sigset_t alarm;
  ::sigemptyset(&alarm);
  ::sigaddset(&alarm, SIGALRM);
  if (::pthread_sigmask(SIG_UNBLOCK, &alarm, nullptr) != 0) return std::nullopt;
  sigevent event{};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = SIGALRM;
  event._sigev_un._tid = static_cast<pid_t>(::syscall(SYS_gettid));
  timer_t timer{};
  if (::timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) return std::nullopt;
  return timer;
}

void set_timer(const itimerspec& value) {
  static const std::optional<timer_t> kTimer = make_timer();
  if (kTimer) (void)::timer_settime(*kTimer, 0, &value, nullptr);
}

}  // namespace

Patience::Patience(pid_t tid) : tid_(tid), started_(monotonic_now()) {
  set_timer({{0, kAgain}, {0, kAgain}});
}

Patience::~Patience() { set_timer({}); }

void Patience::end_at(Nanoseconds end) { end_of_run = end; }

bool Patience::is_over() {
  const Nanoseconds waited = monotonic_now() - started_;
  if (waited > kLongestWait || started_ + waited > end_of_run) return true;
  const Result<Nanoseconds> used = tracee::thread_cpu_time(tid_);
  if (!used) return waited > kLongestInjectedCall;
  if (!used_) used_ = *used;
  return waited > kLongestInjectedCall && *used - *used_ > kLongestRun;
}

}  // namespace vitrine::intercept
