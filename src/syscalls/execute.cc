// execve(2) and execveat(2). The supervisor resolves and opens the program; the task then executes
// that descriptor. Scripts are resolved here as well (fs/binfmt_script.c): the kernel would look
// their interpreter up in the host's tree.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "syscalls/families.h"
#include "syscalls/paths.h"

namespace vitrine::syscalls {
namespace {

constexpr int kDeepestScript = 5;               // BINPRM_MAX_RECURSION and one
constexpr std::size_t kHeaderSize = 256;        // BINPRM_BUF_SIZE
constexpr std::size_t kMostArguments = 60'000;  // pointers of a script's argv that are copied

struct Shebang {
  std::string interpreter;
  std::string argument;  // all the rest of the line; "" for none
};

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::optional<Shebang> shebang_in(std::string_view header) {
  if (!header.starts_with("#!")) return std::nullopt;
  const std::string_view line = trimmed(header.substr(2, header.find('\n') - 2));
  const std::size_t end = std::min(line.find_first_of(" \t"), line.size());
  return Shebang{std::string(line.substr(0, end)), std::string(trimmed(line.substr(end)))};
}

struct Program {
  UniqueFd file;
  std::string path;                  // guest path
  std::vector<std::string> leading;  // of a script; empty otherwise
};

Result<std::string> header_of(Context& context, const vfs::DirectoryRef& base,
                              std::string_view path) {
  Result<vfs::Opened> opened =
      context.files.open(context.caller(), base, path, O_RDONLY | O_CLOEXEC, 0);
  if (!opened) return tl::make_unexpected(opened.error());
  std::string header(kHeaderSize, '\0');
  const ssize_t size = ::pread(opened->fd.get(), header.data(), header.size(), 0);
  if (size < 0) return fail(EACCES, "execve");
  header.resize(static_cast<std::size_t>(size));
  return header;
}

// Follows scripts to the program that runs them. `name` is what the script's interpreter is given.
Result<Program> find_program(Context& context, vfs::DirectoryRef base, std::string path) {
  Program program;
  for (int depth = 0; depth < kDeepestScript; ++depth) {
    Status may = context.files.access(context.caller(), base, path, X_OK, vfs::FinalLink::kFollow);
    if (!may) return tl::make_unexpected(may.error());
    Result<std::string> header = header_of(context, base, path);
    if (!header) return tl::make_unexpected(header.error());
    std::optional<Shebang> script = shebang_in(*header);
    if (!script) {
      if (!header->starts_with("\x7f"
                               "ELF"))
        return fail(ENOEXEC, "execve");
      Result<UniqueFd> file = context.files.open_program(context.caller(), base, path);
      if (!file) return tl::make_unexpected(file.error());
      program.file = std::move(*file);
      program.path = context.files.resolved_path();
      return program;
    }
    if (script->interpreter.empty()) return fail(ENOEXEC, "execve");
    std::vector<std::string> before{script->interpreter};
    if (!script->argument.empty()) before.push_back(script->argument);
    if (program.leading.empty()) program.leading.push_back(path);
    program.leading[0] = path;
    program.leading.insert(program.leading.begin(), before.begin(), before.end());
    path = script->interpreter;
    base = context.fs.working_directory;
  }
  return fail(ELOOP, "execve");
}

// Addresses of argv[1], argv[2], ... (argv[0] gives way to the script's interpreter).
Result<std::vector<std::uint64_t>> further_arguments(const Context& context, std::uint64_t argv) {
  std::vector<std::uint64_t> all;
  if (argv == 0) return all;
  for (std::size_t i = 0; i < kMostArguments; ++i) {
    Result<std::uint64_t> address =
        context.memory.read_value<std::uint64_t>(argv + i * sizeof(std::uint64_t));
    if (!address) return tl::make_unexpected(address.error());
    if (*address == 0) return all;
    if (i > 0) all.push_back(*address);
  }
  return fail(E2BIG, "execve");
}

Answer refused(Context& context, const Error& error) {
  const std::string& rule = context.files.deciding_rule();
  // What nothing shows cannot be executed, and is not told apart from what does not exist.
  const bool unshown = (error.code == ENOENT || error.code == EACCES) && rule == "default";
  if (unshown) return deny(EACCES, rule);
  if (error.code == EACCES) return deny(EACCES, rule);
  return serve_error(error.code == 0 ? EIO : error.code);
}

// The kernel calls a process by the last part of the path that was given, a script's as well
// (begin_new_exec, fs/exec.c). What it is told here is a descriptor.
Answer execute(Context& context, const Result<vfs::DirectoryRef>& base, std::string path,
               std::size_t argv_index) {
  if (!base) return serve_error(base.error().code);
  std::string name = path.substr(path.rfind('/') + 1);
  Result<Program> program = find_program(context, *base, std::move(path));
  if (!program) return refused(context, program.error());
  Execute effect;
  effect.program = std::move(program->file);
  effect.path = program->path;
  effect.name = std::move(name);
  effect.argv = context.call.event.arguments[argv_index];
  effect.envp = context.call.event.arguments[argv_index + 1];
  if (!program->leading.empty()) {
    Result<std::vector<std::uint64_t>> further = further_arguments(context, effect.argv);
    if (!further) return serve_error(further.error().code);
    effect.leading_arguments = std::move(program->leading);
    effect.further_arguments = std::move(*further);
  }
  return {std::move(effect), {Action::kServe, 0, context.files.deciding_rule()}};
}

Answer handle_execve(Context& context) {
  Result<std::string_view> path = path_argument(context, 0);
  if (!path) return serve_error(path.error().code);
  return execute(context, context.fs.working_directory, std::string(*path), 1);
}

Answer handle_execveat(Context& context) {
  const int flags = context.call.int_argument(4);
  if ((flags & ~(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)) != 0) return serve_error(EINVAL);
  Result<std::string_view> path = path_argument(context, 1);
  if (!path) return serve_error(path.error().code);
  if (!path->empty() || (flags & AT_EMPTY_PATH) == 0) {
    return execute(context, base_folder(context, 0, *path), std::string(*path), 2);
  }
  // The descriptor's own file, by the name under which the guest's tree has it.
  Result<vfs::FileSystem::GuestFd> fd = guest_fd(context, 0);
  if (!fd) return serve_error(fd.error().code);
  Result<std::string> name = context.files.path_of_descriptor(context.caller(), *fd);
  if (!name) return serve_error(name.error().code);
  Answer made = execute(context, context.files.root(), *name, 2);
  if (auto* effect = std::get_if<Execute>(&made.effect)) effect->name.clear();
  return made;
}

}  // namespace

void add_execute_handlers(HandlerTable& table) {
  table.add("execve", handle_execve);
  table.add("execveat", handle_execveat);
}

}  // namespace vitrine::syscalls
