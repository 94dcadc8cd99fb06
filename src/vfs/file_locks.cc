#include "vfs/file_locks.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/clock.h"

namespace vitrine::vfs {
namespace {

constexpr std::size_t kMostLocks = 512;

bool overlap(const FileLock& a, const FileLock& b) { return a.start <= b.end && b.start <= a.end; }

bool same_holder(const FileLock& a, const FileLock& b) {
  return a.whole == b.whole && a.owner == b.owner;
}

// Whose presence is one question.
bool same_question(const FileLock& a, const FileLock& b) {
  return same_holder(a, b) && a.seen_inode == b.seen_inode && a.through == b.through;
}

bool in_the_way(const FileLock& held, const FileLock& wanted) {
  return held.whole == wanted.whole && held.owner != wanted.owner && overlap(held, wanted) &&
         (held.exclusive || wanted.exclusive);
}

// `wanted` grown by a neighbour that can be told from it by nothing.
bool absorb(FileLock& wanted, const FileLock& held) {
  if (!same_holder(held, wanted) || held.exclusive != wanted.exclusive) return false;
  const bool before = held.end != UINT64_MAX && held.end + 1 == wanted.start;
  const bool behind = wanted.end != UINT64_MAX && wanted.end + 1 == held.start;
  if (!before && !behind) return false;
  wanted.start = std::min(wanted.start, held.start);
  wanted.end = std::max(wanted.end, held.end);
  return true;
}

}  // namespace

// Whether a lock's owner still is there takes a look at all of its descriptors: so many of these
// are asked for in one call, and for so long. The supervisor's time is everybody's.
constexpr std::size_t kLooksAtOnce = 16;
constexpr Nanoseconds kLookingAtOnce = std::chrono::milliseconds(5);

class FileLocks::Looks {
 public:
  // The first is always one more: whoever comes again gets on.
  bool another() {
    ++taken_;
    return taken_ == 1 || (taken_ <= kLooksAtOnce && monotonic_now() - start_ < kLookingAtOnce);
  }

 private:
  std::size_t taken_ = 0;
  Nanoseconds start_ = monotonic_now();
};

std::optional<FileLock> FileLocks::conflict(const File& file, const FileLock& wanted) {
  Looks looks;
  return conflict(file, wanted, looks);
}

std::optional<FileLock> FileLocks::conflict(const File& file, const FileLock& wanted,
                                            Looks& looks) {
  const auto found = files_.find(file);
  if (found == files_.end()) return std::nullopt;
  std::vector<FileLock>& locks = found->second;
  for (std::size_t i = 0; i < locks.size();) {
    if (!in_the_way(locks[i], wanted)) {
      ++i;
      continue;
    }
    if (!looks.another() || is_held_(locks[i])) return locks[i];
    const FileLock gone = locks[i];
    count_ -= std::erase_if(locks, [&](const FileLock& each) { return same_holder(each, gone); });
    i = 0;
  }
  return std::nullopt;
}

Status FileLocks::set(const File& file, const FileLock& wanted) {
  Looks looks;
  return set(file, wanted, looks);
}

Status FileLocks::set(const File& file, const FileLock& wanted, Looks& looks) {
  if (conflict(file, wanted, looks)) return fail(EAGAIN, "lock");
  if (count_ >= kMostLocks) forget_unheld(looks);
  if (count_ >= kMostLocks) return fail(ENOLCK, "lock");
  release(file, wanted);
  std::vector<FileLock>& locks = files_[file];
  FileLock made = wanted;
  count_ -= std::erase_if(locks, [&](const FileLock& each) { return absorb(made, each); });
  locks.push_back(made);
  ++count_;
  return {};
}

bool FileLocks::would_wait_for_itself(const LockOwner& owner, const FileLock& in_the_way,
                                      Looks& looks) {
  constexpr int kLongestChain = 10;  // MAX_DEADLK_ITERATIONS, fs/locks.c
  LockOwner next = in_the_way.owner;
  for (int i = 0; i < kLongestChain; ++i) {
    const auto waiting = std::ranges::find_if(
        waits_, [&](const auto& each) { return each.second.wanted.owner == next; });
    if (waiting == waits_.end()) return false;
    const auto held = conflict(waiting->second.file, waiting->second.wanted, looks);
    if (!held) return false;  // it will have its lock at once
    if (held->owner == owner) return true;
    next = held->owner;
  }
  return false;
}

Status FileLocks::set_or_wait(const File& file, const FileLock& wanted, pid_t task) {
  waits_.erase(task);
  Looks looks;
  if (const auto held = conflict(file, wanted, looks)) {
    if (would_wait_for_itself(wanted.owner, *held, looks)) return fail(EDEADLK, "lock");
    waits_[task] = {file, wanted};
    return fail(EAGAIN, "lock");
  }
  return set(file, wanted, looks);
}

void FileLocks::release(const File& file, const FileLock& given) {
  const auto found = files_.find(file);
  if (found == files_.end()) return;
  std::vector<FileLock> kept;
  for (const FileLock& held : found->second) {
    if (!same_holder(held, given) || !overlap(held, given)) {
      kept.push_back(held);
      continue;
    }
    FileLock rest = held;
    if (held.start < given.start) {
      rest.end = given.start - 1;
      kept.push_back(rest);
    }
    if (held.end > given.end) {
      rest = held;
      rest.start = given.end + 1;
      kept.push_back(rest);
    }
  }
  count_ = count_ - found->second.size() + kept.size();
  if (kept.empty())
    files_.erase(found);
  else
    found->second = std::move(kept);
}

// Some of them; the next time others are looked at.
void FileLocks::forget_unheld(Looks& looks) {
  std::vector<FileLock> questions;
  for (const auto& [file, locks] : files_) {
    for (const FileLock& lock : locks) {
      const auto same = [&](const FileLock& each) { return same_question(each, lock); };
      if (std::ranges::none_of(questions, same)) questions.push_back(lock);
    }
  }
  std::vector<FileLock> gone;
  for (std::size_t i = 0; i < questions.size() && looks.another(); ++i) {
    const FileLock& asked = questions[next_look_++ % questions.size()];
    if (!is_held_(asked)) gone.push_back(asked);
  }
  const auto is_gone = [&](const FileLock& lock) {
    return std::ranges::any_of(gone, [&](const auto& each) { return same_question(each, lock); });
  };
  for (auto& [file, locks] : files_) count_ -= std::erase_if(locks, is_gone);
  std::erase_if(files_, [](const auto& each) { return each.second.empty(); });
}

}  // namespace vitrine::vfs
