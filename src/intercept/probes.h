// Probes: what this host permits, found by trying. Each primitive is tried in a child of its own,
// so that one that is fatal, or that cannot be undone, harms nothing; nothing is inferred from the
// kernel's version. For `vitrine doctor`; a run tries its backends by launching.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vitrine::intercept {

struct Probe {
  enum class Answer { kWorks, kRefused, kAbsent, kFatal };

  std::string_view name;  // "ptrace-seize"
  std::string_view what;  // one line for people
  Answer answer = Answer::kAbsent;
  int error = 0;            // kRefused, kAbsent: errno
  int signal = 0;           // kFatal: what killed the child
  std::string detail;       // "ABI 6"; often empty
  std::string_view advice;  // what an administrator would have to change

  bool works() const { return answer == Answer::kWorks; }
};

const char* name_of(Probe::Answer answer);

// All of them, in the order of their table. Takes some tens of milliseconds.
std::vector<Probe> run_probes();

struct BackendVerdict {
  std::string_view name;  // "notify"
  bool works = false;
  // What it needs and does not work, without what only follows from another one of these. Of a set
  // of alternatives, the first.
  std::vector<const Probe*> missing;
};

// In the order of preference.
std::vector<BackendVerdict> judge_backends(std::span<const Probe> probes);

// What a working backend would use if it were there, and what goes without it.
struct Lack {
  const Probe* probe;
  std::string_view consequence;
};
std::vector<Lack> lacks_of(std::string_view backend, std::span<const Probe> probes);

}  // namespace vitrine::intercept
