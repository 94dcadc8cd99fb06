// run: one supervised run, from a complete request to its report.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "audit/sink.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "core/report.h"
#include "policy/policy.h"

namespace vitrine::supervisor {

enum class Backend { kAuto, kNotify, kTrace, kSyscall };

struct CollectRequest {
  std::string guest;
  std::string host;
};

struct RunRequest {
  policy::Policy policy;  // options already merged in
  // What to execute, in the guest's tree. For a script this is the interpreter; argv is complete.
  std::string program;                // guest path
  std::vector<std::string> argv;      // as the program sees it
  std::vector<std::string> command;   // as the user typed it, for the report
  std::vector<std::string> profiles;  // as the user named them, for the report
  std::vector<std::pair<std::string, std::string>> environment;
  std::string working_directory = "/";  // guest path; the rules show it
  Backend backend = Backend::kAuto;
  std::vector<int> pass_fds;
  std::vector<CollectRequest> collect;
  bool measure_data = false;  // Usage::data_peak_bytes; costs a stop at the end of every task
  std::unique_ptr<audit::AuditSink> audit;  // never null
};

// Runs the command and waits for the whole tree to end. Never throws; every failure is in the
// report (verdict setup-error: nothing of the command ran). Single use in a process: it becomes
// undumpable, blocks signals and takes over the terminal while it runs.
Report run(RunRequest request);

}  // namespace vitrine::supervisor
