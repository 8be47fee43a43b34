// The index page over several runs.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <span>
#include <string_view>

#include "base/error.h"
#include "report/html.h"
#include "report/pictures.h"
#include "report/report.h"
#include "report/sections.h"
#include "report/summary.h"
#include "storage/files.h"

namespace hebm::report {
namespace {

namespace fs = std::filesystem;

constexpr const char* kGenerator = "hebm_dist index";
constexpr std::size_t kHeadBytes = 1024;  // of a file, in which the mark of an index of ours stands
constexpr std::size_t kMaxBackbone = 40;

// A run as the index shows it; numbers are NaN where summary.json does not have them.
struct Entry {
  std::string name, folder;  // the run's folder from the one above all runs, and from the page
  std::string backbone, scored;
  double layers = 0, latents = 0, levels = 0, steps = 0;
  double gaussian = 0, reconstruction = 0, ours = 0, seconds = 0;
};

// A relative path as a URL: nothing in a folder's name is read as a scheme, a query or a fragment.
std::string url(const std::string& relative) {
  constexpr std::string_view kPlain = "-._~/";
  std::string out;
  for (const char c : relative) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       kPlain.find(c) != std::string_view::npos;
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c)));
  }
  return out;
}

fs::path resolved(const fs::path& path) {
  std::error_code error;
  const fs::path full = fs::weakly_canonical(path, error);
  return error ? path : full;
}

fs::path folder_of(const fs::path& out) { return resolved(fs::absolute(out).parent_path()); }

// The nearest folder above all of these, resolved.
fs::path shared_folder(const std::vector<fs::path>& runs) {
  check(!runs.empty(), ExitCode::kUsage, "an index needs the folders of runs");
  const auto is_within = [](const fs::path& path, const fs::path& folder) {
    return std::mismatch(folder.begin(), folder.end(), path.begin(), path.end()).first == folder.end();
  };
  fs::path shared = resolved(runs[0]).parent_path();
  for (const fs::path& run : runs) {
    while (!is_within(resolved(run).parent_path(), shared)) shared = shared.parent_path();
  }
  return shared;
}

std::string backbone_title(const nlohmann::json& model) {
  std::string backbone = storage::text_in(model, "backbone").substr(0, kMaxBackbone);
  const auto letter = [](char c) { return c >= 'a' && c <= 'z'; };
  if (!std::ranges::all_of(backbone, letter)) return backbone;
  for (char& c : backbone) c = static_cast<char>(c - 'a' + 'A');
  return backbone;
}

// The day on which its scores were made.
std::string scored_at(const RunFolder& run) {
  const auto part =
      std::find_if(run.parts.begin(), run.parts.end(), [](const RunPart& p) { return p.name == "results"; });
  const double time = part == run.parts.end() ? std::nan("") : number_in(part->env, "time");
  return std::isfinite(time) ? utc(time).substr(0, std::string_view("2026-01-31").size()) : "";
}

Entry read_entry(const RunFolder& run, const std::string& name, const std::string& folder) {
  const auto it = run.results.find("summary");
  const nlohmann::json json = it == run.results.end() ? nlohmann::json() : it->second;
  const Summary summary = read_summary(json);
  const auto fd = [&](const char* key) {
    const ScoreRow* row = summary.row(key);
    return row == nullptr ? std::nan("") : row->fd;
  };
  const nlohmann::json* field = storage::field_in(json, "model");
  const nlohmann::json model = field == nullptr ? nlohmann::json() : *field;
  const ScoreRow* ours = summary.row("diffusion");
  return {.name = name,
          .folder = folder,
          .backbone = backbone_title(model),
          .scored = scored_at(run),
          .layers = number_in(model, "layers"),
          .latents = number_in(model, "latents"),
          .levels = number_in(model, "levels"),
          .steps = number_in(model, "langevin_steps"),
          .gaussian = fd("gaussian"),
          .reconstruction = fd("reconstruction"),
          .ours = fd("diffusion"),
          .seconds = ours == nullptr ? std::nan("") : ours->seconds};
}

// A count; what is none that a run can have is written shortly.
std::string count_cell(double value) { return std::abs(value) < 1e12 ? cell(value, "{:.0f}") : format_number(value); }
std::string score_cell(double value) { return std::abs(value) < 1e12 ? cell(value, "{:.2f}") : format_number(value); }

std::string link(const Entry& entry) {
  return fmt::format("<a href=\"{}/report.html\">{}</a>", url(entry.folder), escape(entry.name));
}

struct Column {
  const char* title;
  bool number;
  std::function<std::string(const Entry&)> html;
};

