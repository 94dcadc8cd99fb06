#include "vfs/proc.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <utility>

#include "vfs/path.h"

namespace vitrine::vfs {
namespace {

using Kind = ProcNode::Kind;

// Decimal, as the kernel's name_to_int(): no sign, no leading zero.
std::optional<int> parse_number(std::string_view text) {
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0) return std::nullopt;
  if (text.size() > 1 && text[0] == '0') return std::nullopt;
  return value;
}

std::string host_fd_folder(const ProcNode& node) {
  return "/proc/" + std::to_string(node.tid) + "/fd";
}

}  // namespace

Proc::Proc(const Identity& identity, std::uint64_t inode_seed)
    : identity_(identity), inode_seed_(inode_seed), built_at_(now()) {
  timespec boot{};
  ::clock_gettime(CLOCK_BOOTTIME, &boot);
  constexpr long kTick = 1'000'000'000 / 100;  // USER_HZ
  boot_ticks_at_start_ = static_cast<std::uint64_t>(boot.tv_sec * 100 + boot.tv_nsec / kTick);
}

void Proc::set_names(DescriptorName descriptor, MappedName mapped) {
  descriptor_name_ = std::move(descriptor);
  mapped_name_ = std::move(mapped);
}

void Proc::set_mounts(std::string mounts, std::string mount_info) {
  mounts_ = std::move(mounts);
  mount_info_ = std::move(mount_info);
}

bool Proc::has_process(pid_t tgid) const {
  return processes_ != nullptr && processes_->process_of(tgid) == tgid;
}

bool Proc::has_thread(pid_t tgid, pid_t tid) const {
  return processes_ != nullptr && processes_->process_of(tid) == tgid;
}

mode_t Proc::type_of(const ProcNode& node) const {
  switch (node.kind) {
    case Kind::kSelf:
    case Kind::kThreadSelf:
    case Kind::kLink:
    case Kind::kFd:
      return S_IFLNK;
    case Kind::kFile:
    case Kind::kFdInfo:
      return S_IFREG;
    default:
      return S_IFDIR;
  }
}

Result<ProcNode> Proc::child(const Caller& caller, const ProcNode& folder,
                             std::string_view name) const {
  switch (folder.kind) {
    case Kind::kRoot: {
      if (name == "self" && has_process(caller.tgid)) return ProcNode{.kind = Kind::kSelf};
      if (name == "thread-self" && has_process(caller.tgid))
        return ProcNode{.kind = Kind::kThreadSelf};
      // As the kernel: a thread's number is found here too, though it is not listed.
      const auto id = parse_number(name);
      if (!id || processes_ == nullptr) return fail(ENOENT, "proc");
      const auto process = processes_->process_of(*id);
      if (!process) return fail(ENOENT, "proc");
      return ProcNode{.kind = Kind::kProcess, .tgid = *process, .tid = *id};
    }
    case Kind::kProcess:
    case Kind::kTask:
      return child_of_process(folder, name);
    default:
      return child_by_number(folder, name);
  }
}

Result<ProcNode> Proc::child_of_process(const ProcNode& folder, std::string_view name) const {
  if (!has_thread(folder.tgid, folder.tid)) return fail(ENOENT, "proc");
  ProcNode node = folder;
  if (name == "fd") {
    node.kind = Kind::kFdFolder;
    return node;
  }
  if (name == "fdinfo") {
    node.kind = Kind::kFdInfoFolder;
    return node;
  }
  if (name == "task" && !folder.in_task) {
    node.kind = Kind::kTaskFolder;
    return node;
  }
  for (const ProcFileRow& row : proc_file_rows()) {
    if (row.name != name) continue;
    node.kind = row.link ? Kind::kLink : Kind::kFile;
    node.row = &row;
    return node;
  }
  return fail(ENOENT, "proc");
}

Result<ProcNode> Proc::child_by_number(const ProcNode& folder, std::string_view name) const {
  const auto number = parse_number(name);
  if (!number || !has_thread(folder.tgid, folder.tid)) return fail(ENOENT, "proc");
  ProcNode node = folder;
  if (folder.kind == Kind::kTaskFolder) {
    if (!has_thread(folder.tgid, *number)) return fail(ENOENT, "proc");
    node.kind = Kind::kTask;
    node.tid = *number;
    node.in_task = true;
    return node;
  }
  node.kind = folder.kind == Kind::kFdFolder ? Kind::kFd : Kind::kFdInfo;
  node.number = *number;
  if (*number == processes_->supervisor_descriptor()) return fail(ENOENT, "proc");
  struct stat ignored {};
  const std::string path = host_fd_folder(node) + "/" + std::to_string(*number);
  if (::lstat(path.c_str(), &ignored) != 0) return fail(ENOENT, "proc");
  return node;
}

