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
#include "evaluate/features.h"
#include "prior/reverse_chain.h"

namespace hebm::evaluate {
namespace fs = std::filesystem;

void TransitionOptions::describe(Options& o) {
  o.add("transition.num_images", &num_images, "chains of the curves", {2, 10000000}, Show::kCommon);
  o.add("transition.every", &every, "s: every s-th state is decoded; 0: a tenth of the steps", {0, 1000000},
      Show::kCommon);
  o.add("transition.rows", &rows, "chains of a grid, at most transition.chunk", {1, 100});
  o.add("transition.chunk", &chunk, "images of a chunk; the ranks get whole ones", {1, 100000});
  o.add("transition.seed", &seed,
      "seed of the chains; with sample.seed and sample.chunk they are the chains of `sample`", {0});
  o.add_check([this] {
    check(rows <= chunk, ExitCode::kUsage, "transition.rows = {} is more than transition.chunk = {}", rows, chunk);
  });
}

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

class Transition {
 public:
  Transition(const TransitionOptions& options, const ExperimentInputs& inputs)
      : options_(options),
        in_(inputs),
        chain_(inputs.prior, inputs.backbone, inputs.langevin),
        recorded_(recorded_steps(inputs.langevin.steps, options.every)),
        states_(static_cast<std::size_t>(inputs.prior.num_levels()) * recorded_.size()) {}

  Followed follow(const Chunk& chunk) const {
    const c10::NoGradGuard no_grad;
    Followed out;
    at::Tensor start;
    const auto look = [&](std::int64_t t, std::int64_t k, const at::Tensor& y) {
      if (k == 0) start = y.clone();
      if (!std::binary_search(recorded_.begin(), recorded_.end(), k)) return;
      const at::Tensor x = in_.backbone.mean_image(in_.backbone.decode(y));
      const at::Tensor moved = (y - start).square().sum(1).sqrt();
      out.numbers.push_back(chunk.keep(at::cat({at::stack({chain_.energy(y, t), moved}, 1), saturated_shares(x)}, 1)));
      out.features.push_back(chunk.keep(in_.features.net->features(x)));
      out.pictures.push_back(chunk.keep_below(options_.rows, x).clone());
    };
    chain_.sample(
        prior::chain_ids(static_cast<std::uint64_t>(options_.seed), chunk.first, chunk.size), {.observer = look});
    return out;
  }

  void add(const Followed& followed) {
    for (std::size_t s = 0; s < states_.size(); ++s) {
      const at::Tensor sums = followed.numbers[s].to(at::kDouble).sum(0);
      for (std::size_t n = 0; n < kNumNumbers; ++n) states_[s].numbers[n] += sums.const_data_ptr<double>()[n];
      states_[s].features.add(followed.features[s]);
      states_[s].pictures.push_back(followed.pictures[s]);
    }
  }

  // And a grid of each level, chain by chain.
  std::vector<results::ChainLevel> levels(const Moments& real, const fs::path& directory) const {
    std::vector<results::ChainLevel> out;
    const auto n = static_cast<double>(options_.num_images);
    auto state = states_.begin();
    for (std::int64_t t = in_.prior.num_levels() - 1; t >= 0; --t) {
      out.push_back({t, prior::step_variance(in_.prior.schedule(), in_.langevin, t), {}});
      std::vector<at::Tensor> columns;
      for (const std::int64_t k : recorded_) {
        const auto& numbers = state->numbers;
        out.back().states.push_back({k, numbers[kEnergy] / n, numbers[kDisplacement] / n,
            frechet_distance(real, state->features.moments()), {numbers[kBlack] / n, numbers[kWhite] / n}});
        columns.push_back(at::cat((state++)->pictures));
      }
      write_grid(directory / fmt::format("transition-{}-t{}.png", in_.langevin.steps, t),
          at::stack(columns, 1).flatten(0, 1), std::ssize(columns));
    }
    return out;
  }
 private:
  const TransitionOptions& options_;
  const ExperimentInputs& in_;
  prior::ReverseChain chain_;
  std::vector<std::int64_t> recorded_;
  std::vector<StateSums> states_;
};

// Of the training images, in the pixels' own values.
results::Saturation training_shares(
    const ExperimentInputs& in, std::int64_t chunk_size, comm::Communicator& comm, Logger& logger) {
  const auto n = std::ssize(in.dataset.members(data::Split::kTrain));
  double black = 0, white = 0;
  for_chunks<at::Tensor>(
      {n, chunk_size, "pixels of the training images"}, comm, logger,
      [&](const Chunk& chunk) {
        return saturated_shares(split_images(in.dataset, data::Split::kTrain, chunk.first, chunk.count, at::kCPU));
      },
      [&](const Chunk&, const at::Tensor& shares) {
        const at::Tensor sums = shares.to(at::kDouble).sum(0);
        black += sums[0].item<double>();
        white += sums[1].item<double>();
      });
  return {black / static_cast<double>(n), white / static_cast<double>(n)};
}

}  // namespace

results::Transition transition(const TransitionOptions& options, const ExperimentInputs& inputs,
    comm::Communicator& comm, Logger& logger, const fs::path& directory) {
  const Moments real = training_moments(inputs.dataset, inputs.features, options.chunk, comm, logger);
  Transition chains(options, inputs);
  for_chunks<Followed>(
      {options.num_images, options.chunk, fmt::format("chains of {} steps", inputs.langevin.steps)}, comm, logger,
      [&](const Chunk& chunk) { return chains.follow(chunk); },
      [&](const Chunk&, const Followed& followed) { chains.add(followed); });
  results::Transition out{inputs.langevin.steps, options.num_images, {}, {}, classifier(inputs.features)};
  out.training = training_shares(inputs, options.chunk, comm, logger);
  comm::on_root(comm, [&] { out.levels = chains.levels(real, directory); });
  return out;
}

}  // namespace hebm::evaluate
