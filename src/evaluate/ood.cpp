#include "evaluate/ood.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/options.h"
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

// [n][columns] on every rank. Collective.
std::vector<double> set_scores(const OodOptions& options, const OodSet& set, std::uint32_t number,
                               const OodScorer& scorer, at::Device device, comm::Communicator& comm, Logger& logger) {
  const auto columns = scorer.columns();
  const auto width = static_cast<std::int64_t>(columns.size());
  const std::int64_t n = options.num_images, num_chunks = (n + options.chunk - 1) / options.chunk;
  std::vector<double> table(static_cast<std::size_t>(n * width), 0.0);
  StatusLine status(logger, "scores of " + set.name, n);
  comm::agree(comm, [&] {
    const auto all = chosen_images(options, set, number);
    for (std::int64_t c = comm.rank(); c < num_chunks; c += comm.size()) {
      const std::int64_t first = c * options.chunk, rows = std::min(options.chunk, n - first);
      std::vector<std::int64_t> images;  // the last chunk is filled up, for a row's bits depend on the number of rows
      for (std::int64_t b = 0; b < options.chunk; ++b)
        images.push_back(all[static_cast<std::size_t>(first + std::min(b, rows - 1))]);
      const at::Tensor scores = scorer.scores(vae::image_tensor(set.dataset.read(images)).to(device), images, number);
      const double* from = scores.const_data_ptr<double>();
      for (std::int64_t e = 0; e < rows * width; ++e) {
        check(std::isfinite(from[e]), ExitCode::kRuntime, "{}: image {}: {} is {}; are VAE and prior trained?",
              set.dataset.path().string(), images[static_cast<std::size_t>(e / width)],
              columns[static_cast<std::size_t>(e % width)], from[e]);
      }
      std::copy_n(from, rows * width, table.begin() + first * width);
      status.update(std::min(n, (c + comm.size()) * options.chunk));
    }
  });
  status.finish();
  comm.all_reduce(std::span<double>(table), comm::Op::kSum);  // every entry has one rank's value and zeros: exact
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

nlohmann::json separation(const OodOptions& options, const std::vector<double>& in, const std::vector<double>& out) {
  const Interval interval = bootstrap_auroc(in, out, options.bootstrap, kLevel,
                                            {static_cast<std::uint64_t>(options.seed), 1, Purpose::kSubset});
  return {{"auroc", auroc(in, out)},
          {"auroc_low", interval.low},
          {"auroc_high", interval.high},
          {"aupr", aupr(in, out)},
          {"fpr95", fpr_at_tpr(in, out, kLevel)},
          {"mean_in", mean(in)},
          {"mean_out", mean(out)},
          {"histogram", paired_histogram(in, out, options.bins)}};
}

nlohmann::json describe_set(const OodSet& set, std::int64_t num_images) {
  return {{"name", set.name},
          {"source", set.dataset.source()},
          {"images_hash", set.dataset.images_hash()},
          {"num_images", num_images}};
}

}  // namespace

void OodOptions::describe(Options& o) {
  o.add("ood.num_images", &num_images, "test images of each set", {2, 1000000}, Show::kCommon);
  o.add_list("ood.k", &k,
             "layers above k are used, for each of these k; 0: all layers, L - 1: the top one; empty: 0 .. L - 1",
             {0, 100000}, Show::kCommon);
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

nlohmann::json ood(const OodOptions& options, const OodInputs& inputs, comm::Communicator& comm, Logger& logger) {
  const Timer timer;
  const auto ks = check_ood(options, inputs);
  const OodScorer scorer(inputs.prior, inputs.backbone, inputs.langevin, ks, static_cast<std::uint64_t>(options.seed));
  const auto device = inputs.backbone.params().device();
  const auto in = set_scores(options, inputs.in, 0, scorer, device, comm, logger);
  const auto out = set_scores(options, inputs.out, 1, scorer, device, comm, logger);

  nlohmann::json result = {{"format", "hebm-ood"}, {"version", 1}, {"positive", "out"}};
  result["score"] =
      "energy -sum over layers above k of f_i / s_0^2, and -ELBO, in nats: a higher score speaks for the positive "
      "class";
  result["in"] = describe_set(inputs.in, options.num_images);
  result["out"] = describe_set(inputs.out, options.num_images);
  result["num_layers"] = inputs.backbone.groups().size();
  result["T"] = inputs.prior.num_levels();
  result["step_variance"] = prior::step_variance(inputs.prior.schedule(), inputs.langevin, 0);
  result["rows"] = nlohmann::json::array();
  const std::size_t width = 1 + 2 * ks.size();
  comm::agree(comm, [&] {
    for (std::size_t c = 0; c < width; ++c) {
      const double sign = c == 0 ? -1.0 : 1.0;
      nlohmann::json row = separation(options, column(in, width, c, sign), column(out, width, c, sign));
      row["scheme"] = c == 0 ? "elbo" : c <= ks.size() ? "inference" : "diffusion";
      if (c > 0) row["k"] = ks[(c - 1) % ks.size()];
      result["rows"].push_back(std::move(row));
    }
  });
  double seconds = timer.seconds();
  comm.all_reduce(std::span<double>(&seconds, 1), comm::Op::kMax);
  result["seconds"] = seconds;
  return result;
}

nlohmann::json paired_histogram(const std::vector<double>& in, const std::vector<double>& out, std::int64_t bins) {
  std::vector<double> all = in;
  all.insert(all.end(), out.begin(), out.end());
  std::sort(all.begin(), all.end());
  double low = sorted_quantile(all, 0.005), high = sorted_quantile(all, 0.995);
  if (!(high > low)) high = low + std::max(1.0, std::abs(low));  // one value: a bin of its own
  const auto counts = [&](const std::vector<double>& values, std::int64_t& outside) {
    std::vector<std::int64_t> out_counts(static_cast<std::size_t>(bins), 0);
    for (const double value : values) {
      if (value < low || value > high) {
        ++outside;
      } else {
        const auto bin = static_cast<std::size_t>((value - low) / (high - low) * static_cast<double>(bins));
        ++out_counts[std::min(bin, out_counts.size() - 1)];
      }
    }
    return out_counts;
  };
  std::int64_t outside_in = 0, outside_out = 0;
  const auto counts_in = counts(in, outside_in), counts_out = counts(out, outside_out);
  return {{"low", low},
          {"high", high},
          {"in", counts_in},
          {"out", counts_out},
          {"outside_in", outside_in},
          {"outside_out", outside_out}};
}

}  // namespace hebm::evaluate
