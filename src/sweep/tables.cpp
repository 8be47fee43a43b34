// CSV, Markdown and JSON of collect.h.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>

#include "base/options_text.h"
#include "results/table.h"
#include "sweep/collect.h"

namespace hebm::sweep {
namespace {

using results::ColumnOf;

// "12.34 (12.01 - 12.80)"; without a range where there is one value.
std::string spread_text(const results::Spread& s, const std::string& format) {
  const std::string mean = results::cell_text(s.mean, format);
  if (s.count < 2) return mean;
  return fmt::format("{} ({} - {})", mean, results::cell_text(s.low, format), results::cell_text(s.high, format));
}

void add_scores(std::vector<ColumnOf<Row>>& columns) {
  for (std::size_t i = 0; i < results::kScores.size(); ++i) {
    const auto& score = results::kScores[i];
    columns.push_back({{.title = std::string(score.title), .format = score.format, .key = std::string(score.key)},
                       [i](const Row& row) { return row.scores.scores[i].value; }});
  }
}

ColumnOf<Row> sampling_column() {
  return {{.title = "sampling (s)", .format = "{:.2f}", .key = "sampling_s"},
          [](const Row& row) { return row.scores.sampling_s; }};
}

ColumnOf<Row> state_column() {
  return {{.title = "state", .key = "state"},
          [](const Row& row) -> results::Cell { return word_of(row.state.standing); }};
}

ColumnOf<Row> member_column() {
  return {{.title = "member", .key = "member"}, [](const Row& row) { return row.member.name(); }};
}

struct Point {
  double x = 0;
  const Group* group = nullptr;
};

// Lines over the option `key`: what else is set -> points in ascending order.
std::map<std::string, std::vector<Point>> lines_over(const std::string& key, const std::vector<Group>& groups) {
  std::map<std::string, std::vector<Point>> lines;
  for (const Group& group : groups) {
    std::vector<Setting> others;
    std::optional<double> x;
    for (const Setting& s : group.settings) {
      if (s.key == key) {
        x = detail::parse_double(s.value);
      } else {
        others.push_back(s);
      }
    }
    if (x && group.fd_fmnist.count > 0) lines[title_of(others)].push_back({*x, &group});
  }
  for (auto& [name, points] : lines) {
    std::sort(points.begin(), points.end(), [](const Point& a, const Point& b) { return a.x < b.x; });
  }
  std::erase_if(lines, [](const auto& line) { return line.second.size() < 2; });
  return lines;
}

std::vector<results::SweepPlot> plots_of(const std::vector<Group>& groups) {
  std::vector<results::SweepPlot> plots;
  std::vector<std::string> keys;
  for (const Group& group : groups) add_keys(keys, group.settings);
  for (const std::string& key : keys) {
    results::SweepPlot plot{short_name(key), {}};
    for (const auto& [name, points] : lines_over(key, groups)) {
      auto& line = plot.lines.emplace_back();
      line.name = name;
      for (const Point& p : points) {
        line.x.push_back(p.x);
        line.fd_fmnist.push_back(p.group->fd_fmnist.mean);
        line.low.push_back(p.group->fd_fmnist.low);
        line.high.push_back(p.group->fd_fmnist.high);
        line.sampling_s.push_back(p.group->sampling_s.mean);
      }
    }
    if (!plot.lines.empty()) plots.push_back(std::move(plot));
  }
  return plots;
}

}  // namespace

std::string csv_of(const std::vector<Row>& rows) {
  std::vector<ColumnOf<Row>> columns = {member_column(), state_column()};
  std::vector<std::string> keys;
  for (const Row& row : rows) add_keys(keys, row.member.settings);
  for (const std::string& key : keys) {
    columns.push_back({{.title = key, .key = key}, [key](const Row& row) -> results::Cell {
                         const Setting* found = find(row.member.settings, key);
                         return found == nullptr ? std::string() : found->value;
                       }});
  }
  add_scores(columns);
  columns.push_back({{.title = "gap closed", .key = "gap_closed"}, [](const Row& r) { return r.scores.gap_closed; }});
  columns.push_back({{.title = "images", .key = "num_images"}, [](const Row& r) { return r.scores.num_images; }});
  columns.push_back(sampling_column());
  return csv(results::tabulate(columns, rows));
}

std::string markdown_of(const std::string& name, const std::vector<Row>& rows) {
  const std::vector<ColumnOf<Group>> settings = {
      {{.title = ""}, [](const Group& g) { return g.name; }},
      {{.title = "fd_fmnist"}, [](const Group& g) { return spread_text(g.fd_fmnist, "{:.2f}"); }},
      {{.title = "sampling (s)"}, [](const Group& g) { return spread_text(g.sampling_s, "{:.2f}"); }},
      {{.title = "gap closed"}, [](const Group& g) { return spread_text(g.gap_closed, "{:.3f}"); }},
      {{.title = "members"}, [](const Group& g) { return fmt::format("{} of {}", g.fd_fmnist.count, *g.members); }}};
  std::vector<ColumnOf<Row>> members = {
      member_column(),
      {{.title = "settings"}, [](const Row& row) { return title_of(row.member.settings); }},
      state_column()};
  add_scores(members);
  members.push_back(sampling_column());
  return fmt::format(
      "# {}: {} of {} members done\n\nMean over seeds, and the range where there are several.\n\n{}\n## Members\n\n{}",
      name, num_done(rows), rows.size(), markdown(results::tabulate(settings, group_rows(rows))),
      markdown(results::tabulate(members, rows)));
}

results::Sweep sweep_of(const std::vector<Row>& rows) {
  results::Sweep out;
  for (const Row& row : rows) {
    auto& member =
        out.members.emplace_back(results::SweepMember{row.member.name(), word_of(row.state.standing), {}, row.scores});
    for (const Setting& setting : row.member.settings) member.options[setting.key] = setting.value;
  }
  const std::vector<Group> groups = group_rows(rows);
  out.settings.assign(groups.begin(), groups.end());
  out.plots = plots_of(groups);
  return out;
}

}  // namespace hebm::sweep
