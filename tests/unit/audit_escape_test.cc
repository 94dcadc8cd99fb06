#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

#include "audit/escape.h"

namespace vitrine::audit {
namespace {

TEST(Escape, PlainTextIsItself) { EXPECT_EQ(escape("/usr/lib/héllo 字"), "/usr/lib/héllo 字"); }

TEST(Escape, BackslashIsDoubled) { EXPECT_EQ(escape("a\\x41"), "a\\\\x41"); }

TEST(Escape, BytesThatAreNoUtf8AreHexadecimal) {
  EXPECT_EQ(escape("\xff\xc3(\xe2\x82"), "\\xff\\xc3(\\xe2\\x82");
  EXPECT_EQ(escape("\xc0\xaf"), "\\xc0\\xaf") << "overlong";
  EXPECT_EQ(escape("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "a surrogate";
  EXPECT_EQ(escape("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "past U+10FFFF";
}

TEST(Escape, ControlsAndDeceptiveCharactersAreHexadecimal) {
  EXPECT_EQ(escape(std::string_view("\0\n\x1b\x7f", 4)), "\\x00\\x0a\\x1b\\x7f");
  EXPECT_EQ(escape("\u0085\u009b"), "\\xc2\\x85\\xc2\\x9b") << "C1 controls";
  EXPECT_EQ(escape("\u2028\u2029"), "\\xe2\\x80\\xa8\\xe2\\x80\\xa9") << "line separators";
  EXPECT_EQ(escape("\u202e\u2066\u200f"), "\\xe2\\x80\\xae\\xe2\\x81\\xa6\\xe2\\x80\\x8f")
      << "bidi";
  EXPECT_EQ(escape("\ufeff\U000e0041"), "\\xef\\xbb\\xbf\\xf3\\xa0\\x81\\x81") << "invisible";
}

TEST(Escape, LongTextIsCutAndSaysHowMuchIsMissing) {
  const std::string shown = escape_bounded(std::string(5000, 'a'));
  EXPECT_EQ(shown, std::string(4096, 'a') + "\\+904");
  const auto back = unescape(shown);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->bytes.size(), 4096U);
  EXPECT_EQ(back->left_out, 904U);
}

TEST(Unescape, RefusesWhatEscapeDoesNotMake) {
  for (const char* text :
       {"\\", "\\x", "\\x4", "\\x4G", "\\n", "\\+", "\\+1x", "\\xAB", "\\+99999999999999999999"}) {
    EXPECT_FALSE(unescape(text)) << text;
  }
}

// Bytes as hostile programs choose them: random, or pieces that are nearly UTF-8.
std::string random_bytes(std::mt19937& random) {
  static const std::vector<std::string> kPieces = {"\\",
                                                   "\"",
                                                   "\n",
                                                   std::string(1, '\0'),
                                                   "\u202e",
                                                   "\u2028",
                                                   "é",
                                                   "字",
                                                   "😀",
                                                   "\xc3",
                                                   "\xe2\x80",
                                                   "\xf0\x9f",
                                                   "\\x41",
                                                   "\\+12",
                                                   "\xed\xa0\x80",
                                                   "</script>",
                                                   "a",
                                                   "/",
                                                   "\x1b[31m",
                                                   "\x7f"};
  std::string bytes;
  const std::size_t length = random() % 24;
  while (bytes.size() < length) {
    if (random() % 2 == 0) {
      bytes += static_cast<char>(random() & 0xff);
    } else {
      bytes += kPieces[random() % kPieces.size()];
    }
  }
  return bytes;
}

TEST(Escape, AnyBytesComeBackAndTheJsonIsOneValidLine) {
  std::mt19937 random(20260102);
  for (int round = 0; round < 100000; ++round) {
    const std::string bytes = random_bytes(random);
    const auto back = unescape(escape(bytes));
    ASSERT_TRUE(back);
    ASSERT_EQ(back->bytes, bytes);
    std::string line;
    append_json_string(line, bytes);
    for (const char c : line) ASSERT_GE(static_cast<unsigned char>(c), 0x20) << line;
    // nlohmann's parser checks UTF-8.
    const auto json = nlohmann::json::parse(line, nullptr, false);
    ASSERT_TRUE(json.is_string()) << line;
    ASSERT_EQ(json.get<std::string>(), escape(bytes));
  }
}

TEST(Printable, MakesAForgersTextSafe) {
  EXPECT_EQ(printable("\\x41b"), "Ab");
  EXPECT_EQ(printable("\x1b[2J"), "\\x1b[2J");
  EXPECT_EQ(printable("\\q\n"), "\\\\q\\x0a");
  EXPECT_EQ(printable("abc\\+7"), "abc\\+7");
}

}  // namespace
}  // namespace vitrine::audit
