// Scratch against a real tmpfs folder: the same operations, one by one, must give the same errno
// and leave the same tree.
#include <linux/fs.h>
#include <sys/fsuid.h>
#include <sys/vfs.h>

#include <cstring>
#include <random>

#include "vfs_fixture.h"

namespace vitrine::vfs {
namespace {

constexpr long kTmpfsMagic = 0x01021994;

// While it lives, file operations of this thread are those of an ordinary user.
class AsOrdinaryUser {
 public:
  AsOrdinaryUser() {
    if (::geteuid() != 0) return;
    ::setfsgid(1000);
    ::setfsuid(1000);
  }
  ~AsOrdinaryUser() {
    ::setfsuid(::geteuid());
    ::setfsgid(::getegid());
  }
  AsOrdinaryUser(const AsOrdinaryUser&) = delete;
  AsOrdinaryUser& operator=(const AsOrdinaryUser&) = delete;
};

// The errno of what `call` returns, 0 for success.
template <typename Call>
int as_user(Call call) {
  const AsOrdinaryUser user;
  return call() < 0 ? errno : 0;
}

class ScratchAgainstTmpfs : public VfsTest {
 protected:
  void SetUp() override {
    struct statfs shm {};
    if (::statfs("/dev/shm", &shm) != 0 || shm.f_type != kTmpfsMagic) GTEST_SKIP() << "no tmpfs";
    VfsTest::SetUp();
    if (::geteuid() != 0) options_.identity = {::getuid(), ::getgid()};
    char name[] = "/dev/shm/vitrine-test-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    real_path_ = name;
    if (::geteuid() == 0) {
      ASSERT_EQ(::chown(name, 1000, 1000), 0);
    }
    ASSERT_EQ(::chmod(name, 0755), 0);
    real_ = UniqueFd(::open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    processes_.alive = false;
    build(ScratchRule{"/s", 64 << 20});
    auto folder = fs_->open_directory(caller_, cwd_, "/s");
    ASSERT_TRUE(folder);
    cwd_ = *folder;
    ::umask(022);
  }
  void TearDown() override {
    std::error_code ignored;
    std::filesystem::remove_all(real_path_, ignored);
    VfsTest::TearDown();
  }

  std::pair<int, int> do_open(const std::string& path, int flags, mode_t mode);
  std::pair<int, int> do_names(unsigned kind, const std::string& a, const std::string& b);
  std::pair<int, int> do_attributes(unsigned kind, const std::string& a, unsigned value);
  void compare(const std::string& path);
  void compare_trees();

  std::string real_path_;
  UniqueFd real_;
};

std::pair<int, int> ScratchAgainstTmpfs::do_open(const std::string& path, int flags, mode_t mode) {
  UniqueFd real;
  const int real_code = as_user([&] {
    real = UniqueFd(::openat(real_.get(), path.c_str(), flags | O_CLOEXEC, mode));
    return real.get();
  });
  auto ours = open(path, flags, mode);
  if (real && ours && (flags & (O_PATH | O_DIRECTORY)) == 0) {
    const std::string text = path + std::to_string(flags);
    const ssize_t real_written = ::write(real.get(), text.data(), text.size());
    EXPECT_EQ(::write(ours->fd.get(), text.data(), text.size()), real_written);
    struct stat seen {};
    ::fstat(real.get(), &seen);
    const auto our_stat = fstat(ours->fd.get());
    EXPECT_EQ(our_stat.stx_mode, seen.st_mode) << path;
    EXPECT_EQ(our_stat.stx_nlink, seen.st_nlink) << path;
    EXPECT_EQ(static_cast<off_t>(our_stat.stx_size), seen.st_size) << path;
  }
  return {real_code, code(ours)};
}

std::pair<int, int> ScratchAgainstTmpfs::do_names(unsigned kind, const std::string& a,
                                                  const std::string& b) {
  const int top = real_.get();
  constexpr unsigned kFlags[] = {0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE,
                                 RENAME_NOREPLACE | RENAME_EXCHANGE};
  switch (kind) {
    case 0:
      return {as_user([&] { return ::mkdirat(top, a.c_str(), 0755); }),
              code(fs_->make_directory(caller_, cwd_, a, 0755))};
    case 1:
      return {as_user([&] { return ::unlinkat(top, a.c_str(), AT_REMOVEDIR); }),
              code(fs_->remove_directory(caller_, cwd_, a))};
    case 2:
      return {as_user([&] { return ::unlinkat(top, a.c_str(), 0); }),
              code(fs_->unlink(caller_, cwd_, a))};
    case 3:
      return {as_user([&] { return ::symlinkat(b.c_str(), top, a.c_str()); }),
              code(fs_->symlink(caller_, b, cwd_, a))};
    case 4:
      return {as_user([&] { return ::linkat(top, a.c_str(), top, b.c_str(), 0); }),
              code(fs_->link(caller_, cwd_, a, cwd_, b, FinalLink::kNoFollow))};
    case 5:
      return {as_user([&] { return ::linkat(top, a.c_str(), top, b.c_str(), AT_SYMLINK_FOLLOW); }),
              code(fs_->link(caller_, cwd_, a, cwd_, b, FinalLink::kFollow))};
    case 6:
      return {as_user([&] { return ::mknodat(top, a.c_str(), S_IFREG | 0640, 0); }),
              code(fs_->make_node(caller_, cwd_, a, S_IFREG | 0640))};
    default: {
      const unsigned flags = kFlags[kind % 5];
      return {as_user([&] { return ::renameat2(top, a.c_str(), top, b.c_str(), flags); }),
              code(fs_->rename(caller_, cwd_, a, cwd_, b, flags))};
    }
  }
}

std::pair<int, int> ScratchAgainstTmpfs::do_attributes(unsigned kind, const std::string& a,
                                                       unsigned value) {
  const int top = real_.get();
  constexpr mode_t kModes[] = {0755, 0644, 0700, 0500, 0300, 0000, 01777, 0200};
  const mode_t mode = kModes[value % 8];
  switch (kind) {
    case 0:
      return {as_user([&] { return ::fchmodat(top, a.c_str(), mode, 0); }),
              code(fs_->change_mode(caller_, cwd_, a, mode, FinalLink::kFollow))};
    case 1:
      if (a.empty()) return {0, 0};  // the real path would not be
      return {as_user([&] { return ::truncate((real_path_ + "/" + a).c_str(), value % 9000); }),
              code(fs_->truncate(caller_, cwd_, a, value % 9000))};
    case 2: {
      const int wanted = static_cast<int>(value % 8);
      // By the file system's uid, as the kernel does it for a process with these ids.
      return {as_user([&] { return ::faccessat(top, a.c_str(), wanted, AT_EACCESS); }),
              code(fs_->access(caller_, cwd_, a, wanted, FinalLink::kFollow))};
    }
    case 3: {
      char target[4096];
      return {as_user([&] { return ::readlinkat(top, a.c_str(), target, sizeof target); }),
              code(fs_->read_link(caller_, cwd_, a))};
    }
    case 4: {
      const timespec times[2] = {{1000000 + value, 5}, {2000000 + value, 7}};
      return {as_user([&] { return ::utimensat(top, a.c_str(), times, AT_SYMLINK_NOFOLLOW); }),
              code(fs_->set_times(caller_, cwd_, a, times, FinalLink::kNoFollow))};
    }
    default: {
      struct stat real {};
      struct statx ours {};
      return {as_user([&] { return ::fstatat(top, a.c_str(), &real, 0); }),
              code(fs_->stat(caller_, cwd_, a, FinalLink::kFollow, ours))};
    }
  }
}

void ScratchAgainstTmpfs::compare(const std::string& path) {
  struct stat real {};
  ASSERT_EQ(::fstatat(real_.get(), path.c_str(), &real, AT_SYMLINK_NOFOLLOW), 0) << path;
  struct statx ours {};
  const auto status = fs_->stat(caller_, cwd_, path, FinalLink::kNoFollow, ours);
  ASSERT_TRUE(status) << path << ": " << status.error().message();
  EXPECT_EQ(ours.stx_mode, real.st_mode) << path;
  EXPECT_EQ(ours.stx_nlink, real.st_nlink) << path;
  EXPECT_EQ(static_cast<off_t>(ours.stx_size), real.st_size) << path;
  EXPECT_EQ(ours.stx_uid, real.st_uid) << path;
}

// With permission to see everything, on both sides.
void ScratchAgainstTmpfs::compare_trees() {
  ASSERT_EQ(::chmod(real_path_.c_str(), 0755), 0);
  ASSERT_TRUE(fs_->change_mode(caller_, fs_->root(), "/s", 0755, FinalLink::kFollow));
  std::vector<std::string> todo{"."};
  while (!todo.empty()) {
    const std::string folder = todo.back();
    todo.pop_back();
    compare(folder);
    ASSERT_EQ(::fchmodat(real_.get(), folder.c_str(), 0755, 0), 0);
    ASSERT_TRUE(fs_->change_mode(caller_, cwd_, folder, 0755, FinalLink::kFollow));
    std::string real_names;
    std::vector<std::string> real_list;
    for (const auto& entry : std::filesystem::directory_iterator(real_path_ + "/" + folder))
      real_list.push_back(entry.path().filename());
    std::sort(real_list.begin(), real_list.end());
    for (const auto& name : real_list) {
      real_names += (real_names.empty() ? "" : " ") + name;
      const std::string path = folder + "/" + name;
      if (std::filesystem::is_directory(std::filesystem::symlink_status(real_path_ + "/" + path)))
        todo.push_back(path);
      else
        compare(path);
      if (HasFatalFailure()) return;
    }
    EXPECT_EQ(names(folder), real_names) << folder;
  }
}

TEST_F(ScratchAgainstTmpfs, RandomOperationsGiveTheSame) {
  const std::vector<std::string> kPaths = {
      "a",    "b",    "c",   "a/b",  "a/b/c",  "b/c",   "b/c/a",  "a/",     "b/",
      "a/b/", ".",    "a/.", "a/..", "c/b",    "c/./b", "a/../b", "b/../c", "b/..",
      "c/",   "a//b", "",    "./a",  "a/b/..", "l",     "l/a",    "l/",     "l/b/c"};
  std::mt19937 random(20240607);
  const auto pick = [&] { return kPaths[random() % kPaths.size()]; };
  constexpr int kFlags[] = {0,
                            O_CREAT,
                            O_CREAT | O_EXCL,
                            O_TRUNC,
                            O_CREAT | O_TRUNC,
                            O_APPEND,
                            O_PATH,
                            O_DIRECTORY,
                            O_NOFOLLOW,
                            O_CREAT | O_NOFOLLOW,
                            O_CREAT | O_APPEND,
                            O_PATH | O_NOFOLLOW,
                            O_PATH | O_DIRECTORY,
                            O_CREAT | O_EXCL | O_TRUNC};
  constexpr int kModes[] = {O_RDONLY, O_WRONLY, O_RDWR};
  for (int step = 0; step < 40000; ++step) {
    const std::string a = pick();
    std::string b = pick();
    const auto kind = static_cast<unsigned>(random() % 10);
    const auto detail = static_cast<unsigned>(random());
    std::string what;
    std::pair<int, int> codes;
    if (kind < 3) {
      const int flags = kFlags[detail % std::size(kFlags)] | kModes[random() % 3];
      what = "open flags " + std::to_string(flags);
      codes = do_open(a, flags, detail % 7 == 0 ? 0400 : 0644);
    } else if (kind < 7) {
      what = "names " + std::to_string(detail % 12);
      // No link may lead above the two folders that are compared.
      const bool upward = b == "." || b.find("..") != std::string::npos;
      if (detail % 12 == 3 && upward) b = "a/b";
      codes = do_names(detail % 12, a, b);
    } else {
      if (kind != 7 && detail % 6 == 0) continue;  // fewer chmods, or nothing can be reached
      what = "attributes " + std::to_string(detail % 6) + " value " + std::to_string(step);
      codes = do_attributes(detail % 6, a, static_cast<unsigned>(step));
    }
    if (codes.first != codes.second) (void)!::system(("find " + real_path_ + " -ls").c_str());
    ASSERT_EQ(codes.first, codes.second)
        << "step " << step << ": " << what << " \"" << a << "\" \"" << b << "\": tmpfs "
        << std::strerror(codes.first) << ", scratch " << std::strerror(codes.second);
    if (step % 200 == 0) compare_trees();
    ASSERT_FALSE(HasFailure()) << "step " << step << ": " << what << " " << a << " " << b;
  }
  compare_trees();  // and lets everything be removed
}

}  // namespace
}  // namespace vitrine::vfs
