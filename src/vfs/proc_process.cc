// What the files of /proc/PID say: the kernel's own text, without what only the host knows.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <string>
#include <vector>

#include "vfs/proc.h"

namespace vitrine::vfs {

// The generators' access to Proc.
struct ProcContent {
  static const ProcessView& processes(const Proc& proc) { return *proc.processes_; }
  static const Identity& identity(const Proc& proc) { return proc.identity_; }
  static std::uint64_t start_ticks(const Proc& proc) { return proc.boot_ticks_at_start_; }
  static std::string mapped(const Proc& proc, std::uint64_t inode, std::string_view name) {
    return proc.mapped_name_(inode, name);
  }
  static bool has_process(const Proc& proc, pid_t pid) { return proc.has_process(pid); }
  static bool is_stopped(const Proc& proc, const ProcNode& node) {
    return proc.processes_->is_stopped(node.tid);
  }
  static const std::string& mounts(const Proc& proc) { return proc.mounts_; }
  static const std::string& mount_info(const Proc& proc) { return proc.mount_info_; }
};

namespace {

using Text = Result<std::string>;

constexpr std::size_t kMaxContent = 32U << 20;

std::string host_path(const ProcNode& node, std::string_view name) {
  // A thread's numbers only below task/: /proc/PID/stat sums the process.
  std::string path = "/proc/" + std::to_string(node.tgid);
  if (node.in_task || node.tid != node.tgid) path += "/task/" + std::to_string(node.tid);
  return path.append("/").append(name);
}

Text read_host(const ProcNode& node, const char* name) {
  const std::string path = host_path(node, name);
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  if (!fd) return fail(errno == ENOENT ? ESRCH : errno, "proc");
  std::string text;
  std::array<char, 16384> piece{};
  while (text.size() < kMaxContent) {
    const ssize_t got = ::read(fd.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("proc");
    if (got == 0) return text;
    text.append(piece.data(), static_cast<std::size_t>(got));
  }
  return fail(ENOMEM, "proc");
}

template <typename Transform>
std::string each_line(std::string_view text, Transform transform) {
  std::string result;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size() - 1);
    transform(text.substr(0, end + 1), result);
    text.remove_prefix(end + 1);
  }
  return result;
}

std::string cpu_list(unsigned count) { return count > 1 ? "0-" + std::to_string(count - 1) : "0"; }

std::string cpu_mask(unsigned count) {
  std::string mask;
  for (unsigned left = count; left > 0;) {
    const unsigned bits = left % 32 == 0 ? 32 : left % 32;
    std::array<char, 16> word{};
    std::snprintf(word.data(), word.size(), mask.empty() ? "%x" : ",%08x",
                  bits == 32 ? 0xffffffffU : (1U << bits) - 1);
    mask += word.data();
    left -= bits;
  }
  return mask;
}

pid_t shown_pid(const Proc& proc, std::string_view text) {
  pid_t pid = 0;
  std::from_chars(text.data(), text.data() + text.size(), pid);
  return ProcContent::has_process(proc, pid) ? pid : 0;
}

Text status_of(const Proc& proc, const ProcNode& node) {
  auto text = read_host(node, "status");
  if (!text) return text;
  const unsigned cpus = ProcContent::processes(proc).cpu_count();
  const auto four = [](auto id) {
    const std::string one = "\t" + std::to_string(id);
    return one + one + one + one + "\n";
  };
  return each_line(*text, [&](std::string_view line, std::string& out) {
    const std::string_view key = line.substr(0, line.find(':'));
    const auto value =
        line.substr(std::min(line.find_first_not_of(": \t", key.size()), line.size()));
    if (key.starts_with("NS") || key == "Ngid") return;
    out.append(key).append(":");
    if (key == "TracerPid")
      out += "\t0\n";
    else if (key == "PPid")
      out += "\t" + std::to_string(shown_pid(proc, value)) + "\n";
    else if (key == "Uid")
      out += four(ProcContent::identity(proc).uid);
    else if (key == "Gid")
      out += four(ProcContent::identity(proc).gid);
    else if (key == "Cpus_allowed")
      out += "\t" + cpu_mask(cpus) + "\n";
    else if (key == "Cpus_allowed_list")
      out += "\t" + cpu_list(cpus) + "\n";
    else if (key == "State" && value.starts_with('t'))
      out += ProcContent::is_stopped(proc, node) ? "\tT (stopped)\n" : "\tR (running)\n";
    else
      out.append(line.substr(key.size() + 1));
  });
}

// proc_pid_stat(5); fields are counted from 1, and the second may hold anything.
Text stat_of(const Proc& proc, const ProcNode& node) {
  auto text = read_host(node, "stat");
  if (!text) return text;
  const auto name_end = text->rfind(") ");
  if (name_end == std::string::npos) return fail(EIO, "proc");
  std::vector<std::string> fields;
  std::string_view rest = std::string_view(*text).substr(name_end + 2);
  while (!rest.empty() && rest != "\n") {
    const auto end = std::min(rest.find_first_of(" \n"), rest.size());
    fields.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  const auto field = [&](std::size_t number) -> std::string* {
    return number - 3 < fields.size() ? &fields[number - 3] : nullptr;
  };
  if (auto* state = field(3); state != nullptr && *state == "t")
    *state = ProcContent::is_stopped(proc, node) ? "T" : "R";
  for (const std::size_t number : {4U, 5U, 6U})  // ppid, pgrp, session
    if (auto* id = field(number)) *id = std::to_string(shown_pid(proc, *id));
  if (auto* start = field(22)) {
    std::uint64_t ticks = 0;
    std::from_chars(start->data(), start->data() + start->size(), ticks);
    const std::uint64_t before = ProcContent::start_ticks(proc);
    *start = std::to_string(ticks > before ? ticks - before : 0);
  }
  if (auto* processor = field(39)) *processor = "0";
  std::string result = text->substr(0, name_end + 1);
  for (const std::string& each : fields) result.append(" ").append(each);
  return result + "\n";
}

// proc_pid_maps(5): "start-end perms offset dev inode      path".
void translate_mapping(const Proc& proc, std::string_view line, std::string& out) {
  const auto path = line.find('/');
  const auto bracket = line.find('[');
  if (path == std::string_view::npos || bracket < path) {
    out.append(line);
    return;
  }
  std::string_view name = line.substr(path);
  name.remove_suffix(name.ends_with('\n') ? 1 : 0);
  std::string_view head = line.substr(0, path);
  const auto inode_end = head.find_last_not_of(' ');
  const auto inode_begin = head.rfind(' ', inode_end) + 1;
  std::uint64_t inode = 0;
  std::from_chars(head.data() + inode_begin, head.data() + inode_end + 1, inode);
  constexpr std::string_view kDeleted = " (deleted)";
  const bool own_memory = name.starts_with("/memfd:") && !name.starts_with("/memfd:vitrine");
  if (own_memory || name.starts_with("/dev/zero")) {
    out.append(line);
    return;
  }
  const bool deleted = name.ends_with(kDeleted);
  if (deleted) name.remove_suffix(kDeleted.size());
  out.append(head).append(ProcContent::mapped(proc, inode, name));
  out.append(deleted && !name.starts_with("/memfd:") ? kDeleted : "").append("\n");
}

bool is_mapping_line(std::string_view line) {
  const auto dash = line.find_first_not_of("0123456789abcdef");
  return dash != std::string_view::npos && dash > 0 && line[dash] == '-';
}

Text mappings(const Proc& proc, const ProcNode& node, const char* name) {
  auto text = read_host(node, name);
  if (!text) return text;
  return each_line(*text, [&](std::string_view line, std::string& out) {
    if (is_mapping_line(line))
      translate_mapping(proc, line, out);
    else
      out.append(line);
  });
}

Text maps_of(const Proc& proc, const ProcNode& node) { return mappings(proc, node, "maps"); }
Text smaps_of(const Proc& proc, const ProcNode& node) { return mappings(proc, node, "smaps"); }

template <const char* kName>
Text as_the_host(const Proc&, const ProcNode& node) {
  return read_host(node, kName);
}

template <const char* kText>
Text constant(const Proc&, const ProcNode&) {
  return std::string(kText);
}

constexpr char kCmdline[] = "cmdline", kComm[] = "comm", kStatm[] = "statm", kIo[] = "io",
               kLimits[] = "limits", kEnviron[] = "environ", kAuxv[] = "auxv",
               kSchedstat[] = "schedstat", kRollup[] = "smaps_rollup";
constexpr char kZero[] = "0\n", kCgroup[] = "0::/\n", kRootFolder[] = "/",
               kLoginUid[] = "4294967295", kPersonality[] = "00000000\n";

Text cwd_of(const Proc& proc, const ProcNode& node) {
  return ProcContent::processes(proc).working_directory(node.tgid);
}
Text exe_of(const Proc& proc, const ProcNode& node) {
  std::string path = ProcContent::processes(proc).executable(node.tgid);
  if (path.empty()) return fail(ENOENT, "proc");
  return path;
}
Text mounts_of(const Proc& proc, const ProcNode&) { return ProcContent::mounts(proc); }
Text mount_info_of(const Proc& proc, const ProcNode&) { return ProcContent::mount_info(proc); }

constexpr ProcFileRow kRows[] = {
    {"auxv", false, as_the_host<kAuxv>},
    {"cgroup", false, constant<kCgroup>},
    {"cmdline", false, as_the_host<kCmdline>},
    {"comm", false, as_the_host<kComm>},
    {"cwd", true, cwd_of},
    {"environ", false, as_the_host<kEnviron>},
    {"exe", true, exe_of},
    {"io", false, as_the_host<kIo>},
    {"limits", false, as_the_host<kLimits>},
    {"loginuid", false, constant<kLoginUid>},
    {"maps", false, maps_of},
    {"mountinfo", false, mount_info_of},
    {"mounts", false, mounts_of},
    {"oom_score", false, constant<kZero>},
    {"oom_score_adj", false, constant<kZero>},
    {"personality", false, constant<kPersonality>},
    {"root", true, constant<kRootFolder>},
    {"schedstat", false, as_the_host<kSchedstat>},
    {"smaps", false, smaps_of},
    {"smaps_rollup", false, as_the_host<kRollup>},
    {"stat", false, stat_of},
    {"statm", false, as_the_host<kStatm>},
    {"status", false, status_of},
};

// Of what is anonymous only these have an fdinfo whose length the program does not set.
bool is_told_briefly(const std::string& link) {
  constexpr std::string_view kBrief[] = {"anon_inode:[eventfd]", "anon_inode:[pidfd]",
                                         "anon_inode:[signalfd]", "anon_inode:[timerfd]"};
  std::array<char, 64> name{};
  const ssize_t size = ::readlink(link.c_str(), name.data(), name.size());
  return size >= 0 &&
         std::ranges::count(kBrief,
                            std::string_view(name.data(), static_cast<std::size_t>(size))) != 0;
}

}  // namespace

std::span<const ProcFileRow> proc_file_rows() { return kRows; }

Result<std::string> Proc::descriptor_info(const ProcNode& node) const {
  ProcNode thread = node;
  thread.in_task = true;
  const std::string number = std::to_string(node.number);
  const std::string link = host_path(thread, "fd/" + number);
  const auto seen = attributes_at(AT_FDCWD, link.c_str(), true);
  if (!seen) return fail(seen.error().code == ENOENT ? ESRCH : seen.error().code, "proc");
  if (is_anonymous(*seen) && !is_told_briefly(link)) return fail(EACCES, "proc");
  auto text = read_host(thread, ("fdinfo/" + number).c_str());
  if (!text) return text;
  return each_line(*text, [](std::string_view line, std::string& out) {
    if (line.starts_with("mnt_id:"))
      out += "mnt_id:\t1\n";
    else if (!line.starts_with("ino:") && !line.starts_with("lock:"))
      out.append(line);
  });
}

}  // namespace vitrine::vfs
