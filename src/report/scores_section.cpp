#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/status.h"
#include "report/html.h"
#include "report/sections.h"
#include "report/summary.h"

namespace hebm::report {
namespace {

std::string figure(const std::string& value, const std::string& what) {
  return fmt::format("<div><b>{}</b><span>{}</span></div>", value, what);
}

std::string figures(const Summary& summary) {
  const ScoreRow *gaussian = summary.row("gaussian"), *best = summary.row("reconstruction"),
                 *ours = summary.row("diffusion");
  std::string out = "<div class=\"figures\">";
  if (gaussian) out += figure(cell(gaussian->fd, "{:.2f}"), "fd_fmnist, Gaussian prior");
  if (ours) out += figure(cell(ours->fd, "{:.2f}"), "fd_fmnist, ours");
  if (best) out += figure(cell(best->fd, "{:.2f}"), "fd_fmnist, reconstruction");
  if (std::isfinite(summary.gap_closed))
    out += figure(fmt::format("{:.0f} %", 100 * summary.gap_closed), "of the gap closed");
  return out + "</div>\n";
}

std::string table(const Summary& summary) {
  const bool kid =
      std::any_of(summary.rows.begin(), summary.rows.end(), [](const ScoreRow& r) { return std::isfinite(r.kid); });
  double largest = 0;
  for (const ScoreRow& row : summary.rows) largest = std::max(largest, std::isfinite(row.fd) ? row.fd : 0.0);
  const ScoreRow* gaussian = summary.row("gaussian");
  const double unit = gaussian ? gaussian->fd : std::nan("");
  std::string out =
      "<div class=\"wide\"><table><tr><th></th><th class=\"n\">fd_fmnist</th><th class=\"bars\"></th><th "
      "class=\"n\">of Gaussian</th>";
  if (kid) out += "<th class=\"n\">KID</th>";
  out +=
      "<th class=\"n\">precision</th><th class=\"n\">recall</th><th class=\"n\">images</th><th "
      "class=\"n\">time</th></tr>\n";
  for (std::size_t i = 0; i < summary.rows.size(); ++i) {
    const ScoreRow& r = summary.rows[i];
    const double share = largest > 0 && std::isfinite(r.fd) ? std::clamp(r.fd / largest, 0.0, 1.0) : 0.0;
    out += fmt::format(
        "<tr{}><td>{}</td><td class=\"n\">{}</td><td class=\"bars\" style=\"min-width:90px\"><span class=\"bar\" "
        "style=\"width:{:.0f}px;background:var(--c{})\"></span></td><td class=\"n\">{}</td>",
        r.key == "diffusion" ? " class=\"ours\"" : "", escape(r.title), cell(r.fd, "{:.2f}"), 90 * share,
        r.key == "diffusion" ? 1 : 0, cell(r.fd / unit, "{:.3f}"));
    const std::string error = std::isfinite(r.kid_error) ? fmt::format(" &#177; {:.2g}", r.kid_error) : "";
    if (kid) out += fmt::format("<td class=\"n\">{}{}</td>", cell(r.kid, "{:.4g}"), error);
    out += fmt::format(
        "<td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
        cell(r.precision, "{:.3f}"), cell(r.recall, "{:.3f}"), cell(r.num_images, "{:.0f}"),
        std::isfinite(r.seconds) ? escape(format_duration(r.seconds)) : "-");
  }
  return out + "</table></div>\n";
}

}  // namespace

std::string scores_section(const RunFolder& run) {
  std::string out = "<h2 id=\"scores\">Scores</h2>\n";
  const auto it = run.results.find("summary");
  const Summary summary = read_summary(it == run.results.end() ? nlohmann::json() : it->second);
  if (summary.rows.empty()) {
    return out +
           missing("No scores yet: <code>results/summary.json</code> is written by <code>hebm_dist evaluate</code>.");
  }
  out += figures(summary) + table(summary);
  out +=
      "<p class=\"soft\">fd_fmnist is the Fr&#233;chet distance (lower is better) between Gaussians fitted to the "
      "features of this project's "
      "own small classifier; it is not FID and cannot be compared with published FID. KID, precision and recall use "
      "the same "
      "features. Gap closed = (Gaussian &#8722; ours) / (Gaussian &#8722; reconstruction).</p>\n";
  if (it->second.contains("features") && it->second["features"].is_object()) {
    const nlohmann::json& features = it->second["features"];
    const std::string accuracy = cell(number_in(features, "accuracy"), "{:.4f}");
    const std::string hash =
        features.contains("hash") && features["hash"].is_string() ? features["hash"].get<std::string>() : "-";
    out += fmt::format("<p class=\"soft\">Classifier: test accuracy {}, weights {}.</p>\n", accuracy, escape(hash));
  }
  return out;
}

// summary.json's by_level: [{"t": 1, "decode_true": 21.5, "from_true": 19.4, "num_images": 2000},
// ...].
std::string levels_section(const RunFolder& run) {
  const std::string heading = "<h2 id=\"levels\">Score by level</h2>\n";
  const auto it = run.results.find("summary");
  const bool measured = it != run.results.end() && it->second.is_object() && it->second.contains("by_level") &&
                        it->second["by_level"].is_array() && !it->second["by_level"].empty();
  if (!measured) return heading + missing("Not measured: <code>hebm_dist evaluate --evaluate.by_level</code> does it.");
  std::string out = heading +
                    "<p>fd_fmnist with the reverse chain started at the true noisy latents u_t: where the last column "
                    "jumps from one row to "
                    "the next, that level loses the quality; where it is no better than the column before, the chain "
                    "does not help.</p>\n"
                    "<div class=\"wide\"><table><tr><th class=\"n\">t</th><th class=\"n\">true u_t, decoded</th>"
                    "<th class=\"n\">true u_t, then the chain</th><th class=\"n\">images</th></tr>\n";
  for (const nlohmann::json& row : it->second["by_level"]) {
    out += fmt::format(
        "<tr><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>\n",
        cell(number_in(row, "t"), "{:.0f}"), cell(number_in(row, "decode_true"), "{:.2f}"),
        cell(number_in(row, "from_true"), "{:.2f}"), cell(number_in(row, "num_images"), "{:.0f}"));
  }
  return out + "</table></div>\n";
}

std::string results_section(const RunFolder& run) {
  std::string out;
  for (const auto& [name, json] : run.results) {
    if (has_section(name) || is_ood_result(name, json)) continue;
    out += fmt::format("<h3>{}</h3>\n{}\n", escape(name), json_html(json));
  }
  return out.empty() ? "" : "<h2 id=\"results\">Other results</h2>\n" + out;
}

}  // namespace hebm::report
