// What a task may be given as a result.
#include "core/effect.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace vitrine {
namespace {

TEST(ResultForTask, NoTaskIsGivenACodeOfTheKernelsOwn) {
  for (std::int64_t code = -512; code >= -516; --code) EXPECT_EQ(result_for_task(code), -EIO);
  for (const std::int64_t result : {-517, -511, -EPERM, -1, 0, 1, 512, 516, 1 << 30})
    EXPECT_EQ(result_for_task(result), result);
}

}  // namespace
}  // namespace vitrine
