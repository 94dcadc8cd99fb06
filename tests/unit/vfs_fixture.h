// What the tests of src/vfs share: a host folder to show, the test's own process as the guest.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "failing_call.h"
#include "vfs/filesystem.h"

namespace vitrine::vfs {

// The test itself is the only process of the tree.
class OwnProcess : public ProcessView {
 public:
  std::vector<pid_t> processes() const override {
    return alive ? std::vector<pid_t>{::getpid()} : std::vector<pid_t>{};
  }
  std::vector<pid_t> threads(pid_t) const override { return {::getpid()}; }
  std::optional<pid_t> process_of(pid_t tid) const override {
    return tid == ::getpid() ? std::optional(tid) : std::nullopt;
  }
  std::string working_directory(pid_t) const override { return "/work"; }
  std::string executable(pid_t) const override { return "/usr/bin/program"; }
  unsigned cpu_count() const override { return cpus; }
  std::optional<std::uint64_t> memory_limit() const override { return 256U << 20; }
  std::uint64_t memory_used() const override { return 56U << 20; }

  // The supervisor's own descriptors look like the guest's here, so a sweep would find all in use.
  bool alive = true;
  unsigned cpus = 3;
};

class VfsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/vitrine-vfs-XXXXXX";
    ASSERT_NE(::mkdtemp(name), nullptr);
    host_ = std::filesystem::canonical(name);
    fds_ = UniqueFd(::open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  void TearDown() override {
    fs_.reset();
    std::filesystem::remove_all(host_);
  }

  std::string host(const std::string& below) const { return host_ + "/" + below; }
  void put(const std::string& below, const std::string& content) const {
    std::filesystem::create_directories(std::filesystem::path(host(below)).parent_path());
    std::ofstream(host(below)) << content;
  }
  void put_folder(const std::string& below) const {
    std::filesystem::create_directories(host(below));
  }
  void put_link(const std::string& target, const std::string& below) const {
    ASSERT_EQ(::symlink(target.c_str(), host(below).c_str()), 0);
  }

  template <typename... Rules>
  void build(Rules... rules) {
    FileRules list;
    (list.push_back(FileRule{rules, {"rule" + std::to_string(list.size()), ""}}), ...);
    auto built = FileSystem::build(list, options_);
    ASSERT_TRUE(built) << built.error().message();
    fs_ = std::move(*built);
    fs_->attach(&processes_);
    cwd_ = fs_->root();
  }

  // 0 or the errno.
  template <typename R>
  static int code(const R& result) {
    return result ? 0 : result.error().code;
  }

  Result<Opened> open(const std::string& path, int flags = O_RDONLY, mode_t mode = 0644) {
    return fs_->open(caller_, cwd_, path, flags, mode);
  }
  int open_code(const std::string& path, int flags = O_RDONLY) { return code(open(path, flags)); }
  // Content, or "errno N".
  std::string read(const std::string& path) {
    auto opened = open(path);
    if (!opened) return "errno " + std::to_string(opened.error().code);
    return read_all(opened->fd.get());
  }
  static std::string read_all(int fd) {
    std::string text;
    char piece[4096];
    ssize_t got = 0;
    while ((got = ::read(fd, piece, sizeof piece)) > 0)
      text.append(piece, static_cast<std::size_t>(got));
    return text;
  }
  void write(const std::string& path, const std::string& text) {
    auto opened = open(path, O_WRONLY | O_CREAT | O_TRUNC);
    ASSERT_TRUE(opened) << opened.error().message();
    ASSERT_EQ(::write(opened->fd.get(), text.data(), text.size()),
              static_cast<ssize_t>(text.size()));
  }
  int stat_code(const std::string& path, FinalLink final = FinalLink::kFollow) {
    struct statx ignored {};
    return code(fs_->stat(caller_, cwd_, path, final, ignored));
  }
  struct statx stat(const std::string& path, FinalLink final = FinalLink::kFollow) {
    struct statx out {};
    const auto status = fs_->stat(caller_, cwd_, path, final, out);
    EXPECT_TRUE(status) << path << ": " << status.error().message();
    return out;
  }
  FileSystem::GuestFd guest(int number) const { return {fds_.get(), number}; }
  struct statx fstat(int number) {
    struct statx out {};
    const auto status = fs_->stat_descriptor(caller_, guest(number), out);
    EXPECT_TRUE(status) << status.error().message();
    return out;
  }
  std::string read_link(const std::string& path) {
    auto target = fs_->read_link(caller_, cwd_, path);
    return target ? *target : "errno " + std::to_string(target.error().code);
  }

  struct Entry {
    std::uint64_t inode;
    unsigned char type;
  };
  std::map<std::string, Entry> list_descriptor(int number, std::size_t size = 4096) {
    std::map<std::string, Entry> entries;
    std::vector<std::byte> buffer(size);
    while (true) {
      auto got = fs_->read_directory(caller_, guest(number), buffer);
      EXPECT_TRUE(got) << got.error().message();
      if (!got || *got == 0) return entries;
      for (std::size_t at = 0; at < *got;) {
        const auto* entry = reinterpret_cast<const dirent64*>(buffer.data() + at);
        EXPECT_TRUE(entries.emplace(entry->d_name, Entry{entry->d_ino, entry->d_type}).second)
            << "listed twice: " << entry->d_name;
        at += entry->d_reclen;
      }
    }
  }
  std::map<std::string, Entry> list(const std::string& path) {
    auto opened = open(path, O_RDONLY | O_DIRECTORY);
    EXPECT_TRUE(opened) << path << ": " << opened.error().message();
    return opened ? list_descriptor(opened->fd.get()) : std::map<std::string, Entry>{};
  }
  // Names without "." and "..", in order.
  std::string names(const std::string& path) {
    std::string text;
    for (const auto& [name, entry] : list(path))
      if (name != "." && name != "..") text += (text.empty() ? "" : " ") + name;
    return text;
  }

  std::string host_;
  Options options_{.identity = {1000, 1000}};
  OwnProcess processes_;
  Caller caller_{::getpid(), ::getpid(), 022};
  std::unique_ptr<FileSystem> fs_;
  DirectoryRef cwd_;
  UniqueFd fds_;
};

// How many files of /proc/PID/fdinfo are opened while `body` runs in a child; -1: it failed.
inline int infos_opened(const std::function<void()>& body) {
  constexpr int kFailed = 100;
  const int status = test::status_of([&] {
    int count = 0;
    test::answer_calls({SYS_openat, SYS_open}, [&count](const test::Call& call) {
      const long fd = call.perform();
      char path[64] = "";
      if (fd >= 0)
        (void)!::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), path, sizeof path - 1);
      count += std::string_view(path).find("/fdinfo/") != std::string_view::npos ? 1 : 0;
      return fd;
    });
    body();
    std::fflush(nullptr);
    ::_exit(testing::Test::HasFailure() ? kFailed : count);
  });
  return WIFEXITED(status) && WEXITSTATUS(status) != kFailed ? WEXITSTATUS(status) : -1;
}

}  // namespace vitrine::vfs
