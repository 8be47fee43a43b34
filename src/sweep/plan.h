// What a sweep consists of. SWEEP.ini is a configuration of the pipeline with two kinds of sections
// more: [sweep], whose config or preset names a file to start from, and [grid] (any number of them,
// with names that begin with grid), which lists an option's values separated by blanks. A grid is
// the product of its lines, the sweep is the union of its grids, and everything else holds for all.
// A planned sweep is a folder:
//   common.ini   settings of all members       members.txt   one line a member: 0007 prior.T=3
//   langevin.steps=50
//   shared/      run directory of the VAE, the classifier and the latent cache, which all members
//   read
//   members/0007/   run directory of a member, with its settings in member.ini; nobody else writes
//   there
//   results/     what `collect` makes
#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace hebm::sweep {

// "prior.T" -> "3", in the order of the file.
using Settings = nlohmann::ordered_map<std::string, std::string>;

struct Member {
  std::int64_t number = 0;
  Settings settings;             // the same keys in all members of a grid
  std::string name() const;      // "0007"
  std::string describe() const;  // "prior.T=3 langevin.steps=50"
  std::string ini() const;
  bool operator==(const Member&) const = default;
};

struct Plan {
  Settings common;
  std::vector<Member> members;
  std::string value(const std::string& key) const;  // of common; "" where it is not there
  bool varies(const std::string& key) const;        // between members
};

inline constexpr std::int64_t kMaxMembers = 10000;

// Error(kUsage) naming file, line and key: no grid, a key that members cannot differ in because
// they share what it makes, too many. Relative paths of data and weights are made absolute.
Plan read_sweep(const std::string& file);

// All members share the VAE, classifier, latent cache and, where it has one, data set of this run.
// Error(kUsage): one is not there.
void share(Plan& plan, const std::filesystem::path& run);

// The folders and files of a planned sweep.
struct Layout {
  explicit Layout(std::filesystem::path folder) : root(std::move(folder)) {}
  std::filesystem::path root;
  std::filesystem::path common() const { return root / "common.ini"; }
  std::filesystem::path list() const { return root / "members.txt"; }
  std::filesystem::path shared() const { return root / "shared"; }
  std::filesystem::path member(const Member& m) const { return root / "members" / m.name(); }
  std::filesystem::path member_ini(const Member& m) const { return member(m) / "member.ini"; }
  std::filesystem::path results() const { return root / "results"; }
};

void write_plan(const Layout& layout, const Plan& plan);
// Error(kUsage) where the folder is no planned sweep, Error(kCorrupt) where its files are damaged.
Plan read_plan(const Layout& layout);

}  // namespace hebm::sweep
