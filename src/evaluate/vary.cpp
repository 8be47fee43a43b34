#include "evaluate/vary.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include <numeric>
#include "base/visits.h"
#include "evaluate/chunks.h"
#include "prior/forward_pair.h"

namespace hebm::evaluate {
namespace fs = std::filesystem;

void VaryOptions::describe(Options& o) {
  o.add("vary.num_samples", &num_samples, "samples that are varied", {1, 10000000}, Show::kCommon);
  o.add("vary.variations", &variations, "draws of the free layers for each sample", {1, 10000}, Show::kCommon);
  o.add("vary.rows", &rows, "samples of a grid", {1, 100});
  o.add("vary.chunk", &chunk, "chains of a chunk; the ranks get whole ones", {1, 100000});
  o.add("vary.seed", &seed, "seed of the chains; with sample.seed and sample.chunk the samples are those of `sample`",
      {0});
}

std::vector<FreeLayers> default_free_layers(std::int64_t num_layers) {
  FreeLayers all(static_cast<std::size_t>(num_layers));
  std::iota(all.begin(), all.end(), 0);
  std::vector<FreeLayers> out;
  for (const std::int64_t layer : all) {
    if (num_layers > 1) out.push_back({layer});
  }
  out.push_back(all);
  return out;
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

struct Comparison {
  at::Tensor numbers;   // [chains, 2]: feature distance, and whether the class changed
  at::Tensor pictures;  // [chains in the grid, 2, C, H, W]: kept and varied
  static void tensors(auto& c, auto& visit) { visit(c.numbers, c.pictures); }
};

class Variation {
 public:
  Variation(const VaryOptions& options, const ExperimentInputs& inputs, comm::Communicator& comm, Logger& logger)
      : options_(options),
        in_(inputs),
        comm_(comm),
        logger_(logger),
        chain_(inputs.prior, inputs.backbone, inputs.langevin),
        seed_(static_cast<std::uint64_t>(options.seed)) {
    std::vector<at::Tensor> chunks;
    for_chunks<at::Tensor>(
        {options_.num_samples, options_.chunk, "samples to vary"}, comm_, logger_,
        [&](const Chunk& chunk) { return chunk.keep(chain_.sample(prior::chain_ids(seed_, chunk.first, chunk.size))); },
        [&](const Chunk&, const at::Tensor& u0) { chunks.push_back(u0); });
    samples_ = on_every_rank(comm_.is_root() ? at::cat(chunks) : at::Tensor(), comm_);
  }

  // On rank 0.
  results::VarySet run(const FreeLayers& free, const fs::path& directory) {
    const std::string name = layers_name(free, num_layers());
    at::Tensor sums = at::zeros({2}, at::kDouble);
    std::vector<at::Tensor> pictures;  // of the grid's samples, chain by chain
    for_chunks<Comparison>(
        {num_chains(), options_.chunk, fmt::format("free layers: {}", name)}, comm_, logger_,
        [&](const Chunk& chunk) { return compare(chunk, free); },
        [&](const Chunk&, const Comparison& compared) {
          sums.add_(compared.numbers.to(at::kDouble).sum(0));
          pictures.push_back(compared.pictures);
        });
    comm::on_root(comm_, [&] {
      const at::Tensor pairs =
          at::cat(pictures).unflatten(0, {-1, options_.variations});  // [samples, variations, 2, C, H, W]
      const at::Tensor kept = pairs.select(2, 0).narrow(1, 0, 1), varied = pairs.select(2, 1);
      write_grid(directory / fmt::format("vary-{}.png", name), at::cat({kept, varied}, 1).flatten(0, 1),
          1 + options_.variations);
    });
    const auto count = static_cast<double>(num_chains());
    return {free, name, sums[0].item<double>() / count, sums[1].item<double>() / count};
  }
 private:
  std::int64_t num_chains() const { return options_.num_samples * options_.variations; }
  std::int64_t num_layers() const { return std::ssize(in_.backbone.groups()); }

  // Variation c mod variations (visits from 1 on) of sample c / variations, beyond the end of the
  // last one.
  prior::ChainIds ids_of(const Chunk& chunk) const {
    prior::ChainIds ids{{}, {}, seed_};
    for (std::int64_t c = chunk.first; c < chunk.first + chunk.size; ++c) {
      const std::int64_t chain = std::min(c, num_chains() - 1);
      ids.item.push_back(static_cast<std::uint32_t>(chain / options_.variations));
      ids.visit.push_back(visits::of_variation(chain % options_.variations));
    }
    return ids;
  }

  Comparison compare(const Chunk& chunk, const FreeLayers& free) const {
    const c10::NoGradGuard no_grad;
    const prior::ChainIds ids = ids_of(chunk);
    const std::vector<std::int64_t> sample_of(ids.item.begin(), ids.item.end());
    const at::Tensor u0 = samples_.index_select(0, at::tensor(sample_of, at::kLong)).to(in_.backbone.params().device());
    const Seen varied = see(in_, vary_layers(chain_, in_.prior.schedule(), u0, free, num_layers(), ids)),
               kept = see(in_, u0);
    const at::Tensor distance = (varied.features - kept.features).square().sum(1).sqrt();
    const at::Tensor changed = varied.classes.ne(kept.classes).to(at::kFloat);
    const std::int64_t grid_chains = std::min(options_.rows, options_.num_samples) * options_.variations;
    return {
        chunk.keep(at::stack({distance, changed}, 1)), chunk.keep_below(grid_chains, at::stack({kept.x, varied.x}, 1))};
  }

  const VaryOptions& options_;
  const ExperimentInputs& in_;
  comm::Communicator& comm_;
  Logger& logger_;
  prior::ReverseChain chain_;
  std::uint64_t seed_;
  at::Tensor samples_;  // u_0 [num_samples, D] on the host
};

}  // namespace

results::Vary vary(const VaryOptions& options, const std::vector<FreeLayers>& sets, const ExperimentInputs& inputs,
    comm::Communicator& comm, Logger& logger, const fs::path& directory) {
  Variation variation(options, inputs, comm, logger);
  results::Vary out{
      options.num_samples, options.variations, std::ssize(inputs.backbone.groups()), {}, classifier(inputs.features)};
  for (const FreeLayers& free : sets) out.sets.push_back(variation.run(free, directory));
  return out;
}

}  // namespace hebm::evaluate
