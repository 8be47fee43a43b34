// Priors that know labels: what `labels` (Fig. 5) and `compose` (Fig. 4) found.
#include <fmt/core.h>

#include <cmath>

#include "report/html.h"
#include "report/sections.h"
#include "storage/lenient_json.h"

namespace hebm::report {
namespace {

using storage::field_in;
using storage::number_in;
using storage::objects_in;
using storage::text_in;

constexpr const char *kLabels = "labels-", *kCompose = "compose-";

// "0,1"
std::string layers_text(const nlohmann::json& object, const char* key) {
  const nlohmann::json* field = field_in(object, key);
  std::string out;
  if (field == nullptr || !field->is_array()) return out;
  for (const auto& layer : *field) {
    if (layer.is_number_integer()) out += (out.empty() ? "" : ",") + std::to_string(layer.get<std::int64_t>());
  }
  return out;
}

double inner(const nlohmann::json& object, const char* part, const char* key) {
  const nlohmann::json* field = field_in(object, part);
  return field == nullptr ? std::nan("") : number_in(*field, key);
}

std::string categories_table(const nlohmann::json& head) {
  std::string rows;
  for (const auto& row : objects_in(head, "by_category")) {
    rows += "<tr><td>" + escape(text_in(row, "category")) + "</td>" + number_cell(number_in(row, "accuracy")) +
            number_cell(number_in(row, "share_without_label")) + number_cell(number_in(row, "share_of_test_images")) +
            "</tr>\n";
  }
  if (rows.empty()) return rows;
  return "<div class=\"wide\"><table><tr><th>category</th><th class=\"n\">drawn as asked</th><th class=\"n\">share "
         "without label</th>"
         "<th class=\"n\">share of test images</th></tr>\n" +
         rows + "</table></div>\n";
}

std::string picture_of(const RunFolder& run, const std::string& name, const std::string& caption,
                       PictureBudget& budget) {
  for (const Picture* picture : pictures_named(run, name)) {
    if (picture->name == name) return figure(*picture, caption, budget);
  }
  return {};
}

std::string compose_table(const nlohmann::json& result) {
  std::string rows;
  for (const auto& step : objects_in(result, "steps")) {
    for (const auto& label : objects_in(step, "labels")) {
      rows += "<tr>" + number_cell(number_in(step, "step")) + "<td>" + escape(layers_text(step, "held_layers")) +
              "</td><td>" + escape(text_in(label, "name")) + "</td>" + number_cell(number_in(label, "asked_in_step")) +
              number_cell(number_in(label, "accuracy")) + number_cell(number_in(label, "kept")) +
              number_cell(number_in(step, "fd_fmnist")) + "</tr>\n";
    }
  }
  return "<div class=\"wide\"><table><tr><th class=\"n\">step</th><th>held layers</th><th>label</th><th "
         "class=\"n\">asked in step</th>"
         "<th class=\"n\">accuracy</th><th class=\"n\">kept</th><th class=\"n\">fd_fmnist</th></tr>\n" +
         rows + "</table></div>\n";
}

// "trousers, bright; ..." by row.
std::string grid_caption(const nlohmann::json& result) {
  std::string out = "A row an image, a column a step. Asked for, row by row: ", rows;
  for (const auto& row : objects_in(result, "grid")) {
    std::string asked;
    for (const auto& [name, category] : row.items()) {
      if (category.is_string()) asked += (asked.empty() ? "" : ", ") + name + " " + category.get<std::string>();
    }
    rows += (rows.empty() ? "" : "; ") + asked;
  }
  return out + rows;
}

}  // namespace

bool is_labels_result(const std::string& result) { return result.starts_with(kLabels) || result.starts_with(kCompose); }

std::string labels_section(const RunFolder& run, PictureBudget& budget) {
  std::string rows, details;
  for (const auto& [name, result] : run.results) {
    if (!name.starts_with(kLabels)) continue;
    const std::string prior = name.substr(std::string(kLabels).size());
    for (const auto& head : objects_in(result, "heads")) {
      const std::string label = text_in(head, "name"), layers = layers_text(head, "layers");
      rows += "<tr><td>" + escape(prior) + "</td><td>" + escape(label) + "</td><td>" + escape(layers) + "</td>" +
              number_cell(inner(head, "test", "accuracy")) + number_cell(inner(head, "test", "reader_accuracy")) +
              number_cell(inner(head, "drawn", "accuracy")) + number_cell(inner(head, "drawn", "own_accuracy")) +
              number_cell(inner(head, "drawn", "fd_fmnist")) + number_cell(inner(head, "drawn", "fd_fmnist_ratio")) +
              number_cell(number_in(head, "imbalance_without_label")) + "</tr>\n";
      details += "<h3>" + escape(prior + ": " + label + ", layers " + layers) + "</h3>\n" + categories_table(head);
      const std::string grid = picture_of(run, name + "-" + label, "A row a category, in the table's order", budget);
      details += grid.empty() ? "" : "<div class=\"pictures\">" + grid + "</div>\n";
    }
  }
  if (rows.empty()) return rows;
  return "<h2 id=\"labels\">Labels</h2>\n<p>Priors coupled with labels at t = 0. p(y | u_0): share of test images "
         "whose likeliest category is right; reader: "
         "the same for the classifier of the scores, or the rule that measures an attribute, which knows nothing of "
         "the prior. Drawn as asked: share of "
         "images drawn for a category in which the reader sees it; by p(y | u_0): in which the prior itself does. "
         "Ratio: score of these images over that of images "
         "drawn without a label. Imbalance: half the sum of the differences between categories' shares without a label "
         "and among test images.</p>\n"
         "<div class=\"wide\"><table><tr><th>prior</th><th>label</th><th>layers</th><th class=\"n\">p(y | u_0)</th><th "
         "class=\"n\">reader</th>"
         "<th class=\"n\">drawn as asked</th><th class=\"n\">by p(y | u_0)</th><th class=\"n\">fd_fmnist</th><th "
         "class=\"n\">ratio</th>"
         "<th class=\"n\">imbalance</th></tr>\n" +
         rows + "</table></div>\n" + details;
}

std::string compose_section(const RunFolder& run, PictureBudget& budget) {
  std::string out;
  for (const auto& [name, result] : run.results) {
    if (!name.starts_with(kCompose)) continue;
    out += fmt::format("<h3>{}, {} images</h3>\n", escape(name.substr(std::string(kCompose).size())),
                       escape(format_number(number_in(result, "num_samples"))));
    out += compose_table(result);
    const std::string grid = picture_of(run, name, grid_caption(result), budget);
    out += grid.empty() ? "" : "<div class=\"pictures\">" + grid + "</div>\n";
  }
  if (out.empty()) return out;
  return "<h2 id=\"compose\">Attributes step by step</h2>\n<p>The first step draws all layers with its label; each "
         "later one holds the layers of the labels "
         "before it and draws the others anew with its own. Accuracy: share of images in which the reader sees what "
         "was asked for, after the step; of labels that "
         "are asked for later it is chance. Kept: of the images that showed their category after its own step, those "
         "that still do.</p>\n" +
         out;
}

}  // namespace hebm::report
