#include "evaluate/vary.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.h"
#include "base/options.h"
#include "base/visits.h"
#include "prior/forward_pair.h"
#include "storage/png.h"
#include "vae/inputs.h"

namespace hebm::evaluate {
namespace fs = std::filesystem;

void VaryOptions::describe(Options& o) {
  o.add("vary.num_samples", &num_samples, "samples that are varied", {1, 10000000}, Show::kCommon);
  o.add("vary.variations", &variations, "draws of the free layers for each sample", {1, 10000}, Show::kCommon);
  o.add("vary.rows", &rows, "samples of a grid", {1, 100});
  o.add("vary.chunk", &chunk, "chains of one unit of work", {1, 100000});
  o.add("vary.seed", &seed, "seed of the chains; with sample.seed and sample.chunk the samples are those of `sample`",
        {0});
}

std::vector<FreeLayers> default_free_layers(std::int64_t num_layers) {
  std::vector<FreeLayers> out;
  FreeLayers all;
  for (std::int64_t i = 0; i < num_layers; ++i) {
    if (num_layers > 1) out.push_back({i});
    all.push_back(i);
  }
  out.push_back(all);
  return out;
}

void check_free_layers(const FreeLayers& free, std::int64_t num_layers) {
  check(!free.empty(), ExitCode::kUsage, "layers: none is given; the VAE has layers 0 (top) to {}", num_layers - 1);
  for (auto it = free.begin(); it != free.end(); ++it) {
    check(*it >= 0 && *it < num_layers, ExitCode::kUsage,
          "layers = {}: there is no layer {}; the VAE has layers 0 (top) to {}", fmt::join(free, ","), *it,
          num_layers - 1);
    check(std::find(free.begin(), it, *it) == it, ExitCode::kUsage, "layers = {}: layer {} is there twice",
          fmt::join(free, ","), *it);
  }
}

std::string layers_name(const FreeLayers& free, std::int64_t num_layers) {
  if (static_cast<std::int64_t>(free.size()) == num_layers) return "all";
  return fmt::format("{}", fmt::join(free, "-"));
}

at::Tensor vary_layers(const prior::ReverseChain& chain, const prior::Schedule& schedule, const at::Tensor& u0,
                       const FreeLayers& free, std::int64_t num_layers, const prior::ChainIds& ids) {
  prior::HeldLayers held{{}, u0, prior::forward_trajectory(u0, schedule, ids)};
  for (std::int64_t i = 0; i < num_layers; ++i) {
    if (std::find(free.begin(), free.end(), i) == free.end()) held.layers.push_back(i);
  }
  return chain.sample(ids, {.held = &held});
}

namespace {

struct SetSums {
  double distance = 0, changed = 0;
  std::vector<at::Tensor> pictures;  // of the grid's samples, chain by chain; on every rank
};

class Variation {
 public:
  Variation(const VaryOptions& options, const ExperimentInputs& inputs)
      : options_(options),
        in_(inputs),
        chain_(inputs.prior, inputs.backbone, inputs.langevin),
        device_(inputs.backbone.params().device()),
        seed_(static_cast<std::uint64_t>(options.seed)) {}

  // u_0 of all samples, on every rank.
  void draw_samples(comm::Communicator& comm, Logger& logger);
  SetSums run(const FreeLayers& free, const std::string& what, comm::Communicator& comm, Logger& logger);
  void write_grid(const SetSums& set, const fs::path& file) const;

 private:
  std::int64_t num_chains() const { return options_.num_samples * options_.variations; }
  std::int64_t num_layers() const { return static_cast<std::int64_t>(in_.backbone.groups().size()); }
  // Chains first .. first + chunk - 1: variation c mod variations (visits from 1 on) of sample c /
  // variations, beyond the end of the last one.
  prior::ChainIds ids_of(std::int64_t first) const;
  at::Tensor images(const at::Tensor& u0) const { return in_.backbone.mean_image(in_.backbone.decode(u0)); }
  // [chains, 2] distance and change; then, where a chain is in the grid, [chains, 2, C, H, W] kept
  // and varied images.
  at::Tensor compare(std::int64_t first, const FreeLayers& free) const;
  std::int64_t grid_chains() const { return std::min(options_.rows, options_.num_samples) * options_.variations; }

