// Sections of results/summary.json: scores, scores by level, and by temperature.
#include <fmt/core.h>
#include <algorithm>
#include <array>
#include <cmath>
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
  for (const auto& [key, what] : {std::pair{"gaussian", "fd_fmnist, Gaussian prior"}, {"diffusion", "fd_fmnist, ours"},
           {"reconstruction", "fd_fmnist, reconstruction"}}) {
    if (summary.find(key) != nullptr) out.numbers.emplace_back(results::cell_text(summary.fd(key), "{:.2f}"), what);
  }
  if (const double gap = summary.gap(); std::isfinite(gap))
    out.numbers.emplace_back(fmt::format("{:.0f} %", 100 * gap), "of the gap closed");
  return out;
}

// A bar of fd_fmnist behind the cell of each row.
void add_bars(Table& table, const Summary& summary, std::ptrdiff_t cell) {
  double largest = 0;
  for (const auto& set : summary.sets) largest = std::fmax(largest, set.scores.fd());
  const auto insert = [cell](Row& row, const Bar& bar) {
    row.cells.insert(row.cells.begin() + cell + 1, {.text = "", .bar = bar});
  };
  insert(table.heads[0], {});
  for (std::size_t r = 0; r < table.rows.size(); ++r) {
    const double share = summary.sets[r].scores.fd() / largest;
    insert(
        table.rows[r], {std::isfinite(share) ? std::clamp(share, 0.0, 1.0) : 0.0, table.rows[r].style.empty() ? 0 : 1});
  }
}

Table score_table(const Summary& summary) {
  const results::Table scores = results::summary_table(summary);
  Table out = table_of(scores);
  for (std::size_t r = 0; r < out.rows.size(); ++r) {
    if (summary.sets[r].key == "diffusion") out.rows[r].style = "ours";
  }
  for (std::size_t c = scores.columns.size(); c-- > 0;) {
    const auto score = std::find_if(
        kScores.begin(), kScores.end(), [&](const auto& info) { return info.title == scores.columns[c].title; });
    if (score == kScores.end()) continue;
    const auto i = static_cast<std::size_t>(score - kScores.begin());
    for (std::size_t r = 0; r < out.rows.size(); ++r) {
      const double error = summary.sets[r].scores[i].error;
      if (std::isfinite(error)) out.rows[r].cells[c].text += fmt::format(" \u00B1 {:.2g}", error);
    }
    if (i == results::score("fd_fmnist")) add_bars(out, summary, static_cast<std::ptrdiff_t>(c));
  }
  return out;
}

Section scores_of(const RunFolder& run) {
  const Summary summary = summary_of(run);
  Section out{"scores", "Scores", "Scores"};
  if (summary.sets.empty()) {
    out.blocks = {missing("No scores yet: `results/summary.json` is written by `hebm_dist evaluate`.")};
    return out;
  }
  out.blocks = {numbers(summary), score_table(summary),
      soft(
          "fd_fmnist is the Fr\u00E9chet distance (lower is better) between Gaussians fitted to the features of this "
          "project's own small classifier; it is not FID and cannot be compared with published FID. KID, precision "
          "and recall use the same features. Gap closed = (Gaussian \u2212 ours) / (Gaussian \u2212 reconstruction).")};
  const results::Classifier& features = summary.features;
  if (!features.hash.empty() || std::isfinite(features.accuracy))
    out.blocks.push_back(soft(fmt::format("Classifier: test accuracy {}, weights {}.",
        results::cell_text(features.accuracy, "{:.4f}"), results::cell_text(features.hash, ""))));
  return out;
}

Section levels_of(const RunFolder& run) {
  Section out{"levels", "Score by level", "By level"};
  const auto rows = summary_of(run).by_level;
  if (rows.empty()) {
    out.blocks = {missing("Not measured: `hebm_dist evaluate --evaluate.by_level` does it.")};
    return out;
  }
  const std::vector<results::ColumnOf<results::LevelScore>> columns = {
      {digits("t", "{:.0f}"), [](const auto& row) { return number(row.t); }},
      {digits("true u_t, decoded", "{:.2f}"), &results::LevelScore::decode_true},
      {digits("true u_t, then the chain", "{:.2f}"), &results::LevelScore::from_true},
      {digits("images", "{:.0f}"), [](const auto& row) { return number(row.num_images); }}};
  out.blocks = {Text{"fd_fmnist with the reverse chain started at the true noisy latents u_t: where the last column "
                     "jumps from one row to the next, that level loses the quality; where it is no better than the "
                     "column before, the chain does not help."},
      table_of(tabulate(columns, rows))};
  return out;
}

Section temperature_of(const RunFolder& run) {
  auto rows = summary_of(run).by_temperature;
  std::erase_if(rows, [](const auto& row) { return !std::isfinite(row.temperature); });
  if (rows.empty()) return {};
  std::sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) { return a.temperature < b.temperature; });
  using Row = results::TemperatureScores;
  constexpr std::array<std::pair<results::ScoredSet Row::*, const char*>, 2> kPriors = {
      {{&Row::gaussian, "Gaussian prior"}, {&Row::diffusion, "Ours"}}};
  std::vector<results::ColumnOf<Row>> columns = {{digits("temperature"), &Row::temperature}};
  Plots plots;
  for (const std::size_t i : {results::score("fd_fmnist"), results::score("precision"), results::score("recall")}) {
    LinePlot& plot = plots.plots.emplace_back(
        LinePlot{std::string(kScores[i].title), "temperature", Scale::kLinear, false, false, {}});
    for (const auto& [prior, title] : kPriors) {
      columns.push_back({digits(fmt::format("{}: {}", title, plot.title)),
          [=](const Row& row) { return (row.*prior).scores[i].value; }});
      Series& series = plot.series.emplace_back(Series{title, {}, {}});
      for (const Row& row : rows) {
        series.x.push_back(row.temperature);
        series.y.push_back((row.*prior).scores[i].value);
      }
    }
  }
  const char* about = ": a row a temperature, in the order of the measurement";
  return {"temperature", "Temperature", "Temperature",
      {Text{"Every sigma of the final decode is multiplied by the temperature; the chains run at 1. Low "
            "temperatures give cleaner images (precision) of less variety (recall)."},
          plots, table_of(tabulate(columns, rows)),
          figures_of(run, {{"temperature-gaussian", kPriors[0].second + std::string(about)},
                              {"temperature-diffusion", kPriors[1].second + std::string(about)}})}};
}

}  // namespace

SectionSource scores() { return {kFiles, "", scores_of}; }
SectionSource levels() { return {kFiles, "", levels_of}; }
SectionSource temperature() { return {kFiles, "temperature-", temperature_of}; }

}  // namespace hebm::report
