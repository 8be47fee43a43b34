// The scores of a sweep's members (results/summary.json of each) as tables: one row a member, and
// one a setting with mean and range over seeds (members that differ only in options called
// NAME.seed).
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>
#include "results/experiments.h"
#include "sweep/plan.h"
#include "sweep/tasks.h"

namespace hebm::sweep {

// A member, with its own prior's scores and those of what stands beside it, by ScoredSet::key.
struct Row {
  Member member;
  State state;
  results::MemberScores scores;
  std::map<std::string, results::Scores> beside{};
};
// Reads the scores; all unknown where the file is no summary.
void read_scores(const std::filesystem::path& summary, Row& row);
std::vector<Row> collect_rows(const Layout& layout, const Plan& plan);
std::int64_t num_done(const std::vector<Row>& rows);

results::Spread spread_of(const std::vector<double>& values);  // of the finite ones

struct Group : results::SweepSetting {
  Settings settings;  // without seeds
};
std::vector<Group> group_rows(const std::vector<Row>& rows);
// Gaussian prior, reconstructions and posterior draws, over all members.
std::vector<Group> beside_rows(const std::vector<Row>& rows);

std::string csv_of(const std::vector<Row>& rows);
// Tables 1 and 3 of the paper (scores, cost and sampling seconds by setting), then every member.
std::string markdown_of(const std::string& name, const std::vector<Row>& rows);
// results/sweep.json: what the report draws. Its plots: a line of score and one of seconds for each
// option that varies over numbers, the others fixed.
results::Sweep sweep_of(const std::vector<Row>& rows);

}  // namespace hebm::sweep