std::vector<Column> columns() {
  return {{"run", false, [](const Entry& e) { return link(e); }},
          {"backbone", false, [](const Entry& e) { return e.backbone.empty() ? "-" : escape(e.backbone); }},
          {"layers", true, [](const Entry& e) { return count_cell(e.layers); }},
          {"latents", true, [](const Entry& e) { return count_cell(e.latents); }},
          {"T", true, [](const Entry& e) { return count_cell(e.levels); }},
          {"K", true, [](const Entry& e) { return count_cell(e.steps); }},
          {"Gaussian", true, [](const Entry& e) { return score_cell(e.gaussian); }},
          {"reconstruction", true, [](const Entry& e) { return score_cell(e.reconstruction); }},
          {"ours", true, [](const Entry& e) { return score_cell(e.ours); }},
          {"ours / Gaussian", true, [](const Entry& e) { return cell(e.ours / e.gaussian, "{:.3f}"); }},
          {"sampling (s)", true, [](const Entry& e) { return format_number(e.seconds); }},
          {"scored", true, [](const Entry& e) { return e.scored.empty() ? "-" : escape(e.scored); }}};
}

std::string table(const std::vector<Entry>& entries) {
  std::string out = "<h2 id=\"runs\">Runs</h2>\n<div class=\"wide\"><table class=\"index\"><tr>";
  const auto shown = columns();
  for (const Column& column : shown)
    out += fmt::format("<th{}>{}</th>", column.number ? " class=\"n\"" : "", column.title);
  for (const Entry& entry : entries) {
    out += "</tr>\n<tr>";
    for (const Column& column : shown)
      out += fmt::format("<td{}>{}</td>", column.number ? " class=\"n\"" : "", column.html(entry));
  }
  return out +
         "</tr></table></div>\n<p class=\"soft\">Gaussian, reconstruction, ours: fd_fmnist, the Frechet distance of a "
         "run's own classifier's features; between runs "
         "compare the ratio to the Gaussian prior. T levels of K Langevin steps. Sampling: seconds for the scored "
         "images, on the ranks that drew them. "
         "-: not in the run's summary.json; <code>hebm_dist evaluate</code> writes it anew once that file is "
         "removed.</p>\n";
}

// ": NVAE, 6 layers, 3072 latents, T = 2, K = 30", of what is known.
std::string model_line(const Entry& e) {
  std::vector<std::string> parts;
  if (!e.backbone.empty()) parts.push_back(escape(e.backbone));
  if (std::isfinite(e.layers)) parts.push_back(count_cell(e.layers) + " layers");
  if (std::isfinite(e.latents)) parts.push_back(count_cell(e.latents) + " latents");
  if (std::isfinite(e.levels)) parts.push_back("T = " + count_cell(e.levels));
  if (std::isfinite(e.steps)) parts.push_back("K = " + count_cell(e.steps));
  return parts.empty() ? "" : fmt::format(": {}", fmt::join(parts, ", "));
}

// The two priors of a run, as a row of Fig. 8.
std::string pair(const RunFolder& run, const Entry& entry, PictureBudget& budget) {
  const auto grids = main_grids(run);
  const auto one = [&](const Picture* picture, const char* prior, double fd, const char* made_by) {
    if (picture == nullptr)
      return fmt::format("<div>{}</div>\n",
                         missing(fmt::format("{}: no picture; <code>hebm_dist {}</code> makes it.", prior, made_by)));
    const std::string score = std::isfinite(fd) ? ", fd_fmnist " + score_cell(fd) : "";
    return figure(*picture, prior + score, budget, entry.folder + "/samples");
  };
  return fmt::format("<section><h3>{}{}</h3>\n<div class=\"pair\">{}{}</div></section>\n", link(entry),
                     model_line(entry), one(grids[0], "Gaussian prior", entry.gaussian, "evaluate"),
                     one(grids[2], "Learned prior", entry.ours, "sample"));
}

bool is_index_of_ours(const fs::path& file) {
  const storage::ReadOnlyFile in(file);
  std::string head(std::min<std::uint64_t>(in.size(), kHeadBytes), '\0');
  in.read_at(0, std::as_writable_bytes(std::span(head)));
  return head.find(generator_mark(kGenerator)) != std::string::npos;
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
    if (std::find(seen.begin(), seen.end(), resolved(run)) != seen.end()) continue;
    seen.push_back(resolved(run));
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
  std::string pairs;
  PictureBudget budget;
  for (const fs::path& directory : runs) {  // one at a time: a run may have many pictures
    const RunFolder run = read_run_folder(directory);
    const fs::path full = resolved(directory);
    entries.push_back(read_entry(run, full.lexically_relative(shared).generic_string(),
                                 full.lexically_relative(from).generic_string()));
    pairs += pair(run, entries.back(), budget);
  }
  return page_head(shared.has_filename() ? shared.filename().string() : "Runs", kGenerator,
                   fmt::format("{} runs beside each other.", runs.size())) +
         "<nav><a href=\"#runs\">Runs</a><a href=\"#backbones\">Samples</a></nav>\n" + table(entries) +
         "<h2 id=\"backbones\">Gaussian and learned prior, backbone by backbone</h2>\n"
         "<p>As the paper's Fig. 8: images of the VAE's Gaussian prior beside those of the prior that was learned on "
         "it.</p>\n<div class=\"beside\">\n" +
         pairs + "</div>\n</body></html>\n";
}

void write_index(const std::vector<fs::path>& runs, const fs::path& out) {
  check_index_place(out);
  storage::write_file_atomic(out, render_index(runs, out));
}

}  // namespace hebm::report
