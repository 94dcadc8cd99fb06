#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "program/elf.h"
#include "program/find.h"
#include "program/script_argument.h"
#include "program/shebang.h"

namespace vitrine::program {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

// A host in a temporary folder. Programs are copies of this machine's /bin/true: real ELF files.
class Host : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = fs::temp_directory_path() / "vitrine-test-XXXXXX";
    root_ = fs::canonical(::mkdtemp(name.data()));
    caller_.working_directory = root_;
    caller_.variable = [this](std::string_view name) -> std::optional<std::string> {
      const auto found = variables_.find(name);
      return found == variables_.end() ? std::nullopt : std::optional(found->second);
    };
    fs::create_directories(root_ / "bin");
    variables_["PATH"] = path("bin");
    variables_["HOME"] = path("home");
  }
  void TearDown() override { fs::remove_all(root_); }

  std::string path(const std::string& name) const { return root_ / name; }
  std::string file(const std::string& name, const std::string& text, mode_t mode = 0644) const {
    fs::create_directories((root_ / name).parent_path());
    std::ofstream(root_ / name) << text;
    ::chmod(path(name).c_str(), mode);
    return path(name);
  }
  std::string program(const std::string& name) const {
    fs::create_directories((root_ / name).parent_path());
    fs::copy_file("/bin/true", root_ / name);
    return path(name);
  }
  void link(const std::string& name, const std::string& target) const {
    fs::create_directories((root_ / name).parent_path());
    fs::create_symlink(target, root_ / name);
  }

  ProgramPlan plan(const Words& command) const {
    const auto found = find_program(command, caller_);
    EXPECT_TRUE(found) << (found ? "" : found.error().message());
    return found.value_or(ProgramPlan{});
  }
  int error_code(const Words& command) const {
    const auto found = find_program(command, caller_);
    return found ? 0 : found.error().code;
  }

  static Words shown(const ProgramPlan& plan, std::string_view rule = "") {
    Words paths;
    for (const FileRule& file : plan.files) {
      const auto* show = std::get_if<ShowRule>(&file.what);
      if (show != nullptr && (rule.empty() || file.origin.rule == rule))
        paths.push_back(show->host);
    }
    return paths;
  }
  static bool shows(const ProgramPlan& plan, const std::string& path) {
    const Words paths = shown(plan);
    return std::find(paths.begin(), paths.end(), path) != paths.end();
  }

  // An installation as pyenv's: versions/V with its library.
  void python(const std::string& prefix, const std::string& version) const {
    program(prefix + "/bin/python" + version);
    link(prefix + "/bin/python3", "python" + version);
    link(prefix + "/bin/python", "python" + version);
    file(prefix + "/lib/python" + version + "/os.py", "");
    file(prefix + "/lib/libpython" + version + ".so.1.0", "");
  }
  void shim(const std::string& name) const {
    file("home/.pyenv/shims/" + name,
         "#!/usr/bin/env bash\nset -e\nprogram=\"${0##*/}\"\nexport PYENV_ROOT=\"" +
             path("home/.pyenv") + "\"\nexec \"" + path("home/.pyenv") +
             "/libexec/pyenv\" exec \"$program\" \"$@\"\n",
         0755);
    variables_["PATH"] = path("home/.pyenv/shims") + ":" + path("bin");
  }

  fs::path root_;
  mutable std::map<std::string, std::string, std::less<>> variables_;
  Caller caller_;
};

TEST_F(Host, NameIsLookedUpInPath) {
  program("bin/tool");
  const ProgramPlan found = plan({"tool", "-x"});
  EXPECT_EQ(found.program, path("bin/tool"));
  EXPECT_EQ(found.argv, (Words{"tool", "-x"}));
  EXPECT_EQ(found.path_folder, path("bin"));
  EXPECT_EQ(shown(found).front(), path("bin/tool"));
}

TEST_F(Host, NameWithSlashIsRelativeToTheWorkingDirectory) {
  program("sub/tool");
  const ProgramPlan found = plan({"./sub/tool"});
  EXPECT_EQ(found.program, path("sub/tool"));
  EXPECT_EQ(found.argv, (Words{"./sub/tool"}));
  EXPECT_EQ(found.path_folder, "");
}

