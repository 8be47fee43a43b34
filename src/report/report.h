// One self-contained HTML page about a run: score table, pictures, curves, configuration, environment, commands. Inline CSS, SVG
// and PNG data URIs; no scripts, nothing is loaded from outside; readable on a phone, on paper, in light and dark.
#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace hebm::report {

// Reads, all optional, from run_directory and its subfolders (vae, features, prior, ...): config.ini, env.json, metrics.jsonl, and
// samples/*.png, results/*.json of run_directory. A part that is missing or unreadable is said on the page with the command
// that makes it. Throws Error(kUsage) where run_directory is not a folder, and storage's errors where `out` cannot be written.
void write_report(const std::filesystem::path& run_directory, const std::filesystem::path& out);

// The same as a string.
std::string render_report(const std::filesystem::path& run_directory);

// summary.json as a small plain-text table, for the end of the quickstart. Rows and columns without any number are left out;
// never throws on a summary of another shape.
std::string summary_table(const nlohmann::json& summary);

// priors.json of `evaluate --all` as a plain-text table; rows without a score are left out, never throws.
std::string priors_table(const nlohmann::json& result);

}  // namespace hebm::report