  const VaryOptions& options_;
  const ExperimentInputs& in_;
  prior::ReverseChain chain_;
  at::Device device_;
  std::uint64_t seed_;
  at::Tensor samples_;  // [num_samples, D] on the host
};

void Variation::draw_samples(comm::Communicator& comm, Logger& logger) {
  const std::int64_t n = options_.num_samples;
  std::vector<at::Tensor> chunks;
  for_chunks(
      n, options_.chunk,
      [&](std::int64_t first) {
        return chain_.sample(prior::chain_ids(seed_, first, options_.chunk))
            .narrow(0, 0, std::min(options_.chunk, n - first))
            .to(at::kCPU);
      },
      [&](std::int64_t, const at::Tensor& u) {
        chunks.push_back(u.view({-1, in_.backbone.dim()}));
      },
      comm, logger, "samples to vary");
  samples_ = at::cat(chunks, 0);
}

prior::ChainIds Variation::ids_of(std::int64_t first) const {
  prior::ChainIds ids{{}, {}, seed_};
  for (std::int64_t c = first; c < first + options_.chunk; ++c) {
    const std::int64_t chain = std::min(c, num_chains() - 1);
    ids.item.push_back(static_cast<std::uint32_t>(chain / options_.variations));
    ids.visit.push_back(visits::of_variation(chain % options_.variations));
  }
  return ids;
}

at::Tensor Variation::compare(std::int64_t first, const FreeLayers& free) const {
  const c10::NoGradGuard no_grad;
  const prior::ChainIds ids = ids_of(first);
  const std::vector<std::int64_t> sample_of(ids.item.begin(), ids.item.end());
  const at::Tensor u0 = samples_.index_select(0, at::tensor(sample_of, at::kLong)).to(device_);
  const at::Tensor varied = images(vary_layers(chain_, in_.prior.schedule(), u0, free, num_layers(), ids)),
                   kept = images(u0);
  const auto& net = *in_.features.net;
  const at::Tensor before = net.features(kept), after = net.features(varied);
  const at::Tensor distance = (after - before).square().sum(1).sqrt();
  const at::Tensor changed =
      net.logits_of_features(after).argmax(1).ne(net.logits_of_features(before).argmax(1)).to(at::kFloat);
  const std::int64_t chains = std::min(options_.chunk, num_chains() - first),
                     shown = std::clamp<std::int64_t>(grid_chains() - first, 0, chains);
  const at::Tensor pictures = at::stack({kept, varied}, 1).narrow(0, 0, shown);
  return at::cat({at::stack({distance, changed}, 1).narrow(0, 0, chains).flatten(), pictures.flatten()}, 0)
      .to(at::kCPU);
}

SetSums Variation::run(const FreeLayers& free, const std::string& what, comm::Communicator& comm, Logger& logger) {
  SetSums out;
  const ImageShape shape = in_.backbone.image_shape();
  for_chunks(
      num_chains(), options_.chunk, [&](std::int64_t first) { return compare(first, free); },
      [&](std::int64_t first, const at::Tensor& numbers) {
        const std::int64_t chains = std::min(options_.chunk, num_chains() - first);
        const at::Tensor sums = numbers.narrow(0, 0, 2 * chains).view({chains, 2}).to(at::kDouble).sum(0);
        out.distance += sums[0].item<double>();
        out.changed += sums[1].item<double>();
        const std::int64_t rest = numbers.size(0) - 2 * chains;
        if (rest > 0)
          out.pictures.push_back(
              numbers.narrow(0, 2 * chains, rest).view({-1, 2, shape.channels, shape.height, shape.width}));
      },
      comm, logger, what);
  return out;
}

void Variation::write_grid(const SetSums& set, const fs::path& file) const {
  const at::Tensor pairs =
      at::cat(set.pictures, 0).unflatten(0, {-1, options_.variations});  // [samples, variations, 2, C, H, W]
  const at::Tensor kept = pairs.select(2, 0).narrow(1, 0, 1), varied = pairs.select(2, 1);
  const at::Tensor images = at::cat({kept, varied}, 1).flatten(0, 1);
  storage::write_png_grid(file, vae::image_batch(images), 1 + options_.variations);
}

}  // namespace

nlohmann::json vary(const VaryOptions& options, const std::vector<FreeLayers>& sets, const ExperimentInputs& inputs,
                    comm::Communicator& comm, Logger& logger, const fs::path& directory) {
  const Timer timer;
  const auto layers = static_cast<std::int64_t>(inputs.backbone.groups().size());
  Variation variation(options, inputs);
  variation.draw_samples(comm, logger);
  nlohmann::json out = {
      {"num_samples", options.num_samples}, {"variations", options.variations}, {"num_layers", layers}};
  out["sets"] = nlohmann::json::array();
  const auto count = static_cast<double>(options.num_samples * options.variations);
  for (const FreeLayers& free : sets) {
    const std::string name = layers_name(free, layers);
    const SetSums set = variation.run(free, fmt::format("free layers: {}", name), comm, logger);
    out["sets"].push_back({{"free", free},
                           {"name", name},
                           {"feature_distance", set.distance / count},
                           {"class_changed", set.changed / count}});
    comm::agree(comm, [&] {
      if (!comm.is_root()) return;
      fs::create_directories(directory);
      variation.write_grid(set, directory / fmt::format("vary-{}.png", name));
    });
  }
  out["features"] = {{"accuracy", inputs.features.accuracy}, {"hash", inputs.features.hash}};
  out["seconds"] = timer.seconds();
  return out;
}

}  // namespace hebm::evaluate
