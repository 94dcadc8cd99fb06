// The synthetic /proc: own processes only, no value that only the host knows, no way to more
// access.
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include <array>

#include "vfs_fixture.h"

namespace vitrine::vfs {
namespace {

class ProcTree : public VfsTest {
 protected:
  void SetUp() override {
    VfsTest::SetUp();
    put("a/file", "content");
    build(ShowRule{host("a"), "/m"}, ScratchRule{"/s", 1 << 20}, InlineRule{"/inline", "x", false},
          SyntheticRule{"proc"}, SyntheticRule{"dev"}, FolderRule{"/work"});
  }
  static std::string fd_path(const Opened& opened) {
    return "/proc/self/fd/" + std::to_string(opened.fd.get());
  }
  std::string own() const { return "/proc/" + std::to_string(::getpid()); }
};

TEST_F(ProcTree, ForeignProcessesDoNotExist) {
  const std::string parent = std::to_string(::getppid());
  for (const std::string& pid : std::vector<std::string>{"1", "2", parent, "999999999"}) {
    const std::string path = "/proc/" + pid;
    EXPECT_EQ(stat_code(path), ENOENT) << path;
    EXPECT_EQ(open_code(path), ENOENT) << path;
    EXPECT_EQ(open_code(path + "/status"), ENOENT) << path;
    EXPECT_EQ(read_link(path + "/exe"), "errno 2") << path;
    EXPECT_EQ(open_code("/proc/self/task/" + pid), ENOENT) << path;
    EXPECT_FALSE(list("/proc").contains(pid));
  }
  for (const std::string name : {"01", "+1", "-1", "1x", "0x1", "1 "})
    EXPECT_EQ(stat_code("/proc/" + name), ENOENT) << name;
  EXPECT_TRUE(list("/proc").contains(std::to_string(::getpid())));
}

TEST_F(ProcTree, SelfLeadsToTheCaller) {
  EXPECT_EQ(read_link("/proc/self"), std::to_string(::getpid()));
  EXPECT_EQ(read_link("/proc/thread-self"),
            std::to_string(::getpid()) + "/task/" + std::to_string(::getpid()));
  EXPECT_EQ(read("/proc/self/comm"), read(own() + "/comm"));
  EXPECT_EQ(read("/proc/thread-self/comm"), read(own() + "/comm"));
  EXPECT_EQ(stat("/proc/self/status").stx_ino, stat(own() + "/status").stx_ino);
  EXPECT_EQ(read_link("/proc/self/cwd"), "/work");
  EXPECT_EQ(read_link("/proc/self/root"), "/");
  EXPECT_EQ(read_link("/proc/self/exe"), "/usr/bin/program");
  EXPECT_EQ(read("/proc/self/root/m/file"), "content");
  EXPECT_EQ(open_code("/proc/self/root/etc/passwd"), ENOENT);
}

TEST_F(ProcTree, WhatWouldGivePowerIsAbsent) {
  for (const char* name : {"mem", "map_files", "ns", "pagemap", "clear_refs", "coredump_filter",
                           "attr", "net", "stack", "syscall", "uid_map", "setgroups", "wchan"})
    EXPECT_EQ(open_code(std::string("/proc/self/") + name), ENOENT) << name;
  for (const char* name : {"kcore", "kmsg", "kallsyms", "keys", "modules", "net", "sysrq-trigger",
                           "bus", "sys/kernel/core_pattern"})
    EXPECT_EQ(open_code(std::string("/proc/") + name), ENOENT) << name;
  EXPECT_EQ(open_code("/proc/self/oom_score_adj", O_WRONLY), EACCES);
  EXPECT_EQ(open_code("/proc/self/comm", O_RDWR), EACCES);
}

TEST_F(ProcTree, StatusHidesTheHost) {
  const std::string status = read("/proc/self/status");
  EXPECT_NE(status.find("TracerPid:\t0\n"), std::string::npos);
  EXPECT_NE(status.find("PPid:\t0\n"), std::string::npos);
  EXPECT_NE(status.find("Uid:\t1000\t1000\t1000\t1000\n"), std::string::npos) << status;
  EXPECT_NE(status.find("Cpus_allowed_list:\t0-2\n"), std::string::npos);
  EXPECT_NE(status.find("Cpus_allowed:\t7\n"), std::string::npos);
  EXPECT_EQ(status.find("NSpid"), std::string::npos);
  const std::string stat_line = read("/proc/self/stat");
  EXPECT_TRUE(stat_line.starts_with(std::to_string(::getpid()) + " ("));
  EXPECT_NE(stat_line.find(") R 0 "), std::string::npos) << stat_line;
}

TEST_F(ProcTree, MapsNameTheGuestsPaths) {
  auto shown = open("/m/file");
  write("/s/file", "scratch");
  auto scratch = open("/s/file");
  void* one = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE, shown->fd.get(), 0);
  void* two = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, scratch->fd.get(), 0);
  const std::string maps = read("/proc/self/maps");
  ::munmap(one, 4096);
  ::munmap(two, 4096);
  EXPECT_NE(maps.find(" /m/file\n"), std::string::npos) << maps;
  EXPECT_NE(maps.find(" /s/file\n"), std::string::npos) << maps;
  EXPECT_NE(maps.find("[stack]"), std::string::npos);
  EXPECT_EQ(maps.find(host_), std::string::npos);
  EXPECT_EQ(maps.find("/usr/lib"), std::string::npos) << "not shown, so not named";
  EXPECT_NE(read("/proc/self/smaps").find("Pss:"), std::string::npos);
}

