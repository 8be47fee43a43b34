#include "vae/nvae_training.h"
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/linalg_svdvals.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <cmath>
#include <span>
#include "../nets/support.h"

namespace hebm::vae {
namespace {

using test::largest_difference;
using test::random_tensor;

NvaeOptions tiny_options() {
  NvaeOptions options;
  options.channels = 4;
  options.scales = 2;
  options.groups_per_scale = 2;
  options.latents = 3;
  options.preprocess_blocks = options.postprocess_blocks = 1;
  options.preprocess_cells = options.postprocess_cells = 2;
  return options;
}

struct Tiny {
  Tiny() { at::set_num_threads(1); }
  Nvae net{tiny_options(), {1, 16, 16}, {.seed = 3, .dtype = at::kDouble}};
  at::Tensor x = random_tensor({6, 1, 16, 16}, 1).abs(), noise = random_tensor({6, net.dim()}, 2);
};

double exact_penalty(const Nvae& net) {
  double sum = 0;
  for (const auto& conv : net.modules().convs()) {
    sum += at::linalg_svdvals(conv.effective_weight().detach().flatten(1)).max().item<double>();
  }
  for (const auto& norm : net.modules().norms()) sum += norm.gamma.detach().abs().max().item<double>();
  return sum;
}

// All convolutions' singular values (masked, plain and weight-normalised alike) and the scales of
// all batch norms.
TEST(NvaeTraining, PenaltyIsThatOfEveryLayer) {
  Tiny t;
  NvaeTraining training(t.net, {}, 5);
  training.warm_up();
  for (int i = 0; i < 60; ++i) training.begin_update(true);
  EXPECT_NEAR(training.penalty().item<double>(), exact_penalty(t.net), 1e-4 * exact_penalty(t.net));
}

// The gradient through weight normalisation, against central differences of singular values along a
// random direction.
TEST(NvaeTraining, PenaltyGradientEqualsFiniteDifferences) {
  Tiny t;
  NvaeTraining training(t.net, {}, 5);
  auto& params = t.net.params();
  params.flat().add_(random_tensor({params.size()}, 8), 0.02);  // all |gamma| differ: max is differentiable
  for (int i = 0; i < 600; ++i) training.begin_update(true);
  params.zero_grad();
  training.end_update(at::ones({}, at::kDouble));
  const at::Tensor direction = random_tensor({params.size()}, 9), start = params.flat().clone();
  const double slope = (params.grad() * direction).sum().item<double>(), h = 1e-6;
  params.flat().copy_(start + h * direction);
  const double up = exact_penalty(t.net);
  params.flat().copy_(start - h * direction);
  const double down = exact_penalty(t.net);
  // Convergence is as (second / first singular value)^(2 * 2400): a few weights of 100 may be
  // close; 1e-4 is for them.
  EXPECT_NEAR(slope, (up - down) / (2 * h), 1e-4 * std::fabs(slope));
}

// With statistics of the batch as running statistics, evaluation and training are the same
// function.
TEST(NvaeTraining, TrainModeIsEvaluationWithTheBatchsStatistics) {
  Tiny t;
  NvaeTraining training(t.net, {}, 5);
  training.begin_update(false);
  const Posterior q = training.posterior(t.x, t.noise);
  const at::Tensor logits = training.decode(q);
  for (int i = 0; i < 600; ++i) {  // 0.95^600 = 4e-14
    training.decode(training.posterior(t.x, t.noise));
  }
  // The running variance is unbiased, n / (n - 1) of the batch's: put that back for the comparison.
  const Posterior e = t.net.posterior(t.x, t.noise);
  EXPECT_LT(largest_difference(e.u, q.u), 0.05 * q.u.abs().max().item<double>());
  EXPECT_LT(largest_difference(t.net.decode_posterior(e), logits), 0.05 * logits.abs().max().item<double>());
}

// One forward with momentum 1: the decoder's statistics are the batch's, the encoder's are as they
// were.
TEST(NvaeTraining, DecoderStatisticsMoveAloneAndByTheMomentum) {
  Tiny t;
  const auto states = t.net.params().states();
  std::vector<at::Tensor> before;
  for (const auto& s : states) before.push_back(s.tensor.clone());
  const at::Tensor u = random_tensor({5, t.net.dim()}, 4);
  const NvaeTraining training(t.net, {}, 5);
  training.update_decoder_statistics(u, 1.0);
  std::size_t moved = 0;
  for (std::size_t i = 0; i < states.size(); ++i) moved += states[i].tensor.equal(before[i]) ? 0 : 1;
  const auto decoder = training.decoder_statistics();
  EXPECT_EQ(moved, decoder.size());
  EXPECT_GT(decoder.size(), 0u);
  EXPECT_LT(decoder.size(), states.size());
  std::vector<at::Tensor> batch;
  for (const auto& s : decoder) batch.push_back(s.tensor.clone());
  const at::Tensor other = random_tensor({5, t.net.dim()}, 5);
  training.update_decoder_statistics(other, 1.0);
  std::vector<at::Tensor> second;
  for (const auto& s : decoder) second.push_back(s.tensor.clone());
  for (std::size_t i = 0; i < decoder.size(); ++i) decoder[i].tensor.copy_(batch[i]);
  training.update_decoder_statistics(other, 0.05);  // batch statistics do not depend on the running ones
  for (std::size_t i = 0; i < decoder.size(); ++i) {
    EXPECT_LT(largest_difference(decoder[i].tensor, 0.95 * batch[i] + 0.05 * second[i]), 1e-12) << decoder[i].name;
  }
}

// After it, every weight-normalised convolution's output has mean 0 (where it has a bias) and
// deviation 1/5 on that batch.
TEST(NvaeTraining, DataDependentStart) {
  Tiny t;
  NvaeTraining training(t.net, {}, 5);
  std::vector<at::Tensor> states;
  for (const auto& s : t.net.params().states()) states.push_back(s.tensor.clone());
  training.initialise(t.x, t.noise);
  for (std::size_t i = 0; i < states.size(); ++i) {
    EXPECT_TRUE(states[i].equal(t.net.params().states()[i].tensor));
  }
  struct Watch final : Pass {
    Watch() : Pass({.training = true, .momentum = 0.0, .sum = {}}) {}
    at::Tensor conv(const NvaeConv& conv, const at::Tensor& x) const override {
      const at::Tensor y = Pass::conv(conv, x);
      if (!conv.log_weight_norm.defined()) return y;
      ++count;
      EXPECT_LT((y.transpose(0, 1).flatten(1).std(1) - 0.2).abs().max().item<double>(), 1e-3);
      const double mean = y.mean({0, 2, 3}).abs().max().item<double>();
      EXPECT_TRUE(!conv.bias.defined() || mean < 1e-3) << mean;
      return y;
    }
    mutable int count = 0;
  } watch;
  const NvaeRun run(t.net.parts(), watch);
  run.image(t.net.posterior(run, t.x, t.noise).state);
  EXPECT_GT(watch.count, 20);
}

// All that an update makes and moves, in float32: what a checkpoint would keep, and how often the
// ranks would have summed.
struct Update {
  std::vector<at::Tensor> made;
  int sums = 0;
};
Update update(bool recompute, std::int64_t flows) {
  at::set_num_threads(1);
  NvaeOptions options = tiny_options();
  options.flows = flows;
  options.encoder_cells = options.decoder_cells = 2;
  Nvae net(options, {1, 16, 16}, {.seed = 3});
  const at::Tensor x = random_tensor({6, 1, 16, 16}, 1).abs().to(at::kFloat),
                   noise = random_tensor({6, net.dim()}, 2).to(at::kFloat);
  Update out;
  NvaeTraining training(
      net, [&](std::span<double>) { ++out.sums; }, 5);
  training.recompute(recompute);
  training.begin_update(true);
  net.params().zero_grad();
  const Posterior q = training.posterior(x, noise);
  const at::Tensor logits = training.decode(q);
  at::Tensor loss = logits.square().sum();
  for (const at::Tensor& kl : q.kl) loss = loss + kl.sum();
  torch::autograd::backward({loss}, {});
  training.end_update(at::ones({}));
  out.made = {net.params().grad(), q.u, logits, loss};
  for (const auto& state : net.params().states()) out.made.push_back(state.tensor);
  return out;
}

TEST(NvaeTraining, RecomputationGivesTheSameBits) {
  for (const std::int64_t flows : {0, 1}) {
    const Update kept = update(false, flows), again = update(true, flows);
    EXPECT_EQ(kept.sums, again.sums);
    EXPECT_GT(kept.sums, 40);
    for (std::size_t i = 0; i < kept.made.size(); ++i) EXPECT_TRUE(kept.made[i].equal(again.made[i])) << i;
    EXPECT_GT(kept.made[0].abs().max().item<double>(), 0.0);
  }
}

}  // namespace
}  // namespace hebm::vae