Result<Attributes> Proc::attributes(const ProcNode& node, std::string_view path) const {
  mode_t permissions = 0555;
  if (node.kind == Kind::kFile || node.kind == Kind::kFdInfo) permissions = 0444;
  if (node.kind == Kind::kFdFolder || node.kind == Kind::kFdInfoFolder) permissions = 0500;
  if (type_of(node) == S_IFLNK) permissions = 0777;
  if (node.kind == Kind::kFd) {
    const std::string link = host_fd_folder(node) + "/" + std::to_string(node.number);
    const auto seen = attributes_at(AT_FDCWD, link.c_str(), false);
    if (!seen) return fail(ENOENT, "proc");
    permissions = seen->stx_mode & 0700U;  // the descriptor's access mode
  }
  const bool system = node.kind == Kind::kRoot;
  Attributes result =
      synthetic_attributes(type_of(node) | permissions, inode_for(path, inode_seed_), 0,
                           system ? Identity{} : identity_, built_at_);
  result.stx_blksize = 1024;
  if (node.kind == Kind::kFd) result.stx_size = 64;
  return result;
}

Result<std::string> Proc::read_link(const Caller& caller, const ProcNode& node) const {
  switch (node.kind) {
    case Kind::kSelf:
      return std::to_string(caller.tgid);
    case Kind::kThreadSelf:
      return std::to_string(caller.tgid) + "/task/" + std::to_string(caller.tid);
    case Kind::kLink:
      return node.row->content(*this, node);
    case Kind::kFd:
      return descriptor_name_(node.tid, node.number);
    default:
      return fail(EINVAL, "readlink");
  }
}

Result<std::string> Proc::content(const ProcNode& node) const {
  if (!has_thread(node.tgid, node.tid)) return fail(ESRCH, "proc");
  if (node.kind == Kind::kFdInfo) return descriptor_info(node);
  return node.row->content(*this, node);
}

std::vector<std::string> Proc::numbers_in(const ProcNode& folder) const {
  std::vector<std::string> names;
  if (folder.kind == Kind::kRoot) {
    for (const pid_t process : processes_->processes()) names.push_back(std::to_string(process));
  } else if (folder.kind == Kind::kTaskFolder) {
    for (const pid_t thread : processes_->threads(folder.tgid))
      names.push_back(std::to_string(thread));
  } else if (folder.kind == Kind::kFdFolder || folder.kind == Kind::kFdInfoFolder) {
    const UniqueFd fd(::open(host_fd_folder(folder).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    auto entries = fd ? list_host_folder(fd.get()) : fail_errno("proc");
    if (entries)
      for (ListEntry& entry : *entries) names.push_back(std::move(entry.name));
  }
  return names;
}

Result<std::vector<ListEntry>> Proc::list(const Caller& caller, const ProcNode& folder,
                                          std::string_view path) const {
  if (processes_ == nullptr) return std::vector<ListEntry>{};
  std::vector<std::string> names = numbers_in(folder);
  if (folder.kind == Kind::kRoot) {
    names.insert(names.end(), {"self", "thread-self"});
  } else if (folder.kind == Kind::kProcess || folder.kind == Kind::kTask) {
    names.insert(names.end(), {"fd", "fdinfo"});
    if (!folder.in_task) names.emplace_back("task");
    for (const ProcFileRow& row : proc_file_rows()) names.emplace_back(row.name);
  }
  std::vector<ListEntry> entries;
  for (std::string& name : names) {
    const auto node = child(caller, folder, name);
    if (!node) continue;  // gone meanwhile
    const auto type = static_cast<std::uint8_t>(IFTODT(type_of(*node)));
    const std::uint64_t inode = inode_for(join(path, name), inode_seed_);
    entries.push_back({inode, std::move(name), type});
  }
  return entries;
}

}  // namespace vitrine::vfs
