// Scores for out-of-distribution detection against a direct computation: energies net by net, the
// diffusion scheme step by step, the ELBO; and the whole result on two data sets.
#include "evaluate/ood.h"
#include <ATen/Parallel.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <filesystem>
#include <numeric>
#include "../nets/support.h"
#include "base/visits.h"
#include "comm/communicator.h"
#include "evaluate/ranking.h"
#include "prior/langevin.h"
#include "vae/hvae.h"
#include "vae/inputs.h"

namespace hebm::evaluate {
namespace {

namespace fs = std::filesystem;

vae::HvaeOptions tiny_vae() {
  vae::HvaeOptions o;
  o.latents = "2x4,3x8,1x8";
  o.width = o.image_width = o.pixel_width = o.top_width = 4;
  return o;
}

prior::EnergyOptions tiny_energy() {
  prior::EnergyOptions o;
  o.width = 6;
  o.embedding = 8;
  return o;
}

prior::LangevinOptions few_steps() {
  prior::LangevinOptions o;
  o.steps = 4;
  o.by_level = {2.0, 1.0};
  return o;
}

class Ood : public ::testing::Test {
 protected:
  static constexpr std::int64_t kBatch = 3, kSide = 32;
  static constexpr std::uint64_t kSeed = 9;
  static constexpr std::uint32_t kVisit = visits::kOod + 1;  // of the out set

  Ood()
      : backbone_(tiny_vae(), ImageShape{}, {.seed = 1}),
        prior_(tiny_energy(), backbone_.groups(), prior::make_schedule(3), 5),
        images_{70, 7, 40},
        ids_{{70, 7, 40}, {kVisit, kVisit, kVisit}, kSeed},
        x_(test::random_tensor({kBatch, 1, kSide, kSide}, 3, at::kFloat).abs()) {
    at::set_num_threads(1);  // nets so small are slower on several, and far slower where other tests have the cores
  }
  ~Ood() override { at::set_num_threads(num_threads_); }

  OodScorer scorer(std::vector<std::int64_t> ks) const {
    return {prior_, backbone_, few_steps(), std::move(ks), kSeed};
  }
  vae::Posterior posterior() const {
    const c10::NoGradGuard no_grad;
    return backbone_.posterior(
        x_, vae::posterior_noise({kSeed, 0, Purpose::kPosterior}, images_, ids_.visit, backbone_.dim()));
  }
  // -f_i / s_0^2 of each layer, net by net. [L] of [B].
  std::vector<at::Tensor> layer_energies(const at::Tensor& u) const {
    const c10::NoGradGuard no_grad;
    const auto z = backbone_.transport(u);
    const double s2 =
        2.0 * 2.0 * few_steps().step / prior::gaussian_precision(prior_.schedule(), 0);  // by_level[0] = 2
    std::vector<at::Tensor> out;
    for (std::size_t i = 0; i < z.size(); ++i) {
      const prior::EnergyNet& net = prior_.net(0, i);  // level 0's set
      const auto weights = net.weights(false);
      const at::Tensor t = at::zeros({kBatch}, at::kLong);
      out.push_back(net.outputs(weights, net.select(weights, t), z[i]).f.to(at::kDouble) / -s2);
    }
    return out;
  }
  at::Tensor run_level(const at::Tensor& u, std::int64_t t) const {
    const auto weights = prior_.frozen_weights();
    const prior::Chains chains(ids_, t, at::kCPU);
    const prior::Potential potential(prior_, backbone_, weights, chains);
    return prior::langevin(
        chains, u, [&](const at::Tensor& y) { return potential.gradient(y); },
        prior::step_coefficients(prior_.schedule(), few_steps()), few_steps().steps);
  }

