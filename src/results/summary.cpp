#include "results/summary.h"
#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include "base/status.h"

namespace hebm::results {
namespace {

std::string readable(std::string key) {
  std::replace(key.begin(), key.end(), '_', ' ');
  if (!key.empty() && key[0] >= 'a' && key[0] <= 'z') key[0] = static_cast<char>(key[0] - 'a' + 'A');
  return key;
}

// Names, the scores with the share of the Gaussian prior's, all two blanks apart.
template <class Row> std::vector<ColumnOf<Row>> score_columns(double gaussian, std::function<Cell(const Row&)> name) {
  std::vector<ColumnOf<Row>> out = {{{.title = "", .align = Align::kLeft}, std::move(name)}};
  for (std::size_t i = 0; i < kScores.size(); ++i) {
    out.push_back({{.title = std::string(kScores[i].title), .format = kScores[i].format, .gap = 2},
        [i](const Row& row) { return row.scores[i].value; }});
    if (i == score("fd_fmnist"))
      out.push_back({{.title = "of Gaussian", .format = "{:.3f}", .gap = 2},
          [gaussian](const Row& row) { return row.scores.fd() / gaussian; }});
  }
  return out;
}

// 2,457,600 -> "2.46 M".
std::string large(const Count& count) {
  if (!count) return "";
  const double value = number(count);
  if (value >= 1e9) return fmt::format("{:.2f} G", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.2f} M", value / 1e6);
  return value >= 1e4 ? fmt::format("{:.1f} k", value / 1e3) : fmt::format("{:.0f}", value);
}

std::string sampling_cost(const PriorAbout& about) {
  const std::int64_t evaluations = about.sampling_evaluations.value_or(0);
  return large(about.sampling_gradients) + (evaluations > 0 ? fmt::format(" (+ {})", large(evaluations)) : "");
}

}  // namespace

std::string ScoredSet::title() const {
  if (key == "gaussian") return "Gaussian prior";
  if (key == "diffusion") return "Ours (diffusion EBM)";
  return key == "sanity_test_vs_train" ? "Test against training images" : readable(key);
}

bool ScoredSet::accepts(const nlohmann::json& json) {
  return std::isfinite(results::from_json<ScoredSet>(json).scores.fd());
}

const ScoredSet* Summary::find(std::string_view key) const {
  const auto it = std::find_if(sets.begin(), sets.end(), [&](const ScoredSet& set) { return set.key == key; });
  return it == sets.end() ? nullptr : &*it;
}

double Summary::fd(std::string_view key) const {
  const ScoredSet* set = find(key);
  return set == nullptr ? kUnknown : set->scores.fd();
}

double Summary::gap() const {
  if (std::isfinite(gap_closed)) return gap_closed;
  return (fd("gaussian") - fd("diffusion")) / (fd("gaussian") - fd("reconstruction"));
}

double Priors::gaussian_fd() const {
  const auto it =
      std::find_if(rows.begin(), rows.end(), [](const PriorRow& row) { return row.about.kind == "gaussian"; });
  return it == rows.end() ? kUnknown : it->scores.fd();
}

Table summary_table(const Summary& summary) {
  auto columns =
      score_columns<ScoredSet>(summary.fd("gaussian"), [](const ScoredSet& set) -> Cell { return set.title(); });
  columns.push_back(
      {{.title = "images", .format = "{:.0f}", .gap = 2}, [](const ScoredSet& set) { return number(set.num_images); }});
  columns.push_back({{.title = "time", .gap = 2}, [](const ScoredSet& set) -> Cell {
                       return std::isfinite(set.seconds) ? format_duration(set.seconds) : std::string();
                     }});
  Table out = tabulate(columns, summary.sets);
  out.drop_empty_columns();
  return out;
}

Table priors_table(const Priors& priors) {
  auto columns = score_columns<PriorRow>(priors.gaussian_fd(), [](const PriorRow& row) -> Cell { return row.name; });
  columns.push_back(
      {{.title = "s / 1,000", .format = "{:.1f}", .gap = 2}, [](const PriorRow& row) { return row.seconds_per_1000; }});
  columns.push_back({{.title = "gradients, training", .gap = 2},
      [](const PriorRow& row) { return large(row.about.training_gradients); }});
  columns.push_back({{.title = "a sample", .gap = 2}, [](const PriorRow& row) { return sampling_cost(row.about); }});
  auto rows = priors.rows;
  std::erase_if(rows, [](const PriorRow& row) { return !std::isfinite(row.scores.fd()); });
  return tabulate(columns, rows);
}

std::string text_of(const Summary& summary) {
  if (summary.sets.empty()) return "no scores yet\n";
  std::string out = text(summary_table(summary));
  if (const double gap = summary.gap(); std::isfinite(gap))
    out += fmt::format("gap closed: {:.3f} = (Gaussian - ours) / (Gaussian - reconstruction)\n", gap);
  return out;
}

std::string text_of(const Priors& priors) {
  const Table table = priors_table(priors);
  return table.rows.empty() ? "no scores yet\n" : text(table);
}

}  // namespace hebm::results
