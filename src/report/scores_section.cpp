// Sections of results/summary.json: scores, scores by level, and by temperature; and of priors.json
// of `evaluate --all`.
#include <fmt/core.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <tuple>
#include "report/sections.h"
#include "results/summary.h"

namespace hebm::report {
namespace {

using results::kScores;
using results::number;
using results::Summary;

const ResultFiles kFiles{{"summary"}};

Summary summary_of(const RunFolder& run) { return result_of<Summary>(run, kFiles.names[0]); }

Numbers numbers(const Summary& summary) {
  Numbers out;
  for (const auto& [key, what] : {std::pair{results::kGaussian, "fd_fmnist, Gaussian prior"},
           {results::kOwn, "fd_fmnist, ours"}, {results::kReconstruction, "fd_fmnist, reconstruction"}}) {
    if (summary.find(key) != nullptr) out.numbers.emplace_back(results::cell_text(summary.fd(key), "{:.2f}"), what);
  }
  if (const double gap = summary.gap(); std::isfinite(gap))
    out.numbers.emplace_back(fmt::format("{:.0f} %", 100 * gap), "of the gap closed");
  return out;
}

// With standard errors, and a bar behind each fd_fmnist.
Table score_table(const Summary& summary) {
  const results::Table scores = results::summary_table(summary);
  Table out = table_of(scores);
  double largest = 0;
  for (const auto& set : summary.sets) largest = std::fmax(largest, set.scores.fd());
  for (std::size_t c = scores.columns.size(); c-- > 0;) {
    const auto info = std::ranges::find(kScores, scores.columns[c].title, &results::ScoreInfo::title);
    if (info == kScores.end()) continue;
    const auto score = static_cast<std::size_t>(info - kScores.begin());
    const auto insert = [&](Row& row, const Bar& bar) {
      if (score == results::score("fd_fmnist"))
        row.cells.insert(row.cells.begin() + static_cast<std::ptrdiff_t>(c) + 1, {.text = "", .bar = bar});
    };
    insert(out.heads[0], {});
    for (std::size_t r = 0; r < out.rows.size(); ++r) {
      const results::ScoredSet& set = summary.sets[r];
      const double error = set.scores[score].error, share = set.scores.fd() / largest;
      const bool is_own = set.key == results::kOwn;
      out.rows[r].style = is_own ? "ours" : "";
      if (std::isfinite(error)) out.rows[r].cells[c].text += fmt::format(" \u00B1 {:.2g}", error);
      insert(out.rows[r], {std::isfinite(share) ? std::clamp(share, 0.0, 1.0) : 0.0, is_own ? 1 : 0});
    }
  }
  return out;
}

Blocks scores_of(const RunFolder& run) {
  const Summary summary = summary_of(run);
  if (summary.sets.empty())
    return {missing("No scores yet: `results/summary.json` is written by `hebm_dist evaluate`.")};
  Blocks out = {numbers(summary), score_table(summary),
      soft(
          "fd_fmnist is the Fr\u00E9chet distance (lower is better) between Gaussians fitted to the features of this "
          "project's own small classifier; it is not FID and cannot be compared with published FID. KID, precision "
          "and recall use the same features. Gap closed = (Gaussian \u2212 ours) / (Gaussian \u2212 reconstruction).")};
  const results::Classifier& features = summary.features;
  if (!features.hash.empty() || std::isfinite(features.accuracy))
    out.push_back(soft(fmt::format("Classifier: test accuracy {}, weights {}.",
        results::cell_text(features.accuracy, "{:.4f}"), results::cell_text(features.hash, ""))));
  return out;
}

Blocks levels_of(const RunFolder& run) {
  const auto rows = summary_of(run).by_level;
  if (rows.empty()) return {missing("Not measured: `hebm_dist evaluate --evaluate.by_level` does it.")};
  results::Table table{{digits("t", "{:.0f}"), digits("true u_t, decoded", "{:.2f}"),
      digits("true u_t, then the chain", "{:.2f}"), digits("images", "{:.0f}")}};
  for (const auto& row : rows)
    table.rows.push_back({number(row.t), row.decode_true, row.from_true, number(row.num_images)});
  return {Text{"fd_fmnist with the reverse chain started at the true noisy latents u_t: where the last column "
               "jumps from one row to the next, that level loses the quality; where it is no better than the "
               "column before, the chain does not help."},
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
  for (const std::size_t i : {results::score("fd_fmnist"), results::score("precision"), results::score("recall")}) {
    LinePlot& plot = plots.plots.emplace_back(
        LinePlot{std::string(kScores[i].title), "temperature", Scale::kLinear, false, false, {}});
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
  results::Priors priors = found.front().result;
  std::erase_if(priors.rows, [](const auto& row) { return !std::isfinite(row.scores.fd()); });
  if (priors.rows.empty()) return {};
  Table table = table_of(results::priors_table(priors));
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    if (priors.rows[r].about.kind == results::kOwn) table.rows[r].style = "ours";
  }
  return {Text{"As the paper's Table 1: the same VAE, latent cache and energy nets, another prior in each row "
               "(`hebm_dist evaluate --all`)."},
      table,
      soft("s / 1,000: seconds for 1,000 images on the ranks that drew them. Gradients: of all energy nets at one "
           "image, in training (K of every chain, one for each half of the loss) and for one sample; (+ M): "
           "evaluations without gradient.")};
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
