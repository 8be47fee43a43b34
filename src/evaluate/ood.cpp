#include "evaluate/ood.h"
#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include "base/error.h"
#include "base/options.h"
#include "evaluate/chunks.h"
#include "evaluate/ood_scores.h"
#include "evaluate/ranking.h"
#include "vae/inputs.h"

namespace hebm::evaluate {
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

struct ScoredImages {
  at::Tensor scores;  // [images, columns], float64
  static void tensors(auto& s, auto& visit) { visit(s.scores); }
};

void check_finite(
    const at::Tensor& scores, const OodScorer& scorer, const OodSet& set, const std::vector<std::int64_t>& images) {
  const std::int64_t width = scores.size(1);
  const double* value = scores.const_data_ptr<double>();
  for (std::int64_t e = 0; e < scores.numel(); ++e) {
    check(std::isfinite(value[e]), ExitCode::kRuntime, "{}: image {}: {} is {}; are VAE and prior trained?",
        set.dataset.path().string(), images[static_cast<std::size_t>(e / width)],
        scorer.columns()[static_cast<std::size_t>(e % width)], value[e]);
  }
}

// [n][columns] on rank 0. Collective.
std::vector<double> set_scores(const OodOptions& options, const OodInputs& inputs, std::uint32_t number,
    const OodScorer& scorer, comm::Communicator& comm, Logger& logger) {
  const OodSet& set = number == 0 ? inputs.in : inputs.out;
  const auto all = chosen_images(options, set, number);
  std::vector<double> table;
  for_chunks<ScoredImages>(
      {options.num_images, options.chunk, "scores of " + set.name}, comm, logger,
      [&](const Chunk& chunk) -> ScoredImages {
        std::vector<std::int64_t> images;  // the last chunk is filled up, for bits depend on the number of rows
        for (std::int64_t b = 0; b < chunk.size; ++b)
          images.push_back(all[static_cast<std::size_t>(chunk.first + std::min(b, chunk.count - 1))]);
        const at::Tensor x = vae::image_tensor(set.dataset.read(images)).to(inputs.backbone.params().device());
        const at::Tensor scores = chunk.keep(scorer.scores(x, images, number));
        check_finite(scores, scorer, set, images);
        return {scores};
      },
      [&](const Chunk&, const ScoredImages& part) {
        const double* from = part.scores.const_data_ptr<double>();
        table.insert(table.end(), from, from + part.scores.numel());
      });
  return table;
}

std::vector<double> column(const std::vector<double>& table, std::size_t width, std::size_t index, double sign) {
  std::vector<double> out;
  for (std::size_t e = index; e < table.size(); e += width) out.push_back(sign * table[e]);
  return out;
}

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

results::OodRow separation(const OodOptions& options, const std::vector<double>& in, const std::vector<double>& out) {
  const Interval interval = bootstrap_auroc(
      in, out, options.bootstrap, kLevel, {static_cast<std::uint64_t>(options.seed), 1, Purpose::kSubset});
  results::OodRow row;
  row.auroc = auroc(in, out);
  row.auroc_low = interval.low;
  row.auroc_high = interval.high;
  row.aupr = aupr(in, out);
  row.fpr95 = fpr_at_tpr(in, out, kLevel);
  row.mean_in = mean(in);
  row.mean_out = mean(out);
  row.histogram = paired_histogram(in, out, options.bins);
  return row;
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
  o.add("ood.chunk", &chunk, "images of one unit of work", {1, 100000});
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
  std::vector<std::int64_t> all;
  for (std::int64_t k = 0; k < num_layers; ++k) all.push_back(k);
  return all;
}

results::Ood ood(const OodOptions& options, const OodInputs& inputs, comm::Communicator& comm, Logger& logger) {
  const Timer timer;
  const auto ks = check_ood(options, inputs);
  const OodScorer scorer(inputs.prior, inputs.backbone, inputs.langevin, ks, static_cast<std::uint64_t>(options.seed));
  const auto in = set_scores(options, inputs, 0, scorer, comm, logger);
  const auto out = set_scores(options, inputs, 1, scorer, comm, logger);
  results::Ood result;
  result.format = results::kOodFormat;
  result.version = 1;
  result.positive = "out";
  result.score =
      "energy -sum over layers above k of f_i / s_0^2, and -ELBO, in nats: a higher score speaks for the positive "
      "class";
  result.in = describe_set(inputs.in, options.num_images);
  result.out = describe_set(inputs.out, options.num_images);
  result.num_layers = std::ssize(inputs.backbone.groups());
  result.num_levels = inputs.prior.num_levels();
  result.step_variance = prior::step_variance(inputs.prior.schedule(), inputs.langevin, 0);
  comm::agree(comm, [&] {
    const std::size_t width = 1 + 2 * ks.size();
    for (std::size_t c = 0; comm.is_root() && c < width; ++c) {
      using results::OodScheme;
      const double sign = c == 0 ? -1.0 : 1.0;
      auto row = separation(options, column(in, width, c, sign), column(out, width, c, sign));
      row.scheme = c == 0 ? OodScheme::kElbo : c <= ks.size() ? OodScheme::kInference : OodScheme::kDiffusion;
      if (c > 0) row.k = ks[(c - 1) % ks.size()];
      result.rows.push_back(std::move(row));
    }
  });
  result.seconds = timer.seconds();
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
