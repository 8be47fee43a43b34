#include "results/summary.h"
#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include "base/status.h"

namespace hebm::results {
namespace {

constexpr std::string_view kFd = "fd_fmnist";

std::string readable(std::string key) {
  std::replace(key.begin(), key.end(), '_', ' ');
  if (!key.empty() && key[0] >= 'a' && key[0] <= 'z') key[0] = static_cast<char>(key[0] - 'a' + 'A');
  return key;
}

// The columns of names and scores, those with the share of the Gaussian prior's, two blanks apart.
Table score_table() {
  Table out{{{.title = "", .align = Align::kLeft}}};
  for (const ScoreInfo& info : kScores) {
    out.columns.push_back({.title = std::string(info.title), .format = info.format, .gap = 2});
    if (info.key == kFd) out.columns.push_back({.title = "of Gaussian", .format = "{:.3f}", .gap = 2});
  }
  return out;
}

std::vector<Cell> score_row(const std::string& name, const Scores& scores, double gaussian) {
  std::vector<Cell> out = {name};
  for (std::size_t i = 0; i < kScores.size(); ++i) {
    out.emplace_back(scores[i].value);
    if (kScores[i].key == kFd) out.emplace_back(scores.fd() / gaussian);
  }
  return out;
}

// 2,457,600 -> "2.46 M".
std::string large(const std::optional<Count>& count) {
  const double value = number(count.value_or(std::nullopt));
  if (!std::isfinite(value)) return "";
  if (value >= 1e9) return fmt::format("{:.2f} G", value / 1e9);
  if (value >= 1e6) return fmt::format("{:.2f} M", value / 1e6);
  return value >= 1e4 ? fmt::format("{:.1f} k", value / 1e3) : fmt::format("{:.0f}", value);
}

std::string sampling_cost(const PriorAbout& about) {
  const auto evaluations = about.sampling_evaluations.value_or(0);
  return large(about.sampling_gradients) + (evaluations > 0 ? fmt::format(" (+ {})", large(evaluations)) : "");
}

}  // namespace

std::string ScoredSet::title() const {
  if (key == kGaussian) return "Gaussian prior";
  if (key == kOwn) return "Ours (diffusion EBM)";
  return key == "sanity_test_vs_train" ? "Test against training images" : readable(key);
}

bool ScoredSet::accepts(const nlohmann::json& json) {
  return std::isfinite(results::from_json<ScoredSet>(json).scores.fd());
}

const ScoredSet* Summary::find(std::string_view key) const {
  const auto it = std::ranges::find(sets, key, &ScoredSet::key);
  return it == sets.end() ? nullptr : &*it;
}

double Summary::fd(std::string_view key) const {
  const ScoredSet* set = find(key);
  return set == nullptr ? kUnknown : set->scores.fd();
}

double Summary::gap() const {
  if (std::isfinite(gap_closed)) return gap_closed;
  return (fd(kGaussian) - fd(kOwn)) / (fd(kGaussian) - fd(kReconstruction));
}

Table summary_table(const Summary& summary) {
  Table out = score_table();
  out.columns.push_back({.title = "images", .format = "{:.0f}", .gap = 2});
  out.columns.push_back({.title = "time", .gap = 2});
  for (const ScoredSet& set : summary.sets) {
    auto& row = out.rows.emplace_back(score_row(set.title(), set.scores, summary.fd(kGaussian)));
    row.emplace_back(number(set.num_images));
    row.emplace_back(std::isfinite(set.seconds) ? format_duration(set.seconds) : std::string());
  }
  out.drop_empty_columns();
  return out;
}

Table priors_table(const Priors& priors) {
  Table out = score_table();
  out.columns.push_back({.title = "s / 1,000", .format = "{:.1f}", .gap = 2});
  out.columns.push_back({.title = "gradients, training", .gap = 2});
  out.columns.push_back({.title = "a sample", .gap = 2});
  const auto gaussian =
      std::ranges::find(priors.rows, kGaussian, [](const PriorRow& row) { return std::string_view(row.about.kind); });
  const double gaussian_fd = gaussian == priors.rows.end() ? kUnknown : gaussian->scores.fd();
  for (const PriorRow& prior : priors.rows) {
    if (!std::isfinite(prior.scores.fd())) continue;
    auto& row = out.rows.emplace_back(score_row(prior.name, prior.scores, gaussian_fd));
    row.insert(row.end(), {prior.seconds_per_1000, large(prior.about.training_gradients), sampling_cost(prior.about)});
  }
  return out;
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
