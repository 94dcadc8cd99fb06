// spdlog is included here only: it is the costliest header of the program.
#include "cli/messages.h"

#include <spdlog/sinks/ansicolor_sink.h>
#include <spdlog/spdlog.h>

#include <memory>

#include "audit/escape.h"

namespace vitrine::cli {
namespace {

Verbosity current_verbosity = Verbosity::kNormal;

// Made at the first message: a run that says nothing does not pay for it.
spdlog::logger& logger() {
  static spdlog::logger instance = [] {
    auto sink =
        std::make_shared<spdlog::sinks::ansicolor_stderr_sink_st>(spdlog::color_mode::never);
    spdlog::logger made("vitrine", std::move(sink));
    made.set_pattern("vitrine: %v");
    made.set_level(spdlog::level::debug);
    made.flush_on(spdlog::level::debug);
    return made;
  }();
  return instance;
}

void write(spdlog::level::level_enum level, std::string_view message) {
  logger().log(level, "{}", audit::escape(message));
}

}  // namespace

void set_verbosity(Verbosity verbosity) { current_verbosity = verbosity; }

void say_error(std::string_view message) { write(spdlog::level::err, message); }

void say(std::string_view message) {
  if (current_verbosity != Verbosity::kQuiet) write(spdlog::level::info, message);
}

void say_detail(std::string_view message) {
  if (says_details()) write(spdlog::level::debug, message);
}

bool says_details() { return current_verbosity == Verbosity::kVerbose; }

}  // namespace vitrine::cli
