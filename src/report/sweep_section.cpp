// A sweep's page, results/sweep.json of `sweep collect`: score and sampling seconds over each
// option that varies, and the table of settings.
#include <fmt/core.h>
#include "report/html.h"
#include "report/sections.h"
#include "results/sweep.h"

namespace hebm::report {
namespace {

using results::SweepSetting;

LinePlot plot(const results::SweepPlot& lines, std::vector<double> results::SweepLine::*value, const char* title) {
  LinePlot out{fmt::format("{} over {}", title, lines.option), lines.option, Scale::kLinear, false, true, {}};
  for (const auto& line : lines.lines) {
    if (line.x.size() == (line.*value).size()) out.series.push_back({line.name, line.x, line.*value});
  }
  return out;
}

std::string spread(const results::Spread& s) { return results::spread_text(s, format_number); }

}  // namespace

Section sweep_section(const results::Sweep& sweep) {
  const std::vector<results::ColumnOf<SweepSetting>> columns = {{words("setting"), &SweepSetting::name},
      {digits("fd_fmnist"), [](const auto& s) { return spread(s.fd_fmnist); }},
      {digits("sampling (s)"), [](const auto& s) { return spread(s.sampling_s); }},
      {digits("gap closed"), [](const auto& s) { return spread(s.gap_closed); }},
      {digits("members"), [](const auto& s) { return results::number(s.members); }}};
  Plots plots;
  for (const auto& lines : sweep.plots) {
    plots.plots.push_back(plot(lines, &results::SweepLine::fd_fmnist, "fd_fmnist"));
    plots.plots.push_back(plot(lines, &results::SweepLine::sampling_s, "Sampling time (s)"));
  }
  auto members = nlohmann::json::array();
  for (const auto& member : sweep.members) members.push_back(results::to_json(member));
  Section out{"sweep", "Sweep", ""};
  out.blocks = {plots, table_of(tabulate(columns, sweep.settings)),
      soft("Means over seeds, with the range where there are several. fd_fmnist is the Fr\u00E9chet distance "
           "(lower is better) of the features of this project's own small classifier; it is not FID. "
           "Sampling times are comparable where no other member ran at the same time."),
      Heading{"Members"}};
  append(out.blocks, json_blocks(members));
  return out;
}

}  // namespace hebm::report
