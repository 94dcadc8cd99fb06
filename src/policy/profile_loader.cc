#include "policy/profile_loader.h"

#include <nettle/sha2.h>

#include <array>
#include <cstring>
#include <span>

#include "arch/syscall_table.h"
#include "base/path.h"
#include "base/text.h"
#include "policy/located_json.h"

namespace vitrine::policy {
namespace {

using Kind = JsonValue::Kind;

constexpr std::uint64_t kDefaultScratchBytes = 64ULL << 20;
constexpr int kLastErrno = EHWPOISON;

// Thrown while reading, caught by parse_profile: the error of one profile.
struct ProfileError {
  std::string sentence;
};

// A value, and how to name it: where it is, and by which keys one comes to it.
class Located {
 public:
  Located(const JsonValue& value, const std::string& file, std::string key)
      : value_(value), file_(file), key_(std::move(key)) {}

  const std::string& key() const { return key_; }
  std::string location() const { return file_ + ":" + std::to_string(value_.position.line); }

  [[noreturn]] void refuse(const std::string& sentence) const {
    refuse_at(value_.position, key_, sentence);
  }

  const std::string& text() const { return expect(Kind::kString).text; }
  bool boolean() const { return expect(Kind::kBoolean).boolean; }
  bool is(Kind kind) const { return value_.kind == kind; }

  // A string, or a whole number that is not negative, as options are written.
  std::string text_or_number() const {
    if (value_.kind == Kind::kInteger) return std::to_string(value_.integer);
    if (value_.kind != Kind::kString) refuse("expected a string or a whole number" + found());
    return value_.text;
  }

  std::vector<Located> items() const {
    std::vector<Located> located;
    const auto& items = expect(Kind::kArray).items;
    located.reserve(items.size());
    for (std::size_t i = 0; i < items.size(); ++i) {
      located.emplace_back(items[i], file_, key_ + "[" + std::to_string(i) + "]");
    }
    return located;
  }

  // Calls `visit(name, value)` for each member, in the file's order.
  template <typename Visit>
  void for_each_member(Visit visit) const {
    for (const JsonMember& member : expect(Kind::kObject).members) {
      visit(member.name, member_of(member));
    }
  }

  std::optional<Located> find(std::string_view name) const {
    for (const JsonMember& member : expect(Kind::kObject).members) {
      if (member.name == name) return member_of(member);
    }
    return std::nullopt;
  }

  void allow_only(std::span<const std::string_view> names) const {
    for (const JsonMember& member : expect(Kind::kObject).members) {
      bool known = false;
      for (const std::string_view name : names) known = known || name == member.name;
      if (!known) refuse_key(member, names);
    }
  }

  [[noreturn]] void refuse_unknown(std::string_view name,
                                   std::span<const std::string_view> names) const {
    for (const JsonMember& member : value_.members) {
      if (member.name == name) refuse_key(member, names);
    }
    refuse("unknown key");
  }

 private:
  Located member_of(const JsonMember& member) const {
    return {member.value, file_, key_.empty() ? member.name : key_ + "." + member.name};
  }

  const JsonValue& expect(Kind kind) const {
    if (value_.kind != kind) refuse(std::string("expected ") + name_of(kind) + found());
    return value_;
  }

  std::string found() const { return std::string(", found ") + name_of(value_.kind); }

  [[noreturn]] void refuse_at(Position position, const std::string& key,
                              const std::string& sentence) const {
    const std::string subject = key.empty() ? "" : key + ": ";
    throw ProfileError{place(file_, position) + ": " + subject + sentence};
  }

  [[noreturn]] void refuse_key(const JsonMember& member,
                               std::span<const std::string_view> names) const {
    std::string known;
    for (const std::string_view name : names) (known += known.empty() ? "" : ", ") += name;
    refuse_at(member.position, key_.empty() ? member.name : key_ + "." + member.name,
              "unknown key; known here: " + known);
  }

