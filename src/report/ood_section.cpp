// Out-of-distribution detection (Fig. 3), results/ood-NAME.json of `ood`: the AUROC of both schemes
// over k, histograms of the scores, and the table.
#include <fmt/core.h>
#include <algorithm>
#include <set>
#include "report/sections.h"
#include "results/experiments.h"

namespace hebm::report {
namespace {

using results::number;
using results::Ood;
using results::OodRow;
using results::OodScheme;

constexpr std::size_t kMaxRows = 500, kMaxBins = 1000;

std::set<std::int64_t> values_of_k(const Ood& result) {
  std::set<std::int64_t> out;
  for (const OodRow& row : result.rows) {
    if (row.k && out.size() < kMaxRows) out.insert(*row.k);
  }
  return out;
}

LinePlot auroc_plot(const Ood& result, const std::set<std::int64_t>& ks) {
  LinePlot plot{"AUROC", "k: layers above k are used", Scale::kLinear, false, false, {}};
  for (const auto& [scheme, name] : {std::pair{OodScheme::kDiffusion, "diffusion scheme"},
           {OodScheme::kInference, "inference scheme"}, {OodScheme::kElbo, "-ELBO"}}) {
    Series series{name, {}, {}};
    for (const std::int64_t k : ks) {
      series.x.push_back(static_cast<double>(k));
      series.y.push_back(result.find(scheme, k).auroc);
    }
    plot.series.push_back(std::move(series));
  }
  return plot;
}

// Stairs of one set's counts.
Series stairs(
    const std::string& name, const results::PairedHistogram& histogram, const std::vector<std::int64_t>& counts) {
  Series out{name, {}, {}};
  const std::size_t bins = std::min(counts.size(), kMaxBins);
  for (std::size_t b = 0; b < bins; ++b) {
    for (const std::size_t edge : {b, b + 1}) {
      out.x.push_back(
          histogram.low + (histogram.high - histogram.low) * static_cast<double>(edge) / static_cast<double>(bins));
      out.y.push_back(static_cast<double>(counts[b]));
    }
  }
  return out;
}

void add_histogram(Plots& out, const Ood& result, const OodRow& row, const std::string& title) {
  out.plots.push_back({title, "score (images of each set)", Scale::kLinear, false, false,
      {stairs(result.in.name + " (in)", row.histogram, row.histogram.in),
          stairs(result.out.name + " (out)", row.histogram, row.histogram.out)}});
}

Plots plots_of(const Ood& result, const std::set<std::int64_t>& ks) {
  Plots out{{auroc_plot(result, ks)}};
  const std::set<std::int64_t> ends = ks.empty() ? ks : std::set<std::int64_t>{*ks.begin(), *ks.rbegin()};
  for (const std::int64_t k : ends) {
    add_histogram(out, result, result.find(OodScheme::kDiffusion, k),
        fmt::format("Energy of layers above {}, diffusion scheme", k));
    add_histogram(out, result, result.find(OodScheme::kInference, k),
        fmt::format("Energy of layers above {}, inference scheme", k));
  }
  add_histogram(out, result, result.find(OodScheme::kElbo, {}), "-ELBO (nats)");
  return out;
}

Cell share(double value) { return {.text = results::cell_text(value, "{:.3f}"), .number = true}; }

void add_shares(Row& out, const OodRow& row) {
  Cell auroc = share(row.auroc);
  if (row.scheme != OodScheme::kUnknown)
    auroc.text += fmt::format(" ({} - {})", share(row.auroc_low).text, share(row.auroc_high).text);
  out.cells.insert(out.cells.end(), {auroc, share(row.aupr), share(row.fpr95)});
}

Table table(const Ood& result, const std::set<std::int64_t>& ks) {
  Table out{.heads = {{{{.text = "k", .number = true}, {.text = "layers", .number = true},
                          {.text = "diffusion scheme", .span = 3}, {.text = "inference scheme", .span = 3}}},
                {{{}, {}}}},
      .rows = {}};
  for (const char* title : {"AUROC", "AUPR", "FPR at 95 %", "AUROC", "AUPR", "FPR at 95 %"})
    out.heads[1].cells.push_back({.text = title, .number = true});
  for (const std::int64_t k : ks) {
    Row row{{{.text = std::to_string(k), .number = true},
        {.text = results::cell_text(number(result.num_layers) - static_cast<double>(k), "{:.0f}"), .number = true}}};
    add_shares(row, result.find(OodScheme::kDiffusion, k));
    add_shares(row, result.find(OodScheme::kInference, k));
    out.rows.push_back(std::move(row));
  }
  Row elbo{{{.text = "-ELBO", .span = 2}}};
  add_shares(elbo, result.find(OodScheme::kElbo, {}));
  elbo.cells.resize(elbo.cells.size() + 3);
  out.rows.push_back(std::move(elbo));
  return out;
}

Blocks show(const std::vector<Named<Ood>>& found, const RunFolder&) {
  Blocks out = {
      Text{"How well one number tells images of another set (\"out\", the positive class) from test images of the "
           "training set (\"in\"): the energy of the latent layers above k, of latents that are inferred, or that the "
           "prior's last level draws from perturbed inferred latents above k and its own below. AUROC 0.5 is chance; "
           "below it, the other set looks more likely."}};
  for (const auto& [name, result] : found) {
    const auto ks = values_of_k(result);
    append(out, {Heading{fmt::format("{} against {}", result.in.name, result.out.name)}, plots_of(result, ks),
                    table(result, ks),
                    soft(fmt::format("{} test images of each set; in brackets the 95 % interval of the bootstrap.",
                        format_number(number(result.in.num_images))))});
  }
  return out;
}

}  // namespace

template <> SectionSource section<"ood">() {
  return experiment<Ood>(
      "ood", "Out-of-distribution detection", "Out of distribution", {{"ood-"}, results::kOodFormat}, "", show);
}

}  // namespace hebm::report
