#include "evaluate/transition.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <algorithm>
#include <array>
#include "base/error.h"
#include "evaluate/chunks.h"
#include "evaluate/experiment.h"
#include "evaluate/posterior.h"
#include "prior/reverse_chain.h"
#include "results/experiments.h"

namespace hebm::evaluate {

std::vector<std::int64_t> recorded_steps(std::int64_t steps, std::int64_t every) {
  const std::int64_t stride = every > 0 ? every : (steps + 9) / 10;
  std::vector<std::int64_t> out;
  for (std::int64_t k = 0; k < steps; k += stride) out.push_back(k);
  out.push_back(steps);
  return out;
}

at::Tensor saturated_shares(const at::Tensor& x) {
  constexpr double kSlack = 1e-3 / 255;  // n / 255 as float32 is not exact
  const at::Tensor pixels = x.flatten(1);
  return at::stack(
      {pixels.le(1.0 / 255 + kSlack).to(at::kFloat).mean(1), pixels.ge(254.0 / 255 - kSlack).to(at::kFloat).mean(1)},
      1);
}

namespace {

enum Number { kEnergy, kDisplacement, kBlack, kWhite, kNumNumbers };

// By state, from the first of t = T-1 to the last of t = 0.
struct Followed {
  std::vector<at::Tensor> numbers, features, pictures;  // [chains, numbers], [chains, F], [chains of the grid, C, H, W]
  static void tensors(auto& f, auto& visit) { visit(f.numbers, f.features, f.pictures); }
};

struct StateSums {
  std::array<double, kNumNumbers> numbers{};
  FeatureSums features{nets::FeatureNet::kFeatures};
  std::vector<at::Tensor> pictures;
};

struct Compared {
  Moments real, posterior;  // of training images, of decoded posterior draws
};

// Energy is -sum_i f_i / s_t^2, displacement |u_k - u_0| from the level's start. Grids (rows:
// chains, columns: states): transition-K-tT.png.
class Transition : public Making<results::Transition> {
 public:
  Transition()
      : Making("hebm_dist transition [--steps K] [--config FILE.ini] [--section.key VALUE ...]",
            "Follows the Langevin chains of every level on all ranks (Fig. 6, 7): energy, displacement, score and "
            "saturated pixels of every s-th state. Result: RUN/results/transition-K.json, "
            "RUN/samples/transition-K-tT.png; prints a table.") {}
  void describe(Options& o) override {
    o.add("steps", &steps_, "Langevin steps a level (paper: 30 and 300); 0: sample.steps", {0, 1000000}, Show::kCommon);
    o.add("transition.num_images", &num_images_, "chains of the curves", {2, 10000000}, Show::kCommon);
    o.add("transition.every", &every_, "s: every s-th state is decoded; 0: a tenth of the steps", {0, 1000000},
        Show::kCommon);
    o.add("transition.rows", &rows_, "chains of a grid, at most transition.chunk", {1, 100});
    o.add("transition.chunk", &chunk_, "images of a chunk; the ranks get whole ones", {1, 100000});
    o.add("transition.seed", &seed_,
        "seed of the chains; with sample.seed and sample.chunk they are the chains of `sample`", {0});
    o.add_check([this] {
      check(
          rows_ <= chunk_, ExitCode::kUsage, "transition.rows = {} is more than transition.chunk = {}", rows_, chunk_);
    });
  }
  void adapt(prior::LangevinOptions& langevin) override {
    if (steps_ > 0) langevin.steps = steps_;
  }

  Cost cost() const override {
    const std::int64_t levels = in().prior.num_levels(), states = std::ssize(recorded_);
    constexpr std::int64_t kFeatures = nets::FeatureNet::kFeatures;
    return {.note = fmt::format(
                "{} levels of {} Langevin steps, {} states of each decoded", levels, in().langevin.steps, states),
        .num_grids = levels,
        .grid_images = 4 * rows_ * states,
        .num_chains = num_images_,
        .chunk = chunk_,
        .each = fmt::format("{} chains", chunk_),
        .held = (levels * states + 1) * kFeatures * (kFeatures + 1) * 2};
  }
  std::string result_name() const override { return fmt::format("transition-{}", in().langevin.steps); }
  void add_fingerprint(nlohmann::json& out) const override { out["scores"] = "fd_fmnist,fd_posterior"; }
 private:
  void check_inputs() override { recorded_ = recorded_steps(in().langevin.steps, every_); }

