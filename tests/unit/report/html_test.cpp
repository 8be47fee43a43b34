#include "report/html.h"
#include <gtest/gtest.h>
#include <limits>

namespace hebm::report {
namespace {

const std::string kReplacement = "\xEF\xBF\xBD";

TEST(Escape, MarkupBecomesEntities) {
  EXPECT_EQ(
      escape("<a href=\"x\" title='y'>&amp;</a>"), "&lt;a href=&quot;x&quot; title=&#39;y&#39;&gt;&amp;amp;&lt;/a&gt;");
  EXPECT_EQ(escape(""), "");
  EXPECT_EQ(escape("plain\ttext\n"), "plain\ttext\n");
}

TEST(Escape, KeepsUtf8) {
  const std::string text = "\xC3\xA9 \xE2\x88\x92 \xF0\x9D\x94\xB8";  // 2, 3 and 4 bytes
  EXPECT_EQ(escape(text), text);
}

TEST(Escape, ReplacesControlCharactersAndBrokenUtf8) {
  EXPECT_EQ(escape(std::string("a\0b", 3)), "a" + kReplacement + "b");
  EXPECT_EQ(escape("\x1b[31m"), kReplacement + "[31m");
  EXPECT_EQ(escape("a\xFFz"), "a" + kReplacement + "z");
  EXPECT_EQ(escape("a\xC3"), "a" + kReplacement);                                 // cut short
  EXPECT_EQ(escape("\xC0\xBC"), kReplacement + kReplacement);                     // overlong '<'
  EXPECT_EQ(escape("\xE0\x80\xBC"), kReplacement + kReplacement + kReplacement);  // overlong '<'
  EXPECT_EQ(escape("\xED\xA0\x80"), kReplacement + kReplacement + kReplacement);  // surrogate
  EXPECT_EQ(escape("\xC3<"), kReplacement + "&lt;");                              // '<' is not swallowed
}

TEST(Base64, KnownAnswersOfRfc4648) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64(std::string("\xFF\xFB\x00", 3)), "//sA");
}

TEST(FormatNumber, FourDigits) {
  EXPECT_EQ(format_number(37.4123), "37.41");
  EXPECT_EQ(format_number(5000), "5000");
  EXPECT_EQ(format_number(-0.0), "0");
  EXPECT_EQ(format_number(std::numeric_limits<double>::quiet_NaN()), "-");
  EXPECT_EQ(format_number(std::numeric_limits<double>::infinity()), "inf");
}

}  // namespace
}  // namespace hebm::report
