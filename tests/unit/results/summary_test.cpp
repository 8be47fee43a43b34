#include "results/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace hebm::results {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const char* const kSummary = R"({
  "gaussian": {"fd_fmnist": 37.41, "num_images": 5000, "seconds": 4.2, "kid": 0.0234, "precision": 0.412, "recall": 0.611},
  "reconstruction": {"fd_fmnist": 7.21, "num_images": 5000, "seconds": 6.1, "kid": 0.0031, "precision": 0.842, "recall": 0.802},
  "diffusion": {"fd_fmnist": 20.63, "num_images": 5000, "seconds": 241.8, "kid": 0.0112, "precision": 0.655, "recall": 0.688},
  "by_level": [{"t": 1, "decode_true": 21.5, "from_true": 19.4, "num_images": 2000}, {"t": 2, "decode_true": 36.5, "from_true": 29.2}],
  "gap_closed": 0.5556, "sanity_test_vs_train": {"fd_fmnist": 0.15, "num_images": 10000},
  "features": {"accuracy": 0.9112, "hash": "0123abcd"}})";

const char* const kPriors = R"({"rows": [
  {"name": "Gaussian prior", "kind": "gaussian", "fd_fmnist": 40, "kid": 0.02, "seconds_per_1000": 0.51, "training_gradients": 0, "sampling_gradients": 0, "sampling_evaluations": 0},
  {"name": "Reconstruction", "kind": "reconstruction", "fd_fmnist": 8, "precision": 0.9},
  {"name": "NCE, <resampling>", "kind": "nce", "fd_fmnist": 30, "training_gradients": 9999, "sampling_gradients": 0, "sampling_evaluations": 100},
  {"name": "Ours, T = 3", "kind": "diffusion", "fd_fmnist": 10, "seconds_per_1000": 12.34, "training_gradients": 2457600, "sampling_gradients": 90}]})";

TEST(PriorsTable, HasOneLineARow) {
  std::istringstream lines(text_of(from_json<Priors>(nlohmann::json::parse(kPriors))));
  std::string head, gaussian, reconstruction, nce, ours;
  for (std::string* line : {&head, &gaussian, &reconstruction, &nce, &ours}) std::getline(lines, *line);
  EXPECT_THAT(head, AllOf(HasSubstr("fd_fmnist"), HasSubstr("of Gaussian"), HasSubstr("s / 1,000"),
                          HasSubstr("gradients, training"), HasSubstr("a sample")));
  EXPECT_THAT(gaussian, AllOf(::testing::StartsWith("Gaussian prior "), HasSubstr("40.00"), HasSubstr("1.000"),
                              HasSubstr("0.5")));
  EXPECT_THAT(nce, AllOf(HasSubstr("9999"), ::testing::EndsWith("0 (+ 100)")));
  EXPECT_THAT(ours, AllOf(::testing::StartsWith("Ours, T = 3 "), HasSubstr("0.250"), HasSubstr("2.46 M"),
                          ::testing::EndsWith("90")));
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
  EXPECT_THAT(gaussian, AllOf(::testing::StartsWith("Gaussian prior"), HasSubstr("37.41"), HasSubstr("1.000"),
                              HasSubstr("5000")));
  EXPECT_THAT(reconstruction, AllOf(::testing::StartsWith("Reconstruction"), HasSubstr("7.21"), HasSubstr("0.193")));
  EXPECT_THAT(ours, AllOf(::testing::StartsWith("Ours"), HasSubstr("20.63"), HasSubstr("0.551")));
  EXPECT_THAT(sanity, HasSubstr("0.15"));
  EXPECT_THAT(gap, HasSubstr("0.556"));
  EXPECT_EQ(head.size(), gaussian.size());
  EXPECT_EQ(head.size(), sanity.size());
}

TEST(SummaryTable, ColumnsWithoutNumbersAreLeftOut) {
  const std::string table = text_of(from_json<Summary>({{"gaussian", {{"fd_fmnist", 4.0}}},
                                                        {"reconstruction", {{"fd_fmnist", 1.0}}},
                                                        {"diffusion", {{"fd_fmnist", 2.5}}}}));
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
