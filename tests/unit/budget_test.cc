#include "limits/budget.h"

#include <gtest/gtest.h>

namespace vitrine::limits {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr std::uint64_t kScratch = 64 << 20;

Limits limits_of(Nanoseconds wall, Nanoseconds cpu, std::uint64_t memory) {
  Limits limits;
  limits.wall = wall;
  limits.cpu = cpu;
  limits.memory_bytes = memory;
  return limits;
}

TEST(Budget, NothingSpentGivesNoVerdict) {
  const Budget budget(limits_of(seconds(10), seconds(5), 1 << 30), 2, kScratch);
  EXPECT_EQ(budget.spent(seconds(1), {seconds(1), 1000, 0}), std::nullopt);
}

TEST(Budget, EachBudgetSpentGivesItsVerdict) {
  const Budget budget(limits_of(seconds(10), seconds(5), 1 << 20), 2, kScratch);
  EXPECT_EQ(budget.spent(seconds(10), {}), Verdict::kWallLimit);
  EXPECT_EQ(budget.spent(seconds(1), {seconds(5), 0, 0}), Verdict::kCpuLimit);
  EXPECT_EQ(budget.spent(seconds(1), {seconds(1), 64 << 20, 0}), Verdict::kMemoryLimit);
}

TEST(Budget, NoneIsNeverSpent) {
  Limits limits;
  limits.wall = limits.cpu = std::nullopt;
  limits.memory_bytes = std::nullopt;
  const Budget budget(limits, 4, kScratch);
  EXPECT_EQ(budget.spent(seconds(1'000'000), {seconds(1'000'000), ~0ULL >> 1, 0}), std::nullopt);
  EXPECT_EQ(budget.data_limit(0, 1), std::nullopt);
}

// With every CPU burning and memory being touched as fast as it can be, a look comes before any
// budget is overdrawn by more than its margin.
TEST(Budget, LooksComeBeforeTheMargin) {
  constexpr unsigned kCpus = 4;
  const Limits limits = limits_of(seconds(60), seconds(3), 512 << 20);
  const Budget budget(limits, kCpus, kScratch);
  Nanoseconds now{};
  Measured used;
  int looks = 0;
  while (!budget.spent(now, used)) {
    const Nanoseconds next = budget.next_look(now, used);
    ASSERT_GT(next, now);
    used.cpu += (next - now) * kCpus;
    now = next;
    ASSERT_LT(++looks, 100);
  }
  EXPECT_LE(used.cpu, *limits.cpu + milliseconds(50) + *limits.cpu / 50);
}

TEST(Budget, MoreInScratchThanItHoldsEndsTheRun) {
  const Budget budget(limits_of(seconds(10), seconds(5), 1 << 30), 1, kScratch);
  EXPECT_EQ(budget.spent(seconds(1), {{}, kScratch, kScratch}), std::nullopt);
  EXPECT_EQ(budget.spent(seconds(1), {{}, kScratch * 5 / 4, kScratch * 5 / 4}),
            Verdict::kMemoryLimit);
}

// Memory can be touched at 5 GB/s: a scratch of 64 MiB is full after 13 ms.
TEST(Budget, ScratchInUseIsLookedAtBeforeItCanOverflow) {
  const Budget budget(limits_of(seconds(10), seconds(5), 4ULL << 30), 1, kScratch);
  EXPECT_GT(budget.next_look({}, {}), milliseconds(100));
  EXPECT_LT(budget.next_look({}, {{}, 4096, 4096}), milliseconds(20));
}

TEST(Budget, TheWallIsLookedAtWhenItIsReached) {
  const Budget budget(limits_of(milliseconds(250), seconds(30), 512 << 20), 1, kScratch);
  EXPECT_EQ(budget.next_look(milliseconds(249), {}), milliseconds(250));
}

TEST(Budget, AllocationsFailBeforeTheCeiling) {
  const Budget budget(limits_of(seconds(1), seconds(1), 512 << 20), 1, kScratch);
  EXPECT_EQ(budget.data_limit(0, 1), 512U << 20);
  EXPECT_EQ(budget.data_limit(100 << 20, 1), 412U << 20);
  EXPECT_EQ(budget.data_limit(1 << 30, 1), 0U);
  EXPECT_LT(*budget.memory_ceiling(), (512ULL << 20) * 5 / 4);
}

}  // namespace
}  // namespace vitrine::limits
