#include "sweep/collect.h"
#include <algorithm>
#include <cmath>
#include "results/summary.h"
#include "storage/files.h"
#include "sweep/tasks.h"

namespace hebm::sweep {

results::MemberScores read_scores(const std::filesystem::path& file) {
  std::error_code error;
  if (!std::filesystem::exists(file, error)) return {};
  const auto summary =
      results::from_json<results::Summary>(nlohmann::json::parse(storage::read_file(file), nullptr, false));
  const results::ScoredSet* ours = summary.find(results::kOwn);
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
    out.low = std::fmin(out.low, value);
    out.high = std::fmax(out.high, value);
    ++out.count;
  }
  if (out.count > 0) out.mean = sum / static_cast<double>(out.count);
  return out;
}

}  // namespace hebm::sweep