TEST_F(Host, LoaderIsShownAndNothingElse) {
  program("bin/tool");
  const ProgramPlan found = plan({"tool"});
  const auto needs = read_elf("/bin/true", "/bin");
  ASSERT_TRUE(needs);
  EXPECT_EQ(shown(found), (Words{path("bin/tool"), needs->loader}));
}

TEST_F(Host, MissingCommandIsNotFound) {
  EXPECT_EQ(error_code({"nothing"}), ENOENT);
  EXPECT_EQ(error_code({"./nothing"}), ENOENT);
  EXPECT_EQ(error_code({""}), ENOENT);
  file("plain", "");
  EXPECT_EQ(error_code({"./plain/below"}), ENOENT);
}

TEST_F(Host, FoldersAndPlainFilesAreNotExecutable) {
  file("plain", "text");
  file("bin/plain", "text");
  EXPECT_EQ(error_code({"./plain"}), EACCES);
  EXPECT_EQ(error_code({"./bin"}), EACCES);
  EXPECT_EQ(error_code({"plain"}), EACCES);
}

TEST_F(Host, ForeignAndDamagedProgramsAreRefused) {
  std::string elf =
      "\x7f"
      "ELF";
  elf += '\x01';  // 32-bit
  file("bin/foreign", elf + std::string(60, '\0'), 0755);
  file("bin/short",
       "\x7f"
       "ELF",
       0755);
  EXPECT_EQ(error_code({"foreign"}), ENOEXEC);
  EXPECT_EQ(error_code({"short"}), ENOEXEC);
}

TEST_F(Host, ScriptRunsUnderItsInterpreter) {
  const std::string interpreter = program("bin/interpreter");
  const std::string script = file("bin/script", "#! " + interpreter + " -a  b \nrest", 0755);
  const ProgramPlan found = plan({"script", "x"});
  EXPECT_EQ(found.program, interpreter);
  EXPECT_EQ(found.argv, (Words{interpreter, "-a  b", script, "x"}));
  EXPECT_TRUE(shows(found, script));
  EXPECT_EQ(found.path_folder, "");
}

TEST_F(Host, EnvInAShebangIsLookedUpInPath) {
  program("bin/interpreter");
  file("script", "#!/usr/bin/env interpreter\n", 0755);
  ProgramPlan found = plan({"./script", "x"});
  EXPECT_EQ(found.program, path("bin/interpreter"));
  EXPECT_EQ(found.argv, (Words{"interpreter", "./script", "x"}));
  EXPECT_EQ(found.path_folder, path("bin"));
  file("split", "#!/usr/bin/env -S interpreter -I 'a b'\n", 0755);
  found = plan({"./split"});
  EXPECT_EQ(found.argv, (Words{"interpreter", "-I", "a b", "./split"}));
}

TEST_F(Host, InterpretersThatAreScriptsNest) {
  const std::string interpreter = program("bin/interpreter");
  const std::string inner = file("bin/inner", "#!" + interpreter + " -i\n", 0755);
  const std::string outer = file("bin/outer", "#!" + inner + " -o\n", 0755);
  const ProgramPlan found = plan({"./bin/outer"});
  EXPECT_EQ(found.argv, (Words{interpreter, "-i", inner, "-o", "./bin/outer"}));
  EXPECT_TRUE(shows(found, inner));
  EXPECT_TRUE(shows(found, outer));
}

TEST_F(Host, ScriptsInACircleEnd) {
  file("bin/a", "#!" + path("bin/b") + "\n", 0755);
  file("bin/b", "#!" + path("bin/a") + "\n", 0755);
  EXPECT_EQ(error_code({"a"}), ELOOP);
}

TEST_F(Host, MissingInterpreterIsNotFound) {
  file("script", "#!/no/such/interpreter\n", 0755);
  EXPECT_EQ(error_code({"./script"}), ENOENT);
  file("empty", "#!  \n", 0755);
  EXPECT_EQ(error_code({"./empty"}), ENOEXEC);
}

