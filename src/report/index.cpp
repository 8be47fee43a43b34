// The index page over several runs.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include <cctype>
#include <cmath>
#include <string_view>
#include "base/error.h"
#include "report/sections.h"
#include "results/summary.h"
#include "storage/files.h"

namespace hebm::report {
namespace {

namespace fs = std::filesystem;
using results::kGaussian, results::kOwn, results::number;

constexpr const char* kGenerator = "hebm_dist index";
constexpr std::size_t kHeadBytes = 1024;  // of a file, in which the mark of an index of ours stands
constexpr std::size_t kMaxBackbone = 40;

struct Entry {
  std::string name, folder, page;  // the run's folder from the one above all runs, and from the page; its report
  std::string scored;
  results::Summary summary;
};

// A relative path as a URL: nothing in a folder's name is read as a scheme, a query or a fragment.
std::string url(const std::string& relative) {
  constexpr std::string_view kPlain = "-._~/";
  std::string out;
  for (const char c : relative) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = std::isalnum(byte) != 0 || kPlain.find(c) != std::string_view::npos;
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", byte);
  }
  return out;
}

fs::path folder_of(const fs::path& out) { return storage::resolved(fs::absolute(out).parent_path()); }

// The nearest folder above all of these, resolved.
fs::path shared_folder(const std::vector<fs::path>& runs) {
  check(!runs.empty(), ExitCode::kUsage, "an index needs the folders of runs");
  const auto is_within = [](const fs::path& path, const fs::path& folder) {
    return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first == folder.end();
  };
  fs::path shared = storage::resolved(runs[0]).parent_path();
  for (const fs::path& run : runs) {
    while (!is_within(storage::resolved(run).parent_path(), shared)) shared = shared.parent_path();
  }
  return shared;
}

std::string backbone_title(const std::string& kind) {
  std::string title = kind.substr(0, kMaxBackbone);
  const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
  if (!std::ranges::all_of(title, is_letter)) return title;
  for (char& c : title) c = static_cast<char>(c - 'a' + 'A');
  return title;
}

// The day on which its scores were made.
std::string scored_at(const RunFolder& run) {
  const auto part = std::ranges::find(run.parts, "results", &RunPart::name);
  if (part == run.parts.end() || !std::isfinite(part->time)) return "";
  return utc(part->time).substr(0, std::string_view("2026-01-31").size());
}

// What no score is, is written shortly.
std::string score_text(double value) {
  return std::abs(value) < 1e12 ? fmt::format("{:.2f}", value) : format_number(value);
}

Table table(const std::vector<Entry>& entries) {
  results::Table runs{{words("run"), words("backbone"), digits("layers", "{:.0f}"), digits("latents", "{:.0f}"),
      digits("T", "{:.0f}"), digits("K", "{:.0f}"), digits("fd_posterior: Gaussian"), digits("ours"),
      digits("of Gaussian", "{:.3f}"), digits("fd_fmnist: Gaussian"), digits("reconstruction"), digits("ours"),
      digits("sampling (s)"), digits("scored")}};
  for (const auto& [name, folder, page, scored, summary] : entries) {
    const results::Model& model = summary.model;
    const results::ScoredSet* ours = summary.find(kOwn);
    runs.rows.push_back({name, results::cell_text(backbone_title(model.backbone), ""), number(model.layers),
        number(model.latents), number(model.levels), number(model.langevin_steps),
        score_text(summary.fd_posterior(kGaussian)), score_text(summary.fd_posterior(kOwn)), 1 - summary.gap(),
        score_text(summary.fd(kGaussian)), score_text(summary.fd(results::kReconstruction)),
        score_text(summary.fd(kOwn)), ours == nullptr ? results::kUnknown : ours->seconds, scored});
  }
  Table out = table_of(runs);
  out.style = "index";
  for (std::size_t r = 0; r < entries.size(); ++r) out.rows[r].cells[0].href = entries[r].page;
  return out;
}

// ": NVAE, 6 layers, 3072 latents, T = 2, K = 30", of what is known.
std::string model_line(const results::Model& model) {
  std::vector<std::string> parts;
  if (!model.backbone.empty()) parts.push_back(backbone_title(model.backbone));
  if (model.layers) parts.push_back(fmt::format("{} layers", *model.layers));
  if (model.latents) parts.push_back(fmt::format("{} latents", *model.latents));
  if (model.levels) parts.push_back(fmt::format("T = {}", *model.levels));
  if (model.langevin_steps) parts.push_back(fmt::format("K = {}", *model.langevin_steps));
  return parts.empty() ? "" : fmt::format(": {}", fmt::join(parts, ", "));
}

// The two priors of a run, as a row of Fig. 8.
Blocks pair(const RunFolder& run, const Entry& entry) {
  const auto grids = main_grids(run);
  const auto one = [&](MainGrid grid, const std::string& prior, const char* key, const char* made_by) -> Figure {
    if (grids[grid] == nullptr) return {{}, fmt::format("{}: no picture; `hebm_dist {}` makes it.", prior, made_by)};
    const double fd = entry.summary.fd(key);
    return {
        *grids[grid], prior + (std::isfinite(fd) ? ", fd_fmnist " + score_text(fd) : ""), entry.folder + "/samples"};
  };
  return {Heading{entry.name, entry.page, model_line(entry.summary.model)},
      Figures{{one(kGaussianGrid, "Gaussian prior", kGaussian, "evaluate"),
                  one(kLearnedGrid, "Learned prior", kOwn, "sample")},
          "pair"}};
}

bool is_index_of_ours(const fs::path& file) {
  const storage::ReadOnlyFile in(file);
  return in.text(0, std::min<std::uint64_t>(in.size(), kHeadBytes)).find(generator_mark(kGenerator)) !=
         std::string::npos;
}

bool has_results(const fs::path& run) {
  std::error_code error;
  for (fs::directory_iterator it(run / "results", error), end; !error && it != end; it.increment(error)) {
    if (is_result(*it)) return true;
  }
  return false;
}

}  // namespace

