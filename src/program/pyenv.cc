#include "program/pyenv.h"

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "base/path.h"
#include "program/host_files.h"

namespace vitrine::program {
namespace {

constexpr std::size_t kMostVersionBytes = 4096;

std::string pyenv_root(const Caller& caller) {
  if (auto root = caller.variable("PYENV_ROOT"); root && root->starts_with('/')) {
    return tidy_path(*root);
  }
  const auto home = caller.variable("HOME");
  return home && home->starts_with('/') ? join_path(*home, ".pyenv") : "";
}

// The words of a version file, or of PYENV_VERSION: several versions, the first that has the
// program wins (libexec/pyenv-version-file-read: a '#' starts a comment;
// libexec/pyenv-version-name).
std::vector<std::string> version_words(std::string_view text) {
  std::vector<std::string> words;
  bool comment = false;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty() && !word.starts_with('/') && !has_dot_dot(word)) words.push_back(word);
    word.clear();
  };
  for (const char c : text) {
    if (c == '\n') comment = false;
    if (comment) continue;
    if (c == '#' && word.empty()) comment = true;
    if (c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == ':' || comment)
      end_word();
    else
      word += c;
  }
  end_word();
  return words;
}

struct Chosen {
  std::vector<std::string> versions;
  std::string by;  // for the error's sentence
};

// libexec/pyenv-version-file: the nearest `.python-version` upwards, else the root's `version`.
Chosen chosen_versions(const std::string& root, const Caller& caller) {
  if (const auto set = caller.variable("PYENV_VERSION"); set && !set->empty()) {
    return {version_words(*set), "PYENV_VERSION"};
  }
  std::string folder = caller.working_directory;
  while (true) {
    const std::string file = join_path(folder, ".python-version");
    if (const auto text = read_start(file, kMostVersionBytes)) {
      if (auto versions = version_words(*text); !versions.empty()) return {versions, file};
    }
    if (folder == "/" || folder.empty()) break;
    folder = parent_of(folder);
  }
  const std::string file = root + "/version";
  const auto text = read_start(file, kMostVersionBytes);
  auto versions = text ? version_words(*text) : std::vector<std::string>{};
  if (versions.empty()) versions = {"system"};
  return {versions, file};
}

// "3.11.7" as {3, 11, 7}; nullopt for names with anything else in them.
std::optional<std::vector<unsigned>> numeric_version(std::string_view name) {
  std::vector<unsigned> numbers;
  const char* at = name.data();
  const char* const end = at + name.size();
  while (true) {
    unsigned number = 0;
    const auto [rest, error] = std::from_chars(at, end, number);
    if (error != std::errc()) return std::nullopt;
    numbers.push_back(number);
    if (rest == end) return numbers;
    if (*rest != '.') return std::nullopt;
    at = rest + 1;
  }
}

// libexec/pyenv-latest: "3.11" stands for the newest installed 3.11.x.
std::optional<std::string> newest_with_prefix(const std::string& versions_folder,
                                              const std::string& version) {
  std::optional<std::string> newest;
  std::vector<unsigned> newest_numbers;
  for (const std::string& name : names_in_folder(versions_folder)) {
    if (!name.starts_with(version + ".")) continue;
    const auto numbers = numeric_version(name);
    if (!numbers || (newest && *numbers < newest_numbers)) continue;
    newest = name;
    newest_numbers = *numbers;
  }
  return newest;
}

std::optional<std::string> version_folder(const std::string& root, const std::string& version) {
  const std::string versions = root + "/versions";
  std::vector<std::string> spellings{version};
  if (version.starts_with("python-")) spellings.push_back(version.substr(7));
  for (const std::string& spelling : spellings) {
    if (is_folder(versions + "/" + spelling)) return versions + "/" + spelling;
    if (const auto newest = newest_with_prefix(versions, spelling)) return versions + "/" + *newest;
  }
  return std::nullopt;
}

std::optional<std::string> find_outside_shims(const std::string& root, const std::string& name,
                                              const Caller& caller) {
  const auto path = caller.variable("PATH");
  for (const std::string& folder : split_path(path.value_or(""))) {
    const std::string candidate = join_path(join_path(caller.working_directory, folder), name);
    if (is_within(candidate, root + "/shims") || !is_executable_file(candidate)) continue;
    const auto start = read_start(candidate, 512);
    if (start && pyenv_root_of_shim(candidate, *start, caller)) continue;
    return candidate;
  }
  return std::nullopt;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) (text += text.empty() ? "" : ":") += word;
  return text;
}

}  // namespace

std::optional<std::string> pyenv_root_of_shim(const std::string& path, std::string_view start,
                                              const Caller& caller) {
  if (!start.starts_with("#!")) return std::nullopt;
  const std::string folder(parent_of(path));
  const std::string root = pyenv_root(caller);
  if (!root.empty() && folder == root + "/shims") return root;
  // libexec/pyenv-rehash writes: export PYENV_ROOT="..." and exec ".../pyenv" exec "$program" "$@"
  if (start.find("pyenv\" exec \"$program\"") == std::string_view::npos) return std::nullopt;
  constexpr std::string_view kExport = "export PYENV_ROOT=\"";
  const auto at = start.find(kExport);
  if (at == std::string_view::npos) return root.empty() ? std::nullopt : std::optional(root);
  const std::string_view value = start.substr(at + kExport.size());
  const std::string_view written = value.substr(0, value.find('"'));
  return written.starts_with('/') ? std::optional(tidy_path(written)) : std::nullopt;
}

Result<std::string> resolve_pyenv_shim(const std::string& root, const std::string& name,
                                       const Caller& caller) {
  const Chosen chosen = chosen_versions(root, caller);
  for (const std::string& version : chosen.versions) {
    if (version == "system") {
      if (auto found = find_outside_shims(root, name, caller)) return *found;
      continue;
    }
    const auto folder = version_folder(root, version);
    if (!folder) continue;
    std::string candidate = *folder + "/bin/" + name;
    if (is_executable_file(candidate)) return candidate;
  }
  return tl::make_unexpected(Error{Error::Kind::kInvalid, ENOENT,
                                   name + ": command not found: a pyenv shim, and version " +
                                       joined(chosen.versions) + " (set by " + chosen.by +
                                       ") does not have it"});
}

}  // namespace vitrine::program
