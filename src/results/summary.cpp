#include "results/summary.h"
#include <fmt/format.h>
#include <algorithm>
#include <cmath>
#include "base/status.h"
#include "results/warnings.h"

namespace hebm::results {
namespace {

std::string readable(std::string key) {
  std::replace(key.begin(), key.end(), '_', ' ');
  if (!key.empty() && key[0] >= 'a' && key[0] <= 'z') key[0] = static_cast<char>(key[0] - 'a' + 'A');
  return key;
}

// The columns of names and of one side's scores.
Table score_table(Against against) {
  Table out{{{.title = "", .align = Align::kLeft}}};
  const auto add = [&](std::string_view title, const char* format, std::string_view key) {
    out.columns.push_back({.title = std::string(title), .format = format, .gap = 2, .key = std::string(key)});
  };
  for (const ScoreInfo& info : kScores) {
    if (info.against != against) continue;
    add(info.title, info.format, info.key);
    if (info.key == "fd_fmnist") add("ratio", "{:.3f}", "");
    if (info.key == "fd_posterior") add("of Gaussian", "{:.3f}", "");
  }
  return out;
}

// Its row. all: the summary or the priors that it is of.
std::vector<Cell> score_row(const std::string& name, const Scores& scores, const auto& all, Against against) {
  std::vector<Cell> out = {name};
  for (std::size_t i = 0; i < kScores.size(); ++i) {
    if (kScores[i].against != against) continue;
    out.emplace_back(scores[i].value);
    if (kScores[i].key == "fd_fmnist") out.emplace_back(scores.fd() / all.fd(kGaussian));
    if (kScores[i].key == "fd_posterior") out.emplace_back(all.of_gaussian(scores));
  }
  return out;
}

// Those that have the distance of this side.
template <class Row> std::vector<const Row*> having(const std::vector<Row>& rows, Against against) {
  std::vector<const Row*> out;
  for (const Row& row : rows) {
    if (std::isfinite(against == Against::kData ? row.scores.fd() : row.scores.fd_posterior())) out.push_back(&row);
  }
  return out;
}

std::string large(const std::optional<Count>& count) { return large_text(number(count.value_or(std::nullopt))); }

std::string sampling_cost(const PriorAbout& about) {
  const auto evaluations = about.sampling_evaluations.value_or(0);
  return large(about.sampling_gradients) + (evaluations > 0 ? fmt::format(" (+ {})", large(evaluations)) : "");
}

}  // namespace

std::string ScoredSet::title() const {
  if (!name.empty()) return name;
  if (key == kGaussian) return "Gaussian prior";
  if (key == kOwn) return "Ours (diffusion EBM)";
  if (key == kPosterior) return "Posterior draws";
  return key == "sanity_test_vs_train" ? "Test against training images" : readable(key);
}

bool ScoredSet::accepts(const nlohmann::json& json) {
  return std::isfinite(results::from_json<ScoredSet>(json).scores.fd());
}

const ScoredSet* Summary::find(std::string_view key) const {
  const auto it = std::ranges::find(sets, key, &ScoredSet::key);
  return it == sets.end() ? nullptr : &*it;
}

const ScoredSet* Summary::own() const { return find(model.kind.empty() ? kOwn : model.kind); }

double Summary::fd(std::string_view key) const {
  const ScoredSet* set = find(key);
  return set == nullptr ? kUnknown : set->scores.fd();
}

double Summary::fd_posterior(std::string_view key) const {
  const ScoredSet* set = find(key);
  return set == nullptr ? kUnknown : set->scores.fd_posterior();
}

double Summary::of_gaussian(const Scores& scores) const {
  return results::of_gaussian(scores.fd_posterior(), fd_posterior(kPosterior), fd_posterior(kGaussian));
}

double Summary::gap() const {
  const ScoredSet* own = this->own();
  return own == nullptr ? kUnknown : 1 - of_gaussian(own->scores);
}

std::vector<const ScoredSet*> Summary::compared(Against against) const { return having(sets, against); }

namespace {

const Scores& scores_of(const std::vector<PriorRow>& rows, std::string_view kind) {
  static const Scores kNone{};
  const auto row = std::ranges::find(rows, kind, [](const PriorRow& r) { return std::string_view(r.about.kind); });
  return row == rows.end() ? kNone : row->scores;
}

}  // namespace

double Priors::fd(std::string_view kind) const { return scores_of(rows, kind).fd(); }

double Priors::fd_posterior(std::string_view kind) const { return scores_of(rows, kind).fd_posterior(); }

double Priors::of_gaussian(const Scores& scores) const {
  return results::of_gaussian(scores.fd_posterior(), fd_posterior(kPosterior), fd_posterior(kGaussian));
}

std::vector<const PriorRow*> Priors::compared(Against against) const { return having(rows, against); }

const char* caption(Against against) {
  return against == Against::kData
             ? "Against the training images, which the backbone keeps at a distance. ratio: fd_fmnist over the "
               "Gaussian prior's."
             : "Against decoded posterior draws of training images, which a prior can reach. of Gaussian: 0 = "
               "posterior draws, 1 = Gaussian prior.";
}

Table summary_table(const Summary& summary, Against against) {
  Table out = score_table(against);
  out.columns.push_back({.title = "images", .format = "{:.0f}", .gap = 2});
  out.columns.push_back({.title = "time", .gap = 2});
  for (const ScoredSet* set : summary.compared(against)) {
    auto& row = out.rows.emplace_back(score_row(set->title(), set->scores, summary, against));
    row.emplace_back(number(set->num_images));
    row.emplace_back(std::isfinite(set->seconds) ? format_duration(set->seconds) : std::string());
  }
  out.drop_empty_columns();
  return out;
}

Table priors_table(const Priors& priors, Against against) {
  Table out = score_table(against);
  out.columns.push_back({.title = "s / 1,000", .format = "{:.1f}", .gap = 2});
  out.columns.push_back({.title = "gradients, training", .gap = 2});
  out.columns.push_back({.title = "a sample", .gap = 2});
  for (const PriorRow* prior : priors.compared(against)) {
    auto& row = out.rows.emplace_back(score_row(prior->name, prior->scores, priors, against));
    row.insert(
        row.end(), {prior->seconds_per_1000, large(prior->about.training_gradients), sampling_cost(prior->about)});
  }
  return out;
}

namespace {

// Both tables, the posterior's first.
template <class Result> std::string tables_of(const Result& result, Table (*table_of)(const Result&, Against)) {
  std::string out;
  if (result.compared(Against::kData).empty()) return "no scores yet\n";
  for (const Against against : {Against::kPosterior, Against::kData}) {
    const Table table = table_of(result, against);
    out +=
        table.rows.empty() ? fmt::format("{}\n", kNoPosterior) : fmt::format("{}\n{}", caption(against), text(table));
    if (against == Against::kPosterior) out += "\n";
  }
  return out;
}

std::string lines_of(const std::vector<std::string>& warnings) {
  std::string out;
  for (const std::string& warning : warnings) out += fmt::format("WARNING: {}\n", warning);
  return out;
}

}  // namespace

std::string text_of(const Summary& summary) {
  std::string out = tables_of(summary, summary_table);
  if (const double gap = summary.gap(); std::isfinite(gap))
    out += fmt::format("gap closed: {:.3f} = (Gaussian - ours) / (Gaussian - posterior draws), of fd_posterior\n", gap);
  return out + lines_of(warnings(summary));
}

std::string text_of(const Priors& priors) { return tables_of(priors, priors_table) + lines_of(warnings(priors)); }

}  // namespace hebm::results
