#include "base/printable.h"
#include <gtest/gtest.h>
#include <iostream>
#include <sstream>

namespace hebm {
namespace {

TEST(Printable, LettersOfAllAlphabetsStay) {
  const std::string text = "größer, ε = 0.1, 図, 😀";
  EXPECT_EQ(printable(text), text);
  EXPECT_EQ(terminal_text(text + "\n\tnext\n"), text + "\n\tnext\n");
}

TEST(Printable, WhatATerminalObeysIsEscaped) {
  EXPECT_EQ(printable("\x1b]0;title\x07"), "\\x1b]0;title\\x07");
  EXPECT_EQ(printable("a\nb\tc\rd"), "a\\x0ab\\x09c\\x0dd");
  EXPECT_EQ(terminal_text("a\nb\tc\rd"), "a\nb\tc\\x0dd");
  EXPECT_EQ(printable("\x7f"), "\\u007f");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
      "\\u009b31m");  // CSI in one letter
  EXPECT_EQ(printable("\xe2\x80\xae"
                      "4pm"),
      "\\u202e4pm");  // turns the text around
  EXPECT_EQ(printable(std::string("a\0b", 3)), "a\\x00b");
}

TEST(Printable, WhatIsNoUtf8IsEscapedByteByByte) {
  EXPECT_EQ(printable("\xff"), "\\xff");
  EXPECT_EQ(printable("a\xc3"), "a\\xc3");         // cut off
  EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf");  // not the shortest form
  EXPECT_EQ(printable("\xe0\x80\xaf"), "\\xe0\\x80\\xaf");
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");           // a surrogate
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // behind the last letter
  EXPECT_EQ(printable("\x9b"
                      "31m"),
      "\\x9b31m");
}

TEST(Printable, LongTextIsCutBetweenLetters) {
  EXPECT_EQ(printable("abcdef", 6), "abcdef");
  EXPECT_EQ(printable("abcdefg", 6), "abcdef...");
  EXPECT_EQ(printable("abcdeé", 6), "abcde...");
}

TEST(Printable, StreamsOfAProgramTakeNothingElse) {
  std::ostringstream out, error;
  std::streambuf* const before_out = std::cout.rdbuf(out.rdbuf());
  std::streambuf* const before_error = std::cerr.rdbuf(error.rdbuf());
  {
    const SafeStreams safe;
    std::cout << "table\n" << std::string("\x1b[2J") << '\r' << "größer" << std::endl;
    std::cerr << "error: \x1b[31mred" << std::endl;
  }
  std::cout << "\x1b[0m";
  std::cout.rdbuf(before_out);
  std::cerr.rdbuf(before_error);
  EXPECT_EQ(out.str(), "table\n\\x1b[2J\\x0dgrößer\n\x1b[0m");
  EXPECT_EQ(error.str(), "error: \\x1b[31mred\n");
}

}  // namespace
}  // namespace hebm