TEST_F(Host, ScriptWithoutShebangRunsUnderTheShell) {
  file("script", "echo hello\n", 0755);
  const ProgramPlan found = plan({"./script", "x"});
  EXPECT_EQ(found.program, "/bin/sh");
  EXPECT_EQ(found.argv, (Words{"/bin/sh", "./script", "x"}));
  file("host/sh", "echo I am a shell\n", 0755);
  caller_.mappings.push_back({"/bin", path("host")});
  EXPECT_EQ(error_code({"./script"}), ELOOP);
}

TEST_F(Host, PythonBringsItsLibrary) {
  python("opt", "3.11");
  variables_["PATH"] = path("opt/bin");
  const ProgramPlan found = plan({"python3", "-c", "pass"});
  EXPECT_TRUE(found.is_python);
  EXPECT_EQ(found.program, path("opt/bin/python3"));
  EXPECT_TRUE(shows(found, path("opt/bin/python3")));
  EXPECT_TRUE(shows(found, path("opt/bin/python3.11")));
  EXPECT_TRUE(shows(found, path("opt/lib/python3.11")));
  EXPECT_TRUE(shows(found, path("opt/lib/libpython3.11.so.1.0")));
  EXPECT_FALSE(shows(found, path("opt")));
  EXPECT_FALSE(shows(found, path("opt/bin")));
  EXPECT_FALSE(shows(found, path("opt/lib")));
}

TEST_F(Host, OnlyTheNamedScriptIsShown) {
  python("opt", "3.11");
  file("work/script.py", "");
  file("work/sibling.py", "");
  file("work/data.txt", "");
  caller_.working_directory = path("work");
  variables_["PATH"] = path("opt/bin");
  const ProgramPlan found = plan({"python3", "-X", "dev", "-Wd", "script.py", "data.txt"});
  EXPECT_EQ(shown(found, "script"), (Words{path("work/script.py")}));
  EXPECT_EQ(found.argv.back(), "data.txt");
  EXPECT_TRUE(shown(plan({"python3", "-c", "script.py"}), "script").empty());
  EXPECT_TRUE(shown(plan({"python3", "-m", "script"}), "script").empty());
  EXPECT_TRUE(shown(plan({"python3", "missing.py"}), "script").empty());
  EXPECT_TRUE(shown(plan({"python3", "-"}), "script").empty());
}

TEST_F(Host, FolderIsAScriptOnlyWithAMain) {
  python("opt", "3.11");
  variables_["PATH"] = path("opt/bin");
  file("package/__main__.py", "");
  file("secrets/key", "");
  EXPECT_EQ(shown(plan({"python3", "package"}), "script"), (Words{path("package")}));
  EXPECT_TRUE(shown(plan({"python3", "secrets"}), "script").empty());
}

TEST_F(Host, DescriptorsAndDevicesAreNoScripts) {
  python("opt", "3.11");
  variables_["PATH"] = path("opt/bin");
  EXPECT_TRUE(shown(plan({"python3", "/dev/stdin"}), "script").empty());
  EXPECT_TRUE(shown(plan({"python3", "/proc/self/environ"}), "script").empty());
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  EXPECT_TRUE(shown(plan({"python3", "fifo"}), "script").empty());
}

TEST_F(Host, ScriptAboveTheWorkingDirectory) {
  python("opt", "3.11");
  variables_["PATH"] = path("opt/bin");
  file("work/sub/x", "");
  file("work/script.py", "");
  caller_.working_directory = path("work/sub");
  const ProgramPlan found = plan({"python3", "../script.py"});
  EXPECT_EQ(shown(found, "script"), (Words{path("work/script.py")}));
}

TEST_F(Host, VirtualEnvironmentBringsItsBase) {
  python("opt", "3.11");
  file("project/secret", "");
  file("project/pyvenv.cfg", "home = " + path("opt/bin") + "\nversion = 3.11.2\n");
  link("project/bin/python3", path("opt/bin/python3.11"));
  file("project/lib/python3.11/site-packages/x.py", "");
  const ProgramPlan found = plan({"project/bin/python3"});
  EXPECT_TRUE(shows(found, path("project/pyvenv.cfg")));
  EXPECT_TRUE(shows(found, path("project/lib")));
  EXPECT_TRUE(shows(found, path("opt/lib/python3.11")));
  EXPECT_FALSE(shows(found, path("project")));
}