std::vector<fs::path> runs_with_results(const std::vector<std::string>& runs) {
  std::vector<fs::path> out, seen;
  for (const std::string& run : runs) {
    std::error_code error;
    check(fs::is_directory(run, error), ExitCode::kUsage,
        "RUN '{}' is not a folder; give the folders of runs, for example runs/quickstart", run);
    check(has_results(run), ExitCode::kUsage,
        "RUN '{}' holds no results: run `hebm_dist evaluate` with that run.directory first", run);
    if (std::find(seen.begin(), seen.end(), storage::resolved(run)) != seen.end()) continue;
    seen.push_back(storage::resolved(run));
    out.emplace_back(run);
  }
  return out;
}

fs::path index_place(const std::vector<fs::path>& runs) { return shared_folder(runs) / "index.html"; }

void check_index_place(const fs::path& out) {
  std::error_code error;
  const fs::path folder = folder_of(out);
  check(fs::is_directory(folder, error), ExitCode::kUsage,
      "{}: not a folder; --out names a file in a folder that is there", folder.string());
  const auto status = fs::symlink_status(out, error);
  if (status.type() == fs::file_type::not_found) return;
  check(fs::is_regular_file(status) && is_index_of_ours(out), ExitCode::kUsage,
      "{} is there and is not an index page of hebm_dist: it is left alone; name another file with --out",
      out.string());
}

std::string render_index(const std::vector<fs::path>& runs, const fs::path& out) {
  const fs::path shared = shared_folder(runs), from = folder_of(out);
  std::vector<Entry> entries;
  Boxes pairs{"beside", {}};
  for (const fs::path& directory : runs) {  // one at a time: a run may have many pictures
    const RunFolder run = read_run_folder(directory);
    const fs::path full = storage::resolved(directory);
    const std::string folder = full.lexically_relative(from).generic_string();
    entries.push_back({.name = full.lexically_relative(shared).generic_string(),
        .folder = folder,
        .page = url(folder) + "/report.html",
        .scored = scored_at(run),
        .summary = result_of<results::Summary>(run, "summary")});
    pairs.boxes.push_back(pair(run, entries.back()));
  }
  return render({.title = shared.has_filename() ? shared.filename().string() : "Runs",
      .generator = kGenerator,
      .about = fmt::format("{} runs beside each other.", runs.size()),
      .sections = {
          {"runs", "Runs", "Runs",
              {table(entries),
                  soft("fd_posterior, fd_fmnist: Frechet distances of a run's own classifier's features to decoded "
                       "posterior draws and to training images. Between runs compare \"of Gaussian\": 0 = posterior "
                       "draws, 1 = Gaussian prior. T levels of K Langevin steps. "
                       "Sampling: seconds for the scored images, on the ranks that drew them. -: not in the run's "
                       "summary.json; `hebm_dist evaluate` writes it anew once that file is removed.")}},
          {"backbones", "Gaussian and learned prior, backbone by backbone", "Samples",
              {Text{"As the paper's Fig. 8: images of the VAE's Gaussian prior beside those of the prior that was "
                    "learned on it."},
                  pairs}}}});
}

}  // namespace hebm::report
