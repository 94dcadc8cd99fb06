#include "program/find.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/path.h"
#include "program/elf.h"
#include "program/host_files.h"
#include "program/pyenv.h"
#include "program/python.h"
#include "program/rules.h"
#include "program/script_argument.h"
#include "program/shebang.h"

namespace vitrine::program {
namespace {

// Scripts whose interpreter is a script; the kernel's limit is 5 (fs/exec.c, exec_binprm).
constexpr int kMostScripts = 4;
constexpr std::size_t kStartBytes = 1024;                   // a shim's script is shorter
constexpr std::string_view kDefaultPath = "/bin:/usr/bin";  // execvp(3)

tl::unexpected<Error> cannot(int code, std::string sentence) {
  return tl::make_unexpected(Error{Error::Kind::kInvalid, code, std::move(sentence)});
}

// A file on the way from the command to the program.
struct Found {
  std::string guest;    // absolute
  std::string host;     // the same, unless a mapping shows something else there
  std::string spelled;  // as execve(2) would be given it: what the kernel hands to a script
  std::string folder;   // on PATH; "" if it was named with a slash
  bool is_mapped() const { return guest != host; }
};

class Search {
 public:
  Search(const std::vector<std::string>& command, const Caller& caller) : caller_(caller) {
    plan_.argv = command;
  }

  Result<ProgramPlan> run() {
    auto found = find(plan_.argv[0]);
    for (int steps = 0; found; ++steps) {
      if (steps > 2 * kMostScripts) return cannot(ELOOP, found->spelled + ": scripts in a circle");
      const auto start = read_start(found->host, kStartBytes);
      if (const auto root =
              start ? pyenv_root_of_shim(found->guest, *start, caller_) : std::nullopt) {
        found = follow_shim(*root, *found);
      } else if (start && start->starts_with("#!")) {
        found = follow_shebang(*start, *found);
      } else if (start && !start->starts_with("\x7f"
                                              "ELF")) {
        found = follow_shell(*found);  // execvp(3): ENOEXEC
      } else {
        return finish(*found);
      }
    }
    return tl::make_unexpected(found.error());
  }

 private:
  std::string host_of(const std::string& guest) const {
    for (auto mapping = caller_.mappings.rbegin(); mapping != caller_.mappings.rend(); ++mapping) {
      if (is_within(guest, mapping->guest)) {
        return tidy_path(mapping->host + "/" + guest.substr(mapping->guest.size()));
      }
    }
    return guest;
  }

  Result<Found> find(const std::string& name) const {
    if (name.empty()) return cannot(ENOENT, "the command is an empty word");
    return name.find('/') == std::string::npos ? find_in_path(name) : find_named(name);
  }

  Result<Found> find_named(const std::string& name) const {
    Found found{join_path(caller_.working_directory, name), "", name, ""};
    found.host = host_of(found.guest);
    if (::access(found.host.c_str(), F_OK) != 0) {
      if (errno == ENOENT || errno == ENOTDIR) return cannot(ENOENT, name + ": not found");
      return fail_errno(name);
    }
    if (is_folder(found.host)) return cannot(EACCES, name + ": is a folder");
    if (!is_executable_file(found.host)) return cannot(EACCES, name + ": is not executable");
    return found;
  }

  Result<Found> find_in_path(const std::string& name) const {
    const std::string path = caller_.variable("PATH").value_or(std::string(kDefaultPath));
    bool seen = false;
    for (const std::string& folder : split_path(path)) {
      Found found{"", "", folder + "/" + name, join_path(caller_.working_directory, folder)};
      found.guest = join_path(found.folder, name);
      found.host = host_of(found.guest);
      if (is_executable_file(found.host)) return found;
      seen = seen || is_regular_file(found.host);
    }
    if (seen) return cannot(EACCES, name + ": found in PATH, but not executable");
    return cannot(ENOENT, name + ": command not found");
  }

  Result<Found> follow_shim(const std::string& root, const Found& shim) {
    const auto target = resolve_pyenv_shim(root, std::string(name_in(shim.guest)), caller_);
    if (!target) return tl::make_unexpected(target.error());
    // libexec/pyenv-exec: executes by the full path, and puts the version's folder first in PATH.
    plan_.argv[0] = *target;
    path_folder_ = parent_of(*target);
    return find_named(*target);
  }

