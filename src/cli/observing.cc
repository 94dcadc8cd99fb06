#include "cli/observing.h"

#include <algorithm>
#include <chrono>

#include "base/path.h"
#include "policy/coverage.h"
#include "policy/secrets.h"

namespace vitrine::cli {
namespace {

constexpr std::uint64_t kScratchBytes = 4ULL << 30;
constexpr std::uint64_t kProcesses = 512;
constexpr std::uint64_t kThreads = 4096;

Origin origin(std::string_view rule) { return {std::string(rule), ""}; }

FileRule show(const std::string& host) {
  return {ShowRule{host, "", false, false}, origin(kHostRule)};
}

policy::LimitSettings no_limits() {
  policy::LimitSettings limits;
  limits.wall.emplace(std::nullopt);
  limits.cpu.emplace(std::nullopt);
  limits.memory_bytes.emplace(std::nullopt);
  limits.output_bytes.emplace(std::nullopt);
  limits.processes = kProcesses;
  limits.threads = kThreads;
  return limits;
}

bool lies_in_scratch(const std::string& folder) {
  return std::ranges::any_of(kObservedScratch, [&](std::string_view scratch) {
    return folder != scratch && is_within(folder, scratch);
  });
}

}  // namespace

void add_observing_rules(policy::PolicyBuilder& builder,
                         const std::vector<std::string>& own_folders,
                         const std::vector<std::string>& homes) {
  FileRules below{show("/")};
  for (const std::string_view folder : kObservedScratch) {
    const FileRule scratch{ScratchRule{std::string(folder), kScratchBytes}, origin(kScratchRule)};
    const FileRule* const covering = policy::covering_rule(builder.files(), folder);
    // The synthetic /dev would cover a folder in it that comes first.
    const bool covered =
        covering != nullptr && std::holds_alternative<SyntheticRule>(covering->what);
    if (covered) {
      builder.add_file(scratch);
    } else {
      below.push_back(scratch);
    }
  }
  for (const std::string& folder : own_folders) {
    if (lies_in_scratch(folder)) below.push_back(show(folder));
  }
  for (const std::string& place : policy::secret_places(homes)) {
    below.push_back({HideRule{place}, origin(kHiddenRule)});
  }
  for (const char* tree : {"/proc", "/sys", "/dev"}) {
    below.push_back({HideRule{tree}, origin(kHiddenRule)});
  }
  std::ranges::for_each(below.rbegin(), below.rend(),
                        [&](const FileRule& rule) { builder.add_file_below(rule); });
  builder.widen_scratch(kScratchBytes);
  builder.set_limits(no_limits());
}

}  // namespace vitrine::cli
