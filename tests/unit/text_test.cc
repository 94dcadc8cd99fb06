#include "base/text.h"

#include <gtest/gtest.h>

#include "base/path.h"

namespace vitrine {
namespace {

using std::chrono::nanoseconds;

TEST(ParseSize, SuffixesArePowersOf1024) {
  EXPECT_EQ(parse_size("0").value(), 0U);
  EXPECT_EQ(parse_size("512").value(), 512U);
  EXPECT_EQ(parse_size("64K").value(), 64U << 10);
  EXPECT_EQ(parse_size("64k").value(), 64U << 10);
  EXPECT_EQ(parse_size("64KiB").value(), 64U << 10);
  EXPECT_EQ(parse_size("256M").value(), 256U << 20);
  EXPECT_EQ(parse_size("2G").value(), 2ULL << 30);
  EXPECT_EQ(parse_size("3T").value(), 3ULL << 40);
  EXPECT_EQ(parse_size("9223372036854775807").value(), 9223372036854775807U);
}

TEST(ParseSize, RefusesWhatIsNoSize) {
  for (const char* const text : {"",
                                 " ",
                                 "-1",
                                 "+1",
                                 " 1",
                                 "1 ",
                                 "1 M",
                                 "1.5G",
                                 "1e9",
                                 "1e9G",
                                 "0x10",
                                 "M",
                                 "1MM",
                                 "1iB",
                                 "1P",
                                 "none",
                                 "9223372036854775808",
                                 "18446744073709551615",
                                 "18446744073709551616",
                                 "9007199254740992K",
                                 "8388608T",
                                 "99999999999999999999999999",
                                 "1\n",
                                 "١"}) {
    const auto size = parse_size(text);
    ASSERT_FALSE(size) << text;
    EXPECT_NE(size.error().message().find("is not a size"), std::string::npos);
  }
}

TEST(ParseDuration, UnitsAndFractions) {
  EXPECT_EQ(parse_duration("30").value(), std::chrono::seconds(30));
  EXPECT_EQ(parse_duration("250ms").value(), std::chrono::milliseconds(250));
  EXPECT_EQ(parse_duration("10s").value(), std::chrono::seconds(10));
  EXPECT_EQ(parse_duration("2m").value(), std::chrono::minutes(2));
  EXPECT_EQ(parse_duration("1h").value(), std::chrono::hours(1));
  EXPECT_EQ(parse_duration("1.5s").value(), std::chrono::milliseconds(1500));
  EXPECT_EQ(parse_duration("0.000000001").value(), nanoseconds(1));
  EXPECT_EQ(parse_duration("1.5ms").value(), std::chrono::microseconds(1500));
  EXPECT_EQ(parse_duration("0.5d").value(), std::chrono::hours(12));
  EXPECT_EQ(parse_duration("0.999999999d").value(), nanoseconds(86'399'999'913'600));
  EXPECT_EQ(parse_duration("1.5ns").value(), nanoseconds(1));
  EXPECT_EQ(parse_duration("0").value(), nanoseconds(0));
}

TEST(ParseDuration, RefusesWhatIsNoDuration) {
  for (const char* const text : {"", "s", ".5s", "1.", "1.s", "-1s", "+1s", "1 s", " 1s", "1e3s",
                                 "1S", "1.0000000001s", "inf", "none", "9223372037",
                                 "9223372036854775808ns", "153722868m", "18446744073709551615"}) {
    EXPECT_FALSE(parse_duration(text)) << text;
  }
}

TEST(ParseOrNone, NoneIsUnbounded) {
  EXPECT_EQ(parse_size_or_none("none").value(), std::nullopt);
  EXPECT_EQ(parse_size_or_none("1K").value(), 1024U);
  EXPECT_FALSE(parse_size_or_none("None"));
  EXPECT_EQ(parse_duration_or_none("none").value(), std::nullopt);
  EXPECT_EQ(parse_duration_or_none("1s").value(), std::chrono::seconds(1));
  EXPECT_FALSE(parse_duration_or_none("none "));
}

TEST(ParseCount, KeepsWithinBounds) {
  EXPECT_EQ(parse_count("1", 1, 64).value(), 1U);
  EXPECT_EQ(parse_count("64", 1, 64).value(), 64U);
  for (const char* const text : {"0", "65", "", "-1", "1.0", "1K", " 1", "99999999999999999999"}) {
    EXPECT_FALSE(parse_count(text, 1, 64)) << text;
  }
}

TEST(Format, IsShort) {
  EXPECT_EQ(format_size(12), "12 B");
  EXPECT_EQ(format_size(1536), "1.5 KiB");
  EXPECT_EQ(format_size(64ULL << 20), "64 MiB");
  EXPECT_EQ(format_duration(std::chrono::milliseconds(1250)), "1.25 s");
  EXPECT_EQ(format_duration(std::chrono::milliseconds(31)), "31 ms");
  EXPECT_EQ(format_duration(std::chrono::microseconds(8)), "8 µs");
  EXPECT_EQ(format_duration(std::chrono::seconds(60)), "60 s");
}

TEST(Path, TidyAndJoin) {
  EXPECT_EQ(tidy_path("/"), "/");
  EXPECT_EQ(tidy_path("//a/./b//"), "/a/b");
  EXPECT_EQ(tidy_path("/a/../b"), "/a/../b");
  EXPECT_EQ(join_path("/a", "b/c"), "/a/b/c");
  EXPECT_EQ(join_path("/a", "/b"), "/b");
  EXPECT_EQ(join_path("/", "."), "/");
}

TEST(Path, Relations) {
  EXPECT_TRUE(is_within("/a/b", "/a"));
  EXPECT_TRUE(is_within("/a", "/a"));
  EXPECT_TRUE(is_within("/a", "/"));
  EXPECT_FALSE(is_within("/ab", "/a"));
  EXPECT_EQ(parent_of("/a/b"), "/a");
  EXPECT_EQ(parent_of("/a"), "/");
  EXPECT_EQ(name_in("/a/b"), "b");
  EXPECT_TRUE(has_dot_dot("/a/.."));
  EXPECT_TRUE(has_dot_dot("../a"));
  EXPECT_FALSE(has_dot_dot("/a/..b"));
}

}  // namespace
}  // namespace vitrine
