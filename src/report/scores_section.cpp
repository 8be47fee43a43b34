// Sections of results/summary.json: scores, scores by level, and by temperature; and of priors.json
// of `evaluate --all`.
#include <fmt/core.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <tuple>
#include "report/sections.h"
#include "results/summary.h"
#include "results/warnings.h"

namespace hebm::report {
namespace {

using results::Against;
using results::kScores;
using results::number;
using results::Summary;

const ResultFiles kFiles{{"summary"}};

Summary summary_of(const RunFolder& run) { return result_of<Summary>(run, kFiles.names[0]); }

Numbers numbers(const Summary& summary) {
  Numbers out;
  const auto add = [&](double value, const char* what) {
    if (std::isfinite(value)) out.numbers.emplace_back(results::cell_text(value, "{:.2f}"), what);
  };
  add(summary.fd_posterior(results::kGaussian), "fd_posterior, Gaussian prior");
  add(summary.fd_posterior(results::kOwn), "fd_posterior, ours");
  add(summary.fd_posterior(results::kPosterior), "fd_posterior, posterior draws");
  if (const double gap = summary.gap(); std::isfinite(gap))
    out.numbers.emplace_back(fmt::format("{:.0f} %", 100 * gap), "of the gap closed");
  add(summary.fd(results::kGaussian), "fd_fmnist, Gaussian prior");
  add(summary.fd(results::kOwn), "fd_fmnist, ours");
  add(summary.fd(results::kReconstruction), "fd_fmnist, reconstruction");
  return out;
}

// With standard errors, and a bar behind each Frechet distance.
Table score_table(const Summary& summary, Against against) {
  const results::Table scores = results::summary_table(summary, against);
  const auto sets = summary.compared(against);
  Table out = table_of(scores);
  const auto distance = [&](const results::ScoredSet& set) {
    return against == Against::kData ? set.scores.fd() : set.scores.fd_posterior();
  };
  double largest = 0;
  for (const auto* set : sets) largest = std::fmax(largest, distance(*set));
  for (std::size_t c = scores.columns.size(); c-- > 0;) {
    const auto info = std::ranges::find(kScores, scores.columns[c].key, &results::ScoreInfo::key);
    if (info == kScores.end()) continue;
    const auto score = static_cast<std::size_t>(info - kScores.begin());
    const auto insert = [&](Row& row, const Bar& bar) {
      if (score == results::score("fd_fmnist") || score == results::score("fd_posterior"))
        row.cells.insert(row.cells.begin() + static_cast<std::ptrdiff_t>(c) + 1, {.text = "", .bar = bar});
    };
    insert(out.heads[0], {});
    for (std::size_t r = 0; r < out.rows.size(); ++r) {
      const double error = sets[r]->scores[score].error, share = distance(*sets[r]) / largest;
      const bool is_own = sets[r]->key == results::kOwn;
      out.rows[r].style = is_own ? "ours" : "";
      if (std::isfinite(error)) out.rows[r].cells[c].text += fmt::format(" \u00B1 {:.2g}", error);
      insert(out.rows[r], {std::isfinite(share) ? std::clamp(share, 0.0, 1.0) : 0.0, is_own ? 1 : 0});
    }
  }
  return out;
}

// Warnings, then a table for each side that was measured, the posterior's first.
template <class Result, class MakeTable> Blocks both_tables(const Result& result, const MakeTable& table_against) {
  Blocks out;
  for (const std::string& warning : results::warnings(result)) out.push_back(Text{"Warning. " + warning});
  for (const Against against : {Against::kPosterior, Against::kData}) {
    if (result.compared(against).empty()) {
      if (against == Against::kPosterior) out.push_back(missing(results::kNoPosterior));
      continue;
    }
    out.push_back(Text{results::caption(against)});
    out.push_back(table_against(against));
  }
  return out;
}

Blocks scores_of(const RunFolder& run) {
  const Summary summary = summary_of(run);
  if (summary.sets.empty())
    return {missing("No scores yet: `results/summary.json` is written by `hebm_dist evaluate`.")};
  Blocks out = {numbers(summary)};
  append(out, both_tables(summary, [&](Against against) { return score_table(summary, against); }));
  out.push_back(
      soft("fd_fmnist and fd_posterior are Fr\u00E9chet distances (lower is better) between Gaussians fitted to the "
           "features of this project's own small classifier. They are not FID and cannot be compared with published "
           "FID. KID, precision and recall use the same features. Gap closed = (Gaussian \u2212 ours) / (Gaussian "
           "\u2212 posterior draws), of fd_posterior. The row of posterior draws is its floor: other draws of other "
           "training images."));
  const results::Classifier& features = summary.features;
  if (!features.hash.empty() || std::isfinite(features.accuracy))
    out.push_back(soft(fmt::format("Classifier: test accuracy {}, weights {}.",
        results::cell_text(features.accuracy, "{:.4f}"), results::cell_text(features.hash, ""))));
  return out;
}

Blocks levels_of(const RunFolder& run) {
  const auto rows = summary_of(run).by_level;
  if (rows.empty()) return {missing("Not measured: `hebm_dist evaluate --evaluate.by_level` does it.")};
  results::Table table{{digits("t", "{:.0f}"), digits("fd_posterior: true u_t, decoded", "{:.2f}"),
      digits("then the chain", "{:.2f}"), digits("fd_fmnist: true u_t, decoded", "{:.2f}"),
      digits("then the chain", "{:.2f}"), digits("images", "{:.0f}")}};
  for (const auto& row : rows)
    table.rows.push_back({number(row.t), row.decode_true_posterior, row.from_true_posterior, row.decode_true,
        row.from_true, number(row.num_images)});
  return {Text{"The reverse chain started at the true noisy latents u_t. Where a column \"then the chain\" jumps from "
               "one row to the next, that level loses the quality. Where it is no better than the column before, "
               "the chain does not help."},
      table_of(table)};
}

Blocks temperature_of(const RunFolder& run) {
  auto rows = summary_of(run).by_temperature;
  std::erase_if(rows, [](const auto& row) { return !std::isfinite(row.temperature); });
  if (rows.empty()) return {};
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.temperature < b.temperature; });
  using Row = results::TemperatureScores;
  constexpr std::array<std::tuple<results::ScoredSet Row::*, const char*, const char*>, 2> kPriors = {
      {{&Row::gaussian, results::kGaussian, "Gaussian prior"}, {&Row::own, results::kOwn, "Ours"}}};
  results::Table table{{digits("temperature")}};
  for (const Row& row : rows) table.rows.push_back({row.temperature});
  Plots plots;
  for (const std::size_t i : {results::score("fd_posterior"), results::score("fd_fmnist"), results::score("precision"),
           results::score("recall")}) {
    LinePlot& plot =
        plots.plots.emplace_back(LinePlot{kScores[i].full_title(), "temperature", Scale::kLinear, false, false, {}});
    for (const auto& [prior, key, title] : kPriors) {
      table.columns.push_back(digits(fmt::format("{}: {}", title, plot.title)));
      Series& series = plot.series.emplace_back(Series{title, {}, {}});
      for (std::size_t r = 0; r < rows.size(); ++r) {
        series.x.push_back(rows[r].temperature);
        series.y.push_back((rows[r].*prior).scores[i].value);
        table.rows[r].emplace_back(series.y.back());
      }
    }
  }
  std::vector<std::pair<std::string, std::string>> grids;
  for (const auto& [prior, key, title] : kPriors)
    grids.emplace_back(fmt::format("temperature-{}", key),
        fmt::format("{}: a row a temperature, in the order of the measurement", title));
  return {Text{"Every sigma of the final decode is multiplied by the temperature; the chains run at 1. Low "
               "temperatures give cleaner images (precision) of less variety (recall)."},
      plots, table_of(table), figures_of(run, grids)};
}

