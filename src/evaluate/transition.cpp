#include "evaluate/transition.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/options.h"
#include "evaluate/frechet.h"
#include "evaluate/training_moments.h"
#include "prior/reverse_chain.h"
#include "storage/png.h"
#include "vae/inputs.h"

namespace hebm::evaluate {
namespace fs = std::filesystem;

void TransitionOptions::describe(Options& o) {
  o.add("transition.num_images", &num_images, "chains of the curves", {2, 10000000}, Show::kCommon);
  o.add("transition.every", &every, "s: every s-th state is decoded; 0: a tenth of the steps", {0, 1000000},
        Show::kCommon);
  o.add("transition.rows", &rows, "chains of a grid, at most transition.chunk", {1, 100});
  o.add("transition.chunk", &chunk, "images of one unit of work", {1, 100000});
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

struct StateSums {
  std::array<double, kNumNumbers> numbers{};
  FeatureSums features = FeatureSums::with_zero_reference(nets::FeatureNet::kFeatures);
};

class Transition {
 public:
  Transition(const TransitionOptions& options, const ExperimentInputs& inputs)
      : options_(options),
        in_(inputs),
        chain_(inputs.prior, inputs.backbone, inputs.langevin),
        recorded_(recorded_steps(inputs.langevin.steps, options.every)),
        states_(static_cast<std::size_t>(inputs.prior.num_levels()) * recorded_.size()),
        pictures_(states_.size()) {}

  // [states, images, numbers and features] of the chunk's chains; states from the first of t = T-1
  // to the last of t = 0.
  at::Tensor follow(std::int64_t first);
  void add(std::int64_t first, const at::Tensor& numbers);
  nlohmann::json levels(const Moments& real) const;
  void write_grids(const fs::path& directory) const;  // on the rank that followed the first chunk

 private:
  std::int64_t images_of(std::int64_t first) const { return std::min(options_.chunk, options_.num_images - first); }

  const TransitionOptions& options_;
  const ExperimentInputs& in_;
  prior::ReverseChain chain_;
  std::vector<std::int64_t> recorded_;
  std::vector<StateSums> states_;
  std::vector<at::Tensor> pictures_;  // by state, [rows, C, H, W]
};

at::Tensor Transition::follow(std::int64_t first) {
  const c10::NoGradGuard no_grad;
  const std::int64_t images = images_of(first);
  const at::Tensor out = at::empty(
      {static_cast<std::int64_t>(states_.size()), images, kNumNumbers + nets::FeatureNet::kFeatures}, at::kFloat);
  std::int64_t state = 0;
  at::Tensor start;
  const auto look = [&](std::int64_t t, std::int64_t k, const at::Tensor& y) {
    if (k == 0) start = y.clone();
    if (!std::binary_search(recorded_.begin(), recorded_.end(), k)) return;
    const at::Tensor x = in_.backbone.mean_image(in_.backbone.decode(y));
    const at::Tensor moved = (y - start).square().sum(1).sqrt();
    const at::Tensor numbers =
        at::cat({at::stack({chain_.energy(y, t), moved}, 1), saturated_shares(x), in_.features.net->features(x)}, 1);
    out.select(0, state).copy_(numbers.narrow(0, 0, images));
    if (first == 0)
      pictures_[static_cast<std::size_t>(state)] = x.narrow(0, 0, std::min(options_.rows, images)).clone();
    ++state;
  };
  chain_.sample(prior::chain_ids(static_cast<std::uint64_t>(options_.seed), first, options_.chunk), {.observer = look});
  return out;
}

void Transition::add(std::int64_t first, const at::Tensor& numbers) {
  const at::Tensor rows = numbers.view({static_cast<std::int64_t>(states_.size()), images_of(first), -1});
  for (std::size_t s = 0; s < states_.size(); ++s) {
    const at::Tensor state = rows.select(0, static_cast<std::int64_t>(s));
    const at::Tensor sums = state.narrow(1, 0, kNumNumbers).to(at::kDouble).sum(0).contiguous();
    for (std::size_t n = 0; n < kNumNumbers; ++n) states_[s].numbers[n] += sums.const_data_ptr<double>()[n];
    states_[s].features.add(state.narrow(1, kNumNumbers, nets::FeatureNet::kFeatures));
  }
}

nlohmann::json Transition::levels(const Moments& real) const {
  auto out = nlohmann::json::array();
  const auto n = static_cast<double>(options_.num_images);
  std::size_t s = 0;
  for (std::int64_t t = in_.prior.num_levels() - 1; t >= 0; --t) {
    auto states = nlohmann::json::array();
    for (const std::int64_t k : recorded_) {
      const auto& [numbers, features] = states_[s++];
      states.push_back({{"k", k},
                        {"energy", numbers[kEnergy] / n},
                        {"displacement", numbers[kDisplacement] / n},
                        {"fd_fmnist", frechet_distance(real, features.moments()).total()},
                        {"black", numbers[kBlack] / n},
                        {"white", numbers[kWhite] / n}});
    }
    out.push_back(
        {{"t", t}, {"step_variance", prior::step_variance(in_.prior.schedule(), in_.langevin, t)}, {"states", states}});
  }
  return out;
}

void Transition::write_grids(const fs::path& directory) const {
  fs::create_directories(directory);
  const auto columns = static_cast<std::int64_t>(recorded_.size());
  auto state = pictures_.begin();
  for (std::int64_t t = in_.prior.num_levels() - 1; t >= 0; --t, state += columns) {
    const at::Tensor images =
        at::stack(std::vector<at::Tensor>(state, state + columns), 1).flatten(0, 1);  // chain by chain
    storage::write_png_grid(directory / fmt::format("transition-{}-t{}.png", in_.langevin.steps, t),
                            vae::image_batch(images), columns);
  }
}

// Of the training images, in the pixels' own values.
nlohmann::json training_shares(const ExperimentInputs& in, std::int64_t chunk, comm::Communicator& comm,
                               Logger& logger) {
  const auto n = static_cast<std::int64_t>(in.dataset.members(data::Split::kTrain).size());
  double black = 0, white = 0;
  for_chunks(
      n, chunk,
      [&](std::int64_t first) {
        return saturated_shares(
            split_images(in.dataset, data::Split::kTrain, first, std::min(chunk, n - first), at::kCPU));
      },
      [&](std::int64_t, const at::Tensor& numbers) {
        const at::Tensor sums = numbers.view({-1, 2}).to(at::kDouble).sum(0);
        black += sums[0].item<double>();
        white += sums[1].item<double>();
      },
      comm, logger, "pixels of the training images");
  return {{"black", black / static_cast<double>(n)}, {"white", white / static_cast<double>(n)}};
}

}  // namespace

nlohmann::json transition(const TransitionOptions& options, const ExperimentInputs& inputs, comm::Communicator& comm,
                          Logger& logger, const fs::path& directory) {
  const Timer timer;
  const Moments real = training_moments(inputs.dataset, inputs.features, options.chunk, comm, logger);
  Transition chains(options, inputs);
  for_chunks(
      options.num_images, options.chunk, [&](std::int64_t first) { return chains.follow(first); },
      [&](std::int64_t first, const at::Tensor& numbers) { chains.add(first, numbers); }, comm, logger,
      fmt::format("chains of {} steps", inputs.langevin.steps));
  nlohmann::json out = {{"steps", inputs.langevin.steps}, {"num_images", options.num_images}};
  out["training"] = training_shares(inputs, options.chunk, comm, logger);
  comm::agree(comm, [&] {
    out["levels"] = chains.levels(real);
    if (comm.is_root()) chains.write_grids(directory);
  });
  out["features"] = {{"accuracy", inputs.features.accuracy}, {"hash", inputs.features.hash}};
  out["seconds"] = timer.seconds();
  return out;
}

}  // namespace hebm::evaluate
