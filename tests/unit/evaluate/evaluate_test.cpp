// What `evaluate --all` says a prior costs, and what it reads of samples.
#include "evaluate/evaluate.h"
#include <gtest/gtest.h>
#include <cmath>
#include "../nets/support.h"
#include "../thread_ranks.h"
#include "base/error.h"
#include "storage/hdf5.h"
#include "trained.h"

namespace hebm::evaluate {
namespace {

TEST(Cost, OfTrainingCountsChainsAndBothHalvesOfTheLoss) {
  const nlohmann::json fingerprint = {{"train.updates", "600"}, {"train.batch", "128"}, {"langevin.steps", "30"}};
  EXPECT_EQ(training_gradients(true, fingerprint), 600 * 128 * 32);
  EXPECT_EQ(training_gradients(true, fingerprint), 600 * 128 * 32);
  EXPECT_EQ(training_gradients(false, fingerprint), 600 * 128 * 2);
  EXPECT_EQ(training_gradients(true, {{"train.updates", "600"}, {"train.batch", "128"}}), std::nullopt);
  for (const char* bad : {"", "x", "600x", "-1", "0", "1e3", "99999999999999999999"}) {
    EXPECT_EQ(training_gradients(false, {{"train.updates", bad}, {"train.batch", "128"}}), std::nullopt) << bad;
  }
  EXPECT_EQ(training_gradients(false, {{"train.updates", 600}, {"train.batch", "128"}}), std::nullopt);
  EXPECT_EQ(training_gradients(true,
                {{"train.updates", "1000000000"}, {"train.batch", "1000000000"}, {"langevin.steps", "1000000000"}}),
      std::nullopt);
  EXPECT_EQ(training_gradients(false, nlohmann::json()), std::nullopt);
}

TEST(Cost, OfASample) {
  const nlohmann::json chains = {{"langevin.steps", 30}};
  EXPECT_EQ(chain_cost(3, chains).gradients, 90);
  EXPECT_EQ(chain_cost(3, chains).evaluations, 0);
  EXPECT_EQ(chain_cost(1, chains).gradients, 30);
  EXPECT_EQ(chain_cost(std::nullopt, chains).gradients, std::nullopt);
  EXPECT_EQ(chain_cost(3, nlohmann::json()).gradients, std::nullopt);
}

class StoredSamplesTest : public ::testing::Test {
 protected:
  std::filesystem::path write(const std::string& name, const std::string& seconds, const std::string& fingerprint) {
    const auto file = folder_ / name;
    auto h5 = storage::H5File::create(file);
    std::vector<std::uint8_t> pixels(5 * 4);
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i);
    h5.write("images", storage::H5Type::kU8, {5, 1, 2, 2}, std::as_bytes(std::span(pixels)));
    h5.set_attribute("seconds", seconds);
    h5.set_attribute("identity", fingerprint);
    h5.close_durable();
    return file;
  }
  test::TempFolder folder_;
};

TEST_F(StoredSamplesTest, AreReadBack) {
  const auto file = write("a.h5", "2.5", R"({"vae_hash": "v"})");
  const StoredSamples stored = read_stored_samples(file);
  EXPECT_EQ(stored.count, 5);
  EXPECT_DOUBLE_EQ(stored.seconds_per_image, 0.5);
  EXPECT_EQ(stored.fingerprint.at("vae_hash"), "v");
  EXPECT_EQ(stored.images_hash, "");
  EXPECT_EQ(
      read_sample_images(file, {1, 2, 2}, 2, 2).pixels, (std::vector<std::uint8_t>{8, 9, 10, 11, 12, 13, 14, 15}));
  // Beyond the end: image 4 first, then what comes before it.
  EXPECT_EQ(read_sample_images(file, {1, 2, 2}, 4, 3).pixels,
      (std::vector<std::uint8_t>{16, 17, 18, 19, 8, 9, 10, 11, 12, 13, 14, 15}));
  test::expect_error(ExitCode::kCorrupt, {"a.h5", "1 x 2 x 3"}, [&] { read_sample_images(file, {1, 2, 3}, 0, 2); });
  test::expect_error(ExitCode::kUsage, {"a.h5", "6"}, [&] { read_sample_images(file, {1, 2, 2}, 0, 6); });
}

TEST_F(StoredSamplesTest, OfAnyOtherContentAreRefused) {
  int n = 0;
  for (const char* seconds : {"", "x", "1.5s", "nan", "-1", "inf"}) {
    const auto file = write(fmt::format("s{}.h5", n++), seconds, "{}");
    test::expect_error(ExitCode::kCorrupt, {file.filename().string(), "seconds"}, [&] { read_stored_samples(file); });
  }
  for (const char* fingerprint : {"", "3", "[1]", "{"}) {
    const auto file = write(fmt::format("i{}.h5", n++), "1", fingerprint);
    test::expect_error(ExitCode::kCorrupt, {file.filename().string(), "identity"}, [&] { read_stored_samples(file); });
  }
  test::spill(folder_ / "zero.h5", std::string(4096, '\0'));
  test::expect_error(ExitCode::kCorrupt, {"zero.h5"}, [&] { read_stored_samples(folder_ / "zero.h5"); });
}

// 48 images a set: 3 x 48 training images, so that all sets are of other ones.
class PosteriorScores : public ::testing::Test {
 protected:
  results::Scores scores_of(FeatureRows (Scorer::*set)() const, comm::Communicator& comm) const {
    const Scorer scorer(options_, {trained_.dataset, trained_.backbone, trained_.features}, comm, logger_);
    return scorer.scores((scorer.*set)());
  }
  static double fd_posterior(const results::Scores& scores) { return scores[results::score("fd_posterior")].value; }
  Trained trained_{1, 1.0, {}, "2x4,3x8", {144, 48}};
  EvaluateOptions options_{.num_images = 48, .chunk = 16};
  mutable Logger logger_{false};
  mutable comm::SingleCommunicator comm_;
};

// The floor is what images of other draws have by chance: more than nothing, and little of what the
// Gaussian prior has. Reconstructions of test images are draws of the same law here.
TEST_F(PosteriorScores, PosteriorDrawsAreAtTheFloor) {
  const auto floor = scores_of(&Scorer::posterior_draws, comm_), gaussian = scores_of(&Scorer::gaussian, comm_),
             reconstruction = scores_of(&Scorer::reconstruction, comm_);
  EXPECT_GT(fd_posterior(floor), 0.0);
  EXPECT_LT(fd_posterior(floor), 0.1 * fd_posterior(gaussian));
  EXPECT_LT(std::abs(fd_posterior(reconstruction) - fd_posterior(floor)), 0.5 * fd_posterior(floor));
  EXPECT_GT(floor[results::score("precision_posterior")].value, 0.7);
  EXPECT_GT(floor[results::score("recall_posterior")].value, 0.7);
  EXPECT_LT(gaussian[results::score("recall_posterior")].value, 0.5);
}

TEST_F(PosteriorScores, AreTheSameOnOneAndTwoRanks) {
  const auto one = scores_of(&Scorer::gaussian, comm_);
  results::Scores two;
  const auto thrown = test::on_ranks(2, [&](comm::Communicator& comm) {
    const auto scores = scores_of(&Scorer::gaussian, comm);
    if (comm.is_root()) two = scores;
  });
  EXPECT_EQ(thrown, (std::vector<std::string>{"", ""}));
  for (std::size_t i = 0; i < results::kScores.size(); ++i)
    EXPECT_DOUBLE_EQ(two[i].value, one[i].value) << results::kScores[i].key;
}

}  // namespace
}  // namespace hebm::evaluate