Blocks priors_of(const std::vector<Named<results::Priors>>& found, const RunFolder&) {
  const results::Priors& priors = found.front().result;
  if (priors.compared(Against::kData).empty()) return {};
  Blocks out = {
      Text{"As the paper's Table 1: the same VAE, latent cache and energy nets, another prior in each row "
           "(`hebm_dist evaluate --all`)."}};
  append(out, both_tables(priors, [&](Against against) {
    Table table = table_of(results::priors_table(priors, against));
    const auto rows = priors.compared(against);
    for (std::size_t r = 0; r < table.rows.size(); ++r) {
      if (rows[r]->about.kind == results::kOwn) table.rows[r].style = "ours";
    }
    return table;
  }));
  out.push_back(
      soft("s / 1,000: seconds for 1,000 images on the ranks that drew them. Gradients: of all energy nets at one "
           "image, in training (K of every chain, one for each half of the loss) and for one sample; (+ M): "
           "evaluations without gradient."));
  return out;
}

}  // namespace

template <> SectionSource section<"scores">() { return {"scores", "Scores", "Scores", kFiles, "", scores_of}; }
template <> SectionSource section<"priors">() {
  return experiment<results::Priors>("priors", "Priors on one backbone", "Priors", {{"priors"}}, "", priors_of);
}
template <> SectionSource section<"levels">() {
  return {"levels", "Score by level", "By level", kFiles, "", levels_of};
}
template <> SectionSource section<"temperature">() {
  return {"temperature", "Temperature", "Temperature", kFiles, "temperature-", temperature_of};
}

}  // namespace hebm::report
