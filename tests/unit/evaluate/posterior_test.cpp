#include "evaluate/posterior.h"
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <cmath>
#include <functional>
#include <set>
#include "../thread_ranks.h"
#include "evaluate/evaluate.h"
#include "prior/chains.h"
#include "trained.h"

namespace hebm::evaluate {
namespace {

// 48 images a set: 3 x 48 training images, so that all sets are of other ones.
class PosteriorScores : public ::testing::Test {
 protected:
  PosteriorScores() {
    options_.num_images = 48;
    options_.chunk = 16;
  }
  using Set = std::function<FeatureRows(const Scorer&)>;
  results::Scores scores_of(const Set& set, comm::Communicator& comm) const {
    const Scorer scorer(options_, {trained_.dataset, trained_.backbone, trained_.features}, {comm, logger_});
    return scorer.scores(set(scorer));
  }
  // Images of u ~ N(3, 9 I).
  FeatureRows far(const Scorer& scorer) const {
    return scorer.collect(
        48, true,
        [&](const Chunk& c) {
          const auto ids = prior::chain_ids(1, c.first, c.size);
          return scorer.images(prior::prior_noise(ids, trained_.backbone.dim(), at::kCPU) * 3 + 3);
        },
        "far");
  }
  static double fd_posterior(const results::Scores& scores) { return scores[results::score("fd_posterior")].value; }
  Trained trained_{1, 1.0, {}, "2x4,3x8", {144, 48}};
  EvaluateOptions options_;
  mutable Logger logger_{false};
  mutable comm::SingleCommunicator comm_;
};

// The floor is what images of other draws have by chance: more than nothing, and little of what a
// prior far away has. Reconstructions of test images are draws of the same law here, where images
// are noise.
TEST_F(PosteriorScores, PosteriorDrawsAreAtTheFloor) {
  const auto floor = scores_of(&Scorer::posterior_draws, comm_),
             reconstruction = scores_of(&Scorer::reconstruction, comm_),
             away = scores_of([&](const Scorer&scorer) { return far(scorer); }, comm_);
  EXPECT_GT(fd_posterior(floor), 0.0);
  EXPECT_LT(fd_posterior(floor), 0.1 * fd_posterior(away));
  EXPECT_LT(std::abs(fd_posterior(reconstruction) - fd_posterior(floor)), 0.5 * fd_posterior(floor));
  EXPECT_GT(floor[results::score("precision_posterior")].value, 0.7);
  EXPECT_GT(floor[results::score("recall_posterior")].value, 0.7);
  EXPECT_LT(away[results::score("precision_posterior")].value, 0.5);
}

// No image is in two of the sets, and a draw of one image in two visits is another one.
TEST_F(PosteriorScores, SetsAreOfOtherImagesAndDraws) {
  const ScoreInputs in{trained_.dataset, trained_.backbone, trained_.features};
  const auto reference = posterior_reference(48, 16, 2), floor = posterior_floor(48, 16, 2);
  std::set<std::int64_t> images;
  for (const auto& [start, count] :
      {std::pair{reference.start, reference.count}, {floor.start, floor.count}, {0L, 48L}})
    for (const std::int64_t image : split_members(trained_.dataset, data::Split::kTrain, start, count))
      images.insert(image);
  EXPECT_EQ(images.size(), 144u);
  const auto wrapped = draw(in, floor, 144 - 96 + 5, 1), own = draw(in, {.seed = 2}, 5, 1);  // image 5 in both
  EXPECT_FALSE(wrapped.u.equal(own.u));
  EXPECT_TRUE(draw(in, {.seed = 2}, 5, 1).u.equal(own.u));
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
