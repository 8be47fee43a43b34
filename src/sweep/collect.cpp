#include "sweep/collect.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

#include "results/summary.h"
#include "storage/files.h"
#include "sweep/tasks.h"

namespace hebm::sweep {
namespace {

namespace fs = std::filesystem;

bool is_seed(const std::string& key) { return key.ends_with(".seed"); }

}  // namespace

results::MemberScores read_scores(const fs::path& file) {
  std::error_code error;
  if (!fs::exists(file, error)) return {};
  const auto json = nlohmann::json::parse(storage::read_file(file), nullptr, false);
  const auto summary = results::from_json<results::Summary>(json);
  const results::ScoredSet* ours = summary.find("diffusion");
  if (ours == nullptr) return {};
  return {ours->scores, summary.gap_closed, results::number(ours->num_images), ours->seconds};
}

std::vector<Row> collect_rows(const Layout& layout, const Plan& plan) {
  std::vector<Row> rows;
  for (const Member& member : plan.members) {
    const Task task = member_task(layout, plan, member);
    rows.push_back({member, task.state(), read_scores(task.products.front())});
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
    out.low = std::fmin(out.low, value);  // NaN counts as nothing
    out.high = std::fmax(out.high, value);
    ++out.count;
  }
  if (out.count > 0) out.mean = sum / static_cast<double>(out.count);
  return out;
}

std::string short_name(const std::string& key) {
  if (key == "prior.T") return "T";
  return key == "langevin.steps" ? "K" : key;
}

std::string title_of(const std::vector<Setting>& settings) {
  std::vector<std::string> parts;
  for (const Setting& s : settings) parts.push_back(fmt::format("{} = {}", short_name(s.key), s.value));
  return parts.empty() ? "all" : fmt::format("{}", fmt::join(parts, ", "));
}

std::vector<Group> group_rows(const std::vector<Row>& rows) {
  std::vector<Group> groups;
  std::vector<std::vector<const results::MemberScores*>> scores;
  for (const Row& row : rows) {
    std::vector<Setting> settings = row.member.settings;
    std::erase_if(settings, [](const Setting& s) { return is_seed(s.key); });
    const auto found =
        std::find_if(groups.begin(), groups.end(), [&](const Group& g) { return g.settings == settings; });
    const auto place = static_cast<std::size_t>(found - groups.begin());
    if (found == groups.end()) {
      groups.emplace_back().settings = settings;
      scores.emplace_back();
    }
    scores[place].push_back(&row.scores);
  }
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const auto spread = [&](const auto& value_of) {
      std::vector<double> values;
      for (const auto* of_member : scores[i]) values.push_back(value_of(*of_member));
      return spread_of(values);
    };
    Group& group = groups[i];
    group.name = title_of(group.settings);
    group.members = std::ssize(scores[i]);
    for (const Setting& s : group.settings) group.options[s.key] = s.value;
    group.fd_fmnist = spread([](const auto& s) { return s.scores.fd(); });
    group.sampling_s = spread([](const auto& s) { return s.sampling_s; });
    group.gap_closed = spread([](const auto& s) { return s.gap_closed; });
  }
  return groups;
}

}  // namespace hebm::sweep
