// Metrics of a part as line plots: tags "gap/t0", "gap/t1" are one plot "gap" with a line each.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>
#include "report/svg_plot.h"

namespace hebm::report {

// All scalars of metrics.jsonl, the well-known ones first. A tag's last component of letters and
// digits ("t0", "level1.layer2.") names the line, the rest the plot. null, NaN and text are gaps.
// Lines without an integer "step" are skipped.
std::vector<LinePlot> plots_of(const std::vector<nlohmann::json>& metrics);

// "chain_time_s" -> "Chain time (s)", "kl" -> "KL by layer (nats an image)".
std::string plot_title(const std::string& group);

}  // namespace hebm::report