TEST_F(Host, CopiedVirtualEnvironmentBringsItsBase) {
  python("opt", "3.11");
  program("env/bin/python3.11");
  file("env/pyvenv.cfg", "Home=x\n home =  " + path("opt/bin") + "  \n");
  const ProgramPlan found = plan({"env/bin/python3.11"});
  EXPECT_TRUE(shows(found, path("opt/bin/python3.11")));
  EXPECT_TRUE(shows(found, path("opt/lib/python3.11")));
}

TEST_F(Host, ShimStandsForTheChosenVersion) {
  python("home/.pyenv/versions/3.11.7", "3.11");
  python("home/.pyenv/versions/3.12.1", "3.12");
  shim("python3");
  file("home/.pyenv/version", "3.11.7\n");
  ProgramPlan found = plan({"python3", "-c", "pass"});
  const std::string bin = path("home/.pyenv/versions/3.11.7/bin");
  EXPECT_EQ(found.program, bin + "/python3");
  EXPECT_EQ(found.argv[0], bin + "/python3");
  EXPECT_EQ(found.path_folder, bin);
  EXPECT_FALSE(shows(found, path("home/.pyenv/shims/python3")));

  file(".python-version", "# mine\n3.12.1\n");
  EXPECT_EQ(plan({"python3"}).program, path("home/.pyenv/versions/3.12.1/bin/python3"));
  fs::create_directories(root_ / "deep/er");
  caller_.working_directory = path("deep/er");
  EXPECT_EQ(plan({"python3"}).program, path("home/.pyenv/versions/3.12.1/bin/python3"));
  variables_["PYENV_VERSION"] = "3.99:3.11";
  EXPECT_EQ(plan({"python3"}).program, bin + "/python3");
}

TEST_F(Host, ShimOfAShortVersionTakesTheNewest) {
  python("home/.pyenv/versions/3.12.9", "3.12");
  python("home/.pyenv/versions/3.12.10", "3.12");
  python("home/.pyenv/versions/3.12.11-dev", "3.12");
  shim("python3");
  variables_["PYENV_VERSION"] = "3.12";
  EXPECT_EQ(plan({"python3"}).program, path("home/.pyenv/versions/3.12.10/bin/python3"));
}

TEST_F(Host, ShimOfSystemTakesTheNextInPath) {
  shim("tool");
  program("bin/tool");
  variables_["PYENV_VERSION"] = "system";
  EXPECT_EQ(plan({"tool"}).program, path("bin/tool"));
}

TEST_F(Host, ShimOfNoVersionIsNotFound) {
  shim("python3");
  variables_["PYENV_VERSION"] = "3.99";
  EXPECT_EQ(error_code({"python3"}), ENOENT);
}

TEST_F(Host, ShimIsChosenAsPyenvChooses) {
  python("home/.pyenv/versions/3.11.7", "3.11");
  shim("python3");
  const std::string chosen = path("home/.pyenv/versions/3.11.7/bin/python3");
  for (const char* version :
       {"python-3.11.7", "python-3.11", "none # a comment: 3.11.7\n:3.11", "\t3.11.7\r"}) {
    variables_["PYENV_VERSION"] = version;
    EXPECT_EQ(plan({"python3"}).program, chosen) << version;
  }
  variables_.erase("PYENV_VERSION");
  EXPECT_EQ(error_code({"python3"}), ENOENT) << "no version file: the system's, which has none";
  program("bin/python3");
  EXPECT_EQ(plan({"python3"}).program, path("bin/python3"));
  file("home/.pyenv/version", "3.98 3.99");
  const auto found = find_program({"python3"}, caller_);
  ASSERT_FALSE(found);
  EXPECT_NE(found.error().message().find("version 3.98:3.99 (set by"), std::string::npos);
}

