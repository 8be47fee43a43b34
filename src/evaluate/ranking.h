// How well one number tells two sets apart (Sec. 5.2, Fig. 3): a higher score speaks for the
// positive set. By ranks, so any rising function of the scores has the same results. Equal scores
// are one threshold; between them AUROC counts half, as for a tossed coin. Scores are finite and
// each set has at least one, or Error(kRuntime); nothing depends on the order within a set.
#pragma once
#include <cstdint>
#include <span>
#include "base/random.h"

namespace hebm::evaluate {

// P(positive > negative) + P(equal) / 2: the Mann-Whitney statistic, exact in integers up to the
// last division.
double auroc(std::span<const double> negative, std::span<const double> positive);
// Average precision: sum over thresholds, falling, of (rise of recall) x precision. Chance is the
// share of positives.
double aupr(std::span<const double> negative, std::span<const double> positive);
// Share of negatives at or above the highest threshold that at least `tpr` in (0, 1] of the
// positives reach.
double fpr_at_tpr(std::span<const double> negative, std::span<const double> positive, double tpr);

struct Interval {
  double low = 0, high = 0;
};
// Percentile bootstrap of the AUROC: both sets are drawn anew with replacement, `resamples` >= 1
// times; the middle `level` of the results. Draws are keyed by (key; place within the set,
// resample), so equal keys choose equal places whatever the scores.
Interval bootstrap_auroc(std::span<const double> negative, std::span<const double> positive, std::int64_t resamples,
    double level, const RandomKey& key);

// q in [0, 1] of values (sorted ascending), linear between neighbours.
double sorted_quantile(std::span<const double> sorted, double q);

}  // namespace hebm::evaluate
