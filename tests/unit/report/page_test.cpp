#include "report/page.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <limits>
#include "pages.h"

namespace hebm::report {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string page_of(Blocks blocks) {
  return render(
      {.title = "run", .generator = "test", .about = "", .sections = {{"one", "One", "First", std::move(blocks)}}});
}

TEST(Page, EveryTextIsEscaped) {
  const std::string evil = "<i>\"";
  const Cell cell{
      .text = evil, .href = evil, .note = evil, .blocks = std::make_shared<Blocks>(Blocks{Text{evil, Tone::kInline}})};
  const std::string html = render({.title = evil,
      .generator = evil,
      .about = evil,
      .problems = {evil},
      .sections = {{"one", evil, evil,
          {Text{evil}, Heading{evil, evil, evil}, Numbers{{{evil, evil}}}, Verbatim{evil},
              Table{.heads = {{{cell}}}, .rows = {{{cell}}}},
              Figures{{{{}, evil}, {Picture{evil, 1, 1, "bytes"}, evil}}}, Boxes{"beside", {{Text{evil}}}}}}}});
  EXPECT_TRUE(balanced(html));
  EXPECT_THAT(html, AllOf(Not(HasSubstr("<i>")), HasSubstr("&lt;i&gt;&quot;")));
}

TEST(Page, WhatStandsBetweenBackticksIsCodeInProseAlone) {
  const std::string html = page_of({Text{"run `a <b>` or `c`, not ` this"}, Text{"`data`", Tone::kInline}});
  EXPECT_THAT(
      html, AllOf(HasSubstr("<p>run <code>a &lt;b&gt;</code> or <code>c</code>, not ` this</p>"), HasSubstr("`data`")));
}

TEST(Page, ATableHasItsColumnsAlignedAndADashForWhatIsNotThere) {
  const results::Table table{{words("name"), digits("v", "{:.1f}")}, {{"a", 1.25}, {"", std::nan("")}}};
  EXPECT_THAT(page_of({table_of(table)}),
      HasSubstr("<tr><th>name</th><th class=\"n\">v</th></tr>\n<tr><td>a</td><td class=\"n\">1.2</td></tr>\n"
                "<tr><td></td><td class=\"n\">-</td></tr>"));
}

TEST(Page, LinksLeadToTheSectionsThatHaveOne) {
  const std::string html = render(
      {.title = "t", .generator = "g", .about = "", .sections = {{"one", "One", "First", {}}, {"two", "Two", "", {}}}});
  EXPECT_THAT(html, AllOf(HasSubstr("<nav><a href=\"#one\">First</a></nav>"), HasSubstr("<h2 id=\"two\">Two</h2>")));
}

TEST(Page, PicturesShareOneBudget) {
  const Picture large{"large", 8, 8, std::string(300 << 10, 'x')};
  Figures figures;
  for (int i = 0; i < 5; ++i) figures.figures.push_back({large, "caption", "there/samples"});
  const std::string html = page_of({figures});
  std::size_t shown = 0;
  for (auto at = html.find("<img"); at != std::string::npos; at = html.find("<img", at + 1)) ++shown;
  EXPECT_EQ(shown, 3u);
  EXPECT_THAT(html, HasSubstr("Too large for this page (300 KiB): see there/samples/large.png"));
}

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
