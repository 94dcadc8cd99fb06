// Tally: what the report counts. Bounded: a program that makes endless different calls fills no
// memory.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "core/decision.h"
#include "core/report.h"

namespace vitrine::supervisor {

class Tally {
 public:
  void count(std::string_view syscall, const Decision& decision, std::string_view target);
  void limit_hit(std::string_view limit);
  void fill(Report& report) const;

 private:
  static constexpr std::size_t kMostNames = 1024;
  static constexpr std::size_t kMostDenials = 256;

  void group(std::string_view syscall, const Decision& decision, std::string_view target);

  std::uint64_t mediated_ = 0;
  std::uint64_t denied_ = 0;
  std::map<std::string, CallCount, std::less<>> by_name_;
  std::map<std::tuple<std::string, std::string, int>, std::size_t> denial_index_;
  std::vector<Denial> denials_;
  std::uint64_t left_out_ = 0;
  std::vector<std::string> limits_hit_;
};

}  // namespace vitrine::supervisor
