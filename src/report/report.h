// One self-contained HTML page about a run: score table, pictures, curves, configuration,
// environment, commands. Inline CSS, SVG and PNG data URIs; no scripts, nothing is loaded from
// outside; readable on a phone, on paper, in light and dark.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace hebm::report {

using PartTitles = std::map<std::string, std::string>;  // by the folder of a part

// Reads, all optional, from run_directory and its subfolders (vae, features, prior, ...):
// config.ini, env.json, metrics.jsonl, and samples/*.png, results/*.json of run_directory. A part
// that is missing or unreadable is said on the page with the command that makes it. Throws
// Error(kUsage) where run_directory is not a folder. titles: of folders that only the caller knows.
std::string render_report(const std::filesystem::path& run_directory, const PartTitles& titles = {});

// The folders of several runs as given, each once. Error(kUsage) naming one that is not there or
// has no results/*.json.
std::vector<std::filesystem::path> runs_with_results(const std::vector<std::string>& runs);

// One page over several runs of runs_with_results, whose own report.html it links as seen from
// `out`: a table with a row a run, and the grids of the Gaussian and of the learned prior side by
// side (Fig. 8: two backbones).
std::string render_index(const std::vector<std::filesystem::path>& runs, const std::filesystem::path& out);
// index.html in the nearest folder above all of them.
std::filesystem::path index_place(const std::vector<std::filesystem::path>& runs);
// Error(kUsage) where its folder is not there, or another file than an index of ours has the place.
void check_index_place(const std::filesystem::path& out);

}  // namespace hebm::report
