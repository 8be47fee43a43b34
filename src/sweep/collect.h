// The scores of a sweep's members (results/summary.json of each) as tables: one row a member, and
// one a setting with mean and range over seeds (members that differ only in options called
// NAME.seed).
#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "sweep/plan.h"
#include "sweep/state.h"

namespace hebm::sweep {

// NaN: not there.
struct Scores {
  double fd_fmnist = 0, kid = 0, precision = 0, recall = 0, gap_closed = 0, num_images = 0, sampling_s = 0;
};
Scores read_scores(const std::filesystem::path& summary);  // of `ours`; all NaN where the file is not one

struct Row {
  Member member;
  State state;
  Scores scores;
};
std::vector<Row> collect_rows(const Layout& layout, const Plan& plan);
std::int64_t num_done(const std::vector<Row>& rows);

struct Spread {
  double mean = 0, low = 0, high = 0;
  std::int64_t count = 0;  // 0: the rest is NaN
};
Spread spread_of(const std::vector<double>& values);  // of the finite ones

struct Group {
  std::vector<Setting> settings;  // without seeds
  std::int64_t members = 0;
  Spread fd_fmnist{}, sampling_s{}, gap_closed{};
};
std::vector<Group> group_rows(const std::vector<Row>& rows);

std::string csv_of(const std::vector<Row>& rows);
// Table 3 of the paper (score and sampling seconds by K and T), then every member.
std::string markdown_of(const std::string& name, const std::vector<Row>& rows);
// results/sweep.json: what the report draws. "members", "settings", and "plots": a line of score
// and one of seconds for each option that varies over numbers, the others fixed: [{"option",
// "lines": [{"name", "x", "fd_fmnist", "low", "high", "sampling_s"}]}].
nlohmann::json json_of(const std::vector<Row>& rows);

}  // namespace hebm::sweep
