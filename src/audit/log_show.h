// One line of a log as a person reads it, in the manner of strace(1):
//   [pid 1] 0.008123 openat(AT_FDCWD, "/etc/shadow", O_RDONLY|O_CLOEXEC) = -1 ENOENT (denied:
//   default)
// Nothing in it can act on a terminal, whoever wrote the log.
#pragma once

#include <string>

#include "audit/log_reader.h"

namespace vitrine::audit {

// Without a newline.
std::string readable_line(const LogLine& line, bool colours);
// `openat(AT_FDCWD, "/etc/shadow", O_RDONLY|O_CLOEXEC)`: the arguments alone, with their brackets.
std::string readable_arguments(const Json& call);
// ` </home/me/data.csv>`: what a relative path led to; "" where the log does not say.
std::string readable_resolved(const Json& call);
// "exited with 0" of an exit event.
std::string readable_exit(const Json& event);
// A process, signal or limit line without who and when: "+++ exited with 0 +++".
std::string readable_event(const LogLine& line);

}  // namespace vitrine::audit
