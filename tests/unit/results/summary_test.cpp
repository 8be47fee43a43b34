#include "results/summary.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sstream>
#include "example_files.h"

namespace hebm::results {
namespace {

using test::kPriors;
using test::kSummary;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(PriorsTable, HasOneLineARow) {
  std::istringstream lines(text_of(from_json<Priors>(nlohmann::json::parse(kPriors))));
  std::string head, gaussian, reconstruction, nce, ours;
  for (std::string* line : {&head, &gaussian, &reconstruction, &nce, &ours}) std::getline(lines, *line);
  EXPECT_THAT(head, AllOf(HasSubstr("fd_fmnist"), HasSubstr("of Gaussian"), HasSubstr("s / 1,000"),
                        HasSubstr("gradients, training"), HasSubstr("a sample")));
  EXPECT_THAT(gaussian,
      AllOf(::testing::StartsWith("Gaussian prior "), HasSubstr("40.00"), HasSubstr("1.000"), HasSubstr("0.5")));
  EXPECT_THAT(nce, AllOf(HasSubstr("9999"), ::testing::EndsWith("0 (+ 100)")));
  EXPECT_THAT(ours,
      AllOf(::testing::StartsWith("Ours, T = 3 "), HasSubstr("0.250"), HasSubstr("2.46 M"), ::testing::EndsWith("90")));
  EXPECT_THAT(reconstruction, ::testing::EndsWith("-"));
  EXPECT_EQ(head.size(), ours.size());
}

TEST(SummaryTable, AllColumns) {
  const std::string table = text_of(from_json<Summary>(nlohmann::json::parse(kSummary)));
  std::istringstream lines(table);
  std::string head, gaussian, reconstruction, ours, sanity, gap;
  std::getline(lines, head);
  std::getline(lines, gaussian);
  std::getline(lines, reconstruction);
  std::getline(lines, ours);
  std::getline(lines, sanity);
  std::getline(lines, gap);
  EXPECT_THAT(head, AllOf(HasSubstr("fd_fmnist"), HasSubstr("KID"), HasSubstr("recall"), HasSubstr("images")));
  EXPECT_THAT(gaussian,
      AllOf(::testing::StartsWith("Gaussian prior"), HasSubstr("37.41"), HasSubstr("1.000"), HasSubstr("5000")));
  EXPECT_THAT(reconstruction, AllOf(::testing::StartsWith("Reconstruction"), HasSubstr("7.21"), HasSubstr("0.193")));
  EXPECT_THAT(ours, AllOf(::testing::StartsWith("Ours"), HasSubstr("20.63"), HasSubstr("0.551")));
  EXPECT_THAT(sanity, HasSubstr("0.15"));
  EXPECT_THAT(gap, HasSubstr("0.556"));
  EXPECT_EQ(head.size(), gaussian.size());
  EXPECT_EQ(head.size(), sanity.size());
}

TEST(SummaryTable, ColumnsWithoutNumbersAreLeftOut) {
  const std::string table = text_of(from_json<Summary>({{"gaussian", {{"fd_fmnist", 4.0}}},
      {"reconstruction", {{"fd_fmnist", 1.0}}}, {"diffusion", {{"fd_fmnist", 2.5}}}}));
  EXPECT_THAT(table, Not(HasSubstr("KID")));
  EXPECT_THAT(table, Not(HasSubstr("images")));
  EXPECT_THAT(table, HasSubstr("gap closed: 0.500"));  // computed where it is not given
}

TEST(SummaryTable, OtherShapes) {
  for (const char* text : {"null", "[]", "3", "{}", "{\"gaussian\": 1}", "\"x\""}) {
    EXPECT_EQ(text_of(from_json<Summary>(nlohmann::json::parse(text))), "no scores yet\n") << text;
  }
}

TEST(PriorsTable, OtherShapes) {
  for (const char* text :
      {"[]", "3", "{}", R"({"rows": 3})", R"({"rows": [1, {}, {"fd_fmnist": "x"}, {"fd_fmnist": null}]})"}) {
    EXPECT_EQ(text_of(from_json<Priors>(nlohmann::json::parse(text))), "no scores yet\n") << text;
  }
}

}  // namespace
}  // namespace hebm::results
