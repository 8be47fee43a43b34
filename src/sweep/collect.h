// The scores of a sweep's members (results/summary.json of each) as tables: one row a member, and
// one a setting with mean and range over seeds (members that differ only in options called
// NAME.seed).
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>
#include "results/experiments.h"
#include "sweep/plan.h"
#include "sweep/tasks.h"

namespace hebm::sweep {

// Of `ours`; all unknown where the file is not one.
results::MemberScores read_scores(const std::filesystem::path& summary);

struct Row {
  Member member;
  State state;
  results::MemberScores scores;
};
std::vector<Row> collect_rows(const Layout& layout, const Plan& plan);
std::int64_t num_done(const std::vector<Row>& rows);

results::Spread spread_of(const std::vector<double>& values);  // of the finite ones

struct Group : results::SweepSetting {
  Settings settings;  // without seeds
};
std::vector<Group> group_rows(const std::vector<Row>& rows);

std::string csv_of(const std::vector<Row>& rows);
// Table 3 of the paper (score and sampling seconds by K and T), then every member.
std::string markdown_of(const std::string& name, const std::vector<Row>& rows);
// results/sweep.json: what the report draws. Its plots: a line of score and one of seconds for each
// option that varies over numbers, the others fixed.
results::Sweep sweep_of(const std::vector<Row>& rows);

}  // namespace hebm::sweep
