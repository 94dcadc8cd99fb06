// What a run is shown: the values from which the virtual filesystem is built. Written by the policy
// (profiles and options), read by `vfs`. Values only: nothing here touches the host.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

namespace vitrine {

// Who said it: named in reports, in the audit log and by `vitrine profile explain`.
struct Origin {
  std::string rule;      // "python:files[3]", "--ro .", "program", "default"
  std::string location;  // "/usr/share/vitrine/profiles/python.json:17", or "" for options
};

// A host file or folder, read-only. Every symbolic link on the way to `host` is shown as a link of
// the guest's tree too when `guest` is empty (so that realpath(3) gives what it gives outside).
struct ShowRule {
  std::string host;       // absolute; the last component may hold `*` (glob(7)) in profiles
  std::string guest;      // absolute; empty: the same path as on the host
  bool optional = false;  // absent on this host: skipped without an error
  // The last component of `host` is a glob(7) pattern. Otherwise (paths from the command line) a
  // `*` in it stands for itself.
  bool pattern = false;
};
// A writable in-memory folder. Its files and folders live as long as the run.
struct ScratchRule {
  std::string guest;
  std::uint64_t bytes = 0;  // quota over all its files
};
// A read-only file whose content the profile holds.
struct InlineRule {
  std::string guest;
  std::string content;
  bool executable = false;
};
struct LinkRule {
  std::string guest;
  std::string target;
};
// Removes what earlier rules show at this path and below: ENOENT inside.
struct HideRule {
  std::string guest;
};
// An empty folder, so that a path exists (the working directory, mount points).
struct FolderRule {
  std::string guest;
};
// The synthetic trees: "proc", "sys", "dev", "etc" at their usual places.
struct SyntheticRule {
  std::string tree;
};

struct FileRule {
  std::variant<ShowRule, ScratchRule, InlineRule, LinkRule, HideRule, FolderRule, SyntheticRule>
      what;
  Origin origin;
};

using FileRules = std::vector<FileRule>;  // in order: a later rule covers an earlier one

}  // namespace vitrine
