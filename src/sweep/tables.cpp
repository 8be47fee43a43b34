// Markdown and JSON of collect.h.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "base/options_text.h"
#include "sweep/collect.h"

namespace hebm::sweep {
namespace {

// As the paper calls them.
std::string short_name(const std::string& key) {
  if (key == "prior.T") return "T";
  return key == "langevin.steps" ? "K" : key;
}

std::string title_of(const std::vector<Setting>& settings) {
  std::vector<std::string> parts;
  for (const Setting& s : settings) parts.push_back(fmt::format("{} = {}", short_name(s.key), s.value));
  return parts.empty() ? "all" : fmt::format("{}", fmt::join(parts, ", "));
}

std::string text(double value, const char* format) {
  return std::isfinite(value) ? fmt::format(fmt::runtime(format), value) : "-";
}

// "12.34 (12.01 - 12.80)"; without a range where there is one value.
std::string spread_text(const Spread& s, const char* format) {
  if (s.count < 2) return text(s.mean, format);
  return fmt::format("{} ({} - {})", text(s.mean, format), text(s.low, format), text(s.high, format));
}

std::string table_line(const std::vector<std::string>& cells) {
  return fmt::format("| {} |\n", fmt::join(cells, " | "));
}

std::string table(const std::vector<std::vector<std::string>>& lines) {
  std::string out = table_line(lines.front());
  out += table_line(std::vector<std::string>(lines.front().size(), "---"));
  for (std::size_t i = 1; i < lines.size(); ++i) out += table_line(lines[i]);
  return out;
}

nlohmann::json or_null(double value) { return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json(); }

nlohmann::json spread_json(const Spread& s) {
  return {{"mean", or_null(s.mean)}, {"low", or_null(s.low)}, {"high", or_null(s.high)}, {"count", s.count}};
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

nlohmann::json plots_of(const std::vector<Group>& groups) {
  nlohmann::json plots = nlohmann::json::array();
  std::vector<std::string> keys;
  for (const Group& group : groups) add_keys(keys, group.settings);
  for (const std::string& key : keys) {
    nlohmann::json lines = nlohmann::json::array();
    for (const auto& [name, points] : lines_over(key, groups)) {
      nlohmann::json line = {{"name", name}};
      for (const Point& p : points) {
        line["x"].push_back(p.x);
        line["fd_fmnist"].push_back(p.group->fd_fmnist.mean);
        line["low"].push_back(p.group->fd_fmnist.low);
        line["high"].push_back(p.group->fd_fmnist.high);
        line["sampling_s"].push_back(or_null(p.group->sampling_s.mean));
      }
      lines.push_back(std::move(line));
    }
    if (!lines.empty()) plots.push_back({{"option", short_name(key)}, {"lines", lines}});
  }
  return plots;
}

}  // namespace

std::string markdown_of(const std::string& name, const std::vector<Row>& rows) {
  std::vector<std::vector<std::string>> settings = {{"", "fd_fmnist", "sampling (s)", "gap closed", "members"}},
                                        members;
  for (const Group& g : group_rows(rows)) {
    settings.push_back({title_of(g.settings), spread_text(g.fd_fmnist, "{:.2f}"), spread_text(g.sampling_s, "{:.2f}"),
                        spread_text(g.gap_closed, "{:.3f}"), fmt::format("{} of {}", g.fd_fmnist.count, g.members)});
  }
  members.push_back({"member", "settings", "state", "fd_fmnist", "KID", "precision", "recall", "sampling (s)"});
  for (const Row& row : rows) {
    const Scores& s = row.scores;
    members.push_back({row.member.name(), title_of(row.member.settings), word_of(row.state.standing),
                       text(s.fd_fmnist, "{:.2f}"), text(s.kid, "{:.4g}"), text(s.precision, "{:.3f}"),
                       text(s.recall, "{:.3f}"), text(s.sampling_s, "{:.2f}")});
  }
  return fmt::format(
      "# {}: {} of {} members done\n\nMean over seeds, and the range where there are several.\n\n{}\n## Members\n\n{}",
      name, num_done(rows), rows.size(), table(settings), table(members));
}

nlohmann::json json_of(const std::vector<Row>& rows) {
  nlohmann::json out = {{"members", nlohmann::json::array()}, {"settings", nlohmann::json::array()}};
  for (const Row& row : rows) {
    const Scores& s = row.scores;
    nlohmann::json member = {{"member", row.member.name()},         {"state", word_of(row.state.standing)},
                             {"fd_fmnist", or_null(s.fd_fmnist)},   {"kid", or_null(s.kid)},
                             {"precision", or_null(s.precision)},   {"recall", or_null(s.recall)},
                             {"gap_closed", or_null(s.gap_closed)}, {"num_images", or_null(s.num_images)},
                             {"sampling_s", or_null(s.sampling_s)}};
    for (const Setting& setting : row.member.settings) member[setting.key] = setting.value;
    out["members"].push_back(std::move(member));
  }
  const std::vector<Group> groups = group_rows(rows);
  for (const Group& g : groups) {
    nlohmann::json setting = {{"name", title_of(g.settings)},
                              {"members", g.members},
                              {"fd_fmnist", spread_json(g.fd_fmnist)},
                              {"sampling_s", spread_json(g.sampling_s)},
                              {"gap_closed", spread_json(g.gap_closed)}};
    for (const Setting& s : g.settings) setting[s.key] = s.value;
    out["settings"].push_back(std::move(setting));
  }
  out["plots"] = plots_of(groups);
  return out;
}

}  // namespace hebm::sweep