TEST_F(Host, ShimOfAnotherRootIsItsOwn) {
  python("home/.pyenv/versions/3.11.7", "3.11");
  file("home/.pyenv/version", "3.11.7");
  shim("python3");
  const std::string shims = path("home/.pyenv/shims");
  fs::copy(shims, path("elsewhere"));
  variables_["PATH"] = path("elsewhere");
  variables_.erase("HOME");  // what it says itself is all there is
  EXPECT_EQ(plan({"python3"}).program, path("home/.pyenv/versions/3.11.7/bin/python3"));
  file("elsewhere/python3",
       "#!/bin/bash\nexport PYENV_ROOT=\"relative\"\nexec \"pyenv\" exec \"$program\"\n", 0755);
  EXPECT_NE(plan({"python3"}).program, path("home/.pyenv/versions/3.11.7/bin/python3"));
}

TEST_F(Host, ShimThatLeadsToAShimEnds) {
  shim("python3");
  fs::create_directories(root_ / "home/.pyenv/versions/3.11/bin");
  fs::copy(path("home/.pyenv/shims/python3"), path("home/.pyenv/versions/3.11/bin/python3"));
  variables_["PYENV_VERSION"] = "3.11";
  EXPECT_EQ(error_code({"python3"}), ELOOP);
}

TEST_F(Host, VersionsCannotLeadOutOfPyenv) {
  shim("python3");
  program("elsewhere/bin/python3");
  fs::create_directories(root_ / "home/.pyenv/versions");
  variables_["PYENV_VERSION"] = "../../../elsewhere";
  EXPECT_EQ(error_code({"python3"}), ENOENT);
  variables_["PYENV_VERSION"] = path("elsewhere");
  EXPECT_EQ(error_code({"python3"}), ENOENT);
}

TEST_F(Host, ShimmedScriptComesOutAsItsInterpreter) {
  python("home/.pyenv/versions/3.11.7", "3.11");
  const std::string bin = path("home/.pyenv/versions/3.11.7/bin");
  file("home/.pyenv/versions/3.11.7/bin/pip", "#!" + bin + "/python3.11\n", 0755);
  shim("pip");
  file("home/.pyenv/version", "3.11.7");
  const ProgramPlan found = plan({"pip", "list"});
  EXPECT_EQ(found.argv, (Words{bin + "/python3.11", bin + "/pip", "list"}));
  EXPECT_TRUE(shows(found, bin + "/pip"));
}

TEST_F(Host, MappedProgramIsFoundThroughTheMapping) {
  program("host/tool");
  caller_.mappings.push_back({"/app", path("host")});
  const ProgramPlan found = plan({"/app/tool"});
  EXPECT_EQ(found.program, "/app/tool");
  EXPECT_FALSE(shows(found, "/app/tool"));
  EXPECT_FALSE(shows(found, path("host/tool")));
}

TEST(ScriptArgument, CPythonOptions) {
  const auto index = [](Words words) {
    words.insert(words.begin(), "python3");
    return script_argument("python3.11", words);
  };
  EXPECT_EQ(index({}), std::nullopt);
  EXPECT_EQ(index({"x.py", "-c"}), 1U);
  EXPECT_EQ(index({"-I", "x.py"}), 2U);
  EXPECT_EQ(index({"-Ic", "x.py"}), std::nullopt);
  EXPECT_EQ(index({"-Im", "x"}), std::nullopt);
  EXPECT_EQ(index({"-mx", "y.py"}), std::nullopt);
  EXPECT_EQ(index({"-X", "dev", "x.py"}), 3U);
  EXPECT_EQ(index({"-Xdev", "x.py"}), 2U);
  EXPECT_EQ(index({"-IW", "error", "x.py"}), 3U);
  EXPECT_EQ(index({"--check-hash-based-pycs", "always", "x.py"}), 3U);
  EXPECT_EQ(index({"--version", "x.py"}), std::nullopt);
  EXPECT_EQ(index({"--", "-x.py"}), 2U);
  EXPECT_EQ(index({"--"}), std::nullopt);
  EXPECT_EQ(index({"-", "x.py"}), std::nullopt);
  EXPECT_EQ(index({"+x"}), 1U);
}

