#include "results/warnings.h"
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include "example_files.h"

namespace hebm::results {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::json;

// Of Gaussian: 0.01 (fd_posterior - 2). The reconstructions have fd_fmnist 100.
Json summary(double fd, double fd_posterior) {
  return {{"gaussian", {{"fd_fmnist", 450}, {"fd_posterior", 102}}}, {"reconstruction", {{"fd_fmnist", 100}}},
      {"posterior", {{"fd_fmnist", 99}, {"fd_posterior", 2}}},
      {"diffusion", {{"fd_fmnist", fd}, {"fd_posterior", fd_posterior}}}};
}
std::vector<std::string> warnings_of(const Json& json) { return warnings(from_json<Summary>(json)); }

TEST(Warnings, OfChainsThatLeaveThePosterior) {
  EXPECT_THAT(warnings_of(summary(91, 32)), ElementsAre(AllOf(HasSubstr("Ours: the chains leave the posterior"),
                                                HasSubstr("91.00 against 100.00"), HasSubstr("32.00, where 2.00"))));
  EXPECT_THAT(warnings_of(summary(91, 6)), IsEmpty()) << "near the floor";
  EXPECT_THAT(warnings_of(summary(130, 32)), IsEmpty()) << "a prior that is not there yet";
  EXPECT_THAT(warnings_of(Json::parse(test::kSummary)), IsEmpty());
  EXPECT_THAT(warnings_of(Json::parse(test::kOldSummary)), IsEmpty());
  EXPECT_THAT(warnings_of(Json::array()), IsEmpty());
}

TEST(Warnings, OfFewImages) {
  Json json = summary(130, 6);
  const auto with = [&](const Json& images) {
    json["gaussian"]["num_images"] = images;
    return warnings_of(json);
  };
  EXPECT_THAT(with(100), ElementsAre(AllOf(HasSubstr("Rows of 100 images for 128 features"), HasSubstr("singular"))));
  EXPECT_THAT(with(128), ElementsAre(HasSubstr("singular")));
  EXPECT_THAT(with(1279), ElementsAre(HasSubstr("too large")));
  EXPECT_THAT(with(1280), IsEmpty());
  EXPECT_THAT(warnings(from_json<Priors>({{"rows", {{{"name", "G"}, {"kind", "gaussian"}, {"num_images", 100}}}}})),
      ElementsAre(HasSubstr("singular")));
}

TEST(Warnings, OfMoreStepsThanInTraining) {
  Json json = summary(130, 6);
  const auto with = [&](const Json& steps, const Json& trained) {
    json["model"] = {{"langevin_steps", steps}, {"training_steps", trained}};
    return warnings_of(json);
  };
  EXPECT_THAT(with(60, 30), ElementsAre(AllOf(HasSubstr("60 Langevin steps"), HasSubstr("trained with 30"))));
  EXPECT_THAT(with(30, 30), IsEmpty());
  EXPECT_THAT(with(15, 30), IsEmpty());
  EXPECT_THAT(with(60, nullptr), IsEmpty());
  EXPECT_THAT(with(nullptr, 30), IsEmpty());
}

TEST(Warnings, OfImagesThatAreNotTheDecodersMean) {
  Json json = summary(130, 6);
  const auto with = [&](const char* pixels, double temperature) {
    json["samples"] = {{"sample.pixels", pixels}, {"sample.temperature", temperature}};
    return warnings_of(json);
  };
  EXPECT_THAT(with("mean", 1.0), IsEmpty());
  EXPECT_THAT(with("sample", 1.0), ElementsAre(HasSubstr("drawn pixels")));
  EXPECT_THAT(with("mean", 0.75), ElementsAre(HasSubstr("temperature 0.75")));
}

// Two rows of one prior, 30 and `steps` steps.
std::vector<std::string> pair_of(std::int64_t steps, double fd, double fd_posterior, const std::string& hash = "a") {
  const auto row = [](const std::string& name, const std::string& prior, std::int64_t k, double to_data, double to_q) {
    return Json{{"name", name}, {"kind", "diffusion"}, {"fd_fmnist", to_data}, {"fd_posterior", to_q},
        {"samples", {{"prior_hash", prior}, {"langevin.steps", k}}}};
  };
  return warnings(from_json<Priors>(
      {{"rows", {{{"name", "G"}, {"kind", "gaussian"}, {"fd_fmnist", 450}, {"fd_posterior", 102}},
                    {{"name", "R"}, {"kind", "reconstruction"}, {"fd_fmnist", 100}, {"fd_posterior", 2}},
                    {{"name", "P"}, {"kind", "posterior"}, {"fd_fmnist", 99}, {"fd_posterior", 2}},
                    row("short", "a", 30, 150, 10), row("long", hash, steps, fd, fd_posterior)}}}));
}

TEST(Warnings, OfLongerChainsOfOnePrior) {
  EXPECT_THAT(pair_of(60, 120, 20), ElementsAre(AllOf(HasSubstr("long: 60 instead of 30"),
                                        HasSubstr("150.00 to 120.00"), HasSubstr("10.00 to 20.00"))));
  EXPECT_THAT(pair_of(60, 120, 12), IsEmpty()) << "no farther than chance";
  EXPECT_THAT(pair_of(60, 160, 20), IsEmpty()) << "no nearer to the data";
  EXPECT_THAT(pair_of(30, 120, 20), IsEmpty()) << "as many steps";
  EXPECT_THAT(pair_of(60, 120, 20, "b"), IsEmpty()) << "another prior";
  EXPECT_THAT(pair_of(60, 90, 20), ::testing::SizeIs(2)) << "and nearer than the reconstructions";
}

}  // namespace
}  // namespace hebm::results
