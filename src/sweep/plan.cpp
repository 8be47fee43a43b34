#include "sweep/plan.h"
#include <fmt/format.h>
#include <array>
#include <set>
#include <sstream>
#include <string_view>
#include "base/error.h"
#include "base/options_text.h"
#include "base/printable.h"
#include "base/shell.h"
#include "storage/files.h"
#include "storage/run_files.h"

namespace hebm::sweep {
namespace {

namespace fs = std::filesystem;
using detail::IniEntry;

// What these make is shared by all members.
constexpr std::array kSharedPrefixes = {"run.", "data.", "vae_train.", "features.", "cache."};
constexpr std::string_view kBackboneSection = "vae.";  // the section of every backbone's settings ends so
constexpr std::array kPaths = {"data.path", "run.vae", "run.features", "run.cache"};

using Grid = nlohmann::ordered_map<std::string, std::vector<std::string>>;  // key -> its values
struct File {
  Settings common;
  std::vector<std::pair<std::string, Grid>> grids;  // section -> grid, in the order of the file
};

std::vector<IniEntry> entries_of(const std::string& file) {
  return detail::parse_ini(file, detail::read_config_file(file));
}

void add_grid_line(File& file, const std::string& place, const std::string& section, const std::string& key,
    const std::string& value) {
  for (const char* prefix : kSharedPrefixes) {
    const bool shared = key.starts_with(prefix) || key.substr(0, key.find('.') + 1).ends_with(kBackboneSection);
    check(!shared, ExitCode::kUsage,
        "{}: members cannot differ in {}: they share data set, VAE, classifier and cache; plan a sweep for each "
        "value{}",
        place, printable(key), key == "run.seed" ? ", or vary train.seed, the seed of a prior alone" : "");
  }
  check(key.find('.') != std::string::npos, ExitCode::kUsage,
      "{}: '{}' is not an option's whole name, for example prior.T", place, printable(key));
  const std::vector<std::string> values = detail::words_of(value);
  check(
      !values.empty(), ExitCode::kUsage, "{}: {} has no values; write them separated by blanks", place, printable(key));
  if (file.grids.empty() || file.grids.back().first != section) file.grids.push_back({section, {}});
  std::set<std::string> seen;
  for (const std::string& v : values)
    check(
        seen.insert(v).second, ExitCode::kUsage, "{}: {} has the value {} twice", place, printable(key), printable(v));
  file.grids.back().second.emplace(key, std::vector(values));
}

// The file that [sweep] starts from.
std::vector<IniEntry> base_entries(const std::string& path, const std::vector<IniEntry>& entries) {
  std::string base;
  for (const IniEntry& entry : entries) {
    if (!entry.key.starts_with("sweep.")) continue;
    check(base.empty(), ExitCode::kUsage, "{}:{}: [sweep] has one config or one preset", path, entry.line);
    if (entry.key == "sweep.config") {
      base = (fs::path(path).parent_path() / entry.value).string();
    } else {
      check(entry.key == "sweep.preset", ExitCode::kUsage,
          "{}:{}: unknown key {}; [sweep] has config = FILE.ini or preset = NAME", path, entry.line,
          printable(entry.key));
      base = detail::preset_file(entry.value);
    }
  }
  return base.empty() ? std::vector<IniEntry>() : entries_of(base);
}

File parse(const std::string& path) {
  const std::vector<IniEntry> entries = entries_of(path);
  File file;
  for (const IniEntry& entry : base_entries(path, entries)) file.common[entry.key] = entry.value;
  for (const IniEntry& entry : entries) {
    const std::string place = fmt::format("{}:{}", path, entry.line),
                      section = entry.key.substr(0, entry.key.find('.'));
    if (section == "sweep") continue;
    if (section.starts_with("grid")) {
      add_grid_line(file, place, section, entry.key.substr(section.size() + 1), entry.value);
      continue;
    }
    check(entry.key != "run.directory" && entry.key != "run.prior", ExitCode::kUsage,
        "{}: {} is the sweep's to choose; remove it", place, entry.key);
    file.common[entry.key] = entry.value;
  }
  check(!file.grids.empty(), ExitCode::kUsage,
      "{}: no section [grid]: it lists the values of an option, for example prior.T = 1 2 3", path);
  return file;
}

// Later lines vary faster.
std::vector<Settings> product(const Grid& grid, const std::string& path) {
  std::vector<Settings> out(1);
  for (const auto& [key, values] : grid) {
    check(out.size() * values.size() <= static_cast<std::size_t>(kMaxMembers), ExitCode::kUsage,
        "{}: more than {} members", path, kMaxMembers);
    std::vector<Settings> longer;
    for (const Settings& settings : out) {
      for (const std::string& value : values) longer.emplace_back(settings)[key] = value;
    }
    out = std::move(longer);
  }
  return out;
}

// A key that varies in one grid and is fixed for another has its common value there, so that tables
// are complete.
Settings complete(const Settings& settings, const Grid& keys, const Settings& common) {
  Settings out;
  for (const auto& [key, values] : keys) {
    for (const Settings* from : {&settings, &common}) {
      if (const auto found = from->find(key); found != from->end()) out.insert(*found);
    }
  }
  return out;
}

std::string ini_of(const Settings& settings) {
  Settings sections;
  for (const auto& [key, value] : settings) {
    const std::size_t dot = key.rfind('.');
    sections[key.substr(0, dot)] += fmt::format("{} = {}\n", key.substr(dot + 1), detail::quote(value));
  }
  std::string out;
  for (const auto& [section, lines] : sections) out += fmt::format("[{}]\n{}", section, lines);
  return out;
}

Member parse_member(const std::string& line, std::size_t number, const fs::path& file) {
  Member member;
  member.number = static_cast<std::int64_t>(number);
  const std::vector<std::string> parts = detail::words_of(line);
  check(!parts.empty() && parts[0] == member.name(), ExitCode::kCorrupt, "{}:{}: expected member {}, got '{}'",
      file.string(), number + 1, member.name(), printable(line));
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const std::size_t equals = parts[i].find('=');
    check(equals != std::string::npos && equals > 0, ExitCode::kCorrupt, "{}:{}: '{}' is not key=value", file.string(),
        number + 1, printable(parts[i]));
    member.settings[parts[i].substr(0, equals)] = parts[i].substr(equals + 1);
  }
  return member;
}

}  // namespace

