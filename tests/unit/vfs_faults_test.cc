// Every kernel call that serving files makes fails once, at each of its occurrences: what is asked
// for is refused or right, nothing that was written is lost, and no descriptor is left.
#include <poll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <string_view>

#include "failing_call.h"
#include "vfs_fixture.h"

namespace vitrine::vfs {
namespace {

using Arm = std::function<void()>;

// What vfs asks the kernel for. Not read(2) and write(2), by which the tests look at what it did.
const std::vector<long> kCalls = {
    SYS_memfd_create, SYS_fcntl,     SYS_openat,     SYS_openat2,  SYS_statx,
    SYS_newfstatat,   SYS_ftruncate, SYS_pread64,    SYS_pwrite64, SYS_lseek,
    SYS_utimensat,    SYS_fchmod,    SYS_fallocate,  SYS_fstatfs,  SYS_getdents64,
    SYS_readlink,     SYS_mkdirat,   SYS_readlinkat, SYS_renameat, SYS_unlinkat,
    SYS_faccessat,    SYS_access,    SYS_sysinfo,    SYS_uname,    SYS_getrandom};

struct Fault {
  int error = EIO;
  std::vector<long> calls = kCalls;
  int most = 1;  // answers that are a refusal then
};

// Without a call that may be caught.
int open_descriptors() {
  std::array<pollfd, 512> all{};
  for (std::size_t i = 0; i < all.size(); ++i) all[i].fd = static_cast<int>(i);
  (void)::poll(all.data(), all.size(), 0);
  return static_cast<int>(std::ranges::count_if(
      all, [](const pollfd& each) { return (each.revents & POLLNVAL) == 0; }));
}

// Of a descriptor that is there, and by a call that is not caught.
long seals_of(const UniqueFd& fd) {
  const long seals = test::Call{SYS_fcntl, {fd.get(), F_GET_SEALS, 0, 0, 0, 0}}.perform();
  EXPECT_GE(seals, 0);
  return seals;
}

class VfsFaults : public VfsTest {
 protected:
  // `body` builds its tree before it calls arm(): memory files of another child are none of its.
  void each(const Fault& fault, const std::function<void(const Arm&)>& body) {
    test::each_in_turn(fault.calls, fault.error, [&](const Arm& arm) {
      caller_ = {::getpid(), ::getpid(), 022};
      fds_ = UniqueFd(::open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      const int before = open_descriptors();
      body(arm);
      cwd_.reset();
      fs_.reset();
      EXPECT_EQ(open_descriptors(), before);
    });
  }
  // Whether it was refused; else it is `wanted`.
  template <typename Answer>
  static bool refused_or(const Answer& seen, const Answer& wanted, const Answer& refusal) {
    EXPECT_TRUE(seen == refusal || seen == wanted) << testing::PrintToString(seen);
    return seen == refusal;
  }
};

// Those that nobody has open are kept as bytes, and made files again where there are too many.
TEST_F(VfsFaults, WhatWasWrittenToScratchIsWholeOrRefused) {
  const Fault faults[] = {
      {}, {EINTR, {SYS_pread64, SYS_pwrite64}, 0}, {EINVAL, {SYS_memfd_create, SYS_statx}, 0}};
  for (const Fault& fault : faults) {
    each(fault, [&](const Arm& arm) {
      options_.max_memory_files = 4;
      build(ScratchRule{"/s", 8 << 20});
      std::map<std::string, std::string> files;
      for (int i = 0; i < 5; ++i) files["/s/" + std::to_string(i)] = "file " + std::to_string(i);
      std::string& sparse = files["/s/sparse"] = std::string(70'000, '\0');
      sparse.replace(0, 5, "begin");
      for (const auto& [path, text] : files) write(path, path == "/s/sparse" ? "begin" : text);
      ASSERT_TRUE(fs_->truncate(caller_, cwd_, "/s/sparse", 70'000));
      arm();
      int failed = 0;
      for (int pass = 0; pass < 2; ++pass) {
        for (const auto& [path, text] : files) {
          struct statx seen {};
          const bool known = fs_->stat(caller_, cwd_, path, FinalLink::kFollow, seen).has_value();
          EXPECT_TRUE(!known || seen.stx_size == text.size()) << path;
          const auto opened = open(path);
          failed += (known ? 0 : 1) + (opened ? 0 : 1);
          EXPECT_TRUE(!opened || read_all(opened->fd.get()) == text) << path;
          EXPECT_TRUE(!opened || (seals_of(opened->fd) & F_SEAL_SEAL) != 0) << path;
        }
      }
      EXPECT_LE(failed, fault.most);
    });
  }
}

// A descriptor of a folder or of what is not a file of the host's stands for it (open_table.h).
TEST_F(VfsFaults, WhatADescriptorStandsForIsRightOrRefused) {
  put("shown/one", "1");
  put("shown/two", "2");
  const auto names_of = [&](int number) -> std::string {
    std::vector<std::byte> buffer(4096);
    const auto got = fs_->read_directory(caller_, guest(number), buffer);
    if (!got) return "refused";
    std::string text;
    for (std::size_t at = 0; at < *got;) {
      const auto* entry = reinterpret_cast<const dirent64*>(buffer.data() + at);
      text += std::string(entry->d_name) + " ";
      at += entry->d_reclen;
    }
    return text;
  };
  each({}, [&](const Arm& arm) {
    build(ShowRule{host_ + "/shown", "/work"}, ScratchRule{"/s", 1 << 20}, SyntheticRule{"proc"},
          InlineRule{"/i", "inline", false});
    write("/s/file", "x");
    arm();
    if (const auto folder = open("/work", O_RDONLY | O_DIRECTORY)) {
      EXPECT_TRUE(folder->fd);
      const std::string names = names_of(folder->fd.get());
      EXPECT_TRUE(names == "refused" || names == ". .. one two " || names == ". .. two one ")
          << names;
    }
    if (const auto handle = open("/work", O_PATH | O_DIRECTORY)) {
      EXPECT_EQ(names_of(handle->fd.get()), "refused");
      const auto below = fs_->directory_of(caller_, guest(handle->fd.get()));
      EXPECT_TRUE(!below || fs_->path_of(*below) == "/work");
    }
    for (const char* path : {"/work/one", "/i", "/s/file"}) {
      const auto handle = open(path, O_PATH);
      struct statx seen {};
      if (!handle || !fs_->stat_descriptor(caller_, guest(handle->fd.get()), seen)) continue;
      EXPECT_EQ(seen.stx_mode & S_IFMT, static_cast<unsigned>(S_IFREG)) << path;
    }
    const auto content = open("/i");
    EXPECT_TRUE(!content || read_all(content->fd.get()) == "inline");
    EXPECT_TRUE(!content || (seals_of(content->fd) & F_SEAL_WRITE) != 0);
    const auto task = open("/proc/self/comm");
    EXPECT_TRUE(!task || read_all(task->fd.get()).starts_with("vitrine"));
  });
}

// What holds a lock and cannot be looked at holds it still, and what cannot be locked is not.
TEST_F(VfsFaults, NoTwoHaveALock) {
  put("shown/file", "x");
  const auto record = [&](const UniqueFd& fd, int command, int type = F_WRLCK) {
    struct flock wanted {};
    wanted.l_type = static_cast<short>(type);
    return fs_->lock_record(caller_, guest(fd.get()), command, wanted).has_value();
  };
  const auto whole = [&](const UniqueFd& fd) {
    return fs_->lock_whole(caller_, guest(fd.get()), LOCK_EX).has_value();
  };
  const auto two_of = [&](const char* path, int flags, auto first, auto second) {
    each({}, [&](const Arm& arm) {
      build(ScratchRule{"/s", 1 << 20}, ShowRule{host_ + "/shown", "/work"});
      write("/s/file", "x");
      const auto one = open(path, flags);
      const auto two = open(path, flags);
      ASSERT_TRUE(one && two);
      arm();
      EXPECT_FALSE(first(one->fd) && second(two->fd)) << path;
    });
  };
  const auto of_description = [&](const UniqueFd& fd) { return record(fd, F_OFD_SETLK); };
  const auto of_process = [&](const UniqueFd& fd) { return record(fd, F_SETLK); };
  two_of("/s/file", O_RDWR, whole, whole);
  two_of("/s/file", O_RDWR, of_description, of_description);
  two_of("/s/file", O_RDWR, of_description, of_process);
  two_of("/s/file", O_RDWR, of_process, of_description);
  two_of("/work/file", O_RDONLY, whole, whole);
}

TEST_F(VfsFaults, SharedMemoryIsCountedOrRefused) {
  each({}, [&](const Arm& arm) {
    build(ScratchRule{"/s", 1 << 20});
    arm();
    constexpr std::size_t kSize = 64 << 10;
    const auto made = fs_->create_shared_memory(kSize);
    if (!made) return;
    constexpr long kSealed = F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
    EXPECT_EQ(seals_of(*made) & kSealed, kSealed);
    void* const mapped = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, made->get(), 0);
    ASSERT_NE(mapped, MAP_FAILED);
    std::memset(mapped, 1, kSize);
    EXPECT_GE(fs_->memory_held().used, kSize);
    ::munmap(mapped, kSize);
  });
}

TEST_F(VfsFaults, AScratchFileThatCannotBeLookedAtLeavesNoRoom) {
  each({}, [&](const Arm& arm) {
    build(ScratchRule{"/s", 1 << 20});
    const std::string text(900 << 10, 'x');
    write("/s/file", text);
    arm();
    EXPECT_GE(fs_->scratch_used(), text.size());
    EXPECT_LE(fs_->file_size_limit(), 1U << 20);
    const auto opened = open("/s/file", O_RDWR);
    const auto more = [&](int fd) {
      return fs_->allocate_descriptor(caller_, guest(fd), 0, 0, 900 << 10).has_value();
    };
    const auto other = open("/s/other", O_RDWR | O_CREAT);
    EXPECT_FALSE(other && more(other->fd.get()));
    struct statx seen {};
    const bool cut = opened && fs_->truncate(caller_, cwd_, "/s/file", 10).has_value();
    const bool known =
        cut && fs_->stat(caller_, cwd_, "/s/file", FinalLink::kFollow, seen).has_value();
    EXPECT_TRUE(!known || seen.stx_size == 10);
  });
}

// Nothing on the host is left half written, or touched where the copy failed.
TEST_F(VfsFaults, WhatIsCollectedIsWholeOrNotThere) {
  std::vector<long> calls = kCalls;
  calls.push_back(SYS_write);
  const std::string text = "begin" + std::string(200'000, '\0') + "end";
  each({EIO, calls, 1}, [&](const Arm& arm) {
    options_.max_memory_files = 2;
    build(ScratchRule{"/s", 8 << 20});
    put("out/file", "before");
    write("/s/file", text);
    for (const char* path : {"/s/a", "/s/b", "/s/c"}) write(path, "x");
    arm();
    EXPECT_FALSE(fs_->collect("/s/file", host("out/file"), 100'000));
    const bool done = fs_->collect("/s/file", host("out/file"), 1 << 20).has_value();
    const auto bytes_of = [](int fd) {
      std::string all(300'000, '\0');
      all.resize(
          static_cast<std::size_t>(std::max<ssize_t>(::read(fd, all.data(), all.size()), 0)));
      return all;
    };
    // By calls that are not caught.
    const UniqueFd seen(static_cast<int>(::syscall(SYS_open, host("out/file").c_str(), O_RDONLY)));
    EXPECT_EQ(bytes_of(seen.get()) == (done ? text : "before"), true) << done;
    const UniqueFd folder(
        static_cast<int>(::syscall(SYS_open, host("out").c_str(), O_RDONLY | O_DIRECTORY)));
    std::array<char, 4096> entries{};
    const long size = test::Call{
        SYS_getdents64,
        {folder.get(), reinterpret_cast<long>(entries.data()), entries.size(), 0, 0,
         0}}.perform();
    EXPECT_EQ(std::string_view(entries.data(), static_cast<std::size_t>(size)).find(".vitrine-"),
              std::string_view::npos);
  });
}

// The table of what descriptors stand for is full, and what is still open cannot be found out.
TEST_F(VfsFaults, WhatCannotBeLookedForIsNotForgotten) {
  put("shown/file", "x");
  for (const long call : {SYS_openat, SYS_getdents64}) {
    test::in_child([&] {
      caller_ = {::getpid(), ::getpid(), 022};
      fds_ = UniqueFd(::open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      options_.max_open_entries = 100;
      build(ShowRule{host_ + "/shown", "/work"});
      const auto kept = open("/work", O_RDONLY | O_DIRECTORY);
      ASSERT_TRUE(kept);
      const std::string descriptors = "/proc/" + std::to_string(::getpid()) + "/fd";
      bool fails = true;
      test::answer_calls({call}, [&](const test::Call& asked) {
        const bool wanted = asked.number == SYS_getdents64 ||
                            descriptors == reinterpret_cast<const char*>(asked.arguments[1]);
        return fails && wanted ? -EMFILE : asked.perform();
      });
      int code = 0;
      for (int i = 0; i < 200 && code == 0; ++i) code = open_code("/work", O_RDONLY | O_DIRECTORY);
      EXPECT_EQ(code, ENFILE);
      fails = false;
      EXPECT_TRUE(list_descriptor(kept->fd.get()).contains("file"));
    });
  }
}

// By names that lead through the host: by openat2(2), which a filter or an old kernel may refuse,
// and name by name.
TEST_F(VfsFaults, WhatIsShownOfTheHostIsRightOrRefused) {
  put("shown/folder/deep/file", "content");
  put("shown/secret/file", "secret");
  put_link("folder/deep", "shown/link");
  put_link("deep/file", "shown/folder/way");
  put("one", "one");
  const std::vector<long> all{SYS_openat,  SYS_openat2,    SYS_statx, SYS_newfstatat,
                              SYS_fstatfs, SYS_readlinkat, SYS_fcntl};
  const Fault faults[] = {{EIO, all, 1},
                          {EAGAIN, {SYS_openat2}, 0},
                          {EINTR, {SYS_openat2}, 0},
                          {ENOSYS, {SYS_openat2}, 0},
                          {EPERM, {SYS_openat2, SYS_statx}, 0},
                          {EINVAL, {SYS_statx}, 0},
                          {EIO, {SYS_openat, SYS_readlinkat}, 1}};
  for (const Fault& fault : faults) {
    options_.use_openat2 = fault.calls.front() != SYS_openat || fault.calls == all;
    each(fault, [&](const Arm& arm) {
      build(ShowRule{host_ + "/shown", "/work"}, HideRule{"/work/secret"},
            ShowRule{host_ + "/one", "/one"}, LinkRule{"/short", "/work/folder"});
      arm();
      int failed = 0;
      for (const char* path : {"/work/link/file", "/work/folder/way", "/short/deep/file"}) {
        const std::string seen = read(path);
        EXPECT_TRUE(seen == "content" || seen.starts_with("errno ")) << path << seen;
        failed += seen == "content" ? 0 : 1;
        EXPECT_NE(open_code(path, O_RDWR), 0);
      }
      const std::string target = read_link("/work/link");
      EXPECT_TRUE(target == "folder/deep" || target.starts_with("errno ")) << target;
      failed += target == "folder/deep" ? 0 : 1;
      const auto handle = open("/one", O_PATH);
      struct statx seen {};
      const bool known =
          handle && fs_->stat_descriptor(caller_, guest(handle->fd.get()), seen).has_value();
      EXPECT_TRUE(!known || seen.stx_size == 3);
      failed += known ? 0 : 1;
      EXPECT_LE(failed, fault.most);
      EXPECT_NE(open_code("/work/secret/file"), 0);
      EXPECT_NE(open_code("/work/link/../../secret/file"), 0);
    });
  }
}

// A tree of which a part cannot be had is none, or holds what it should, and what is hidden is.
TEST_F(VfsFaults, ATreeIsBuiltWithItsWallsOrNotAtAll) {
  put("shown/file", "content");
  put("shown/secret", "secret");
  put_folder("shown/real");
  put("shown/real/deep", "deep");
  put_link("./real/../real", "shown/way");
  for (const int error : {EIO, ENOENT}) {
    each({error, kCalls, 1}, [&](const Arm& arm) {
      FileRules rules;
      const auto add = [&](auto rule) {
        rules.push_back(FileRule{std::move(rule), {"rule" + std::to_string(rules.size()), ""}});
      };
      add(SyntheticRule{"proc"});
      add(SyntheticRule{"dev"});
      add(SyntheticRule{"etc"});
      add(ShowRule{host_ + "/shown", "/work"});
      add(ShowRule{host_ + "/shown/way", ""});
      add(HideRule{"/work/secret"});
      add(ScratchRule{"/work/real", 1 << 20});
      add(ScratchRule{"/s", 1 << 20});
      add(InlineRule{"/s/below/text", "text", false});
      arm();
      auto built = FileSystem::build(rules, options_);
      if (!built) return;
      fs_ = std::move(*built);
      fs_->attach(&processes_);
      cwd_ = fs_->root();
      EXPECT_EQ(read("/work/secret").substr(0, 5), "errno");
      EXPECT_EQ(read("/work/real/deep").substr(0, 5), "errno");
      EXPECT_EQ(read("/etc/shadow"), "errno 2");
      EXPECT_NE(open_code("/work/file", O_WRONLY), 0);
      EXPECT_NE(open_code("/work/new", O_WRONLY | O_CREAT), 0);
    });
  }
}

// A process that ends while it is looked at, or the supervisor's own want of descriptors.
TEST_F(VfsFaults, WhatProcTellsIsRightOrRefused) {
  for (const int error : {ENOENT, ESRCH, EMFILE}) {
    each({error, kCalls, 1}, [&](const Arm& arm) {
      build(SyntheticRule{"proc"}, SyntheticRule{"dev"});
      arm();
      int failed = 0;
      const auto has = [&](const char* path, const char* wanted) {
        const std::string seen = read(path);
        failed += seen.starts_with("errno ") ? 1 : 0;
        EXPECT_TRUE(seen.starts_with("errno ") || seen.find(wanted) != std::string::npos)
            << path << ": " << seen;
      };
      has("/proc/self/status", "TracerPid:\t0\n");
      has("/proc/self/stat", (std::to_string(::getpid()) + " (").c_str());
      has("/proc/self/maps", "[stack]");
      has("/proc/self/cmdline", "vitrine_unit_tests");
      has("/proc/self/fdinfo/0", "mnt_id:\t1\n");
      has("/proc/meminfo", "MemTotal:");
      has("/proc/version", "Linux version ");
      const std::string link = read_link("/proc/self/exe");
      EXPECT_TRUE(link == "/usr/bin/program" || link.starts_with("errno ")) << link;
      EXPECT_LE(failed, 1);
      const auto folder = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
      std::vector<std::byte> buffer(4096);
      const bool listed =
          folder && fs_->read_directory(caller_, guest(folder->fd.get()), buffer).has_value();
      failed += listed ? 0 : 1;
      EXPECT_LE(failed, 2);
    });
  }
}

// Devices are given as what they are: what cannot be looked at is none of them.
TEST_F(VfsFaults, ADeviceIsTheRightOneOrRefused) {
  std::vector<long> calls = kCalls;
  calls.push_back(SYS_ioctl);
  each({EIO, calls, 1}, [&](const Arm& arm) {
    build(SyntheticRule{"proc"}, SyntheticRule{"dev"});
    arm();
    const auto number_of = [](const UniqueFd& fd) {
      struct stat seen {};
      const test::Call call{SYS_fstat, {fd.get(), reinterpret_cast<long>(&seen), 0, 0, 0, 0}};
      EXPECT_EQ(call.perform(), 0);
      EXPECT_TRUE(S_ISCHR(seen.st_mode));
      return seen.st_rdev;
    };
    int failed = 0;
    for (const auto& [path, number] :
         {std::pair{"/dev/null", makedev(1, 3)}, std::pair{"/dev/zero", makedev(1, 5)}}) {
      const auto opened = open(path, O_RDONLY);
      failed += opened ? 0 : 1;
      EXPECT_TRUE(!opened || number_of(opened->fd) == number) << path;
    }
    int number = -1;
    const auto terminal = open("/dev/ptmx", O_RDWR);
    if (terminal) {
      EXPECT_EQ(number_of(terminal->fd), makedev(5, 2));
      const test::Call ask{
          SYS_ioctl, {terminal->fd.get(), TIOCGPTN, reinterpret_cast<long>(&number), 0, 0, 0}};
      EXPECT_EQ(ask.perform(), 0);
    }
    const std::string name = "/dev/pts/" + std::to_string(number);
    EXPECT_TRUE(!terminal || stat_code(name) == 0 || stat_code(name) == 0) << name;
    EXPECT_LE(failed + (terminal ? 0 : 1), 1);
    const auto own = open("/dev/tty", O_RDWR);
    EXPECT_FALSE(own) << "the view of the test has no terminal";
  });
}

}  // namespace
}  // namespace vitrine::vfs
