#include "evaluate/ood.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include "base/error.h"
#include "base/visits.h"
#include "evaluate/chunks.h"
#include "evaluate/ranking.h"
#include "vae/inputs.h"

namespace hebm::evaluate {
using results::OodScheme;

OodScorer::OodScorer(const prior::EnergyPrior& prior, const vae::Backbone& backbone,
    const prior::LangevinOptions& langevin, std::vector<std::int64_t> ks, std::uint64_t seed)
    : prior_(prior),
      backbone_(backbone),
      chain_(prior, backbone, langevin),
      weights_(prior.frozen_weights()),
      ks_(std::move(ks)),
      seed_(seed),
      step_variance_(prior::step_variance(prior.schedule(), langevin, 0)) {
  columns_.push_back({OodScheme::kElbo});
  for (const OodScheme scheme : {OodScheme::kInference, OodScheme::kDiffusion}) {
    for (const auto k : ks_) columns_.push_back({scheme, k});
  }
}

std::string OodColumn::name() const {
  return k ? fmt::format("{} k = {}", name_of(scheme), *k) : std::string(name_of(scheme));
}

at::Tensor OodScorer::energies(const at::Tensor& u) const {
  const c10::NoGradGuard no_grad;
  const prior::Chains chains(prior::chain_ids(0, 0, u.size(0)), 0, u.device());
  const auto f = prior::Potential(prior_, backbone_, weights_, chains).by_layer(u);
  const at::Tensor from_top =
      at::stack(f, 1).to(at::kDouble).cumsum(1) / -step_variance_;  // [B, L]: of the top layer, the top two, ...
  std::vector<at::Tensor> out;
  for (const auto k : ks_) out.push_back(from_top.select(1, static_cast<std::int64_t>(f.size()) - k - 1));
  return at::stack(out, 1);
}

at::Tensor OodScorer::diffusion_energies(const at::Tensor& u_0, const prior::ChainIds& ids) const {
  const prior::Schedule& schedule = prior_.schedule();
  at::Tensor inferred = prior::Chains(ids, 1, u_0.device()).normals(Purpose::kForwardNoise, backbone_.dim());
  inferred.mul_(schedule.sigma_cum[1]).add_(u_0, schedule.alpha_cum[1]);
  at::Tensor generated = inferred;  // never looked at where all layers are above k
  if (std::any_of(ks_.begin(), ks_.end(), [](std::int64_t k) { return k > 0; })) {
    generated = chain_.run(chain_.noise(ids), {schedule.num_levels - 1, 1}, ids);
  }
  std::vector<at::Tensor> out;
  for (std::size_t i = 0; i < ks_.size(); ++i) {
    std::int64_t above = 0;  // numbers of the layers above k
    for (std::int64_t layer = 0; layer + ks_[i] < std::ssize(backbone_.groups()); ++layer)
      above += backbone_.groups()[static_cast<std::size_t>(layer)].size();
    const at::Tensor joined =
        at::cat({inferred.narrow(1, 0, above), generated.narrow(1, above, generated.size(1) - above)}, 1);
    out.push_back(energies(chain_.run(joined, 0, ids)).select(1, static_cast<std::int64_t>(i)));
  }
  return at::stack(out, 1);
}

at::Tensor OodScorer::scores(const at::Tensor& x, std::span<const std::int64_t> images, std::uint32_t set) const {
  const c10::NoGradGuard no_grad;
  prior::ChainIds ids{{}, std::vector<std::uint32_t>(images.size(), visits::kOod + set), seed_};
  for (const auto image : images) ids.item.push_back(static_cast<std::uint32_t>(image));
  const vae::Posterior q = vae::draw_posterior(backbone_, x, seed_, images, ids.visit);
  at::Tensor elbo = backbone_.log_likelihood(backbone_.decode_posterior(q), x).to(at::kDouble);
  for (const at::Tensor& kl : q.kl) elbo = elbo - kl.to(at::kDouble);
  return at::cat({elbo.unsqueeze(1), energies(q.u), diffusion_energies(q.u, ids)}, 1).to(at::kCPU).contiguous();
}

namespace {

constexpr double kLevel = 0.95;  // of the intervals, and the true positive rate of fpr95

// n different test images, in an order of their own: sets may be sorted by label.
std::vector<std::int64_t> chosen_images(const OodOptions& options, const OodSet& set, std::uint32_t number) {
  const auto& members = set.dataset.members(data::Split::kTest);
  std::vector<std::int64_t> out;
  for (std::int64_t i = 0; i < options.num_images; ++i) {
    const auto place = permute(static_cast<std::uint64_t>(i), members.size(),
        {static_cast<std::uint64_t>(options.seed), 0, Purpose::kSubset}, number);
    out.push_back(members[place]);
  }
  return out;
}

void check_finite(
    const at::Tensor& scores, const OodScorer& scorer, const OodSet& set, const std::vector<std::int64_t>& images) {
  const std::int64_t width = scores.size(1);
  const double* value = scores.const_data_ptr<double>();
  for (std::int64_t e = 0; e < scores.numel(); ++e) {
    check(std::isfinite(value[e]), ExitCode::kDiverged, "{}: image {}: {} is {}; are VAE and prior trained?",
        set.dataset.path().string(), images[static_cast<std::size_t>(e / width)],
        scorer.columns()[static_cast<std::size_t>(e % width)].name(), value[e]);
  }
}

// [n][columns] on rank 0. Collective.
std::vector<double> set_scores(const OodOptions& options, const OodInputs& inputs, std::uint32_t number,
    const OodScorer& scorer, const Crew& crew) {
  const OodSet& set = number == 0 ? inputs.in : inputs.out;
  const auto all = chosen_images(options, set, number);
  std::vector<double> table;
  for_chunks<at::Tensor>(
      {options.num_images, options.chunk, "scores of " + set.name}, crew,
      [&](const Chunk& chunk) {
        std::vector<std::int64_t> images;  // the last chunk is filled up, for bits depend on the number of rows
        for (std::int64_t b = 0; b < chunk.size; ++b)
          images.push_back(all[static_cast<std::size_t>(chunk.first + std::min(b, chunk.count - 1))]);
        const at::Tensor x = vae::image_tensor(set.dataset.read(images)).to(inputs.backbone.params().device());
        const at::Tensor scores = chunk.keep(scorer.scores(x, images, number));
        check_finite(scores, scorer, set, images);
        return scores;
      },
      [&](const Chunk&, const at::Tensor& scores) {
        const double* from = scores.const_data_ptr<double>();
        table.insert(table.end(), from, from + scores.numel());
      });
  return table;
}

std::vector<double> column(const std::vector<double>& table, std::size_t width, std::size_t index, double sign) {
  std::vector<double> out;
  for (std::size_t e = index; e < table.size(); e += width) out.push_back(sign * table[e]);
  return out;
}

double mean(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

results::OodRow separation(
    const OodOptions& options, const OodColumn& column, const std::vector<double>& in, const std::vector<double>& out) {
  const Interval interval = bootstrap_auroc(
      in, out, options.bootstrap, kLevel, {static_cast<std::uint64_t>(options.seed), 1, Purpose::kSubset});
  return {column.scheme, column.k, auroc(in, out), interval.low, interval.high, aupr(in, out),
      fpr_at_tpr(in, out, kLevel), mean(in), mean(out), paired_histogram(in, out, options.bins)};
}

results::OodSetInfo describe_set(const OodSet& set, std::int64_t num_images) {
  return {set.name, set.dataset.source(), set.dataset.images_hash(), num_images};
}

}  // namespace

void OodOptions::describe(Options& o) {
  o.add("ood.num_images", &num_images, "test images of each set", {2, 1000000}, Show::kCommon);
  o.add_list("ood.k", &k,
      "layers above k are used, for each of these k; 0: all layers, L - 1: the top one; empty: 0 .. L - 1", {0, 100000},
      Show::kCommon);
  o.add("ood.chunk", &chunk, "images of a chunk; the ranks get whole ones", {1, 100000});
  o.add("ood.bootstrap", &bootstrap, "resamples of the 95 % intervals", {1, 1000000});
  o.add("ood.bins", &bins, "bins of the histograms", {2, 1000});
  o.add("ood.seed", &seed, "seed of the choice of images, of all noise and of the resamples", {0});
}

std::vector<std::int64_t> check_ood(const OodOptions& options, const OodInputs& inputs) {
  check(inputs.prior.heads().empty(), ExitCode::kUsage,
      "ood: the prior has label heads, whose energy belongs to no layer alone; take one without");
  const auto num_layers = static_cast<std::int64_t>(inputs.backbone.groups().size());
  for (const auto k : options.k) {
    check(k < num_layers, ExitCode::kUsage, "ood.k = {}: the VAE has {} latent layers, expected 0 to {}", k, num_layers,
        num_layers - 1);
  }
  for (const OodSet* set : {&inputs.in, &inputs.out}) {
    const data::Dataset& dataset = set->dataset;
    dataset.expect_shape(inputs.backbone.image_shape(), "VAE");
    const auto available = dataset.members(data::Split::kTest).size();
    check(available >= static_cast<std::size_t>(options.num_images), ExitCode::kUsage,
        "{}: {} test images, ood.num_images is {}", dataset.path().string(), available, options.num_images);
  }
  if (!options.k.empty()) return options.k;
  std::vector<std::int64_t> all(static_cast<std::size_t>(num_layers));
  std::iota(all.begin(), all.end(), 0);
  return all;
}

results::Ood ood(const OodOptions& options, const OodInputs& inputs, const Crew& crew) {
  const OodScorer scorer(inputs.prior, inputs.backbone, inputs.langevin, check_ood(options, inputs),
      static_cast<std::uint64_t>(options.seed));
  const auto in = set_scores(options, inputs, 0, scorer, crew);
  const auto out = set_scores(options, inputs, 1, scorer, crew);
  results::Ood result{results::kOodFormat, 1, "out",
      "energy -sum over layers above k of f_i / s_0^2, and -ELBO, in nats: a higher score speaks for the positive "
      "class",
      describe_set(inputs.in, options.num_images), describe_set(inputs.out, options.num_images),
      std::ssize(inputs.backbone.groups()), inputs.prior.num_levels(),
      prior::step_variance(inputs.prior.schedule(), inputs.langevin, 0), {}};
  comm::on_root(crew.comm, [&] {
    const std::size_t width = scorer.columns().size();
    for (std::size_t c = 0; c < width; ++c) {
      const double sign = scorer.columns()[c].scheme == OodScheme::kElbo ? -1.0 : 1.0;
      result.rows.push_back(
          separation(options, scorer.columns()[c], column(in, width, c, sign), column(out, width, c, sign)));
    }
  });
  return result;
}

results::PairedHistogram paired_histogram(
    const std::vector<double>& in, const std::vector<double>& out, std::int64_t bins) {
  std::vector<double> all = in;
  all.insert(all.end(), out.begin(), out.end());
  std::sort(all.begin(), all.end());
  double low = sorted_quantile(all, 0.005), high = sorted_quantile(all, 0.995);
  if (!(high > low)) high = low + std::max(1.0, std::abs(low));  // one value: a bin of its own
  results::PairedHistogram result{low, high, {}, {}};
  const auto count = [&](const std::vector<double>& values, std::vector<std::int64_t>& counts, std::int64_t& outside) {
    counts.assign(static_cast<std::size_t>(bins), 0);
    for (const double value : values) {
      if (value < low || value > high) {
        ++outside;
      } else {
        const auto bin = static_cast<std::size_t>((value - low) / (high - low) * static_cast<double>(bins));
        ++counts[std::min(bin, counts.size() - 1)];
      }
    }
  };
  count(in, result.in, result.outside_in);
  count(out, result.out, result.outside_out);
  return result;
}

}  // namespace hebm::evaluate
