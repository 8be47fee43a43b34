// CSV, Markdown and JSON of collect.h.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include "base/options_text.h"
#include "results/table.h"
#include "sweep/collect.h"

namespace hebm::sweep {
namespace {

using results::ColumnOf;
using results::kScores;
using results::Spread;

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

std::map<std::string, std::string> options_of(const std::vector<Setting>& settings) {
  std::map<std::string, std::string> out;
  for (const Setting& s : settings) out[s.key] = s.value;
  return out;
}

// "12.34 (12.01 - 12.80)"; without a range where there is one value.
std::string spread_text(const Spread& s, const char* format) {
  const std::string mean = results::cell_text(s.mean, format);
  if (s.count < 2) return mean;
  return fmt::format("{} ({} - {})", mean, results::cell_text(s.low, format), results::cell_text(s.high, format));
}

results::Column field(const std::string& key) { return {.title = "", .key = key}; }

// A column a score, by title in Markdown, by key in CSV.
void add_scores(std::vector<ColumnOf<Row>>& columns) {
  for (std::size_t i = 0; i < kScores.size(); ++i)
    columns.push_back(
        {{.title = std::string(kScores[i].title), .format = kScores[i].format, .key = std::string(kScores[i].key)},
            [i](const Row& row) { return row.scores.scores[i].value; }});
}

// Lines over the option `key`, the others fixed, each of ascending points.
std::vector<results::SweepLine> lines_over(const std::string& key, const std::vector<Group>& groups) {
  std::map<std::string, std::multimap<double, const Group*>> found;
  for (const Group& group : groups) {
    const Setting* own = find(group.settings, key);
    const auto x = own == nullptr ? std::nullopt : detail::parse_number<double>(own->value);
    std::vector<Setting> others = group.settings;
    std::erase_if(others, [&](const Setting& s) { return s.key == key; });
    if (x && group.fd_fmnist.count > 0) found[title_of(others)].emplace(*x, &group);
  }
  std::vector<results::SweepLine> out;
  for (const auto& [name, points] : found) {
    if (points.size() < 2) continue;
    results::SweepLine& line = out.emplace_back();
    line.name = name;
    for (const auto& [x, group] : points) {
      line.x.push_back(x);
      line.fd_fmnist.push_back(group->fd_fmnist.mean);
      line.low.push_back(group->fd_fmnist.low);
      line.high.push_back(group->fd_fmnist.high);
      line.sampling_s.push_back(group->sampling_s.mean);
    }
  }
  return out;
}

}  // namespace

std::vector<Group> group_rows(const std::vector<Row>& rows) {
  std::vector<Group> groups;
  std::vector<std::vector<results::MemberScores>> scores;  // of each group
  for (const Row& row : rows) {
    std::vector<Setting> settings = row.member.settings;
    std::erase_if(settings, [](const Setting& s) { return s.key.ends_with(".seed"); });
    const auto found =
        std::find_if(groups.begin(), groups.end(), [&](const Group& g) { return g.settings == settings; });
    const auto place = static_cast<std::size_t>(found - groups.begin());
    if (found == groups.end()) {
      Group& group = groups.emplace_back();
      group.name = title_of(settings);
      group.options = options_of(settings);
      group.settings = settings;
      scores.emplace_back();
    }
    scores[place].push_back(row.scores);
  }
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const auto spread = [&](auto&& value) {
      std::vector<double> values;
      for (const auto& member : scores[i]) values.push_back(value(member));
      return spread_of(values);
    };
    groups[i].members = static_cast<std::int64_t>(scores[i].size());
    groups[i].fd_fmnist = spread([](const auto& member) { return member.scores.fd(); });
    groups[i].sampling_s = spread([](const auto& member) { return member.sampling_s; });
    groups[i].gap_closed = spread([](const auto& member) { return member.gap_closed; });
  }
  return groups;
}

std::string csv_of(const std::vector<Row>& rows) {
  std::vector<std::string> keys;
  for (const Row& row : rows) add_keys(keys, row.member.settings);
  std::vector<ColumnOf<Row>> columns = {{field("member"), [](const Row& row) { return row.member.name(); }},
      {field("state"), [](const Row& row) { return std::string(word_of(row.state.standing)); }}};
  for (const std::string& key : keys) {
    columns.push_back({field(key), [key](const Row& row) {
                         const Setting* found = find(row.member.settings, key);
                         return found == nullptr ? std::string() : found->value;
                       }});
  }
  add_scores(columns);
  columns.push_back({field("gap_closed"), [](const Row& row) { return row.scores.gap_closed; }});
  columns.push_back({field("num_images"), [](const Row& row) { return row.scores.num_images; }});
  columns.push_back({field("sampling_s"), [](const Row& row) { return row.scores.sampling_s; }});
  return csv(tabulate(columns, rows));
}

std::string markdown_of(const std::string& name, const std::vector<Row>& rows) {
  const std::vector<ColumnOf<Group>> settings = {{{.title = ""}, &Group::name},
      {{.title = "fd_fmnist"}, [](const Group& g) { return spread_text(g.fd_fmnist, "{:.2f}"); }},
      {{.title = "sampling (s)"}, [](const Group& g) { return spread_text(g.sampling_s, "{:.2f}"); }},
      {{.title = "gap closed"}, [](const Group& g) { return spread_text(g.gap_closed, "{:.3f}"); }},
      {{.title = "members"}, [](const Group& g) { return fmt::format("{} of {}", g.fd_fmnist.count, *g.members); }}};
  std::vector<ColumnOf<Row>> members = {{{.title = "member"}, [](const Row& row) { return row.member.name(); }},
      {{.title = "settings"}, [](const Row& row) { return title_of(row.member.settings); }},
      {{.title = "state"}, [](const Row& row) { return std::string(word_of(row.state.standing)); }}};
  add_scores(members);
  members.push_back(
      {{.title = "sampling (s)", .format = "{:.2f}"}, [](const Row& row) { return row.scores.sampling_s; }});
  return fmt::format(
      "# {}: {} of {} members done\n\nMean over seeds, and the range where there are several.\n\n{}\n## Members\n\n{}",
      name, num_done(rows), rows.size(), markdown(tabulate(settings, group_rows(rows))),
      markdown(tabulate(members, rows)));
}

results::Sweep sweep_of(const std::vector<Row>& rows) {
  results::Sweep out;
  for (const Row& row : rows)
    out.members.push_back(
        {row.member.name(), word_of(row.state.standing), options_of(row.member.settings), row.scores});
  const std::vector<Group> groups = group_rows(rows);
  std::vector<std::string> keys;
  for (const Group& group : groups) {
    out.settings.push_back(group);
    add_keys(keys, group.settings);
  }
  for (const std::string& key : keys) {
    if (auto lines = lines_over(key, groups); !lines.empty()) out.plots.push_back({short_name(key), std::move(lines)});
  }
  return out;
}

}  // namespace hebm::sweep
