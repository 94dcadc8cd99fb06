// `vitrine log replay`: the logged calls, put to another policy.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "audit/log_reader.h"
#include "policy/explain.h"
#include "policy/policy.h"

namespace vitrine::cli {

// What is compared is whether a call is refused, not what it returns: files may have come and gone
// on the host since. Some answers cannot be told from a log: those of calls on relative paths, of
// calls that depend on other arguments, and of what the command line showed (rules "program", "--ro
// ...").
class Replay {
 public:
  explicit Replay(policy::Policy policy) : policy_(std::move(policy)) {}

  void add(const audit::LogLine& line);

  std::uint64_t compared() const { return compared_; }
  std::uint64_t untold() const { return untold_; }
  std::uint64_t different() const { return different_; }
  // A paragraph for each group of calls that differ alike, and a line of totals.
  std::string text() const;

 private:
  struct Answer {
    bool refused = false;
    bool told = true;
    policy::Explanation explanation;
    bool path_unknown = false;  // one of its paths cannot be put to the policy
  };
  struct Group {
    std::uint64_t count = 0;
    std::string example;  // the first, as `log show` prints it
    std::string answer;
  };
  enum class Use { kLook, kChange, kCreate };
  Answer answer_call(const std::string& syscall, const audit::Json& call);
  const Answer& answer_path(const std::string& syscall, const std::string& path, Use use);
  Answer decide_path(const std::string& syscall, const std::string& path, Use use) const;
  void note_difference(const audit::LogLine& line, const policy::Explanation& explanation);

  policy::Policy policy_;
  std::map<std::string, Answer> answers_;  // by call, use and path: explaining asks the host
  std::size_t answer_bytes_ = 0;           // about
  std::map<std::string, Group> groups_;
  std::size_t group_bytes_ = 0;
  std::uint64_t not_listed_ = 0;  // of the different ones: their group found no room
  std::uint64_t compared_ = 0;
  std::uint64_t untold_ = 0;
  std::uint64_t different_ = 0;
};

}  // namespace vitrine::cli
