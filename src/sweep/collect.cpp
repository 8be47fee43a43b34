#include "sweep/collect.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/error.h"
#include "storage/files.h"
#include "storage/lenient_json.h"
#include "sweep/tasks.h"

namespace hebm::sweep {
namespace {

namespace fs = std::filesystem;
using storage::number_in;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

bool is_seed(const std::string& key) { return key.ends_with(".seed"); }

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\n") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + "\"";
}

std::string csv_number(double value) { return std::isfinite(value) ? fmt::format("{:.6g}", value) : ""; }

}  // namespace

Scores read_scores(const fs::path& file) {
  Scores out{kNan, kNan, kNan, kNan, kNan, kNan, kNan};
  std::error_code error;
  if (!fs::exists(file, error)) return out;
  const auto summary = nlohmann::json::parse(storage::read_file(file), nullptr, false);
  if (!summary.is_object() || !summary.contains("diffusion")) return out;
  const auto& ours = summary["diffusion"];
  return {number_in(ours, "fd_fmnist"), number_in(ours, "kid"),           number_in(ours, "precision"),
          number_in(ours, "recall"),    number_in(summary, "gap_closed"), number_in(ours, "num_images"),
          number_in(ours, "seconds")};
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

Spread spread_of(const std::vector<double>& values) {
  Spread out{0, kNan, kNan, 0};
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    out.mean += value;
    out.low = out.count == 0 ? value : std::min(out.low, value);
    out.high = out.count == 0 ? value : std::max(out.high, value);
    ++out.count;
  }
  out.mean = out.count > 0 ? out.mean / static_cast<double>(out.count) : kNan;
  return out;
}

std::vector<Group> group_rows(const std::vector<Row>& rows) {
  std::vector<Group> groups;
  std::vector<std::vector<const Row*>> members;
  for (const Row& row : rows) {
    std::vector<Setting> settings;
    std::copy_if(row.member.settings.begin(), row.member.settings.end(), std::back_inserter(settings),
                 [](const Setting& s) { return !is_seed(s.key); });
    const auto found =
        std::find_if(groups.begin(), groups.end(), [&](const Group& g) { return g.settings == settings; });
    const auto place = static_cast<std::size_t>(found - groups.begin());
    if (found == groups.end()) {
      groups.push_back({.settings = settings});
      members.emplace_back();
    }
    members[place].push_back(&row);
  }
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const auto spread = [&](double Scores::*score) {
      std::vector<double> values;
      for (const Row* row : members[i]) values.push_back(row->scores.*score);
      return spread_of(values);
    };
    groups[i].members = static_cast<std::int64_t>(members[i].size());
    groups[i].fd_fmnist = spread(&Scores::fd_fmnist);
    groups[i].sampling_s = spread(&Scores::sampling_s);
    groups[i].gap_closed = spread(&Scores::gap_closed);
  }
  return groups;
}

std::string csv_of(const std::vector<Row>& rows) {
  std::vector<std::string> keys;
  for (const Row& row : rows) add_keys(keys, row.member.settings);
  std::string out = "member,state";
  for (const std::string& key : keys) out += "," + csv_field(key);
  out += ",fd_fmnist,kid,precision,recall,gap_closed,num_images,sampling_s\n";
  for (const Row& row : rows) {
    out += row.member.name() + "," + word_of(row.state.standing);
    for (const std::string& key : keys) {
      const Setting* found = find(row.member.settings, key);
      out += "," + (found == nullptr ? "" : csv_field(found->value));
    }
    const Scores& s = row.scores;
    for (const double value : {s.fd_fmnist, s.kid, s.precision, s.recall, s.gap_closed, s.num_images, s.sampling_s})
      out += "," + csv_number(value);
    out += "\n";
  }
  return out;
}

}  // namespace hebm::sweep
