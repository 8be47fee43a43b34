#include "sweep/collect.h"
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include "base/options_text.h"
#include "results/summary.h"
#include "results/table.h"
#include "storage/files.h"
#include "storage/json.h"

namespace hebm::sweep {
namespace {

using results::ColumnOf;
using results::kScores;

// What stands beside the own prior.
constexpr std::array kBeside = {results::kGaussian, results::kReconstruction, results::kPosterior};

// As the paper calls them.
std::string short_name(const std::string& key) {
  if (key == "prior.T") return "T";
  return key == "langevin.steps" ? "K" : key;
}

std::string title_of(const Settings& settings) {
  std::vector<std::string> parts;
  for (const auto& [key, value] : settings)
    parts.push_back(key == "prior.kind" ? value : fmt::format("{} = {}", short_name(key), value));
  return parts.empty() ? "all" : fmt::format("{}", fmt::join(parts, ", "));
}

Settings without(const Settings& settings, const std::function<bool(const std::string&)>& dropped) {
  Settings out;
  for (const auto& setting : settings) {
    if (!dropped(setting.first)) out.insert(setting);
  }
  return out;
}

results::Column field(const std::string& key) { return {.title = "", .key = key}; }

ColumnOf<Group> spread_column(const char* title, results::Spread Group::*value, const char* format) {
  return {{.title = title}, [=](const Group& group) {
            return spread_text(group.*value, [&](double number) { return results::cell_text(number, format); });
          }};
}

results::Count first_known(
    const std::vector<results::MemberScores>& members, results::Count results::MemberScores::*value) {
  const auto known = std::ranges::find_if(members, [&](const auto& member) { return (member.*value).has_value(); });
  return known == members.end() ? std::nullopt : (*known).*value;
}

ColumnOf<Group> cost_column(const char* title, results::Count Group::*value) {
  return {{.title = title}, [=](const Group& group) { return results::large_text(results::number(group.*value)); }};
}

// A column a score, by title in Markdown, by key in CSV.
void add_scores(std::vector<ColumnOf<Row>>& columns) {
  for (std::size_t i = 0; i < kScores.size(); ++i)
    columns.push_back(
        {{.title = kScores[i].full_title(), .format = kScores[i].format, .key = std::string(kScores[i].key)},
            [i](const Row& row) { return row.scores.scores[i].value; }});
}

// Lines over the option `key`, the others fixed, each of ascending points.
std::vector<results::SweepLine> lines_over(const std::string& key, const std::vector<Group>& groups) {
  std::map<std::string, std::multimap<double, const Group*>> found;
  for (const Group& group : groups) {
    const auto own = group.settings.find(key);
    const auto x = own == group.settings.end() ? std::nullopt : detail::parse_number<double>(own->second);
    const Settings others = without(group.settings, [&](const std::string& k) { return k == key; });
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
      line.fd_posterior.push_back(group->fd_posterior.mean);
    }
  }
  return out;
}

}  // namespace

void read_scores(const std::filesystem::path& file, Row& row) {
  std::error_code error;
  if (!std::filesystem::exists(file, error)) return;
  const auto summary = results::from_json<results::Summary>(storage::lenient_json(storage::read_file(file)));
  const results::ScoredSet* own = summary.own();
  if (own == nullptr) return;
  row.scores = {own->scores, summary.gap(), results::number(own->num_images), own->seconds,
      summary.model.training_gradients, summary.model.sampling_gradients};
  for (const char* key : kBeside) {
    if (const auto* set = summary.find(key)) row.beside[key] = set->scores;
  }
}

std::vector<Row> collect_rows(const Layout& layout, const Plan& plan) {
  std::vector<Row> rows;
  for (const Member& member : plan.members) {
    const Task task = member_task(layout, plan, member);
    rows.push_back({member, task.state(), {}});
    read_scores(task.products.front(), rows.back());
  }
  return rows;
}

std::int64_t num_done(const std::vector<Row>& rows) {
  return std::count_if(rows.begin(), rows.end(), [](const Row& row) { return row.state.standing == Standing::kDone; });
}

results::Spread spread_of(const std::vector<double>& values) {
  results::Spread out;
  double sum = 0;
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    sum += value;
    out.low = std::fmin(out.low, value);
    out.high = std::fmax(out.high, value);
    ++out.count;
  }
  if (out.count > 0) out.mean = sum / static_cast<double>(out.count);
  return out;
}

std::vector<Group> group_rows(const std::vector<Row>& rows) {
  nlohmann::ordered_map<Settings, std::vector<results::MemberScores>> found;
  for (const Row& row : rows)
    found[without(row.member.settings, [](const std::string& key) { return key.ends_with(".seed"); })].push_back(
        row.scores);
  std::vector<Group> groups;
  for (const auto& [settings, members] : found) {
    const auto spread = [&members = members](auto&& value) {
      std::vector<double> values;
      for (const auto& member : members) values.push_back(value(member));
      return spread_of(values);
    };
    groups.push_back({{title_of(settings), std::ssize(members), {settings.begin(), settings.end()},
                          spread([](const auto& member) { return member.scores.fd(); }),
                          spread([](const auto& member) { return member.sampling_s; }),
                          spread([](const auto& member) { return member.gap_closed; }),
                          spread([](const auto& member) { return member.scores.fd_posterior(); }),
                          first_known(members, &results::MemberScores::training_gradients),
                          first_known(members, &results::MemberScores::sampling_gradients)},
        settings});
  }
  return groups;
}

