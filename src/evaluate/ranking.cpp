#include "evaluate/ranking.h"
#include <algorithm>
#include <cmath>
#include <set>
#include <vector>
#include "base/error.h"

namespace hebm::evaluate {
namespace {

// Counts of one distinct score.
struct Tie {
  std::int64_t negative = 0, positive = 0;
};

void check_scores(std::span<const double> scores, const char* what) {
  check(!scores.empty(), ExitCode::kRuntime, "{} set: expected at least 1 score, got none", what);
  for (std::size_t i = 0; i < scores.size(); ++i) {
    check(std::isfinite(scores[i]), ExitCode::kRuntime, "{} set: score {} is {}, expected a finite number", what, i,
        scores[i]);
  }
}

// The scores by their places among the distinct ones, of which there are `count`.
struct Ranked {
  std::vector<std::size_t> negative, positive;
  std::size_t count;
};
Ranked ranked(std::span<const double> negative, std::span<const double> positive) {
  check_scores(negative, "negative");
  check_scores(positive, "positive");
  std::set<double> distinct(negative.begin(), negative.end());
  distinct.insert(positive.begin(), positive.end());
  const std::vector<double> values(distinct.begin(), distinct.end());
  const auto places = [&](std::span<const double> scores) {
    std::vector<std::size_t> out;
    for (const double score : scores)
      out.push_back(static_cast<std::size_t>(std::ranges::lower_bound(values, score) - values.begin()));
    return out;
  };
  return {places(negative), places(positive), values.size()};
}

// By rising score.
std::vector<Tie> ties(std::span<const double> negative, std::span<const double> positive) {
  const Ranked scores = ranked(negative, positive);
  std::vector<Tie> out(scores.count);
  for (const auto place : scores.negative) ++out[place].negative;
  for (const auto place : scores.positive) ++out[place].positive;
  return out;
}

double auroc_of(const std::vector<Tie>& rising, std::size_t num_negative, std::size_t num_positive) {
  std::int64_t twice = 0, below = 0;  // 2 x (pairs won + pairs tied / 2)
  for (const Tie& tie : rising) {
    twice += tie.positive * (2 * below + tie.negative);
    below += tie.negative;
  }
  return static_cast<double>(twice) / (2.0 * static_cast<double>(num_negative) * static_cast<double>(num_positive));
}

}  // namespace

double auroc(std::span<const double> negative, std::span<const double> positive) {
  return auroc_of(ties(negative, positive), negative.size(), positive.size());
}

double aupr(std::span<const double> negative, std::span<const double> positive) {
  const auto rising = ties(negative, positive);
  double hits = 0, taken = 0, sum = 0;
  for (auto tie = rising.rbegin(); tie != rising.rend(); ++tie) {
    hits += static_cast<double>(tie->positive);
    taken += static_cast<double>(tie->positive + tie->negative);
    sum += static_cast<double>(tie->positive) * hits / taken;
  }
  return sum / static_cast<double>(positive.size());
}

double fpr_at_tpr(std::span<const double> negative, std::span<const double> positive, double tpr) {
  check(tpr > 0.0 && tpr <= 1.0, ExitCode::kRuntime, "true positive rate: expected one in (0, 1], got {}", tpr);
  const auto rising = ties(negative, positive);
  const double wanted =
      tpr * static_cast<double>(positive.size()) * (1.0 - 1e-12);  // 0.95 x 2000 is 1900, not a little more
  std::int64_t hits = 0, alarms = 0;
  for (auto tie = rising.rbegin(); tie != rising.rend() && static_cast<double>(hits) < wanted; ++tie) {
    hits += tie->positive;
    alarms += tie->negative;
  }
  return static_cast<double>(alarms) / static_cast<double>(negative.size());
}

Interval bootstrap_auroc(std::span<const double> negative, std::span<const double> positive, std::int64_t resamples,
    double level, const RandomKey& key) {
  check(resamples >= 1 && level > 0.0 && level < 1.0, ExitCode::kRuntime,
      "bootstrap: expected at least 1 resample and a level in (0, 1), got {} and {}", resamples, level);
  const Ranked scores = ranked(negative, positive);
  std::vector<double> results;
  std::vector<Tie> drawn;
  for (std::int64_t r = 0; r < resamples; ++r) {
    const auto draw = [&](const std::vector<std::size_t>& from, std::uint32_t set, std::int64_t Tie::*count) {
      for (std::uint32_t i = 0; i < from.size(); ++i) {
        const auto chosen = draw_below(static_cast<std::uint32_t>(from.size()), key,
            {.item = i, .visit = static_cast<std::uint32_t>(r), .layer = set});
        ++(drawn[from[chosen]].*count);
      }
    };
    drawn.assign(scores.count, Tie{});
    draw(scores.negative, 0, &Tie::negative);
    draw(scores.positive, 1, &Tie::positive);
    results.push_back(auroc_of(drawn, negative.size(), positive.size()));
  }
  std::sort(results.begin(), results.end());
  return {sorted_quantile(results, 0.5 * (1.0 - level)), sorted_quantile(results, 0.5 * (1.0 + level))};
}

double sorted_quantile(std::span<const double> sorted, double q) {
  check(!sorted.empty() && q >= 0.0 && q <= 1.0, ExitCode::kRuntime,
      "quantile {} of {} values: expected one in [0, 1] of at least 1", q, sorted.size());
  const double at = q * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<std::size_t>(at);
  const auto above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

}  // namespace hebm::evaluate