TEST_F(ProcTree, SystemFilesTellTheBudgets) {
  EXPECT_NE(read("/proc/meminfo").find("MemTotal:         262144 kB\n"), std::string::npos)
      << read("/proc/meminfo");
  EXPECT_NE(read("/proc/meminfo").find("MemAvailable:     204800 kB\n"), std::string::npos);
  const std::string cpuinfo = read("/proc/cpuinfo");
  EXPECT_NE(cpuinfo.find("processor\t: 2\n"), std::string::npos);
  EXPECT_EQ(cpuinfo.find("processor\t: 3\n"), std::string::npos);
  EXPECT_NE(cpuinfo.find("cache size\t: "), std::string::npos);
  EXPECT_EQ(read("/proc/loadavg").substr(0, 5), "0.00 ");
  EXPECT_EQ(read("/proc/sys/kernel/hostname"), "vitrine\n");
  EXPECT_NE(read("/proc/mounts").find("tmpfs /s tmpfs rw"), std::string::npos);
  EXPECT_EQ(stat("/proc/meminfo").stx_size, 0U);
  EXPECT_NE(read("/proc/self/mountinfo").find(" /s rw"), std::string::npos)
      << read("/proc/self/mountinfo");
  const std::string cpus = read("/proc/stat");
  EXPECT_NE(cpus.find("cpu2 "), std::string::npos);
  EXPECT_EQ(cpus.find("cpu3 "), std::string::npos);
}

