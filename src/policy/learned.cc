#include "policy/learned.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <bit>
#include <climits>
#include <cstdlib>
#include <memory>

#include "base/path.h"
#include "policy/coverage.h"
#include "policy/secrets.h"

namespace vitrine::policy {
namespace {

constexpr std::size_t kMostEntries = 4000;  // a profile has a size limit, and readers
constexpr std::uint64_t kMebibyte = 1ULL << 20;

mode_t type_of(const std::string& path, bool follow) {
  struct stat status {};
  const int failed = follow ? ::stat(path.c_str(), &status) : ::lstat(path.c_str(), &status);
  return failed != 0 ? 0 : status.st_mode & S_IFMT;
}

// Profiles are JSON, which has no bytes but UTF-8's, and `*` is their pattern.
bool can_be_written(const std::string& path) {
  const bool plain = std::ranges::none_of(path, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f || c == '*';
  });
  // A multibyte character of UTF-8, or not: mbrtowc(3) would ask the caller's locale.
  for (std::size_t i = 0; plain && i < path.size();) {
    const auto lead = static_cast<unsigned char>(path[i]);
    const std::size_t length = lead < 0x80 ? 1 : lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if ((lead >= 0x80 && lead < 0xc2) || lead > 0xf4 || i + length > path.size()) return false;
    for (std::size_t k = 1; k < length; ++k) {
      if ((static_cast<unsigned char>(path[i + k]) & 0xc0U) != 0x80U) return false;
    }
    i += length;
  }
  return plain;
}

std::string comment_for(Use use) {
  constexpr std::array kWords{"looked at", "listed", "read", "run"};
  return kWords[static_cast<std::size_t>(use)];
}

class Learner {
 public:
  Learner(const Observations& seen, const LearnSetting& setting) : seen_(seen), setting_(setting) {}

  LearnedFiles learn();

 private:
  void sort_out(const std::string& path, Use use);
  void sort_out_link(const std::string& path, Use use);
  void widen();
  bool show_whole(const std::string& folder, const std::string& comment);
  std::optional<std::string> reason_against(const std::string& folder) const;
  bool is_covered(const std::string& path) const;
  void lead_to(const std::string& path);
  void add(FileRule rule, std::string comment);
  void add_scratch();
  void add_shown();
  void add_folders();
  void keep(std::string what, std::string reason) {
    result_.not_granted.push_back({std::move(what), std::move(reason)});
  }

