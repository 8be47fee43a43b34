// One self-contained HTML page about a run: score table, pictures, curves, configuration,
// environment, commands. Inline CSS, SVG and PNG data URIs; no scripts, nothing is loaded from
// outside; readable on a phone, on paper, in light and dark.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace hebm::report {

// Reads, all optional, from run_directory and its subfolders (vae, features, prior, ...):
// config.ini, env.json, metrics.jsonl, and samples/*.png, results/*.json of run_directory. A part
// that is missing or unreadable is said on the page with the command that makes it. Throws
// Error(kUsage) where run_directory is not a folder, and storage's errors where `out` cannot be
// written.
void write_report(const std::filesystem::path& run_directory, const std::filesystem::path& out);

// The same as a string.
std::string render_report(const std::filesystem::path& run_directory);

// The folders of several runs as given, each once. Error(kUsage) naming one that is not there or
// has no results/*.json.
std::vector<std::filesystem::path> runs_with_results(const std::vector<std::string>& runs);

// One page over several runs, written where it is free or an index of ours stands, beside their own
// report.html: a table with a row a run, and the grids of the Gaussian and of the learned prior
// side by side (Fig. 8: two backbones).
// runs: of runs_with_results.
void write_index(const std::vector<std::filesystem::path>& runs, const std::filesystem::path& out);
std::string render_index(const std::vector<std::filesystem::path>& runs,
    const std::filesystem::path& out);  // links are as seen from `out`
std::filesystem::path index_place(
    const std::vector<std::filesystem::path>& runs);  // index.html in the nearest folder above all of them
// Error(kUsage) where its folder is not there, or another file than an index of ours has the place.
void check_index_place(const std::filesystem::path& out);

}  // namespace hebm::report
