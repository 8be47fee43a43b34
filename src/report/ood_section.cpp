// Out-of-distribution detection (Fig. 3): for each results/ood-*.json the AUROC of both schemes
// over k, histograms of the scores, and the table.
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "report/html.h"
#include "report/sections.h"
#include "report/svg_plot.h"
#include "storage/lenient_json.h"

namespace hebm::report {
namespace {

using storage::number_in;
using storage::text_in;

const nlohmann::json kNothing = nlohmann::json::array();
constexpr std::size_t kMaxRows = 500, kMaxBins = 1000;

const nlohmann::json& array_in(const nlohmann::json& object, const char* key) {
  const nlohmann::json* field = storage::field_in(object, key);
  return field != nullptr && field->is_array() ? *field : kNothing;
}

std::string name_of(const nlohmann::json& result, const char* set) {
  const nlohmann::json* field = storage::field_in(result, set);
  return field == nullptr ? "" : text_in(*field, "name");
}

const nlohmann::json* find_row(const nlohmann::json& rows, const std::string& scheme, double k) {
  for (const nlohmann::json& row : rows) {
    if (text_in(row, "scheme") == scheme && (scheme == "elbo" || number_in(row, "k") == k)) return &row;
  }
  return nullptr;
}

std::set<double> values_of_k(const nlohmann::json& rows) {
  std::set<double> out;
  for (const nlohmann::json& row : rows) {
    if (std::isfinite(number_in(row, "k")) && out.size() < kMaxRows) out.insert(number_in(row, "k"));
  }
  return out;
}

std::string auroc_plot(const nlohmann::json& rows, const std::set<double>& ks) {
  LinePlot plot{.title = "AUROC",
                .x_label = "k: layers above k are used",
                .scale = Scale::kLinear,
                .smooth = false,
                .over_time = false,
                .series = {}};
  for (const char* scheme : {"diffusion", "inference", "elbo"}) {
    Series series{scheme == std::string("elbo") ? "-ELBO" : std::string(scheme) + " scheme", {}, {}};
    for (const double k : ks) {
      const nlohmann::json* row = find_row(rows, scheme, k);
      series.x.push_back(k);
      series.y.push_back(row == nullptr ? std::nan("") : number_in(*row, "auroc"));
    }
    plot.series.push_back(std::move(series));
  }
  return line_plot_svg(plot);
}

// Stairs of one set's counts.
Series stairs(const std::string& name, const nlohmann::json& histogram, const char* set) {
  Series out{name, {}, {}};
  const nlohmann::json& counts = array_in(histogram, set);
  const double low = number_in(histogram, "low"), high = number_in(histogram, "high");
  const std::size_t bins = std::min(counts.size(), kMaxBins);
  for (std::size_t b = 0; b < bins; ++b) {
    const double count = counts[b].is_number() ? counts[b].get<double>() : std::nan("");
    for (const std::size_t edge : {b, b + 1}) {
      out.x.push_back(low + (high - low) * static_cast<double>(edge) / static_cast<double>(bins));
      out.y.push_back(count);
    }
  }
  return out;
}

std::string histogram_plot(const nlohmann::json& result, const nlohmann::json* row, const std::string& title) {
  const nlohmann::json* histogram = row == nullptr ? nullptr : storage::field_in(*row, "histogram");
  if (histogram == nullptr) return "";
  const LinePlot plot{.title = title,
                      .x_label = "score (images of each set)",
                      .scale = Scale::kLinear,
                      .smooth = false,
                      .over_time = false,
                      .series = {stairs(name_of(result, "in") + " (in)", *histogram, "in"),
                                 stairs(name_of(result, "out") + " (out)", *histogram, "out")}};
  return line_plot_svg(plot);
}

std::string cells(const nlohmann::json* row) {
  if (row == nullptr) return "<td class=\"n\">-</td><td class=\"n\">-</td><td class=\"n\">-</td>";
  const auto share = [&](const char* key) {
    const double value = number_in(*row, key);
    return std::isfinite(value) ? fmt::format("{:.3f}", value) : std::string("-");
  };
  return fmt::format("<td class=\"n\">{} ({} - {})</td><td class=\"n\">{}</td><td class=\"n\">{}</td>", share("auroc"),
                     share("auroc_low"), share("auroc_high"), share("aupr"), share("fpr95"));
}

std::string table(const nlohmann::json& rows, const std::set<double>& ks, double num_layers) {
  const std::string heads = "<th class=\"n\">AUROC</th><th class=\"n\">AUPR</th><th class=\"n\">FPR at 95 %</th>";
  std::string out =
      "<div class=\"wide\"><table><tr><th class=\"n\">k</th><th class=\"n\">layers</th><th colspan=\"3\">diffusion "
      "scheme</th>"
      "<th colspan=\"3\">inference scheme</th></tr>\n<tr><th></th><th></th>" +
      heads + heads + "</tr>\n";
  for (const double k : ks) {
    out += fmt::format("<tr><td class=\"n\">{:.0f}</td><td class=\"n\">{:.0f}</td>{}{}</tr>\n", k, num_layers - k,
                       cells(find_row(rows, "diffusion", k)), cells(find_row(rows, "inference", k)));
  }
  return out + fmt::format("<tr><td colspan=\"2\">-ELBO</td>{}<td></td><td></td><td></td></tr>\n</table></div>\n",
                           cells(find_row(rows, "elbo", 0)));
}

std::string one_result(const nlohmann::json& result) {
  const nlohmann::json& rows = array_in(result, "rows");
  const std::set<double> ks = values_of_k(rows);
  std::string out = fmt::format("<h3>{} against {}</h3>\n<div class=\"plots\">{}", escape(name_of(result, "in")),
                                escape(name_of(result, "out")), auroc_plot(rows, ks));
  if (!ks.empty()) {
    for (const double k : std::set<double>{*ks.begin(), *ks.rbegin()}) {
      out += histogram_plot(result, find_row(rows, "diffusion", k),
                            fmt::format("Energy of layers above {:.0f}, diffusion scheme", k));
      out += histogram_plot(result, find_row(rows, "inference", k),
                            fmt::format("Energy of layers above {:.0f}, inference scheme", k));
    }
  }
  out += histogram_plot(result, find_row(rows, "elbo", 0), "-ELBO (nats)");
  const nlohmann::json* in = storage::field_in(result, "in");
  const double images = in == nullptr ? std::nan("") : number_in(*in, "num_images");
  return out + "</div>\n" + table(rows, ks, number_in(result, "num_layers")) +
         fmt::format(
             "<p class=\"soft\">{} test images of each set; in brackets the 95 % interval of the bootstrap.</p>\n",
             format_number(images));
}

}  // namespace

bool is_ood_result(const std::string& name, const nlohmann::json& json) {
  return name.starts_with("ood-") && text_in(json, "format") == "hebm-ood";
}

std::string ood_section(const RunFolder& run) {
  std::string out;
  for (const auto& [name, json] : run.results) {
    if (is_ood_result(name, json)) out += one_result(json);
  }
  if (out.empty()) return "";
  return "<h2 id=\"ood\">Out-of-distribution detection</h2>\n<p>How well one number tells images of another set "
         "(\"out\", the positive class) from "
         "test images of the training set (\"in\"): the energy of the latent layers above k, of latents that are "
         "inferred, or that the prior's last "
         "level draws from perturbed inferred latents above k and its own below. AUROC 0.5 is chance; below it, the "
         "other set looks more likely.</p>\n" +
         out;
}

}  // namespace hebm::report