TEST(ScriptArgument, OtherInterpreters) {
  EXPECT_EQ(script_argument("bash", {"bash", "-e", "-o", "pipefail", "x.sh"}), 4U);
  EXPECT_EQ(script_argument("bash", {"bash", "-ec", "x.sh"}), std::nullopt);
  EXPECT_EQ(script_argument("bash", {"bash", "--rcfile", "rc", "x.sh"}), 3U);
  EXPECT_EQ(script_argument("dash", {"sh", "+e", "x.sh"}), 2U);
  EXPECT_EQ(script_argument("perl", {"perl", "-w", "x.pl"}), 2U);
  EXPECT_EQ(script_argument("perl", {"perl", "-e", "1", "x.pl"}), std::nullopt);
  EXPECT_EQ(script_argument("lua5.4", {"lua", "x.lua"}), 1U);
  EXPECT_EQ(script_argument("node", {"node", "--require", "m", "x.js"}), 3U);
  EXPECT_EQ(script_argument("rbash", {"rbash", "-e", "x.sh"}), 2U);
  EXPECT_EQ(script_argument("nodejs", {"nodejs", "x.js"}), 1U);
  EXPECT_EQ(script_argument("cat", {"cat", "/etc/passwd"}), std::nullopt);
}

TEST(ScriptArgument, PythonNames) {
  for (const char* const name : {"python", "python3", "python3.11", "pypy3", "pypy3.10",
                                 "python3.13t", "python3.7m", "python3.11-dbg"}) {
    EXPECT_TRUE(is_python_name(name)) << name;
  }
  for (const char* const name :
       {"pythonw3x", "python-config", "python3.11-config", "ipython", ""}) {
    EXPECT_FALSE(is_python_name(name)) << name;
  }
}

TEST(Shebang, IsReadAsTheKernelDoes) {
  EXPECT_EQ(parse_shebang("#!/bin/sh\n")->interpreter, "/bin/sh");
  EXPECT_EQ(parse_shebang("#!/bin/sh\n")->argument, std::nullopt);
  EXPECT_EQ(parse_shebang("#! \t/bin/sh -e x \n")->argument, "-e x");
  EXPECT_EQ(parse_shebang("#!/bin/sh")->interpreter, "/bin/sh");
  EXPECT_FALSE(parse_shebang("#!\n"));
  EXPECT_FALSE(parse_shebang("echo"));
}

TEST(Shebang, EnvArguments) {
  EXPECT_EQ(parse_env_argument("python3"), (Words{"python3"}));
  EXPECT_EQ(parse_env_argument("-S python3 -u"), (Words{"python3", "-u"}));
  EXPECT_EQ(parse_env_argument("-Spython3 'a b' \"c\" d\\ e"),
            (Words{"python3", "a b", "c", "d e"}));
  EXPECT_EQ(parse_env_argument("--split-string=python3 -u"), (Words{"python3", "-u"}));
  EXPECT_FALSE(parse_env_argument("-i"));
  EXPECT_FALSE(parse_env_argument("A=1"));
  EXPECT_FALSE(parse_env_argument("-S 'open"));
  EXPECT_FALSE(parse_env_argument("-S python3 $HOME"));
}

TEST(Elf, HostileFilesAreRefusedOrEmpty) {
  std::ifstream in("/bin/true", std::ios::binary);
  const std::string good((std::istreambuf_iterator<char>(in)), {});
  const std::string path =
      fs::temp_directory_path() / ("vitrine-elf-" + std::to_string(::getpid()));
  unsigned state = 1;
  for (int round = 0; round < 500; ++round) {
    std::string bad = good.substr(0, 4096);
    for (int flips = 0; flips < 16; ++flips) {
      state = state * 1103515245 + 12345;
      bad[(state >> 8) % 1024] = static_cast<char>(state >> 20);
    }
    std::ofstream(path, std::ios::binary) << bad;
    static_cast<void>(read_elf(path, "/"));
    static_cast<void>(libraries_by_run_path(path));
  }
  fs::remove(path);
}

}  // namespace
}  // namespace vitrine::program
