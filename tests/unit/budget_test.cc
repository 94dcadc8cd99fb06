#include "limits/budget.h"

#include <gtest/gtest.h>

namespace vitrine::limits {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Limits limits_of(Nanoseconds wall, Nanoseconds cpu, std::uint64_t memory) {
  Limits limits;
  limits.wall = wall;
  limits.cpu = cpu;
  limits.memory_bytes = memory;
  return limits;
}

TEST(Budget, NothingSpentGivesNoVerdict) {
  const Budget budget(limits_of(seconds(10), seconds(5), 1 << 30), 2);
  EXPECT_EQ(budget.spent(seconds(1), {seconds(1), 1000}), std::nullopt);
}

TEST(Budget, EachBudgetSpentGivesItsVerdict) {
  const Budget budget(limits_of(seconds(10), seconds(5), 1 << 20), 2);
  EXPECT_EQ(budget.spent(seconds(10), {}), Verdict::kWallLimit);
  EXPECT_EQ(budget.spent(seconds(1), {seconds(5), 0}), Verdict::kCpuLimit);
  EXPECT_EQ(budget.spent(seconds(1), {seconds(1), 64 << 20}), Verdict::kMemoryLimit);
}

TEST(Budget, NoneIsNeverSpent) {
  Limits limits;
  limits.wall = limits.cpu = std::nullopt;
  limits.memory_bytes = std::nullopt;
  const Budget budget(limits, 4);
  EXPECT_EQ(budget.spent(seconds(1'000'000), {seconds(1'000'000), ~0ULL >> 1}), std::nullopt);
  EXPECT_EQ(budget.data_limit(0, 1), std::nullopt);
}

// With every CPU burning and memory being touched as fast as it can be, a look comes before any
// budget is overdrawn by more than its margin.
TEST(Budget, LooksComeBeforeTheMargin) {
  constexpr unsigned kCpus = 4;
  const Limits limits = limits_of(seconds(60), seconds(3), 512 << 20);
  const Budget budget(limits, kCpus);
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

TEST(Budget, TheWallIsLookedAtWhenItIsReached) {
  const Budget budget(limits_of(milliseconds(250), seconds(30), 512 << 20), 1);
  EXPECT_EQ(budget.next_look(milliseconds(249), {}), milliseconds(250));
}

TEST(Budget, AllocationsFailBeforeTheCeiling) {
  const Budget budget(limits_of(seconds(1), seconds(1), 512 << 20), 1);
  EXPECT_EQ(budget.data_limit(0, 1), 512U << 20);
  EXPECT_EQ(budget.data_limit(100 << 20, 1), 412U << 20);
  EXPECT_EQ(budget.data_limit(1 << 30, 1), 0U);
  EXPECT_LT(*budget.memory_ceiling(), (512ULL << 20) * 5 / 4);
}

}  // namespace
}  // namespace vitrine::limits
