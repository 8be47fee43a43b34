// Draws for labels: which candidate is taken, and what the chain that goes on from it draws.
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>
#include <algorithm>
#include <cmath>
#include <tuple>
#include "prior/reverse_chain.h"
#include "tiny_prior.h"

namespace hebm::prior {
namespace {

at::Tensor rows(std::vector<double> values, std::int64_t columns) {
  return at::tensor(values, at::kDouble).view({-1, columns});
}

// Candidate m of a row is taken with probability ~ p(y | its u_0), of both heads where both are
// asked for. Shares of 20,000 rows are within 5 standard deviations, sqrt(p (1 - p) / 20,000) <
// 0.0036.
TEST(LabelCandidates, AreTakenByTheirProbabilityOfTheLabel) {
  constexpr std::int64_t kRows = 20000;
  const std::vector<std::vector<double>> kind = {{0.7, 0.2, 0.1}, {0.1, 0.3, 0.6}, {0.4, 0.4, 0.2}},
                                         dark = {{0.9, 0.1}, {0.5, 0.5}, {0.2, 0.8}};
  LabelCandidates candidates;
  for (std::size_t m = 0; m < 3; ++m) {
    candidates.log_probability.push_back(
        {rows(kind[m], 3).log().expand({kRows, 3}), rows(dark[m], 2).log().expand({kRows, 2})});
  }
  for (const auto& [y, d, guidance] : {std::tuple{1, -1, 1.0}, {-1, 1, 1.0}, {2, 0, 1.0}, {-1, -1, 1.0}, {1, 0, 2.0}}) {
    const LabelChoice choice{
        at::cat({at::full({kRows, 1}, y, at::kLong), at::full({kRows, 1}, d, at::kLong)}, 1), guidance};
    const auto chosen = choose_candidates(candidates, choice, chain_ids(7, 0, kRows));
    double weight[3], sum = 0;
    for (std::size_t m = 0; m < 3; ++m) {
      weight[m] = std::pow(
          (y < 0 ? 1 : kind[m][static_cast<std::size_t>(y)]) * (d < 0 ? 1 : dark[m][static_cast<std::size_t>(d)]),
          guidance);
      sum += weight[m];
    }
    for (std::size_t m = 0; m < 3; ++m) {
      const auto times = std::count(chosen.begin(), chosen.end(), static_cast<std::int64_t>(m));
      const double share = static_cast<double>(times) / static_cast<double>(kRows);
      EXPECT_NEAR(share, weight[m] / sum, 5 * 0.0036) << "candidate " << m << " for " << y << ", " << d;
    }
  }
}

// One candidate is the paper's way, `sample` with labels; 4 make the category likelier (with a
// guidance that all but takes the likeliest), and each row's draw is its own, whatever its batch.
TEST(LabelCandidates, MakeTheLabelLikelier) {
  test::LabelledPrior s(true, {{"kind", {"a", "b"}, {0, 1, 2}}}, at::kFloat);
  s.draw_labels();
  LangevinOptions langevin;
  langevin.steps = 2;
  const ReverseChain chain(s.prior, s.backbone, langevin);
  constexpr std::int64_t kCount = 16;
  const LabelChoice choice{at::full({kCount, 1}, 1, at::kLong), 20.0};
  const at::Tensor one = sample_for_labels(chain, choice, 1, chain_ids(3, 0, kCount)),
                   many = sample_for_labels(chain, choice, 4, chain_ids(3, 0, kCount));
  EXPECT_TRUE(one.equal(chain.sample(chain_ids(3, 0, kCount), {.labels = &choice})));
  const auto log_p = [&](const at::Tensor& u0) {
    return chain.label_log_probability(u0)[0].select(1, 1).mean().item<double>();
  };
  EXPECT_GT(log_p(many), log_p(one));
  const LabelChoice last{at::full({1, 1}, 1, at::kLong), 20.0};
  EXPECT_LT((sample_for_labels(chain, last, 4, chain_ids(3, kCount - 1, 1)) - many.narrow(0, kCount - 1, 1))
                .abs()
                .max()
                .item<double>(),
      1e-4);
  const HeldLayers held = chain.held({0}, many, chain_ids(3, 0, kCount));
  const at::Tensor lower = sample_for_labels(chain, choice, 2, chain_ids(3, 0, kCount), &held);
  const std::int64_t top = s.backbone.groups()[0].size();
  EXPECT_TRUE(lower.narrow(1, 0, top).equal(many.narrow(1, 0, top)));
}

}  // namespace
}  // namespace hebm::prior