  int num_threads_ = at::get_num_threads();
  vae::Hvae backbone_;
  prior::EnergyPrior prior_;
  std::vector<std::int64_t> images_;
  prior::ChainIds ids_;
  at::Tensor x_;
};

// Float32 nets, summed in float64: equal sums of equal numbers; rounding of the net's own value is
// shared.
TEST_F(Ood, InferenceEnergiesAreTheSumsOfTheLayersAbove) {
  const at::Tensor u = posterior().u;
  const auto layers = layer_energies(u);
  const at::Tensor got = scorer({0, 1, 2}).energies(u);
  ASSERT_EQ(got.sizes().vec(), (std::vector<std::int64_t>{kBatch, 3}));
  const double scale = got.abs().max().item<double>();
  EXPECT_LT(test::largest_difference(got.select(1, 0), layers[0] + layers[1] + layers[2]), 1e-12 * scale)
      << "k = 0: all layers";
  EXPECT_LT(test::largest_difference(got.select(1, 1), layers[0] + layers[1]), 1e-12 * scale);
  EXPECT_LT(test::largest_difference(got.select(1, 2), layers[0]), 1e-12 * scale) << "k = 2: the top layer";
  EXPECT_GT(layers[2].abs().max().item<double>(), 1e-3 * scale) << "the bottom layer counts";
  // Chosen k in any order.
  EXPECT_EQ(test::largest_difference(scorer({2, 0}).energies(u).select(1, 1), got.select(1, 0)), 0.0);
}

TEST_F(Ood, DiffusionSchemeIsThatOfSection52) {
  const prior::Schedule& schedule = prior_.schedule();
  const std::int64_t top = 2 * 4 * 4, middle = 3 * 8 * 8;
  at::Tensor inferred;  // u_1 ~ q(u_1 | x)
  {
    const c10::NoGradGuard no_grad;
    const at::Tensor n = prior::Chains(ids_, 1, at::kCPU).normals(Purpose::kForwardNoise, backbone_.dim());
    inferred = n.mul(schedule.sigma_cum[1]).add(posterior().u, schedule.alpha_cum[1]);
  }
  at::Tensor generated = prior::prior_noise(ids_, backbone_.dim(), at::kCPU);
  generated = run_level(run_level(generated, 2), 1);  // u_3 -> u_1
  const at::Tensor got = scorer({0, 1, 2}).scores(x_, images_, 1);
  ASSERT_EQ(got.sizes().vec(), (std::vector<std::int64_t>{kBatch, 7}));
  for (std::int64_t k = 0; k < 3; ++k) {
    const std::int64_t above = k == 0 ? backbone_.dim() : k == 1 ? top + middle : top;
    const at::Tensor u_1 =
        at::cat({inferred.narrow(1, 0, above), generated.narrow(1, above, backbone_.dim() - above)}, 1);
    const auto layers = layer_energies(run_level(u_1, 0));
    at::Tensor want = layers[0];
    for (std::size_t i = 1; i + static_cast<std::size_t>(k) < layers.size(); ++i) want = want + layers[i];
    // Rounding apart the same numbers: what the lower layers do to the energy above is small, and
    // must show.
    EXPECT_LT(test::largest_difference(got.select(1, 4 + k), want), 1e-12 * want.abs().max().item<double>())
        << "k = " << k;
    EXPECT_GT(
        test::largest_difference(got.select(1, 4 + k), got.select(1, 1 + k)), 1e-3 * want.abs().max().item<double>())
        << "not the inference scheme's";
  }
}

TEST_F(Ood, ElboIsLikelihoodMinusKl) {
  const c10::NoGradGuard no_grad;
  const auto q = posterior();
  at::Tensor want = backbone_.log_likelihood(backbone_.decode_posterior(q), x_).to(at::kDouble);
  for (const auto& kl : q.kl) want = want - kl;
  const at::Tensor got = scorer({1}).scores(x_, images_, 1);
  EXPECT_LT(test::largest_difference(got.select(1, 0), want), 1e-12 * want.abs().max().item<double>());
  const OodScorer of_one = scorer({1});
  std::vector<std::string> names;
  for (const OodColumn& column : of_one.columns()) names.push_back(column.name());
  EXPECT_EQ(names, (std::vector<std::string>{"elbo", "inference k = 1", "diffusion k = 1"}));
  // The two sets have noise of their own.
  EXPECT_GT(test::largest_difference(scorer({1}).scores(x_, images_, 0), got), 0.0);
}

// With T = 1 u_1 is u_T: no level is left for the prior's own chain.
TEST_F(Ood, MarginalModelRuns) {
  const prior::EnergyPrior marginal(tiny_energy(), backbone_.groups(), prior::make_schedule(1), 5);
  const OodScorer scorer(marginal, backbone_, few_steps(), {0, 2}, kSeed);
  EXPECT_TRUE(scorer.scores(x_, images_, 0).isfinite().all().item<bool>());
}

TEST(PairedHistogram, CountsEveryValueOnce) {
  std::vector<double> in(1000), out(500, 2.5);
  std::iota(in.begin(), in.end(), 0.0);
  in[7] = -1e9;
  const auto h = results::to_json(paired_histogram(in, out, 10));
  std::int64_t sum_in = h["outside_in"], sum_out = h["outside_out"];
  for (const std::int64_t n : h["in"]) sum_in += n;
  for (const std::int64_t n : h["out"]) sum_out += n;
  EXPECT_EQ(sum_in, 1000);
  EXPECT_EQ(sum_out, 500);
  EXPECT_EQ(h["in"].size(), 10u);
  EXPECT_GT(h["low"].get<double>(), -1e8) << "a far value is outside";
  EXPECT_GE(h["outside_in"].get<std::int64_t>(), 2);
  const auto one = results::to_json(paired_histogram({3.0, 3.0}, {3.0}, 4));
  EXPECT_EQ(one["in"][0], 2);
  EXPECT_EQ(one["out"][0], 1);
  EXPECT_LT(one["low"].get<double>(), one["high"].get<double>());
}

class OodSets : public Ood {
 protected:
  OodSets() : in_(make("in.h5", 12, 1, kSide)), out_(make("out.h5", 12, 60, kSide)) {}
  data::Dataset make(const std::string& name, std::int64_t count, int step, std::int64_t side) const {
    data::DatasetContent content;
    content.shape = {1, side, side};
    for (std::int64_t p = 0; p < count * content.shape.size(); ++p)
      content.pixels.push_back(static_cast<std::uint8_t>(p * step / 7));
    content.splits.assign(static_cast<std::size_t>(count), 1);
    content.source = "made by a test";
    data::write_dataset(folder_ / name, content);
    return data::Dataset::open(folder_ / name);
  }
  nlohmann::json run(const OodOptions& options) const {
    Logger logger(false);
    comm::CommOptions alone;
    alone.kind = comm::Kind::kSingle;
    const auto comm = comm::make_communicator(alone);
    return results::to_json(ood(options, inputs(), {*comm, logger}));
  }
  OodInputs inputs() const { return {{"in", in_}, {"out", out_}, backbone_, prior_, few_steps()}; }
  static OodOptions options() {
    OodOptions o;
    o.num_images = 10;
    o.chunk = 4;
    o.bootstrap = 50;
    o.bins = 5;
    return o;
  }
  test::TempFolder folder_;
  data::Dataset in_, out_;
};

TEST_F(OodSets, ResultHasEveryRowAndItsSign) {
  const auto result = run(options());
  EXPECT_EQ(result["positive"], "out");
  ASSERT_EQ(result["rows"].size(), 7u);
  for (const auto& row : result["rows"]) {
    EXPECT_GE(row["auroc"].get<double>(), 0.0);
    EXPECT_LE(row["auroc"].get<double>(), 1.0);
    EXPECT_LE(row["auroc_low"].get<double>(), row["auroc_high"].get<double>());
    // More images than these are not looked at.
    std::int64_t counted = row["histogram"]["outside_in"];
    for (const std::int64_t n : row["histogram"]["in"]) counted += n;
    EXPECT_EQ(counted, 10);
  }
  EXPECT_EQ(result["rows"][0]["scheme"], "elbo");
  EXPECT_FALSE(result["rows"][0].contains("k"));
  EXPECT_EQ(result["rows"][2]["scheme"], "inference");
  EXPECT_EQ(result["rows"][2]["k"], 1);
  EXPECT_EQ(result["rows"][6]["scheme"], "diffusion");
  EXPECT_EQ(result["rows"][6]["k"], 2);
  // By hand: means of -ELBO and of the energies over the chosen images, and AUROC of the scores.
  OodOptions all = options();
  all.num_images = 12;
  all.k = {1};
  const auto whole = run(all);
  std::vector<std::int64_t> numbers(12);
  std::iota(numbers.begin(), numbers.end(), 0);
  std::vector<std::vector<double>> scores(2);
  for (std::uint32_t set = 0; set < 2; ++set) {
    const OodScorer direct(prior_, backbone_, few_steps(), {1}, static_cast<std::uint64_t>(all.seed));
    for (std::int64_t first = 0; first < 12; first += 4) {
      const std::vector<std::int64_t> chunk(numbers.begin() + first, numbers.begin() + first + 4);
      const at::Tensor s = direct.scores(vae::image_tensor((set == 0 ? in_ : out_).read(chunk)), chunk, set);
      for (std::int64_t b = 0; b < 4; ++b) scores[set].push_back(-s[b][0].item<double>());
    }
  }
  const double mean = std::accumulate(scores[1].begin(), scores[1].end(), 0.0) / 12;
  EXPECT_NEAR(whole["rows"][0]["mean_out"].get<double>(), mean, 1e-5 * std::abs(mean)) << "-ELBO";
  EXPECT_NEAR(whole["rows"][0]["auroc"].get<double>(), auroc(scores[0], scores[1]), 2.0 / 144) << "but for near ties";
}

// A chunk's membership is fixed, and the last one is filled up.
TEST_F(OodSets, TheSameTwice) {
  auto a = run(options()), b = run(options());
  a.erase("seconds");
  b.erase("seconds");
  EXPECT_EQ(a, b);
}

TEST_F(OodSets, BadInputIsNamed) {
  const auto refused = [&](const OodOptions& o, const OodInputs& in, const std::vector<std::string>& parts) {
    test::expect_error(ExitCode::kUsage, parts, [&] { check_ood(o, in); });
  };
  OodOptions o = options();
  o.k = {0, 3};
  refused(o, inputs(), {"ood.k = 3", "3 latent layers", "0 to 2"});
  o = options();
  o.num_images = 13;
  refused(o, inputs(), {"in.h5", "12 test images", "ood.num_images is 13"});
  const data::Dataset small = make("small.h5", 12, 1, 16);
  refused(options(), {{"in", in_}, {"small", small}, backbone_, prior_, few_steps()},
      {"small.h5", "1 x 16 x 16", "1 x 32 x 32"});
  EXPECT_EQ(check_ood(options(), inputs()), (std::vector<std::int64_t>{0, 1, 2}));
}

}  // namespace
}  // namespace hebm::evaluate
