// The synthetic /proc's files about the machine: the run's budgets, not the host.
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cstdio>
#include <string>

#include "vfs/synthetic_trees.h"

namespace vitrine::vfs {
namespace {

unsigned cpus_of(const SystemView& view) {
  return view.processes != nullptr ? std::max(1U, view.processes->cpu_count()) : 1;
}

std::uint64_t host_memory() {
  struct sysinfo info {};
  if (::sysinfo(&info) != 0) return 0;
  return static_cast<std::uint64_t>(info.totalram) * info.mem_unit;
}

std::string kernel_release() {
  utsname name{};
  return ::uname(&name) == 0 ? name.release : "0";
}

double seconds_since_start(const SystemView& view) {
  return std::chrono::duration<double>(monotonic_now() - view.started).count();
}

std::string meminfo(const SystemView& view) {
  std::uint64_t total = host_memory();
  std::uint64_t used = 0;
  if (view.processes != nullptr) {
    total = std::min(total, view.processes->memory_limit().value_or(total));
    used = std::min(total, view.processes->memory_used());
  }
  std::string text;
  const auto line = [&](const char* name, std::uint64_t bytes) {
    char row[64];
    std::snprintf(row, sizeof row, "%-15s %8llu kB\n", name,
                  static_cast<unsigned long long>(bytes / 1024));
    text += row;
  };
  line("MemTotal:", total);
  line("MemFree:", total - used);
  line("MemAvailable:", total - used);
  for (const char* name : {"Buffers:", "Cached:", "SwapCached:"}) line(name, 0);
  line("Active:", used);
  line("Inactive:", 0);
  for (const char* name : {"SwapTotal:", "SwapFree:", "Dirty:", "Writeback:"}) line(name, 0);
  line("AnonPages:", used);
  for (const char* name : {"Mapped:", "Shmem:", "Slab:"}) line(name, 0);
  line("CommitLimit:", total);
  line("Committed_AS:", used);
  return text;
}

// One block a processor. The host's model is what cpuid(1) tells the program anyway; PyPy warns
// where it is told of no cache.
std::string cpuinfo(const SystemView& view) {
  std::string text;
  const unsigned cpus = cpus_of(view);
  for (unsigned cpu = 0; cpu < cpus; ++cpu) {
    const std::string number = std::to_string(cpu);
    text += "processor\t: " + number +
            "\ncache size\t: 2048 KB\nphysical id\t: 0\nsiblings\t: " + std::to_string(cpus) +
            "\ncore id\t\t: " + number + "\ncpu cores\t: " + std::to_string(cpus) + "\n\n";
  }
  return text;
}

std::string stat(const SystemView& view) {
  const std::string zeroes = " 0 0 0 0 0 0 0 0 0 0\n";
  std::string text = "cpu " + zeroes;
  for (unsigned cpu = 0; cpu < cpus_of(view); ++cpu) text += "cpu" + std::to_string(cpu) + zeroes;
  return text + "intr 0\nctxt 0\nbtime " + std::to_string(view.booted) +
         "\nprocesses 1\nprocs_running 1\nprocs_blocked 0\nsoftirq 0\n";
}

std::string uptime(const SystemView& view) {
  char row[64];
  std::snprintf(row, sizeof row, "%.2f 0.00\n", seconds_since_start(view));
  return row;
}

std::string version(const SystemView&) {
  return "Linux version " + kernel_release() + " (vitrine) #1 SMP\n";
}

std::string boot_id(const SystemView& view) {
  const std::uint64_t seed = inode_for("boot_id", view.options.inode_seed);
  char row[64];
  std::snprintf(row, sizeof row, "%08x-%04x-4%03x-8%03x-%012llx\n",
                static_cast<unsigned>(seed >> 8) & 0xffffffffU,
                static_cast<unsigned>(seed) & 0xffffU, static_cast<unsigned>(seed >> 4) & 0xfffU,
                static_cast<unsigned>(seed >> 12) & 0xfffU,
                static_cast<unsigned long long>(seed & 0xffffffffffffULL));
  return row;
}

}  // namespace

void add_proc(MountTree& tree, const std::string& rule) {
  MountTree::cover(tree.at("/proc"), MountNode::Kind::kProc, rule);
  const auto add = [&](const char* path, Generator generate) {
    add_generated(tree, path, rule, std::move(generate));
  };
  const auto add_constant = [&](const char* path, std::string text) {
    add(path, [text = std::move(text)](const SystemView&) { return text; });
  };
  add("/proc/cpuinfo", cpuinfo);
  add("/proc/meminfo", meminfo);
  add("/proc/stat", stat);
  add("/proc/uptime", uptime);
  add("/proc/version", version);
  add_constant("/proc/loadavg", "0.00 0.00 0.00 1/1 1\n");
  add_constant("/proc/filesystems", "nodev\ttmpfs\nnodev\tproc\n");
  add_link(tree, "/proc/mounts", rule, "self/mounts");
  for (const char* folder :
       {"/proc/sys", "/proc/sys/kernel", "/proc/sys/kernel/random", "/proc/sys/vm", "/proc/sys/fs"})
    add_folder(tree, folder, rule);
  add_constant("/proc/sys/kernel/ostype", "Linux\n");
  add_constant("/proc/sys/kernel/osrelease", kernel_release() + "\n");
  add_constant("/proc/sys/kernel/version", "#1 SMP\n");
  add_constant("/proc/sys/kernel/pid_max", "4194304\n");
  add_constant("/proc/sys/kernel/threads-max", "4194304\n");
  add_constant("/proc/sys/kernel/cap_last_cap", "40\n");
  add_constant("/proc/sys/kernel/ngroups_max", "65536\n");
  add_constant("/proc/sys/kernel/shmmax", "18446744073692774399\n");
  add_constant("/proc/sys/kernel/seccomp/actions_avail", "\n");
  add("/proc/sys/kernel/hostname",
      [](const SystemView& view) { return view.options.host_name + "\n"; });
  add_constant("/proc/sys/kernel/random/entropy_avail", "256\n");
  add("/proc/sys/kernel/random/boot_id", boot_id);
  add_constant("/proc/sys/vm/overcommit_memory", "0\n");
  add_constant("/proc/sys/vm/max_map_count", "65530\n");
  add_constant("/proc/sys/fs/file-max", "65536\n");
  add_constant("/proc/sys/fs/pipe-max-size", "1048576\n");
}

}  // namespace vitrine::vfs
