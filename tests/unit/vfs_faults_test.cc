// Every kernel call that serving files makes fails once, at each of its occurrences: what is asked
// for is refused or right, nothing that was written is lost, and no descriptor is left.
#include <poll.h>
#include <sys/file.h>
#include <sys/mman.h>

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

// Without a call that may be caught.
int open_descriptors() {
  std::array<pollfd, 512> all{};
  for (std::size_t i = 0; i < all.size(); ++i) all[i].fd = static_cast<int>(i);
  (void)::poll(all.data(), all.size(), 0);
  return static_cast<int>(std::ranges::count_if(
      all, [](const pollfd& each) { return (each.revents & POLLNVAL) == 0; }));
}

class VfsFaults : public VfsTest {
 protected:
  // `body` builds its tree before it calls arm(): memory files of another child are none of its.
  void each(const std::function<void(const Arm&)>& body, int error = EIO,
            const std::vector<long>& calls = kCalls) {
    test::each_in_turn(calls, error, [&](const Arm& arm) {
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
  each([&](const Arm& arm) {
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
      }
    }
    EXPECT_LE(failed, 1);
  });
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
  each([&](const Arm& arm) {
    build(ShowRule{host_ + "/shown", "/work"}, ScratchRule{"/s", 1 << 20}, SyntheticRule{"proc"},
          InlineRule{"/i", "inline", false});
    write("/s/file", "x");
    arm();
    if (const auto folder = open("/work", O_RDONLY | O_DIRECTORY)) {
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
    each([&](const Arm& arm) {
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
  each([&](const Arm& arm) {
    build(ScratchRule{"/s", 1 << 20});
    arm();
    constexpr std::size_t kSize = 64 << 10;
    const auto made = fs_->create_shared_memory(kSize);
    if (!made) return;
    void* const mapped = ::mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, made->get(), 0);
    ASSERT_NE(mapped, MAP_FAILED);
    std::memset(mapped, 1, kSize);
    EXPECT_GE(fs_->memory_held().used, kSize);
    ::munmap(mapped, kSize);
  });
}

TEST_F(VfsFaults, AScratchFileThatCannotBeLookedAtLeavesNoRoom) {
  each([&](const Arm& arm) {
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
  const std::string text = "begin" + std::string(200'000, '\0') + "end";
  each([&](const Arm& arm) {
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

}  // namespace
}  // namespace vitrine::vfs
