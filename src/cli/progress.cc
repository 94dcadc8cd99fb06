#include "cli/progress.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "audit/escape.h"
#include "base/text.h"
#include "cli/output_file.h"

namespace vitrine::cli {
namespace {

using namespace std::chrono_literals;

constexpr Nanoseconds kPatience = 500ms;  // what is read sooner needs no bar
constexpr Nanoseconds kInterval = 100ms;
constexpr std::uint64_t kBytesBetweenLooks = 1 << 20;
constexpr int kWidth = 30;

bool has_place(bool beside_output) {
  return ::isatty(STDERR_FILENO) == 1 && !(beside_output && ::isatty(STDOUT_FILENO) == 1);
}

}  // namespace

Progress::Progress(std::string what, std::uint64_t whole, bool beside_output)
    : what_(std::move(what)),
      whole_(has_place(beside_output) ? whole : 0),
      next_draw_(monotonic_now() + kPatience) {}

Progress::~Progress() { clear(); }

void Progress::clear() {
  if (drawn_) (void)write_whole(STDERR_FILENO, "\r\x1b[K");
  drawn_ = false;
}

void Progress::at(std::uint64_t bytes) {
  if (whole_ == 0 || bytes < next_look_) return;
  next_look_ = bytes + kBytesBetweenLooks;
  const Nanoseconds now = monotonic_now();
  if (now < next_draw_) return;
  next_draw_ = now + kInterval;
  (void)write_whole(STDERR_FILENO, "\r" + bar(what_, bytes, whole_) + "\x1b[K");
  drawn_ = true;
}

std::string Progress::bar(const std::string& what, std::uint64_t done, std::uint64_t whole) {
  const double share =
      whole == 0 ? 1.0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(whole));
  const auto filled = static_cast<std::size_t>(share * kWidth);
  return audit::escape(what) + " " + std::to_string(static_cast<int>(share * 100)) + " % of " +
         format_size(whole) + " [" + std::string(filled, '#') + std::string(kWidth - filled, ' ') +
         "]";
}

}  // namespace vitrine::cli