std::string Member::name() const { return fmt::format("{:04}", number); }

std::string Member::describe() const {
  std::string out;
  for (const auto& [key, value] : settings) out += fmt::format("{}{}={}", out.empty() ? "" : " ", key, value);
  return out;
}

std::string Member::ini() const { return ini_of(settings); }

std::string Plan::value(const std::string& key) const {
  const auto found = common.find(key);
  return found == common.end() ? "" : found->second;
}

bool Plan::varies(const std::string& key) const {
  std::set<std::string> values;
  for (const Member& member : members) {
    if (const auto found = member.settings.find(key); found != member.settings.end()) values.insert(found->second);
  }
  return values.size() > 1;
}

Plan read_sweep(const std::string& path) {
  File file = parse(path);
  for (const char* key : kPaths) {
    const auto found = file.common.find(key);
    if (found != file.common.end() && !found->second.empty())
      found->second = fs::absolute(found->second).lexically_normal().string();
  }
  Grid keys;
  for (const auto& [section, grid] : file.grids) keys.insert(grid.begin(), grid.end());
  Plan plan{std::move(file.common), {}};
  std::set<std::string> seen;
  for (const auto& [section, grid] : file.grids) {
    for (const Settings& settings : product(grid, path)) {
      Member member{std::ssize(plan.members), complete(settings, keys, plan.common)};
      if (!seen.insert(member.describe()).second) continue;  // where two grids cross
      check(member.number < kMaxMembers, ExitCode::kUsage, "{}: more than {} members", path, kMaxMembers);
      plan.members.push_back(std::move(member));
    }
  }
  return plan;
}

void share(Plan& plan, const fs::path& run) {
  const auto take = [&](const char* key, const char* file, bool needed) {
    const fs::path path = fs::absolute(run / file).lexically_normal();
    const bool there = fs::exists(path);
    check(there || !needed, ExitCode::kUsage,
        "--from {}: {} is not there; it is a run with VAE, classifier and latent cache (train-vae, train-features, "
        "encode)",
        run.string(), path.string());
    if (there) plan.common[key] = path.string();
  };
  namespace files = storage::run_files;
  take("run.vae", files::kVae, true);
  take("run.features", files::kFeatures, true);
  take("run.cache", files::kCache, true);
  take("data.path", files::kDataset, false);
}

void write_plan(const Layout& layout, const Plan& plan) {
  std::string list;
  for (const Member& member : plan.members) {
    storage::create_folders(layout.member(member));
    storage::write_file_atomic(layout.member_ini(member), member.ini());
    list += fmt::format("{} {}\n", member.name(), member.describe());
  }
  storage::create_folders(layout.shared());
  storage::write_file_atomic(layout.common(), ini_of(plan.common));
  storage::write_file_atomic(layout.list(), list);
}

Plan read_plan(const Layout& layout) {
  std::error_code error;
  check(fs::is_regular_file(layout.list(), error), ExitCode::kUsage,
      "{} is no planned sweep (no members.txt): run `hebm_dist sweep plan SWEEP.ini -o {}`", layout.root.string(),
      shell_quote(layout.root.string()));
  Plan plan;
  for (const IniEntry& entry : entries_of(layout.common())) plan.common[entry.key] = entry.value;
  std::istringstream lines(storage::read_file(layout.list()));
  for (std::string line; std::getline(lines, line);) {
    check(plan.members.size() < static_cast<std::size_t>(kMaxMembers), ExitCode::kCorrupt, "{}: more than {} members",
        layout.list().string(), kMaxMembers);
    plan.members.push_back(parse_member(line, plan.members.size(), layout.list()));
  }
  check(!plan.members.empty(), ExitCode::kCorrupt, "{} is empty", layout.list().string());
  return plan;
}

}  // namespace hebm::sweep
