// Terminals that the guest makes, and those of others that have, or come to have, their numbers.
#include <sched.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include <thread>

#include "vfs_fixture.h"

namespace vitrine::vfs {
namespace {

// -1: none could be made.
int number_of(int master) {
  unsigned number = 0;
  return ::ioctl(master, TIOCGPTN, &number) == 0 ? static_cast<int>(number) : -1;
}

std::string name_of(int number) { return "/dev/pts/" + std::to_string(number); }

void unlock(int master) {
  const int locked = 0;
  ASSERT_EQ(::ioctl(master, TIOCSPTLCK, &locked), 0);
}

// Makes terminals until one has the number.
std::vector<UniqueFd> take_number(int number) {
  std::vector<UniqueFd> made;
  while (made.size() < 64) {
    made.emplace_back(::open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (number_of(made.back().get()) == number) return made;
  }
  return {};
}

class Terminals : public VfsTest {
 protected:
  void SetUp() override {
    if (!UniqueFd(::open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC))) GTEST_SKIP() << "no ptmx";
    VfsTest::SetUp();
    build(SyntheticRule{"dev"}, SyntheticRule{"proc"});
  }
  UniqueFd make() {
    auto opened = open("/dev/ptmx", O_RDWR | O_NOCTTY);
    return opened ? std::move(opened->fd) : UniqueFd();
  }
};

TEST_F(Terminals, NumberThatCameToSomebodyElseIsNoTerminalOfOurs) {
  UniqueFd own = make();
  const int number = number_of(own.get());
  const std::string name = name_of(number);
  ASSERT_GE(number, 0);
  unlock(own.get());
  EXPECT_EQ(open_code(name, O_RDWR | O_NOCTTY), 0);
  own.reset();
  EXPECT_EQ(open_code(name, O_RDWR | O_NOCTTY), ENXIO);

  int ready[2];
  int done[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(done, O_CLOEXEC), 0);
  const pid_t somebody = ::fork();
  if (somebody == 0) {
    ::close(done[1]);
    const auto made = take_number(number);
    if (!made.empty()) unlock(made.back().get());
    char byte = made.empty() ? 'n' : 'y';
    (void)!::write(ready[1], &byte, 1);
    (void)!::read(done[0], &byte, 1);
    ::_exit(0);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_EQ(byte, 'y');
  // It is there, and this user may open it.
  EXPECT_TRUE(UniqueFd(::open(name.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC)));
  EXPECT_EQ(open_code(name, O_RDWR | O_NOCTTY), ENOENT);
  for (const int fd : {ready[0], ready[1], done[0], done[1]}) ::close(fd);
  ::waitpid(somebody, nullptr, 0);
}

// What else the process has is not asked: a line for each watch of an epoll.
TEST_F(Terminals, OnlyTerminalsAreAskedForTheirNumber) {
  const UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  const UniqueFd own = make();
  ASSERT_GE(number_of(own.get()), 0);
  unlock(own.get());
  EXPECT_EQ(infos_opened(
                [&] { EXPECT_EQ(open_code(name_of(number_of(own.get())), O_RDWR | O_NOCTTY), 0); }),
            1);
}

// A mount namespace whose /dev/ptmx is of another devpts than the one at /dev/pts. False: may not.
bool take_other_ptmx(const std::string& folder) {
  return ::unshare(CLONE_NEWNS) == 0 &&
         ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount("none", folder.c_str(), "devpts", 0, "ptmxmode=0666") == 0 &&
         ::mount((folder + "/ptmx").c_str(), "/dev/ptmx", nullptr, MS_BIND, nullptr) == 0;
}

TEST_F(Terminals, WhatIsMadeInAnotherDevptsHasNoNameHere) {
  put_folder("pts");
  const UniqueFd somebodys(::open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
  unlock(somebodys.get());
  const int taken = number_of(somebodys.get());
  const int nobodys = number_of(UniqueFd(::open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)).get());
  ASSERT_LT(taken, nobodys);
  bool may = false;
  std::thread([&] {  // a thread of its own has a namespace of its own
    may = take_other_ptmx(host("pts"));
    for (const int number : {taken, nobodys}) {
      std::vector<UniqueFd> before = may ? take_number(number) : std::vector<UniqueFd>{};
      if (before.empty()) continue;
      before.pop_back();
      EXPECT_EQ(open_code("/dev/ptmx", O_RDWR | O_NOCTTY), ENXIO) << number;
      EXPECT_EQ(open_code(name_of(number), O_RDWR | O_NOCTTY), ENOENT) << number;
    }
  })
      .join();
  if (!may) GTEST_SKIP() << "no mount namespace here";
}

}  // namespace
}  // namespace vitrine::vfs