std::vector<Group> beside_rows(const std::vector<Row>& rows) {
  std::vector<Group> out;
  for (const char* key : kBeside) {
    std::set<double> fd, fd_posterior;  // one where all members have the same
    for (const Row& row : rows) {
      if (const auto found = row.beside.find(key); found != row.beside.end()) {
        fd.insert(found->second.fd());
        if (std::isfinite(found->second.fd_posterior())) fd_posterior.insert(found->second.fd_posterior());
      }
    }
    if (fd.empty()) continue;
    Group& group = out.emplace_back();
    results::ScoredSet set;
    set.key = key;
    group.name = set.title();
    group.fd_fmnist = spread_of({fd.begin(), fd.end()});
    group.fd_posterior = spread_of({fd_posterior.begin(), fd_posterior.end()});
  }
  return out;
}

std::string csv_of(const std::vector<Row>& rows) {
  std::vector<ColumnOf<Row>> columns = {{field("member"), [](const Row& row) { return row.member.name(); }},
      {field("state"), [](const Row& row) { return std::string(name_of(row.state.standing)); }}};
  Settings all;
  for (const Row& row : rows) all.insert(row.member.settings.begin(), row.member.settings.end());
  for (const auto& [key, first] : all) {
    columns.push_back({field(key), [key = key](const Row& row) {
                         const auto found = row.member.settings.find(key);
                         return found == row.member.settings.end() ? std::string() : found->second;
                       }});
  }
  add_scores(columns);
  columns.push_back({field("gap_closed"), [](const Row& row) { return row.scores.gap_closed; }});
  columns.push_back({field("num_images"), [](const Row& row) { return row.scores.num_images; }});
  columns.push_back({field("sampling_s"), [](const Row& row) { return row.scores.sampling_s; }});
  columns.push_back(
      {field("training_gradients"), [](const Row& row) { return results::number(row.scores.training_gradients); }});
  columns.push_back(
      {field("sampling_gradients"), [](const Row& row) { return results::number(row.scores.sampling_gradients); }});
  return csv(tabulate(columns, rows));
}

std::string markdown_of(const std::string& name, const std::vector<Row>& rows) {
  const std::vector<ColumnOf<Group>> settings = {{{.title = ""}, &Group::name},
      spread_column("fd_posterior", &Group::fd_posterior, "{:.2f}"),
      spread_column("fd_fmnist", &Group::fd_fmnist, "{:.2f}"),
      spread_column("sampling (s)", &Group::sampling_s, "{:.2f}"),
      spread_column("gap closed", &Group::gap_closed, "{:.3f}"),
      cost_column("gradients, training", &Group::training_gradients),
      cost_column("a sample", &Group::sampling_gradients),
      {{.title = "members"}, [](const Group& g) {
         return g.members ? fmt::format("{} of {}", g.fd_fmnist.count, *g.members) : std::string();
       }}};
  results::Table by_setting = tabulate(settings, beside_rows(rows));
  for (auto& row : tabulate(settings, group_rows(rows)).rows) by_setting.rows.push_back(std::move(row));
  std::vector<ColumnOf<Row>> members = {{{.title = "member"}, [](const Row& row) { return row.member.name(); }},
      {{.title = "settings"}, [](const Row& row) { return title_of(row.member.settings); }},
      {{.title = "state"}, [](const Row& row) { return std::string(name_of(row.state.standing)); }}};
  add_scores(members);
  members.push_back(
      {{.title = "sampling (s)", .format = "{:.2f}"}, [](const Row& row) { return row.scores.sampling_s; }});
  return fmt::format(
      "# {}: {} of {} members done\n\nMean over seeds, and the range where there are several.\n\n{}\n## Members\n\n{}",
      name, num_done(rows), rows.size(), markdown(by_setting), markdown(tabulate(members, rows)));
}

results::Sweep sweep_of(const std::vector<Row>& rows) {
  results::Sweep out;
  for (const auto& [member, state, scores, beside] : rows)
    out.members.push_back({member.name(), std::string(name_of(state.standing)),
        {member.settings.begin(), member.settings.end()}, scores});
  const std::vector<Group> groups = group_rows(rows);
  for (const Group& group : beside_rows(rows)) out.settings.push_back(group);
  Settings all;
  for (const Group& group : groups) {
    out.settings.push_back(group);
    all.insert(group.settings.begin(), group.settings.end());
  }
  for (const auto& [key, first] : all) {
    if (auto lines = lines_over(key, groups); !lines.empty()) out.plots.push_back({short_name(key), std::move(lines)});
  }
  return out;
}

}  // namespace hebm::sweep