  results::Transition make(const Place& place) const override {
    const Compared compared{training_moments(in().dataset, in().features, chunk_, place),
        posterior_features(in(), posterior_reference(num_images_, chunk_, static_cast<std::uint64_t>(seed_)), false,
            "posterior draws to compare with", place)
            .moments};
    const prior::ReverseChain chain(in().prior, in().backbone, in().langevin);
    std::vector<StateSums> states(static_cast<std::size_t>(in().prior.num_levels()) * recorded_.size());
    for_chunks<Followed>(
        {num_images_, chunk_, fmt::format("chains of {} steps", in().langevin.steps)}, place,
        [&](const Chunk& chunk) { return follow(chunk, chain); },
        [&](const Chunk&, const Followed& followed) {
          for (std::size_t s = 0; s < states.size(); ++s) {
            const at::Tensor sums = followed.numbers[s].to(at::kDouble).sum(0);
            for (std::size_t n = 0; n < kNumNumbers; ++n) states[s].numbers[n] += sums.const_data_ptr<double>()[n];
            states[s].features.add(followed.features[s]);
            states[s].pictures.push_back(followed.pictures[s]);
          }
        });
    results::Transition out{in().langevin.steps, num_images_, {}, {}, classifier(in().features)};
    out.training = training_shares(place);
    comm::on_root(place.comm, [&] { out.levels = levels(states, compared, place); });
    return out;
  }

  Followed follow(const Chunk& chunk, const prior::ReverseChain& chain) const {
    const c10::NoGradGuard no_grad;
    Followed out;
    at::Tensor start;
    const auto look = [&](std::int64_t t, std::int64_t k, const at::Tensor& y) {
      if (k == 0) start = y.clone();
      if (!std::binary_search(recorded_.begin(), recorded_.end(), k)) return;
      const at::Tensor x = in().backbone.mean_image(in().backbone.decode(y));
      const at::Tensor moved = (y - start).square().sum(1).sqrt();
      out.numbers.push_back(chunk.keep(at::cat({at::stack({chain.energy(y, t), moved}, 1), saturated_shares(x)}, 1)));
      out.features.push_back(chunk.keep(in().features.net->features(x)));
      out.pictures.push_back(chunk.keep_below(rows_, x).clone());
    };
    chain.sample(prior::chain_ids(static_cast<std::uint64_t>(seed_), chunk.first, chunk.size), {.observer = look});
    return out;
  }

  // And a grid of each level, chain by chain.
  std::vector<results::ChainLevel> levels(
      const std::vector<StateSums>& states, const Compared& compared, const Place& place) const {
    std::vector<results::ChainLevel> out;
    const auto n = static_cast<double>(num_images_);
    auto state = states.begin();
    for (std::int64_t t = in().prior.num_levels() - 1; t >= 0; --t) {
      out.push_back({t, prior::step_variance(in().prior.schedule(), in().langevin, t), {}});
      std::vector<at::Tensor> columns;
      for (const std::int64_t k : recorded_) {
        const auto& numbers = state->numbers;
        const Moments moments = state->features.moments();
        out.back().states.push_back(
            {k, numbers[kEnergy] / n, numbers[kDisplacement] / n, frechet_distance(compared.real, moments),
                {numbers[kBlack] / n, numbers[kWhite] / n}, frechet_distance(compared.posterior, moments)});
        columns.push_back(at::cat((state++)->pictures));
      }
      write_grid(place.samples / fmt::format("{}-t{}.png", result_name(), t), at::stack(columns, 1).flatten(0, 1),
          std::ssize(columns));
    }
    return out;
  }

  // Of the training images, in the pixels' own values.
  results::Saturation training_shares(const Place& place) const {
    const auto n = std::ssize(in().dataset.members(data::Split::kTrain));
    double black = 0, white = 0;
    for_chunks<at::Tensor>(
        {n, chunk_, "pixels of the training images"}, place,
        [&](const Chunk& chunk) {
          return saturated_shares(split_images(in().dataset, data::Split::kTrain, chunk.first, chunk.count, at::kCPU));
        },
        [&](const Chunk&, const at::Tensor& shares) {
          const at::Tensor sums = shares.to(at::kDouble).sum(0);
          black += sums[0].item<double>();
          white += sums[1].item<double>();
        });
    return {black / static_cast<double>(n), white / static_cast<double>(n)};
  }

  std::int64_t num_images_ = 1000, chunk_ = 100;
  std::int64_t every_ = 0;  // s; 0: a tenth of the steps, rounded up
  std::int64_t rows_ = 8;   // chains of a grid
  std::int64_t seed_ = 1, steps_ = 0;
  std::vector<std::int64_t> recorded_;  // k of the states that are decoded
};

}  // namespace

template <> std::unique_ptr<Experiment> make_experiment<"transition">() { return std::make_unique<Transition>(); }

}  // namespace hebm::evaluate
