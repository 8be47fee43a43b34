#include "results/summary.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <algorithm>
#include <cmath>
#include <sstream>
#include "example_files.h"

namespace hebm::results {
namespace {

using test::kOldSummary;
using test::kPriors;
using test::kSummary;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

using Json = nlohmann::json;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) out.push_back(line);
  return out;
}

// The head, and the line that begins with `name`, of a table behind its caption.
std::pair<std::string, std::string> line_of(const std::string& text, Against against, const std::string& name) {
  const auto lines = lines_of(text);
  auto head = std::ranges::find(lines, std::string(caption(against)));
  if (head == lines.end() || ++head == lines.end()) return {};
  const auto end = std::find(head, lines.end(), "");
  const auto row = std::find_if(head, end, [&](const std::string& line) { return line.starts_with(name); });
  return {*head, row == end ? "" : *row};
}

TEST(OfGaussian, IsZeroAtTheFloorAndOneForTheGaussianPrior) {
  EXPECT_EQ(of_gaussian(1.25, 1.25, 190.25), 0.0);
  EXPECT_EQ(of_gaussian(190.25, 1.25, 190.25), 1.0);
  EXPECT_DOUBLE_EQ(of_gaussian(95.75, 1.25, 190.25), 0.5);
  EXPECT_TRUE(std::isnan(of_gaussian(95.75, kUnknown, 190.25)));
  EXPECT_TRUE(std::isnan(of_gaussian(95.75, 1.25, kUnknown)));
  EXPECT_TRUE(std::isnan(of_gaussian(3.0, 1.25, 2.0))) << "no gap";
  const auto summary = from_json<Summary>(Json::parse(kSummary));
  EXPECT_NEAR(summary.of_gaussian(summary.find(kOwn)->scores), 0.02, 1e-12);
  EXPECT_NEAR(summary.gap(), 0.98, 1e-12);
}

TEST(PriorsTable, HasALineARowForEachSide) {
  const std::string table = text_of(from_json<Priors>(Json::parse(kPriors)));
  const auto [head, ours] = line_of(table, Against::kPosterior, "Ours, T = 3 ");
  EXPECT_THAT(head, AllOf(HasSubstr("fd_posterior"), HasSubstr("of Gaussian"), Not(HasSubstr("fd_fmnist")),
                        HasSubstr("s / 1,000"), HasSubstr("gradients, training"), HasSubstr("a sample")));
  EXPECT_THAT(ours, AllOf(HasSubstr(" 3.00"), HasSubstr(" 0.100"), HasSubstr("2.46 M"), ::testing::EndsWith("90")));
  EXPECT_EQ(head.size(), ours.size());
  EXPECT_THAT(line_of(table, Against::kPosterior, "Gaussian prior ").second, HasSubstr("21.00        1.000"));
  EXPECT_THAT(line_of(table, Against::kPosterior, "Posterior draws ").second, HasSubstr("1.00        0.000"));
  const auto [data, nce] = line_of(table, Against::kData, "NCE");
  EXPECT_THAT(data, AllOf(HasSubstr("fd_fmnist"), HasSubstr("ratio"), Not(HasSubstr("fd_posterior"))));
  EXPECT_THAT(nce, AllOf(HasSubstr("0.750"), HasSubstr("9999"), ::testing::EndsWith("0 (+ 100)")));
  EXPECT_THAT(line_of(table, Against::kData, "Reconstruction").second, ::testing::EndsWith("-"));
}

TEST(SummaryTable, AllColumnsOfEachSide) {
  const std::string table = text_of(from_json<Summary>(Json::parse(kSummary)));
  const auto [head, gaussian] = line_of(table, Against::kPosterior, "Gaussian prior");
  EXPECT_THAT(head, AllOf(HasSubstr("fd_posterior"), HasSubstr("of Gaussian"), HasSubstr("KID"), HasSubstr("precision"),
                        HasSubstr("recall"), HasSubstr("images"), Not(HasSubstr("fd_fmnist"))));
  EXPECT_THAT(gaussian, AllOf(HasSubstr("190.25"), HasSubstr("1.000"), HasSubstr("0.6511"), HasSubstr("0.312"),
                            HasSubstr("0.438"), HasSubstr("5000")));
  EXPECT_EQ(head.size(), gaussian.size());
  EXPECT_THAT(line_of(table, Against::kPosterior, "Ours").second, AllOf(HasSubstr("5.03"), HasSubstr("0.020")));
  EXPECT_THAT(line_of(table, Against::kPosterior, "Posterior draws").second, HasSubstr("0.000"));
  EXPECT_EQ(line_of(table, Against::kPosterior, "Test").second, "");
  const auto [data, ours] = line_of(table, Against::kData, "Ours");
  EXPECT_THAT(data, AllOf(HasSubstr("fd_fmnist"), HasSubstr("ratio"), HasSubstr("KID"), HasSubstr("recall"),
                        Not(HasSubstr("of Gaussian"))));
  EXPECT_THAT(ours, AllOf(HasSubstr("20.63"), HasSubstr("0.551"), HasSubstr("0.655")));
  EXPECT_THAT(line_of(table, Against::kData, "Reconstruction").second, AllOf(HasSubstr("7.21"), HasSubstr("0.193")));
  EXPECT_THAT(line_of(table, Against::kData, "Test").second, HasSubstr("0.15"));
  EXPECT_THAT(table, HasSubstr("gap closed: 0.980 "));
  EXPECT_LT(table.find(caption(Against::kPosterior)), table.find(caption(Against::kData)));
}

TEST(SummaryTable, OfAnOlderFileHasTheDataSideAlone) {
  const auto summary = from_json<Summary>(Json::parse(kOldSummary));
  EXPECT_TRUE(std::isnan(summary.gap())) << "gap_closed of such a file is of fd_fmnist";
  const std::string table = text_of(summary);
  EXPECT_THAT(table, AllOf(HasSubstr("fd_posterior: -"), Not(HasSubstr("of Gaussian")), Not(HasSubstr("gap closed"))));
  EXPECT_THAT(line_of(table, Against::kData, "Ours").second, HasSubstr("20.63"));
  Json old = Json::parse(kPriors);
  for (Json& row : old["rows"]) row.erase("fd_posterior");
  const std::string priors = text_of(from_json<Priors>(old));
  EXPECT_THAT(priors, HasSubstr("fd_posterior: -"));
  EXPECT_THAT(line_of(priors, Against::kData, "Ours").second, HasSubstr("2.46 M"));
}

TEST(SummaryTable, ColumnsWithoutNumbersAreLeftOut) {
  const std::string table = text_of(from_json<Summary>({{"gaussian", {{"fd_fmnist", 4.0}, {"fd_posterior", 4.0}}},
      {"reconstruction", {{"fd_fmnist", 1.0}}}, {"posterior", {{"fd_fmnist", 1.0}, {"fd_posterior", 1.0}}},
      {"diffusion", {{"fd_fmnist", 2.0}, {"fd_posterior", 2.5}}}}));
  EXPECT_THAT(table, Not(HasSubstr("KID")));
  EXPECT_THAT(table, Not(HasSubstr("  images")));
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
