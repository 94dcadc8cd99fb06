#include "cli/learn_sink.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/path.h"
#include "cli/observing.h"
#include "policy/coverage.h"
#include "policy/secrets.h"

namespace vitrine::cli {
namespace {

using audit::SyscallRecord;
using policy::Use;

constexpr std::size_t kMostRefusals = 1000;

std::string flags_of(const SyscallRecord& record) {
  for (const auto& [name, value] : record.arguments) {
    const auto* symbol = std::get_if<audit::Symbol>(&value);
    if (name == "flags" && symbol != nullptr) return symbol->text;
  }
  return {};
}

std::uint64_t length_of(const SyscallRecord& record) {
  for (const auto& [name, value] : record.arguments) {
    const auto* length = std::get_if<std::uint64_t>(&value);
    if (name == "length" && length != nullptr) return *length;
  }
  return 0;
}

// The path that the call named, if it named one only.
std::string named_path(const SyscallRecord& record) {
  std::string path;
  for (const auto& [name, value] : record.arguments) {
    const auto* bytes = std::get_if<audit::Bytes>(&value);
    if (bytes == nullptr || bytes->bytes.empty()) continue;
    if (!path.empty()) return {};
    path = bytes->bytes;
  }
  return path.starts_with('/') && !has_dot_dot(path) ? tidy_path(path) : std::string();
}

bool opens(std::string_view syscall) {
  return syscall == "open" || syscall == "openat" || syscall == "openat2";
}

Use use_of(const SyscallRecord& record) {
  if (record.syscall.starts_with("execve")) return Use::kRun;
  if (!opens(record.syscall)) return Use::kLooked;
  return flags_of(record).find("O_PATH") == std::string::npos ? Use::kRead : Use::kLooked;
}

// Makes something new where it looks.
bool creates(const SyscallRecord& record) {
  constexpr std::array<std::string_view, 12> kCalls{
      "creat",  "mkdir",   "mkdirat",   "mknod",        "mknodat", "link",
      "linkat", "symlink", "symlinkat", "memfd_create", "rename",  "bind"};
  if (std::ranges::find(kCalls, record.syscall) != kCalls.end()) return true;
  if (record.syscall.starts_with("renameat")) return true;
  const std::string flags = flags_of(record);
  return opens(record.syscall) && (flags.find("O_CREAT") != std::string::npos ||
                                   flags.find("O_TMPFILE") != std::string::npos);
}

bool is_refused(const SyscallRecord& record) {
  return record.decision.action == Action::kDeny || record.decision.action == Action::kKill;
}

std::string deepest_existing(std::string path) {
  struct stat status {};
  while (path.size() > 1 && ::lstat(path.c_str(), &status) != 0) path = parent_of(path);
  return path;
}

std::string reason_for(const SyscallRecord& record, const std::string& what) {
  const Decision& decision = record.decision;
  if (decision.error == EROFS) {
    return "only scratch folders can be written, and nothing there stays; --scratch FOLDER makes "
           "one";
  }
  if (decision.rule == kHiddenRule) {
    return may_hold_secrets(what) ? "it may hold secrets; --ro " + what + " grants it"
                                  : "the host's own is never shown";
  }
  if (decision.rule == "network") return "no profile allows the network";
  if (decision.rule.starts_with("limit:")) return "the budget of " + decision.rule.substr(6);
  if (decision.rule.find(":syscalls") != std::string::npos) return "denied by " + decision.rule;
  return "no profile can allow it (" + decision.rule + ")";
}

}  // namespace

void LearnSink::write(const SyscallRecord& record) {
  learn(record);
  next_->write(record);
}

// One call may look up several names: each lookup ends in kFound or kMissing.
void LearnSink::learn(const SyscallRecord& record) {
  if (is_refused(record)) note_refusal(record);
  if (record.syscall == "mmap" && !is_refused(record)) observations_.mapped(length_of(record));
  std::string named = named_path(record);
  std::span<const Sighting> rest = record.sightings;
  while (!rest.empty()) {
    std::size_t end = 0;
    while (end + 1 < rest.size() && rest[end].kind == Sighting::Kind::kLink) ++end;
    learn_lookup(record, rest.first(end + 1), named);
    rest = rest.subspan(end + 1);
    named.clear();  // a script's interpreter is not what was named
  }
}

void LearnSink::learn_lookup(const SyscallRecord& record, std::span<const Sighting> lookup,
                             const std::string& named) {
  const auto of_host = [this](const Sighting& seen) { return is_learned(seen); };
  const Sighting& end = lookup.back();
  if (end.rule == kScratchRule) learn_scratch(record, end);
  if (std::ranges::none_of(lookup, of_host)) return;
  const bool found = end.kind == Sighting::Kind::kFound;
  struct stat status {};
  // As it was named: links on the way are then shown as links, wherever they lead tomorrow.
  if (found && !named.empty() && ::stat(named.c_str(), &status) == 0 && S_ISREG(status.st_mode)) {
    return observations_.used(named, use_of(record));
  }
  for (const Sighting& seen : lookup) {
    if (of_host(seen) && seen.kind == Sighting::Kind::kLink) observations_.followed(seen.path);
  }
  if (found && of_host(end)) observations_.used(end.path, use_of(record));
  // Absent it is to stay, and not for want of the folder that it was looked for in.
  if (!found && !is_refused(record)) {
    observations_.used(deepest_existing(named.empty() ? end.path : named), Use::kLooked);
  }
}

// The host's folder also has the links that a rule shows, and those on the way to what it shows.
bool LearnSink::is_learned(const Sighting& seen) const {
  if (seen.rule != kHostRule) return false;
  const FileRule* const covering = policy::covering_rule(shown_, seen.path);
  if (covering != nullptr && std::holds_alternative<ShowRule>(covering->what)) return false;
  return seen.kind != Sighting::Kind::kLink || !policy::is_on_the_way(shown_, seen.path);
}

void LearnSink::learn_scratch(const SyscallRecord& record, const Sighting& end) {
  for (const std::string_view folder : kObservedScratch) {
    if (!is_within(end.path, folder)) continue;
    const bool made = creates(record) && record.result.value_or(-1) >= 0;
    if (made) {
      observations_.wrote(std::string(folder));
    } else {
      observations_.used(std::string(folder), Use::kLooked);
    }
  }
}

void LearnSink::note_refusal(const SyscallRecord& record) {
  if (record.decision.error == ENOSYS || refused_.size() >= kMostRefusals) return;
  std::string what = named_path(record);
  if (what.empty()) what = record.resolved;
  for (const auto& [name, value] : record.arguments) {
    if (!what.empty()) break;
    if (const auto* bytes = std::get_if<audit::Bytes>(&value)) what = bytes->bytes;
    if (const auto* symbol = std::get_if<audit::Symbol>(&value)) what = symbol->text;
  }
  std::string reason = reason_for(record, what);
  what = std::string(record.syscall) + (what.empty() ? "" : " " + what);
  if (refused_.insert(what + "\n" + reason).second) {
    observations_.refused({std::move(what), std::move(reason)});
  }
}

}  // namespace vitrine::cli
