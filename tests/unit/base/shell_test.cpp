#include "base/shell.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include "../support.h"

namespace hebm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(ShellQuote, PlainWordsStay) {
  for (const char* plain : {"launch/mpirun", "-n", "4", "--host=a:2,b:2", "50%", "user@node+1_x.y"})
    EXPECT_EQ(shell_quote(plain), plain);
}

TEST(ShellQuote, OthersStandBetweenQuotes) {
  EXPECT_EQ(shell_quote(""), "''");
  EXPECT_EQ(shell_quote("my run"), "'my run'");
  EXPECT_EQ(shell_quote("it's"), "'it'\\''s'");
  EXPECT_EQ(shell_quote("$x\\`\""), "'$x\\`\"'");
}

TEST(ShellWords, BlanksSeparate) {
  EXPECT_THAT(shell_words(" launch/mpirun  -n\t4\n"), ElementsAre("launch/mpirun", "-n", "4"));
  EXPECT_THAT(shell_words("  "), IsEmpty());
}

TEST(ShellWords, QuotesAndBackslashesHoldAWordTogether) {
  EXPECT_THAT(shell_words(R"('a b' c\ d "e f"g '' ""h)"), ElementsAre("a b", "c d", "e fg", "", "h"));
  EXPECT_THAT(shell_words(R"('\n$x' "\n\"\\\$" \n \$x)"), ElementsAre("\\n$x", "\\n\"\\$", "n", "$x"));
  EXPECT_THAT(shell_words("'it'\\''s'"), ElementsAre("it's"));
}

TEST(ShellWords, AnOpenQuoteIsRefused) {
  test::expect_error(ExitCode::kUsage, {"a quote (') is not closed", "it's"}, [] { shell_words("it's"); });
}

TEST(ShellWords, ReadBackWhatWasQuoted) {
  const std::vector<std::string> words = {"-a b%x", "'", "\"", "\\", "$e;#", "", "\n", "ä", "\\'\""};
  std::string text;
  for (const std::string& word : words) text += shell_quote(word) + " ";
  EXPECT_EQ(shell_words(text), words);
}

}  // namespace
}  // namespace hebm