  const JsonValue& value_;
  const std::string& file_;
  std::string key_;
};

template <typename T>
T take(const Located& at, Result<T> result) {
  if (!result) at.refuse(result.error().message());
  return std::move(*result);
}

std::string absolute_path(const Located& at) {
  const std::string& path = at.text();
  if (!path.starts_with('/')) at.refuse("\"" + path + "\" is not an absolute path");
  if (has_dot_dot(path)) at.refuse("\"" + path + "\" holds \"..\"");
  return tidy_path(path);
}

// --- files

bool boolean_or(const Located& entry, std::string_view key, bool otherwise) {
  const auto value = entry.find(key);
  return value ? value->boolean() : otherwise;
}

Located required(const Located& entry, std::string_view key) {
  const auto value = entry.find(key);
  if (!value) entry.refuse("\"" + std::string(key) + "\" is missing");
  return *value;
}

ShowRule read_show(const Located& entry, const Located& subject) {
  ShowRule rule;
  rule.host = absolute_path(subject);
  rule.optional = boolean_or(entry, "optional", false);
  const auto at = entry.find("at");
  if (at) rule.guest = absolute_path(*at);
  rule.pattern = name_in(rule.host).find('*') != std::string_view::npos;
  if (parent_of(rule.host).find('*') != std::string_view::npos) {
    subject.refuse("\"*\" is understood in the last component only");
  }
  if (rule.pattern && at) at->refuse("a pattern cannot be shown at another path");
  return rule;
}

ScratchRule read_scratch(const Located& entry, const Located& subject) {
  ScratchRule rule{absolute_path(subject), kDefaultScratchBytes};
  if (const auto size = entry.find("size")) {
    rule.bytes = take(*size, parse_size(size->text_or_number()));
  }
  return rule;
}

InlineRule read_text(const Located& entry, const Located& subject) {
  return {absolute_path(required(entry, "at")), subject.text(),
          boolean_or(entry, "executable", false)};
}

LinkRule read_link(const Located& entry, const Located& subject) {
  if (subject.text().empty()) subject.refuse("a link needs a target");
  return {absolute_path(required(entry, "at")), subject.text()};
}

SyntheticRule read_synthetic(const Located& subject) {
  const std::string& tree = subject.text();
  if (tree != "proc" && tree != "sys" && tree != "dev" && tree != "etc") {
    subject.refuse("\"" + tree + "\" is not one of proc, sys, dev, etc");
  }
  return {tree};
}

using RuleValue = decltype(FileRule::what);

// One row a kind of entry: its leading key, the keys it may have, and its reader.
struct FileEntry {
  std::string_view name;
  std::array<std::string_view, 4> keys;
  RuleValue (*read)(const Located& entry, const Located& subject);
};

constexpr std::array<FileEntry, 7> kFileEntries{{
    {"show",
     {"show", "at", "optional", "comment"},
     [](const Located& e, const Located& s) -> RuleValue { return read_show(e, s); }},
    {"scratch",
     {"scratch", "size", "comment", "comment"},
     [](const Located& e, const Located& s) -> RuleValue { return read_scratch(e, s); }},
    {"text",
     {"text", "at", "executable", "comment"},
     [](const Located& e, const Located& s) -> RuleValue { return read_text(e, s); }},
    {"link",
     {"link", "at", "comment", "comment"},
     [](const Located& e, const Located& s) -> RuleValue { return read_link(e, s); }},
    {"hide",
     {"hide", "comment", "comment", "comment"},
     [](const Located&, const Located& s) -> RuleValue { return HideRule{absolute_path(s)}; }},
    {"folder",
     {"folder", "comment", "comment", "comment"},
     [](const Located&, const Located& s) -> RuleValue { return FolderRule{absolute_path(s)}; }},
    {"synthetic",
     {"synthetic", "comment", "comment", "comment"},
     [](const Located&, const Located& s) -> RuleValue { return read_synthetic(s); }},
}};

RuleValue read_file_entry(const Located& entry) {
  for (const FileEntry& kind : kFileEntries) {
    const auto subject = entry.find(kind.name);
    if (!subject) continue;
    entry.allow_only(kind.keys);
    return kind.read(entry, *subject);
  }
  entry.refuse("needs one of show, scratch, text, link, hide, folder, synthetic");
}

void read_files(Profile& profile, const Located& files) {
  const std::vector<Located> entries = files.items();
  profile.files.reserve(entries.size());
  for (const Located& entry : entries) {
    FileRule rule{read_file_entry(entry),
                  {profile.identity.name + ":" + entry.key(), entry.location()}};
    // What is hidden is told apart from what just is not there (syscalls/paths.cc).
    if (std::holds_alternative<HideRule>(rule.what)) rule.origin.rule += "#hide";
    profile.files.push_back(std::move(rule));
  }
}

// --- environment

Accept read_pass(const Located& pass) {
  if (pass.is(Kind::kBoolean)) {
    if (!pass.boolean()) pass.refuse("leave the variable out instead of \"pass\": false");
    return Accept::kAnything;
  }
  const std::string& word = pass.text();
  if (word == "terminal") return Accept::kTerminal;
  if (word == "zone") return Accept::kZone;
  if (word == "locale") return Accept::kLocale;
  pass.refuse("\"" + word + "\" is not one of true, \"terminal\", \"zone\", \"locale\"");
}

EnvironmentRule read_variable(const std::string& name, const Located& value) {
  const bool pattern = name.find('*') != std::string::npos;
  if (name.empty() || name.find('=') != std::string::npos) value.refuse("not a variable's name");
  EnvironmentRule rule;
  rule.name = name;
  if (!value.is(Kind::kObject)) {
    if (pattern) value.refuse("a pattern of names can only be passed through");
    rule.value = value.text();
    return rule;
  }
  static constexpr std::array<std::string_view, 3> kKeys{"pass", "default", "comment"};
  value.allow_only(kKeys);
  rule.accept = read_pass(required(value, "pass"));
  if (const auto otherwise = value.find("default")) {
    if (pattern) otherwise->refuse("a pattern of names cannot have a default");
    rule.otherwise = otherwise->text();
  }
  if (pattern && name.find('*') != name.size() - 1) {
    value.refuse("\"*\" is understood at the end of a name only");
  }
  return rule;
}

void read_environment(Profile& profile, const Located& environment) {
  environment.for_each_member([&](const std::string& name, const Located& value) {
    EnvironmentRule rule = read_variable(name, value);
    rule.origin = {profile.identity.name + ":" + value.key(), value.location()};
    profile.environment.push_back(std::move(rule));
  });
}

// --- limits

std::optional<unsigned> read_cpus(const Located& value) {
  const std::string text = value.text_or_number();
  if (text == "none") return std::nullopt;
  return static_cast<unsigned>(take(value, parse_count(text, 1, kMostCpus)));
}

struct LimitKey {
  std::string_view name;
  void (*read)(LimitSettings& limits, const Located& value);
};

constexpr std::array<LimitKey, 7> kLimitKeys{{
    {"wall",
     [](LimitSettings& l, const Located& v) {
       l.wall = take(v, parse_duration_or_none(v.text_or_number()));
     }},
    {"cpu", [](LimitSettings& l,
               const Located& v) { l.cpu = take(v, parse_duration_or_none(v.text_or_number())); }},
    {"memory",
     [](LimitSettings& l, const Located& v) {
       l.memory_bytes = take(v, parse_size_or_none(v.text_or_number()));
     }},
    {"output",
     [](LimitSettings& l, const Located& v) {
       l.output_bytes = take(v, parse_size_or_none(v.text_or_number()));
     }},
    {"processes",
     [](LimitSettings& l, const Located& v) {
       l.processes = take(v, parse_count(v.text_or_number(), 1, kMostProcesses));
     }},
    {"threads",
     [](LimitSettings& l, const Located& v) {
       l.threads = take(v, parse_count(v.text_or_number(), 1, kMostThreads));
     }},
    {"cpus", [](LimitSettings& l, const Located& v) { l.cpus = read_cpus(v); }},
}};

void read_limits(Profile& profile, const Located& limits) {
  limits.for_each_member([&](const std::string& name, const Located& value) {
    for (const LimitKey& key : kLimitKeys) {
      if (key.name == name) return key.read(profile.limits, value);
    }
    std::array<std::string_view, kLimitKeys.size()> names;
    for (std::size_t i = 0; i < names.size(); ++i) names[i] = kLimitKeys[i].name;
    limits.refuse_unknown(name, names);
  });
}

// --- system calls

int read_errno(const Located& value) {
  const std::string& name = value.text();
  for (int code = 1; code <= kLastErrno; ++code) {
    const char* const known = ::strerrorname_np(code);
    if (known != nullptr && name == known) return code;
  }
  value.refuse("\"" + name + "\" is not the name of an errno (as EPERM)");
}

CallRule read_call(const Located& entry, Action action) {
  CallRule rule;
  rule.action = action;
  std::optional<Located> name = entry;
  if (entry.is(Kind::kObject)) {
    static constexpr std::array<std::string_view, 3> kKeys{"name", "errno", "comment"};
    entry.allow_only(kKeys);
    name.emplace(required(entry, "name"));
    if (const auto error = entry.find("errno")) {
      if (action == Action::kKill) error->refuse("a call that ends the run gives no errno");
      rule.error = read_errno(*error);
    }
  }
  rule.syscall = name->text();
  if (arch::find_syscall(rule.syscall) == nullptr) {
    name->refuse("\"" + rule.syscall + "\" is not a system call that this version knows");
  }
  return rule;
}

void read_calls(Profile& profile, const Located& entries, Action action) {
  for (const Located& entry : entries.items()) {
    CallRule rule = read_call(entry, action);
    rule.origin = {profile.identity.name + ":" + entry.key(), entry.location()};
    profile.calls.push_back(std::move(rule));
  }
}

void read_syscalls(Profile& profile, const Located& syscalls) {
  static constexpr std::array<std::string_view, 3> kKeys{"deny", "kill", "comment"};
  syscalls.allow_only(kKeys);
  if (const auto deny = syscalls.find("deny")) read_calls(profile, *deny, Action::kDeny);
  if (const auto kill = syscalls.find("kill")) read_calls(profile, *kill, Action::kKill);
}

// --- the rest

void read_extends(Profile& profile, const Located& extends) {
  if (!extends.is(Kind::kArray)) {
    profile.extends.push_back(extends.text());
    return;
  }
  for (const Located& item : extends.items()) profile.extends.push_back(item.text());
}

void read_replace(Profile& profile, const Located& replace) {
  for (const Located& item : replace.items()) {
    const std::string& name = item.text();
    if (name == "files")
      profile.replace.files = true;
    else if (name == "environment")
      profile.replace.environment = true;
    else if (name == "limits")
      profile.replace.limits = true;
    else if (name == "syscalls")
      profile.replace.syscalls = true;
    else
      item.refuse("\"" + name + "\" is not one of files, environment, limits, syscalls");
  }
}

void read_on_deny(Profile& profile, const Located& value) {
  const std::string& word = value.text();
  if (word != "errno" && word != "kill") value.refuse("expected \"errno\" or \"kill\"");
  profile.on_deny = word == "kill" ? OnDeny::kKill : OnDeny::kErrno;
}

void read_audit(Profile& profile, const Located& audit) {
  static constexpr std::array<std::string_view, 2> kKeys{"on_failure", "comment"};
  audit.allow_only(kKeys);
  const auto on_failure = audit.find("on_failure");
  if (!on_failure) return;
  const std::string& word = on_failure->text();
  if (word != "end" && word != "count") on_failure->refuse("expected \"end\" or \"count\"");
  profile.on_audit_failure = word == "end" ? AuditFailure::kEndRun : AuditFailure::kCountDrops;
}

void read_name(Profile& profile, const Located& value) {
  const std::string& name = value.text();
  const bool plain =
      name.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
      std::string::npos;
  if (name.empty() || !plain) value.refuse("a name has letters, digits, '-', '_' and '.' only");
  profile.identity.name = name;
}

struct ProfileKey {
  std::string_view name;
  void (*read)(Profile& profile, const Located& value);
};

constexpr std::array<ProfileKey, 11> kProfileKeys{{
    {"$schema", [](Profile&, const Located& v) { static_cast<void>(v.text()); }},
    {"name", read_name},
    {"description", [](Profile& p, const Located& v) { p.description = v.text(); }},
    {"extends", read_extends},
    {"replace", read_replace},
    {"files", read_files},
    {"environment", read_environment},
    {"limits", read_limits},
    {"syscalls", read_syscalls},
    {"on_deny", read_on_deny},
    {"audit", read_audit},
}};

void read_profile(Profile& profile, const Located& root) {
  std::array<std::string_view, kProfileKeys.size()> names;
  for (std::size_t i = 0; i < names.size(); ++i) names[i] = kProfileKeys[i].name;
  root.allow_only(names);
  // In the table's order, not the file's: `name` goes into the names of all rules.
  for (const ProfileKey& key : kProfileKeys) {
    if (const auto value = root.find(key.name)) key.read(profile, *value);
  }
}

std::string sha256_of(std::string_view text) {
  sha256_ctx context;
  sha256_init(&context);
  sha256_update(&context, text.size(), reinterpret_cast<const std::uint8_t*>(text.data()));
  std::array<std::uint8_t, SHA256_DIGEST_SIZE> digest{};
  sha256_digest(&context, digest.size(), digest.data());
  static constexpr std::string_view kHex = "0123456789abcdef";
  std::string hex;
  for (const std::uint8_t byte : digest) hex += {kHex[byte >> 4], kHex[byte & 15]};
  return hex;
}

}  // namespace

Result<Profile> parse_profile(std::string_view text, const std::string& name,
                              const std::string& path) {
  if (text.size() > kMaxProfileBytes) {
    return fail_invalid(path + ": larger than " + format_size(kMaxProfileBytes));
  }
  const auto root = parse_located_json(text, path);
  if (!root) return tl::make_unexpected(root.error());
  Profile profile;
  profile.identity = {name, path, sha256_of(text)};
  try {
    read_profile(profile, Located(*root, path, ""));
  } catch (const ProfileError& error) {
    return fail_invalid(error.sentence);
  }
  return profile;
}

}  // namespace vitrine::policy
