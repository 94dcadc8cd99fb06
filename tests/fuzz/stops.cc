// The classifier of wait statuses, against what wait(2) and ptrace(2) say of their bits, written
// out here. The input: statuses of four bytes each.
#include <signal.h>

#include <cstdint>
#include <cstdlib>

#include "fuzz_input.h"
#include "tracee/ptrace.h"

namespace {

using vitrine::tracee::TaskEvent;
using Kind = TaskEvent::Kind;

struct Expected {
  Kind kind;
  std::uint64_t value;
};

Expected of_event(unsigned event, unsigned signal) {
  constexpr unsigned kFork = 1, kVfork = 2, kClone = 3, kExec = 4, kExit = 6, kSeccomp = 7;
  constexpr unsigned kStop = 128;
  if (event == kFork || event == kVfork || event == kClone) return {Kind::kCloneStop, 0};
  if (event == kExec) return {Kind::kExecStop, 0};
  if (event == kExit) return {Kind::kExitStop, 0};
  if (event == kSeccomp) return {Kind::kSeccompStop, 0};
  if (event != kStop) return {Kind::kOtherStop, event};
  const bool group =
      signal == SIGSTOP || signal == SIGTSTP || signal == SIGTTIN || signal == SIGTTOU;
  return {group ? Kind::kGroupStop : Kind::kInterruptStop, signal};
}

// Low seven bits: 0 of an exit, 0x7f of a stop, else the signal that killed. Above them, eight bits
// of exit code or stopping signal, and above those the event.
Expected of(unsigned status) {
  const unsigned low = status & 0x7f;
  const unsigned high = (status >> 8) & 0xff;
  const unsigned event = status >> 16;
  if (low == 0) return {Kind::kExited, high};
  if (low != 0x7f) return {Kind::kKilled, low};
  if (event != 0) return of_event(event, high);
  if (high == 0x85) return {Kind::kSyscallStop, 0};  // PTRACE_O_TRACESYSGOOD
  return {Kind::kSignalStop, high};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  vitrine::fuzz::Input input(data, size);
  rusage usage{};
  usage.ru_maxrss = 1234;
  while (!input.at_end()) {
    unsigned status = input.word();
    status |= static_cast<unsigned>(input.word() & 0x7fff) << 16;
    constexpr unsigned kContinued = 0xffff;  // never asked for (WCONTINUED)
    if ((status & 0xffff) == kContinued) continue;
    const TaskEvent event = vitrine::tracee::classify(7, static_cast<int>(status), usage);
    const Expected wanted = of(status);
    if (event.kind != wanted.kind || event.value != wanted.value || event.tid != 7) std::abort();
    const bool ended = event.kind == Kind::kExited || event.kind == Kind::kKilled;
    if ((event.usage.ru_maxrss == 1234) != ended) std::abort();
  }
  return 0;
}
