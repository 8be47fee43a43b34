#include "cli/prior_rows.h"
#include <fmt/format.h>
#include <algorithm>
#include <map>
#include <sstream>
#include <tuple>
#include "base/error.h"
#include "evaluate/evaluate.h"
#include "prior/prior_file.h"
#include "storage/files.h"
#include "storage/lenient_json.h"
#include "storage/printable.h"

namespace hebm::cli {
namespace fs = std::filesystem;
namespace {

struct Found {
  std::size_t place;        // in the table
  std::int64_t num_levels;  // 0: unknown
  evaluate::PriorSamples row;
};

// Samples that there may be: those of the paper's prior last.
struct Wanted {
  const PriorKind& kind;
  const PriorKind::Samples& samples;
};
std::vector<Wanted> wanted_samples() {
  std::vector<Wanted> out;
  const auto kinds = prior_kinds();
  for (auto kind = kinds.rbegin(); kind != kinds.rend(); ++kind) {
    for (const auto& samples : kind->samples) out.push_back({*kind, samples});
  }
  return out;
}

Found found(const fs::path& run, const fs::path& prior_file, const Wanted& what, const fs::path& file,
    const std::string& vae_hash) {
  const auto stored = evaluate::read_stored_samples(file);
  const std::string vae = storage::text_in(stored.identity, "vae_hash"),
                    hash = storage::text_in(stored.identity, "prior_hash");
  check(vae == vae_hash, ExitCode::kUsage,
      "{}: drawn with the VAE {}, this table is of the VAE {}; its rows must share one VAE (run.vae)", file.string(),
      storage::printable(vae, 64), vae_hash);
  std::optional<std::int64_t> num_levels, gradients;
  if (fs::exists(prior_file)) {
    const prior::PriorInfo info = prior::read_prior_info(prior_file);
    check(info.prior_hash.empty() || info.prior_hash == hash, ExitCode::kUsage,
        "{}: drawn from another prior than {}; remove it and run `hebm_dist sample` again", file.string(),
        prior_file.string());
    check(info.kind == what.kind.name, ExitCode::kUsage, "{}: a prior of the kind '{}' beside samples of the kind '{}'",
        prior_file.string(), storage::printable(info.kind), what.kind.name);
    num_levels = info.num_levels;
    gradients = evaluate::training_gradients(what.kind.learns_by_chains, info.identity);
  }
  const auto cost = what.kind.sampling_cost(num_levels, stored.identity);
  results::PriorAbout about{std::string(what.kind.name), folder_name(run),
      what.kind.has_levels ? std::optional<results::Count>(num_levels) : std::nullopt, gradients, cost.gradients,
      cost.evaluations, stored.identity, stored.images_hash};
  const std::string title = std::string(what.samples.title) + what.kind.variant(num_levels, stored.identity);
  return {0, num_levels.value_or(0), {title, file, std::move(about)}};
}

// Titles that come more than once get the run's name.
void tell_apart(std::vector<Found>& rows) {
  std::map<std::string, int> times;
  for (const Found& row : rows) ++times[row.row.name];
  for (Found& row : rows) {
    if (times[row.row.name] > 1) row.row.name += fmt::format(" ({})", row.row.about.run);
  }
}

}  // namespace

std::vector<fs::path> run_folders(const std::string& list) {
  std::vector<fs::path> out;
  std::istringstream words(list);
  for (std::string word; std::getline(words, word, ',');) {
    check(fs::is_directory(word), ExitCode::kUsage,
        "--runs: '{}' is not a folder; give run directories, separated by commas", word);
    out.emplace_back(word);
  }
  return out;
}

std::vector<evaluate::PriorSamples> find_prior_samples(
    const RunOptions& run, const std::vector<fs::path>& others, const std::string& vae_hash) {
  std::vector<Found> rows;
  const fs::path own = run.directory;
  std::vector<fs::path> runs = {own};
  for (const fs::path& other : others) {
    if (std::none_of(
            runs.begin(), runs.end(), [&](const fs::path& r) { return fs::exists(r) && fs::equivalent(r, other); }))
      runs.push_back(other);
  }
  const auto wanted = wanted_samples();
  for (const fs::path& folder : runs) {
    const std::size_t before = rows.size();
    for (std::size_t place = 0; place < wanted.size(); ++place) {
      const Wanted& what = wanted[place];
      const fs::path file = folder / "samples" / fmt::format("{}.h5", what.samples.file);
      if (!fs::exists(file)) continue;
      const bool given = folder == own && !run.prior.empty() && what.kind.is_default();
      rows.push_back(
          found(folder, given ? fs::path(run.prior) : RunPaths(folder, what.kind).prior, what, file, vae_hash));
      rows.back().place = place;
    }
    check(rows.size() > before || folder == own, ExitCode::kUsage,
        "{}: no samples of a prior there; run `hebm_dist sample` with that run.directory", folder.string());
  }
  check(!rows.empty(), ExitCode::kUsage,
      "{}: no samples of a prior; run `hebm_dist sample` (prior.kind) first, or name runs that have them (--runs)",
      own.string());
  std::stable_sort(rows.begin(), rows.end(),
      [](const Found& a, const Found& b) { return std::tie(a.place, a.num_levels) < std::tie(b.place, b.num_levels); });
  tell_apart(rows);
  std::vector<evaluate::PriorSamples> out;
  for (Found& row : rows) out.push_back(std::move(row.row));
  return out;
}

}  // namespace hebm::cli