  const Observations& seen_;
  const LearnSetting& setting_;
  std::map<std::string, Use> files_;
  std::map<std::string, std::string> whole_;  // folder, comment
  std::set<std::string> listed_;
  std::set<std::string> folders_;             // that only have to exist
  std::map<std::string, std::string> links_;  // to folders: path, target
  std::set<std::string> ways_;                // what entries make exist
  LearnedFiles result_;
};

LearnedFiles Learner::learn() {
  for (const auto& [path, use] : seen_.uses()) sort_out(path, use);
  for (const std::string& link : seen_.links()) sort_out_link(link, Use::kLooked);
  widen();
  add_scratch();
  add_shown();
  add_folders();
  for (const NotGranted& refusal : seen_.refusals()) result_.not_granted.push_back(refusal);
  if (seen_.left_out() > 0) {
    keep(std::to_string(seen_.left_out()) + " further uses of files",
         "there are too many to learn");
  }
  return std::move(result_);
}

void Learner::sort_out(const std::string& path, Use use) {
  const mode_t type = type_of(path, false);
  if (type == 0) return;  // it was there, and is no longer
  if (is_made_by_vitrine(path)) {
    if (type == S_IFDIR) folders_.insert(path);
    return;
  }
  if (!can_be_written(path)) return keep(path, "a profile cannot write this name");
  const std::string real = real_path(path);
  if (may_hold_secrets(path) || (!real.empty() && may_hold_secrets(real))) {
    return keep(path, "it may hold secrets; --ro " + path + " grants it");
  }
  if (type == S_IFLNK) return sort_out_link(path, use);
  if (type == S_IFREG) {
    files_[path] = use;
  } else if (type == S_IFDIR) {
    (use == Use::kLooked ? folders_ : listed_).insert(path);
  } else {
    keep(path, "neither a regular file nor a folder");
  }
}

// A link to a file is shown with it. Of one to a folder the link alone, whose target stays what it
// was: the rule would otherwise show the folder.
void Learner::sort_out_link(const std::string& path, Use use) {
  if (!can_be_written(path)) return keep(path, "a profile cannot write this name");
  const std::string real = real_path(path);
  if (may_hold_secrets(path) || (!real.empty() && may_hold_secrets(real))) {
    return keep(path, "it may hold secrets, or leads there; --ro " + path + " grants it");
  }
  if (type_of(path, true) == S_IFREG) {
    files_.try_emplace(path, use);
    if (real != path) files_.erase(real);
    return;
  }
  char target[PATH_MAX];
  const ssize_t length = ::readlink(path.c_str(), target, sizeof target);
  if (length > 0) links_[path] = std::string(target, static_cast<std::size_t>(length));
}

// Why `folder` is not shown as a whole; a sentence's end.
std::optional<std::string> Learner::reason_against(const std::string& folder) const {
  const std::string real = real_path(folder);
  if (real.empty()) return "it is gone";
  if (auto reason = reason_of_place(real, setting_.homes)) return reason;
  if (real == real_path(setting_.working_directory)) {
    return "it is the working directory, which Python lists by itself";
  }
  if (!setting_.script_folder.empty() && real == real_path(setting_.script_folder)) {
    return "it is the folder of the script, which Python lists by itself";
  }
  return reason_to_keep(real);
}

bool Learner::show_whole(const std::string& folder, const std::string& comment) {
  const std::optional<std::string> against = reason_against(folder);
  if (!against) {
    whole_[folder] = comment;
    return true;
  }
  keep(folder,
       comment + "; not shown as a whole, for " + *against + "; --ro " + folder + " grants it");
  return false;
}

void Learner::widen() {
  for (const std::string& folder : listed_) {  // in order: a folder before what it holds
    if (is_covered(folder)) continue;
    if (!show_whole(folder, "listed")) folders_.insert(folder);
  }
  std::map<std::string, std::size_t> counts;
  for (const auto& [path, use] : files_) ++counts[std::string(parent_of(path))];
  for (const std::string& path : setting_.known) {
    if (!files_.contains(path)) ++counts[std::string(parent_of(path))];
  }
  for (const auto& [folder, count] : counts) {
    if (count <= kMostSingleFiles || listed_.contains(folder) || is_covered(folder)) continue;
    (void)show_whole(folder, std::to_string(count) + " files in it were used");
  }
}

bool Learner::is_covered(const std::string& path) const {
  for (std::string_view at = path;; at = parent_of(at)) {
    if (whole_.contains(std::string(at))) return true;
    if (at == "/") return false;
  }
}

// The folders on the way to `path` exist because of it.
void Learner::lead_to(const std::string& path) {
  for (std::string_view at = path;; at = parent_of(at)) {
    const bool known = !ways_.insert(std::string(at)).second;
    if (known || at == "/") return;
  }
}

void Learner::add(FileRule rule, std::string comment) {
  if (result_.files.size() < kMostEntries) {
    if (const auto* show = std::get_if<ShowRule>(&rule.what)) {
      lead_to(show->host);
      if (const std::string real = real_path(show->host); !real.empty()) lead_to(real);
    } else {
      lead_to(std::string(guest_of(rule)));
    }
    return result_.files.push_back({std::move(rule), std::move(comment)});
  }
  const auto* shown = std::get_if<ShowRule>(&rule.what);
  if (shown != nullptr) keep(shown->host, "the profile would have too many entries");
}

void Learner::add_scratch() {
  for (const std::string& folder : seen_.scratch()) {
    add({ScratchRule{folder, setting_.scratch_bytes}, {}}, "written");
  }
}

void Learner::add_shown() {
  for (const auto& [folder, comment] : whole_) {
    if (!is_covered(std::string(parent_of(folder))))
      add({ShowRule{folder, "", false, false}, {}}, comment);
  }
  for (const auto& [path, use] : files_) {
    if (!is_covered(path)) add({ShowRule{path, "", false, false}, {}}, comment_for(use));
  }
  for (const auto& [path, target] : links_) {
    if (!is_covered(path) && !ways_.contains(path)) add({LinkRule{path, target}, {}}, "followed");
  }
}

void Learner::add_folders() {
  for (const std::string& folder : folders_) {
    const bool there = folder == "/" || is_within(setting_.working_directory, folder) ||
                       is_covered(folder) || ways_.contains(folder) ||
                       is_on_the_way(setting_.shown, folder);
    if (!there) add({FolderRule{folder}, {}}, "looked at");
  }
}

Nanoseconds round_up(Nanoseconds value) {
  using std::chrono::seconds;
  constexpr std::array kSteps{5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600};
  for (const int step : kSteps) {
    if (value <= seconds(step)) return seconds(step);
  }
  const auto hours = std::chrono::ceil<std::chrono::hours>(value);
  return hours;
}

}  // namespace

void Observations::used(const std::string& path, Use use) {
  if (uses_.size() >= kMostUses && !uses_.contains(path)) {
    ++left_out_;
    return;
  }
  const auto [entry, added] = uses_.try_emplace(path, use);
  if (!added) entry->second = std::max(entry->second, use);
}

LearnedFiles learn_files(const Observations& observations, const LearnSetting& setting) {
  return Learner(observations, setting).learn();
}

Limits learn_limits(const Usage& usage, std::uint64_t largest_mapping) {
  constexpr std::uint64_t kLeastMemory = 64 * kMebibyte;
  // What was mapped and never touched counts where it is refused: by RLIMIT_DATA, and large
  // mappings before the kernel sees them.
  const std::uint64_t elsewhere = usage.processes_peak > 1 ? usage.memory_peak_bytes : 0;
  const std::uint64_t asked = usage.data_peak_bytes + largest_mapping;
  const std::uint64_t mapped = asked + asked / 4 + elsewhere;
  const std::uint64_t memory = std::max({2 * usage.memory_peak_bytes, mapped, kLeastMemory});
  const auto doubled = [](std::uint64_t peak) { return peak > 1 ? 2 * peak : 1; };
  Limits limits;
  limits.wall = round_up(4 * usage.wall);
  limits.cpu = round_up(4 * (usage.cpu_user + usage.cpu_system));
  limits.memory_bytes = std::bit_ceil(memory);
  limits.output_bytes = std::bit_ceil(std::max(2 * usage.output_bytes, kMebibyte));
  limits.processes = doubled(usage.processes_peak);
  limits.threads = doubled(usage.threads_peak);
  return limits;
}

std::uint64_t learn_scratch(const Usage& usage) {
  return std::bit_ceil(std::max(2 * usage.scratch_peak_bytes, kMebibyte));
}

LimitSettings all_set(const Limits& limits) {
  LimitSettings settings;
  settings.wall = limits.wall;
  settings.cpu = limits.cpu;
  settings.memory_bytes = limits.memory_bytes;
  settings.output_bytes = limits.output_bytes;
  settings.processes = limits.processes;
  settings.threads = limits.threads;
  settings.cpus = limits.cpus;
  return settings;
}

}  // namespace vitrine::policy
