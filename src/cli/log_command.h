// vitrine log show|summary|html|replay|verify LOG [...]: reading audit logs.
#pragma once

#include <string>
#include <vector>

namespace vitrine::cli {

// `arguments` is what follows the word `log`. Returns the exit status: 0; 1 where the command found
// what it looks for (a broken log, a decision that differs) or a part of the log was unreadable;
// 125 for wrong options and files that cannot be opened.
int run_log_command(const std::vector<std::string>& arguments);

}  // namespace vitrine::cli
