// How the scores of results/scores.h are measured: one function for each row of that table, in the
// file that holds its mathematics.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <functional>
#include "comm/communicator.h"
#include "evaluate/statistics.h"
#include "results/scores.h"

namespace hebm::evaluate {

// Features of a set of images by the classifier.
struct FeatureRows {
  Moments moments;                // of all of them, on rank 0
  at::Tensor features;            // [n, F] float32, in order, on every rank's host; undefined unless kept
  double seconds = 0;             // of producing images, the slowest rank's
  mutable at::Tensor radii = {};  // of precision and recall, once they were asked for
};

struct ScoreInput {
  const FeatureRows& real;    // moments: of all training images, features: of as many as are scored
  const FeatureRows& images;  // that are scored
  std::int64_t neighbours;    // evaluate.neighbours
  std::uint64_t seed;
  comm::Communicator& comm;
  // local() on rank 0; what it throws, every rank throws. Collective.
  results::Score on_root(const std::function<results::Score()>& local) const;
};

// Collective; the number is rank 0's. Defined for every row of the table, or the program does not
// link.
template <std::size_t kScore> results::Score measure(const ScoreInput& input);

// All of the table.
results::Scores measure_all(const ScoreInput& input);

}  // namespace hebm::evaluate