  Result<Found> follow_shebang(const std::string& start, const Found& script) {
    const auto shebang = parse_shebang(start);
    if (!shebang) return cannot(ENOEXEC, script.spelled + ": its #! line names no interpreter");
    if (++scripts_ > kMostScripts) {
      return cannot(ELOOP, script.spelled + ": too many interpreters that are scripts");
    }
    show_file(script, "script");
    plan_.argv[0] = script.spelled;
    if (name_in(shebang->interpreter) == "env" && shebang->argument) {
      if (const auto words = parse_env_argument(*shebang->argument)) {
        plan_.argv.insert(plan_.argv.begin(), words->begin(), words->end());
        return find((*words)[0]);
      }
    }
    if (shebang->argument) plan_.argv.insert(plan_.argv.begin(), *shebang->argument);
    plan_.argv.insert(plan_.argv.begin(), shebang->interpreter);
    auto interpreter = find_named(shebang->interpreter);
    if (interpreter) return interpreter;
    return cannot(interpreter.error().code,
                  script.spelled + ": its interpreter " + interpreter.error().message());
  }

  Result<Found> follow_shell(const Found& script) {
    show_file(script, "script");
    plan_.argv[0] = script.spelled;
    plan_.argv.insert(plan_.argv.begin(), "/bin/sh");
    return find_named("/bin/sh");
  }

  Result<ProgramPlan> finish(const Found& found) {
    plan_.program = found.guest;
    plan_.path_folder = path_folder_.empty() ? found.folder : path_folder_;
    const std::string real = real_path(found.host).value_or(found.host);
    const auto needs = read_elf(real, std::string(parent_of(real)));
    if (!needs && needs.error().code == ENOEXEC) {
      return cannot(ENOEXEC, found.spelled + ": not a 64-bit program of this machine");
    }
    plan_.is_python = is_python_name(name_in(real)) || is_python_name(name_in(found.guest));
    if (plan_.is_python && !found.is_mapped()) {
      show_python(found.guest, plan_.files);
    } else {
      show_file(found, "program");
    }
    if (needs && needs->loader.starts_with('/')) {
      show_if_there(plan_.files, tidy_path(needs->loader), "program");
    }
    for (const std::string& library : libraries_by_run_path(real)) {
      show(plan_.files, library, "program");
    }
    show_script(std::string(name_in(real)), std::string(name_in(found.guest)));
    return std::move(plan_);
  }

  void show_script(const std::string& real_name, const std::string& name) {
    auto index = script_argument(real_name, plan_.argv);
    if (!index && real_name != name) index = script_argument(name, plan_.argv);
    if (!index || plan_.argv[*index].empty()) return;
    Found script{join_path(caller_.working_directory, plan_.argv[*index]), "", "", ""};
    script.host = host_of(script.guest);
    // /dev/stdin and /dev/fd/N are the program's own; what they lead to here is the caller's.
    for (const char* const own : {"/dev", "/proc", "/sys"}) {
      if (is_within(script.guest, own)) return;
    }
    const bool runnable_folder =
        plan_.is_python && is_regular_file(join_path(script.host, "__main__.py"));
    if (is_regular_file(script.host) || runnable_folder) show_file(script, "script");
  }

  void show_file(const Found& found, std::string_view rule) {
    if (found.is_mapped()) return;  // an option shows it
    if (!has_dot_dot(found.guest)) return show(plan_.files, found.guest, rule);
    show_with_dot_dot(found.guest, rule);
  }

  // "/a/b/../c": the folders on the way must exist inside for `..` to work, and `..` of a link is
  // the parent of what it leads to.
  void show_with_dot_dot(const std::string& path, std::string_view rule) {
    std::string real;
    std::string_view rest = path;
    while (!rest.empty()) {
      rest.remove_prefix(1);
      const auto slash = rest.find('/');
      const std::string component(rest.substr(0, slash));
      rest = slash == std::string_view::npos ? std::string_view() : rest.substr(slash);
      if (component != "..") {
        (real += '/') += component;
        continue;
      }
      const auto resolved = real_path(real.empty() ? "/" : real);
      if (!resolved) return;
      plan_.files.push_back({FolderRule{*resolved}, {std::string(rule), ""}});
      real = parent_of(*resolved);
      if (real == "/") real.clear();
    }
    show(plan_.files, real, rule);
  }

  const Caller& caller_;
  ProgramPlan plan_;
  std::string path_folder_;
  int scripts_ = 0;
};

}  // namespace

Result<ProgramPlan> find_program(const std::vector<std::string>& command, const Caller& caller) {
  return Search(command, caller).run();
}

}  // namespace vitrine::program
