#include "cli/prior_rows.h"
#include <fmt/format.h>
#include <algorithm>
#include <map>
#include <ranges>
#include <sstream>
#include "base/error.h"
#include "evaluate/stored_samples.h"
#include "prior/prior_file.h"
#include "storage/lenient_json.h"
#include "storage/printable.h"

namespace hebm::cli {
namespace fs = std::filesystem;
namespace {

std::string folder_name(const fs::path& run) {
  std::error_code error;
  const fs::path full = fs::weakly_canonical(run, error);
  return (error ? run : full).filename().string();
}

// And its number of levels, 0: unknown.
std::pair<std::int64_t, evaluate::PriorSamples> row_of(const PriorKind& kind, std::string_view title,
    const fs::path& run, const fs::path& prior_file, const fs::path& file, const std::string& vae_hash) {
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
    check(info.kind == kind.name, ExitCode::kUsage, "{}: a prior of the kind '{}' beside samples of the kind '{}'",
        prior_file.string(), storage::printable(info.kind), kind.name);
    num_levels = info.num_levels;
    gradients = evaluate::training_gradients(kind.learns_by_chains, info.identity);
  }
  const auto cost = evaluate::sampling_cost(num_levels, stored.identity);
  results::PriorAbout about{std::string(kind.name), folder_name(run), kind.has_levels ? num_levels : std::nullopt,
      gradients, cost.gradients, cost.evaluations, stored.identity, stored.images_hash};
  const std::string name = std::string(title) + kind.variant(num_levels, stored.identity);
  return {num_levels.value_or(0), {name, file, std::move(about)}};
}

}  // namespace

std::vector<evaluate::PriorSamples> find_prior_samples(
    const RunOptions& run, const std::string& others, const std::string& vae_hash) {
  const fs::path own = run.directory;
  std::vector<fs::path> runs = {own};
  std::istringstream words(others);
  for (std::string other; std::getline(words, other, ',');) {
    check(fs::is_directory(other), ExitCode::kUsage,
        "--runs: '{}' is not a folder; give run directories, separated by commas", other);
    if (std::none_of(
            runs.begin(), runs.end(), [&](const fs::path& r) { return fs::exists(r) && fs::equivalent(r, other); }))
      runs.emplace_back(other);
  }
  std::multimap<std::pair<std::int64_t, std::int64_t>, evaluate::PriorSamples> rows;  // by place and levels
  for (const fs::path& folder : runs) {
    const std::size_t before = rows.size();
    std::int64_t place = 0;
    for (const PriorKind& kind : prior_kinds() | std::views::reverse) {  // the paper's after those beside it
      const bool given = folder == own && !run.prior.empty() && kind.is_default();
      const auto prior = given ? fs::path(run.prior) : RunPaths({.directory = folder}, kind).prior;
      for (const auto& [name, title] : kind.samples) {
        const fs::path file = folder / "samples" / fmt::format("{}.h5", name);
        ++place;
        if (!fs::exists(file)) continue;
        auto [levels, row] = row_of(kind, title, folder, prior, file, vae_hash);
        rows.emplace(std::pair(place, levels), std::move(row));
      }
    }
    check(rows.size() > before || folder == own, ExitCode::kUsage,
        "{}: no samples of a prior there; run `hebm_dist sample` with that run.directory", folder.string());
  }
  check(!rows.empty(), ExitCode::kUsage,
      "{}: no samples of a prior; run `hebm_dist sample` (prior.kind) first, or name runs that have them (--runs)",
      own.string());
  std::map<std::string, int> times;
  for (const auto& [place, row] : rows) ++times[row.name];
  std::vector<evaluate::PriorSamples> out;
  for (auto& [place, row] : rows) {
    if (times[row.name] > 1) row.name += fmt::format(" ({})", row.about.run);  // told apart by the run
    out.push_back(std::move(row));
  }
  return out;
}

}  // namespace hebm::cli
