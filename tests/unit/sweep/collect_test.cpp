#include "sweep/collect.h"
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <cmath>
#include <functional>
#include <string_view>
#include "support.h"

namespace hebm::sweep::test {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Row row(std::int64_t number, const std::string& t, const std::string& k, const std::string& seed, double fd,
    double seconds) {
  Row out{{number, {{"prior.T", t}, {"langevin.steps", k}, {"train.seed", seed}}}, {.standing = Standing::kDone}, {}};
  out.scores = {{}, 0.75, 128, seconds, 2'000'000, 48};
  out.beside["gaussian"][results::score("fd_posterior")].value = 90;
  out.beside["gaussian"][results::score("fd_fmnist")].value = 100 + std::stod(k) / 100;
  out.scores.scores[results::score("fd_fmnist")].value = fd;
  out.scores.scores[results::score("precision")].value = 0.5;
  out.scores.scores[results::score("recall")].value = 0.25;
  out.scores.scores[results::score("fd_posterior")].value = fd / 8;
  return out;
}

// What `text_of` gives of every row of kScores, each behind a comma.
std::string of_scores(const std::function<std::string_view(std::string_view key)>& text_of) {
  std::string out;
  for (const results::ScoreInfo& info : results::kScores) out += fmt::format(",{}", text_of(info.key));
  return out;
}

// T = 1 and 2 at K = 10, seeds 1 and 2; and one member that failed.
std::vector<Row> rows() {
  std::vector<Row> out = {row(0, "1", "10", "1", 30, 1.0), row(1, "1", "10", "2", 34, 2.0),
      row(2, "2", "10", "1", 20, 3.0), row(3, "2", "10", "2", 21, 5.0), row(4, "2", "50", "1", 10, 9.0)};
  out[3].state = {.standing = Standing::kFailed, .step = "train", .exit_code = 3, .why = "diverged"};
  out[3].scores = {};
  out[3].beside = {};
  return out;
}

TEST(Collect, MeanAndRangeAreOfTheFiniteValues) {
  const results::Spread s = spread_of({3.0, std::nan(""), 1.0, 2.0});
  EXPECT_DOUBLE_EQ(s.mean, 2.0);
  EXPECT_DOUBLE_EQ(s.low, 1.0);
  EXPECT_DOUBLE_EQ(s.high, 3.0);
  EXPECT_EQ(s.count, 3);
  EXPECT_EQ(spread_of({}).count, 0);
  EXPECT_TRUE(std::isnan(spread_of({std::nan("")}).mean));
}

TEST(Collect, SeedsOfOneSettingAreOneGroup) {
  const std::vector<Group> groups = group_rows(rows());
  ASSERT_EQ(groups.size(), 3U);
  EXPECT_EQ(groups[0].settings, (Settings{{"prior.T", "1"}, {"langevin.steps", "10"}}));
  EXPECT_EQ(groups[0].members, 2);
  EXPECT_DOUBLE_EQ(groups[0].fd_fmnist.mean, 32.0);
  EXPECT_DOUBLE_EQ(groups[0].fd_fmnist.low, 30.0);
  EXPECT_DOUBLE_EQ(groups[0].fd_fmnist.high, 34.0);
  EXPECT_DOUBLE_EQ(groups[0].sampling_s.mean, 1.5);
  EXPECT_DOUBLE_EQ(groups[0].fd_posterior.mean, 4.0);
  EXPECT_DOUBLE_EQ(groups[0].fd_posterior.high, 4.25);
  EXPECT_EQ(groups[1].fd_fmnist.count, 1);  // the other one failed
  EXPECT_EQ(groups[1].members, 2);
}

TEST(Collect, TheTableSaysScoreAndSecondsByTAndK) {
  const std::string text = markdown_of("tk", rows());
  EXPECT_THAT(text, HasSubstr("# tk: 4 of 5 members done"));
  EXPECT_THAT(text, HasSubstr("| T = 1, K = 10 | 4.00 (3.75 - 4.25) | 32.00 (30.00 - 34.00) | 1.50 (1.00 - 2.00) | "
                              "0.750 (0.750 - 0.750) | 2.00 M | 48 | 2 of 2 |"));
  EXPECT_THAT(text, HasSubstr("| T = 2, K = 10 | 2.50 | 20.00 | 3.00 | 0.750 | 2.00 M | 48 | 1 of 2 |"));
  EXPECT_THAT(text, HasSubstr("| Gaussian prior | 90.00 | 100.30 (100.10 - 100.50) | - | - | - | - | - |"));
  EXPECT_THAT(text, HasSubstr("| fd_posterior | KID (posterior) | precision (posterior) | recall (posterior) |"));
  std::string unknown;
  for (std::size_t i = 0; i < results::kScores.size() + 1; ++i) unknown += " - |";  // sampling (s) is one more
  EXPECT_THAT(text, HasSubstr("| 0003 | T = 2, K = 10, train.seed = 2 | failed |" + unknown + "\n"));
}

TEST(Collect, TheCsvHasARowAMemberAndQuotesWhatNeedsIt) {
  std::vector<Row> all = rows();
  all[0].member.settings.insert({"prior.alpha_cum", "0.9,\"0.5"});
  const std::string text = csv_of(all);
  const std::string keys = of_scores([](std::string_view key) { return key; });
  const std::string known = of_scores([](std::string_view key) -> std::string_view {
    return key == "fd_fmnist"      ? "30"
           : key == "precision"    ? "0.5"
           : key == "recall"       ? "0.25"
           : key == "fd_posterior" ? "3.75"
                                   : "";
  });
  const std::string unknown(results::kScores.size() + 5, ',');
  EXPECT_TRUE(text.starts_with("member,state,prior.T,langevin.steps,train.seed,prior.alpha_cum" + keys +
                               ",gap_closed,num_images,sampling_s,"
                               "training_gradients,sampling_gradients\n"))
      << text;
  EXPECT_THAT(text, HasSubstr("\n0000,done,1,10,1,\"0.9,\"\"0.5\"" + known + ",0.75,128,1,2e+06,48\n"));
  EXPECT_THAT(text, HasSubstr("\n0003,failed,2,10,2," + unknown + "\n"));
}

TEST(Collect, LinesOfThePlotAreOverNumbersWithTheOthersFixed) {
  const nlohmann::json json = results::to_json(sweep_of(rows()));
  ASSERT_EQ(json["plots"].size(), 2U);
  const auto& over_t = json["plots"][0];
  EXPECT_EQ(over_t["option"], "T");
  ASSERT_EQ(over_t["lines"].size(), 1U);  // K = 50 has one point only
  EXPECT_EQ(over_t["lines"][0]["name"], "K = 10");
  EXPECT_EQ(over_t["lines"][0]["x"], (std::vector<double>{1, 2}));
  EXPECT_EQ(over_t["lines"][0]["fd_fmnist"], (std::vector<double>{32, 20}));
  EXPECT_EQ(over_t["lines"][0]["low"], (std::vector<double>{30, 20}));
  EXPECT_EQ(over_t["lines"][0]["fd_posterior"], (std::vector<double>{4, 2.5}));
  EXPECT_EQ(json["plots"][1]["option"], "K");
  EXPECT_TRUE(json["members"][3]["fd_fmnist"].is_null());
  EXPECT_THAT(json.dump(), Not(HasSubstr("nan")));
}

TEST(Collect, ScoresAreReadLeniently) {
  const TempFolder folder;
  const auto read = [&](const std::string& text) {
    Row out{};
    read_scores(put(folder / "a", text), out);
    return out;
  };
  Row none{};
  read_scores(folder / "none", none);
  EXPECT_TRUE(std::isnan(none.scores.scores.fd()));
  EXPECT_TRUE(std::isnan(read("[1]").scores.scores.fd()));
  expect_error(ExitCode::kCorrupt, {(folder / "a").string(), "not valid JSON"}, [&] { read("[1"); });
  EXPECT_TRUE(std::isnan(read(R"({"diffusion": "x"})").scores.scores.fd()));
  const Row own = read(R"({"diffusion": {"fd_fmnist": 12.5, "seconds": 3, "fd_posterior": 6},
      "gaussian": {"fd_posterior": 10, "fd_fmnist": 20}, "posterior": {"fd_posterior": 2, "fd_fmnist": 8},
      "model": {"training_gradients": 1000, "sampling_gradients": 48}})");
  const results::MemberScores& s = own.scores;
  EXPECT_EQ(s.training_gradients, 1000);
  EXPECT_EQ(s.sampling_gradients, 48);
  EXPECT_DOUBLE_EQ(own.beside.at("gaussian").fd_posterior(), 10);
  EXPECT_FALSE(own.beside.contains("reconstruction"));
  EXPECT_DOUBLE_EQ(s.scores.fd(), 12.5);
  EXPECT_DOUBLE_EQ(s.sampling_s, 3.0);
  EXPECT_DOUBLE_EQ(s.gap_closed, 0.5);
  EXPECT_TRUE(std::isnan(s.scores[results::score("kid")].value));
  const results::MemberScores old = read(R"({"diffusion": {"fd_fmnist": 12.5}, "gap_closed": 0.9})").scores;
  EXPECT_TRUE(std::isnan(old.gap_closed)) << "that one was of fd_fmnist";
  EXPECT_TRUE(std::isnan(old.scores.fd_posterior()));
  const results::MemberScores joint =
      read(R"({"joint": {"fd_fmnist": 3.5}, "diffusion": {"fd_fmnist": 1.5}, "model": {"kind": "joint"}})").scores;
  EXPECT_DOUBLE_EQ(joint.scores.fd(), 3.5) << "of the kind that was scored";
}

}  // namespace
}  // namespace hebm::sweep::test
