#include "supervisor/tally.h"

#include <algorithm>

#include "arch/flag_names.h"

namespace vitrine::supervisor {

void Tally::count(std::string_view syscall, const Decision& decision, std::string_view target) {
  const bool refused = decision.action == Action::kDeny || decision.action == Action::kKill;
  ++mediated_;
  denied_ += refused ? 1 : 0;
  auto entry = by_name_.find(syscall);
  if (entry == by_name_.end() && by_name_.size() < kMostNames) {
    entry = by_name_.try_emplace(std::string(syscall)).first;
  }
  if (entry != by_name_.end()) {
    ++entry->second.mediated;
    entry->second.denied += refused ? 1 : 0;
  }
  if (refused) group(syscall, decision, target);
}

void Tally::group(std::string_view syscall, const Decision& decision, std::string_view target) {
  auto key = std::tuple(std::string(syscall), std::string(target.substr(0, Denial::kLongestTarget)),
                        decision.error);
  if (const auto known = denial_index_.find(key); known != denial_index_.end()) {
    ++denials_[known->second].count;
    return;
  }
  if (denials_.size() >= kMostDenials) {
    ++left_out_;
    return;
  }
  Denial denial;
  denial.syscall = std::get<0>(key);
  denial.target = std::get<1>(key);
  denial.error = decision.error == 0 ? "" : arch::errno_name(decision.error);
  denial.rule = decision.rule;
  denial_index_.emplace(std::move(key), denials_.size());
  denials_.push_back(std::move(denial));
}

void Tally::limit_hit(std::string_view limit) {
  if (std::ranges::find(limits_hit_, limit) == limits_hit_.end()) limits_hit_.emplace_back(limit);
}

void Tally::fill(Report& report) const {
  report.mediated = mediated_;
  report.denied = denied_;
  report.by_name = {by_name_.begin(), by_name_.end()};
  report.denials = denials_;
  report.denials_left_out = left_out_;
  report.limits_hit = limits_hit_;
}

}  // namespace vitrine::supervisor
