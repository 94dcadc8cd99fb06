// From what a trusted run did to the least files that let it do the same again. The rules by which
// single files become folders are in vitrine-profile(5), "LEARNED PROFILES".
//
// Looks at the host's files (what is a folder, what it holds), and changes none.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/file_rules.h"
#include "core/limits.h"
#include "policy/profile.h"

namespace vitrine::policy {

// What was done with a path, the weightier later.
enum class Use : std::uint8_t { kLooked, kListed, kRead, kRun };

// Something that the program asked for and does not get, and why (a sentence without a full stop).
struct NotGranted {
  std::string what;  // raw bytes
  std::string reason;
};

class Observations {
 public:
  static constexpr std::size_t kMostUses = 200'000;

  // `path`: as the program named it, or where its lookup ended; absolute, tidy, raw bytes.
  void used(const std::string& path, Use use);
  // A symbolic link that a lookup followed.
  void followed(const std::string& link) {
    if (links_.size() < kMostUses) links_.insert(link);
  }
  // A writable folder in which something was made or looked for.
  void wrote(const std::string& scratch) { scratch_.insert(scratch); }
  // Private memory that was asked for at once; not all of it need ever have been touched.
  void mapped(std::uint64_t bytes) { largest_mapping_ = std::max(largest_mapping_, bytes); }
  void refused(NotGranted what) { refused_.push_back(std::move(what)); }

  // Uses of further files, when there were kMostUses already.
  std::uint64_t left_out() const { return left_out_; }
  const std::map<std::string, Use>& uses() const { return uses_; }
  const std::set<std::string>& links() const { return links_; }
  const std::set<std::string>& scratch() const { return scratch_; }
  std::uint64_t largest_mapping() const { return largest_mapping_; }
  const std::vector<NotGranted>& refusals() const { return refused_; }

 private:
  std::map<std::string, Use> uses_;
  std::set<std::string> links_;
  std::set<std::string> scratch_;
  std::uint64_t largest_mapping_ = 0;
  std::uint64_t left_out_ = 0;
  std::vector<NotGranted> refused_;
};

struct LearnedFile {
  FileRule rule;
  std::string comment;  // what it was used for
};

struct LearnSetting {
  std::string working_directory;
  std::string script_folder;        // "" for none
  std::vector<std::string> homes;   // secrets.h
  std::vector<std::string> known;   // host paths that a profile to be merged with shows one by one
  FileRules shown;                  // what the run is shown whatever is learned
  std::uint64_t scratch_bytes = 0;  // for each scratch folder
};

struct LearnedFiles {
  std::vector<LearnedFile> files;  // in the order in which rules cover each other
  std::vector<NotGranted> not_granted;
};

// A folder of which more files than this are used is shown whole.
inline constexpr std::size_t kMostSingleFiles = 16;

LearnedFiles learn_files(const Observations& observations, const LearnSetting& setting);

// What a run used, with head-room: times four for time, two for all else, rounded up.
Limits learn_limits(const Usage& usage, std::uint64_t largest_mapping);
// The same for a scratch folder.
std::uint64_t learn_scratch(const Usage& usage);
// Settings of every limit.
LimitSettings all_set(const Limits& limits);

}  // namespace vitrine::policy