TEST_F(ProcTree, NothingOfTheHostIsInWhatIsToldOfTheSystem) {
  const std::string version = read("/proc/version");
  EXPECT_TRUE(version.starts_with("Linux version ") && version.ends_with(" (vitrine) #1 SMP\n"))
      << version;
  const auto host = [](const char* path) {
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  EXPECT_NE(version, host("/proc/version"));
  // The run's own time, not the host's.
  EXPECT_LT(std::stod(read("/proc/uptime")), 1000);
  const std::string boot = read("/proc/sys/kernel/random/boot_id");
  EXPECT_EQ(boot.size(), 37U);
  EXPECT_EQ(boot.find_first_not_of("0123456789abcdef-\n"), std::string::npos) << boot;
  EXPECT_NE(boot, host("/proc/sys/kernel/random/boot_id"));
}

TEST_F(ProcTree, FdLinksNameWhatTheGuestKnows) {
  auto shown = open("/m/file");
  EXPECT_EQ(read_link(fd_path(*shown)), "/m/file");
  auto folder = open("/m", O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(read_link(fd_path(*folder)), "/m");
  auto null = open("/dev/null");
  EXPECT_EQ(read_link(fd_path(*null)), "/dev/null");
  auto text = open("/inline");
  EXPECT_EQ(read_link(fd_path(*text)), "/inline");
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  EXPECT_TRUE(read_link("/proc/self/fd/" + std::to_string(pipe[0])).starts_with("pipe:["));
  ::close(pipe[0]);
  ::close(pipe[1]);
  const UniqueFd foreign(::open("/etc/hostname", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(read_link("/proc/self/fd/" + std::to_string(foreign.get())), "/(unreachable)");
  EXPECT_EQ(read_link("/proc/self/fd/9999"), "errno 2");
}

TEST_F(ProcTree, ReopeningNeverGivesMoreAccess) {
  auto shown = open("/m/file");
  EXPECT_EQ(read(fd_path(*shown)), "content");
  EXPECT_EQ(open_code(fd_path(*shown), O_WRONLY), EROFS);
  EXPECT_EQ(open_code(fd_path(*shown), O_RDWR), EROFS);
  EXPECT_EQ(open_code(fd_path(*shown), O_RDONLY | O_TRUNC), EROFS);
  write("/s/file", "scratch");
  auto scratch = open("/s/file");
  EXPECT_EQ(open_code(fd_path(*scratch), O_RDWR), 0) << "its path may be written too";
  ASSERT_TRUE(fs_->change_mode(caller_, cwd_, "/s/file", 0400, FinalLink::kFollow));
  EXPECT_EQ(open_code(fd_path(*scratch), O_RDWR), EACCES);
  auto text = open("/inline");
  EXPECT_EQ(open_code(fd_path(*text), O_RDWR), EROFS);
  EXPECT_EQ(read(fd_path(*text)), "x");
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  const std::string reader = "/proc/self/fd/" + std::to_string(pipe[0]);
  const std::string writer = "/dev/fd/" + std::to_string(pipe[1]);
  EXPECT_EQ(open_code(reader), 0);
  EXPECT_EQ(open_code(reader, O_WRONLY), EACCES);
  EXPECT_EQ(open_code(writer, O_WRONLY), 0);
  EXPECT_EQ(open_code(writer, O_RDWR), EACCES);
  ::close(pipe[0]);
  ::close(pipe[1]);
  const UniqueFd memory(::memfd_create("own", MFD_CLOEXEC));
  EXPECT_EQ(open_code("/proc/self/fd/" + std::to_string(memory.get()), O_RDWR), 0);
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  EXPECT_EQ(open_code("/proc/self/fd/" + std::to_string(socket.get())), ENXIO);
}

TEST_F(ProcTree, FolderBehindADescriptorIsWalkedInTheTree) {
  auto folder = open("/m", O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(read(fd_path(*folder) + "/file"), "content");
  EXPECT_EQ(stat(fd_path(*folder) + "/..").stx_ino, stat("/").stx_ino);
  EXPECT_EQ(open_code(fd_path(*folder) + "/../etc/passwd"), ENOENT);
  auto file = open("/m/file");
  EXPECT_EQ(open_code(fd_path(*file) + "/x"), ENOTDIR);
  // A folder of the host that the guest could never have: not walked either.
  const UniqueFd foreign(::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  EXPECT_EQ(open_code("/proc/self/fd/" + std::to_string(foreign.get()) + "/etc/passwd"), ENOTDIR);
}

TEST_F(ProcTree, FdFolderListsDescriptors) {
  auto shown = open("/m/file");
  const auto entries = list("/proc/self/fd");
  EXPECT_TRUE(entries.contains(std::to_string(shown->fd.get())));
  EXPECT_TRUE(entries.contains("0"));
  EXPECT_NE(read("/proc/self/fdinfo/" + std::to_string(shown->fd.get())).find("pos:\t0\n"),
            std::string::npos);
  EXPECT_EQ(stat(fd_path(*shown)).stx_ino, fstat(shown->fd.get()).stx_ino);
  EXPECT_TRUE(S_ISLNK(stat(fd_path(*shown), FinalLink::kNoFollow).stx_mode));
}

// The kernel makes the whole text for its first byte, and an epoll's has a line for each watch.
TEST_F(ProcTree, FdInfoIsReadOnlyWhereTheProgramDoesNotSetItsLength) {
  const auto info = [](const UniqueFd& fd) {
    return "/proc/self/fdinfo/" + std::to_string(fd.get());
  };
  int pipe[2];
  ASSERT_EQ(::pipe2(pipe, O_CLOEXEC), 0);
  const UniqueFd short_ones[] = {
      UniqueFd(::eventfd(7, EFD_CLOEXEC)), UniqueFd(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)),
      UniqueFd(::signalfd(-1, std::array<sigset_t, 1>{}.data(), SFD_CLOEXEC)), UniqueFd(pipe[0]),
      UniqueFd(pipe[1])};
  for (const UniqueFd& fd : short_ones)
    EXPECT_TRUE(read(info(fd)).starts_with("pos:\t0\n")) << read(info(fd));
  EXPECT_NE(read(info(short_ones[0])).find("eventfd-count:"), std::string::npos);
  const UniqueFd long_ones[] = {UniqueFd(::epoll_create1(EPOLL_CLOEXEC)),
                                UniqueFd(::inotify_init1(IN_CLOEXEC))};
  for (const UniqueFd& fd : long_ones)
    EXPECT_EQ(infos_opened([&] {
                caller_.tgid = caller_.tid = ::getpid();
                EXPECT_EQ(open_code(info(fd)), EACCES);
              }),
              0);
}

TEST_F(ProcTree, NothingCanBeMadeOrTakenAway) {
  EXPECT_EQ(code(fs_->make_directory(caller_, cwd_, "/proc/x", 0777)), ENOENT);
  EXPECT_EQ(open_code("/proc/x", O_CREAT | O_WRONLY), ENOENT);
  EXPECT_EQ(code(fs_->unlink(caller_, cwd_, "/proc/self/status")), EPERM);
  EXPECT_EQ(code(fs_->remove_directory(caller_, cwd_, own())), EPERM);
}

TEST_F(ProcTree, WithoutTreeOfProcessesThereIsNoSelf) {
  fs_->attach(nullptr);
  EXPECT_EQ(stat_code("/proc/self"), ENOENT);
  EXPECT_EQ(stat_code(own()), ENOENT);
}

TEST_F(ProcTree, MapsOfMemoryThatHasNoPathOfTheTree) {
  const auto map = [](int fd) { return ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0); };
  write("/s/gone", "scratch");
  auto gone = open("/s/gone");
  ASSERT_EQ(code(fs_->unlink(caller_, cwd_, "/s/gone")), 0);
  const auto snapshot = open("/inline");
  const UniqueFd own(::memfd_create("mine", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(own.get(), 4096), 0);
  put("b/unshown", "x");
  const UniqueFd unlinked(::open(host("b/unshown").c_str(), O_RDONLY | O_CLOEXEC));
  put("a/deleted", "x");
  const auto deleted = open("/m/deleted");
  std::filesystem::remove(host("a/deleted"));
  void* const mapped[] = {map(gone->fd.get()), map(snapshot->fd.get()), map(own.get()),
                          map(unlinked.get()), map(deleted->fd.get())};
  const std::string maps = read("/proc/self/maps");
  for (void* const each : mapped) ::munmap(each, 4096);
  for (const char* line : {" /s/gone (deleted)\n", " /(deleted)\n", "/memfd:mine (deleted)\n",
                           " /(unreachable)\n", " /m/deleted (deleted)\n"})
    EXPECT_NE(maps.find(line), std::string::npos) << line << maps;
  EXPECT_EQ(maps.find("memfd:vitrine"), std::string::npos);
}

TEST_F(ProcTree, NamelessFileOfARootThatIsScratch) {
  build(ScratchRule{"/", 1 << 20}, SyntheticRule{"proc"});
  const auto file = open("/", O_RDWR | O_TMPFILE);
  ASSERT_TRUE(file);
  const std::string name = read_link(fd_path(*file));
  EXPECT_TRUE(name.starts_with("/#") && name.ends_with(" (deleted)")) << name;
}

}  // namespace
}  // namespace vitrine::vfs
