#include "program/python.h"

#include <algorithm>
#include <optional>

#include "base/path.h"
#include "program/host_files.h"
#include "program/rules.h"
#include "program/script_argument.h"

namespace vitrine::program {
namespace {

constexpr std::size_t kMostConfigBytes = 65536;

std::string_view trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t\r");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

// The value of `home` in a pyvenv.cfg (Modules/getpath.py: keys are not case-sensitive there, but
// `venv` and `virtualenv` write "home").
std::optional<std::string> home_in(const std::string& config) {
  const auto text = read_start(config, kMostConfigBytes);
  if (!text) return std::nullopt;
  std::string_view rest = *text;
  while (!rest.empty()) {
    const auto end = rest.find('\n');
    const std::string_view line = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    const auto equals = line.find('=');
    if (equals == std::string_view::npos || trimmed(line.substr(0, equals)) != "home") continue;
    const std::string_view home = trimmed(line.substr(equals + 1));
    if (home.starts_with('/')) return tidy_path(home);
  }
  return std::nullopt;
}

// "3.11" of "python3.11"; "" where the name has no minor version.
std::string version_in(std::string_view name) {
  const auto first = name.find_first_of("0123456789");
  if (first == std::string_view::npos) return "";
  const std::string_view version = name.substr(first);
  return version.find('.') == std::string_view::npos ? "" : std::string(version);
}

// The folders of a standard library under `prefix`: "lib/python3.11". By the version where that is
// known, else every one that holds the landmark.
std::vector<std::string> library_folders(const std::string& prefix, const std::string& version) {
  std::vector<std::string> folders;
  for (const char* const lib : {"lib", "lib64"}) {
    const std::string parent = join_path(prefix, lib);
    for (const std::string& name : names_in_folder(parent)) {
      const bool wanted = version.empty() ? is_python_name(name) : name.ends_with(version);
      const std::string folder = parent + "/" + name;
      if (is_python_name(name) && wanted && is_regular_file(folder + "/os.py")) {
        folders.push_back(folder);
      }
    }
  }
  return folders;
}

// The interpreter's other usual names in its folder. They are asked for one by one: a folder like
// /usr/bin has more than a thousand entries, and this is on the way of every start.
void show_other_names(const std::string& path, FileRules& rules) {
  const auto real = real_path(path);
  if (!real) return;
  const std::string folder(parent_of(path));
  const std::string own(name_in(*real));
  for (const std::string& name :
       {own, std::string("python"), std::string("python3"), std::string("python2"),
        std::string("pypy"), std::string("pypy3")}) {
    const std::string other = join_path(folder, name);
    if (other != path && real_path(other) == real) show(rules, other, "interpreter");
  }
}

// An installation that the system's package manager does not own: its own shared libraries.
void show_own_libraries(const std::string& prefix, FileRules& rules) {
  const std::string lib = join_path(prefix, "lib");
  for (const std::string& name : names_in_folder(lib)) {
    if (name.starts_with("lib") && name.find(".so") != std::string::npos) {
      show(rules, lib + "/" + name, "interpreter");
    }
  }
  show_if_there(rules, join_path(prefix, "ssl/cert.pem"), "interpreter");
  show_if_there(rules, join_path(prefix, "ssl/cacert.pem"), "interpreter");
  show_if_there(rules, join_path(prefix, "ssl/openssl.cnf"), "interpreter");
}

void show_pypy(const std::string& prefix, FileRules& rules) {
  for (const char* const name : {"lib-python", "lib_pypy", "site-packages"}) {
    show_if_there(rules, join_path(prefix, name), "interpreter");
  }
  const std::string bin = join_path(prefix, "bin");
  for (const std::string& name : names_in_folder(bin)) {
    if (name.starts_with("libpypy")) show(rules, bin + "/" + name, "interpreter");
  }
}

// What is under the prefix of the interpreter whose folder is `bin`. Whether anything was found.
bool show_prefix(const std::string& bin, const std::string& interpreter_name, FileRules& rules) {
  const std::string prefix(parent_of(bin));
  const std::string version = version_in(interpreter_name);
  auto folders = library_folders(prefix, version);
  if (folders.empty() && !version.empty()) folders = library_folders(prefix, "");
  for (const std::string& folder : folders) show(rules, folder, "interpreter");
  if (prefix == "/usr") {
    // Debian: packages of all versions, and what the administrator installed.
    show_if_there(rules, "/usr/lib/python3", "interpreter");
    for (const std::string& folder : folders) {
      const std::string name(name_in(folder));
      show_if_there(rules, "/usr/local/lib/" + name, "interpreter");
      show_if_there(rules, "/etc/" + name, "interpreter");  // sitecustomize.py is a link to there
    }
  } else if (!folders.empty()) {
    show_own_libraries(prefix, rules);
  }
  if (interpreter_name.starts_with("pypy")) show_pypy(prefix, rules);
  return !folders.empty();
}

// PEP 405: pyvenv.cfg stands next to the interpreter or one folder above.
std::optional<std::string> virtual_environment(const std::string& path) {
  const std::string bin(parent_of(path));
  for (const std::string& folder : {bin, std::string(parent_of(bin))}) {
    if (is_regular_file(join_path(folder, "pyvenv.cfg"))) return folder;
  }
  return std::nullopt;
}

// Not the whole folder: people make environments in the folder of their project.
void show_virtual_environment(const std::string& folder, FileRules& rules) {
  for (const char* const name : {"pyvenv.cfg", "bin", "lib", "lib64"}) {
    show_if_there(rules, join_path(folder, name), "interpreter");
  }
}

// With `venv --copies` the real path leads nowhere: the base interpreter is in `home`.
void show_home(const std::string& home, const std::string& interpreter_name, FileRules& rules) {
  for (const std::string& name : names_in_folder(home)) {
    if (is_python_name(name) && is_executable_file(home + "/" + name)) {
      const auto real = real_path(home + "/" + name);
      if (real && name_in(*real) == interpreter_name) show(rules, home + "/" + name, "interpreter");
    }
  }
  show_prefix(home, interpreter_name, rules);
  const auto real_home = real_path(home);
  if (real_home && *real_home != home) show_prefix(*real_home, interpreter_name, rules);
}

}  // namespace

void show_python(const std::string& path, FileRules& rules) {
  show(rules, path, "program");
  show_other_names(path, rules);
  const std::string real = real_path(path).value_or(path);
  const std::string name(name_in(real));
  if (const auto environment = virtual_environment(path)) {
    show_virtual_environment(*environment, rules);
    if (const auto home = home_in(*environment + "/pyvenv.cfg")) show_home(*home, name, rules);
  }
  const std::string bin(parent_of(path));
  const std::string real_bin(parent_of(real));
  show_prefix(real_bin, name, rules);
  if (real_bin != bin) show_prefix(bin, name, rules);
}

}  // namespace vitrine::program
