// results/summary.json, read leniently: what is missing or not a number is NaN.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "storage/lenient_json.h"

namespace hebm::report {

struct ScoreRow {
  std::string key, title;  // "diffusion", "Ours (diffusion EBM)"
  double fd = 0, kid = 0, kid_error = 0, precision = 0, recall = 0, num_images = 0, seconds = 0;
};

struct Summary {
  std::vector<ScoreRow> rows;  // gaussian, reconstruction, diffusion, then other objects that have fd_fmnist
  double gap_closed = 0;       // given, or (gaussian - ours) / (gaussian - reconstruction)
  const ScoreRow* row(const std::string& key) const;
};

using storage::number_in;
Summary read_summary(const nlohmann::json& summary);

}  // namespace hebm::report
