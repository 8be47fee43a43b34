// A sweep's page, results/sweep.json of `sweep collect`: score and sampling seconds over each
// option that varies, and the table of settings.
#include <fmt/core.h>
#include "report/sections.h"
#include "results/experiments.h"

namespace hebm::report {
namespace {

LinePlot plot(const results::SweepPlot& lines, std::vector<double> results::SweepLine::*value, const char* title) {
  LinePlot out{fmt::format("{} over {}", title, lines.option), lines.option, Scale::kLinear, false, true, {}};
  for (const auto& line : lines.lines) {
    if (line.x.size() == (line.*value).size()) out.series.push_back({line.name, line.x, line.*value});
  }
  return out;
}

std::string spread(const results::Spread& s) { return results::spread_text(s, format_number); }

Blocks show(const std::vector<Named<results::Sweep>>& found, const RunFolder&) {
  const results::Sweep& sweep = found.front().result;
  results::Table settings{{words("setting"), digits("fd_posterior"), digits("fd_fmnist"), digits("sampling (s)"),
      digits("gap closed"), digits("gradients, training"), digits("a sample"), digits("members")}};
  for (const auto& s : sweep.settings)
    settings.rows.push_back({s.name, spread(s.fd_posterior), spread(s.fd_fmnist), spread(s.sampling_s),
        spread(s.gap_closed), results::large_text(results::number(s.training_gradients)),
        results::large_text(results::number(s.sampling_gradients)), results::number(s.members)});
  Plots plots;
  for (const auto& lines : sweep.plots) {
    plots.plots.push_back(plot(lines, &results::SweepLine::fd_posterior, "fd_posterior"));
    plots.plots.push_back(plot(lines, &results::SweepLine::fd_fmnist, "fd_fmnist"));
    plots.plots.push_back(plot(lines, &results::SweepLine::sampling_s, "Sampling time (s)"));
  }
  auto members = nlohmann::json::array();
  for (const auto& member : sweep.members) members.push_back(results::to_json(member));
  Blocks out = {plots, table_of(settings),
      soft("Means over seeds, with the range where there are several. fd_posterior and fd_fmnist are the Fr\u00E9chet "
           "distances (lower is better) to decoded posterior draws and to the training images, of the features of "
           "this project's own small classifier; they are not FID. Gap closed is of fd_posterior. "
           "Sampling times are comparable where no other member ran at the same time."),
      Heading{"Members"}};
  append(out, json_blocks(members));
  return out;
}

}  // namespace

template <> SectionSource section<"sweep">() {
  return experiment<results::Sweep>("sweep", "Sweep", "", {{"sweep"}}, "", show);
}

}  // namespace hebm::report
