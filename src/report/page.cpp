#include <fmt/core.h>

#include "report/html.h"
#include "report/report.h"
#include "report/sections.h"
#include "report/style.h"
#include "storage/files.h"

namespace hebm::report {
namespace {

std::string problems(const RunFolder& run) {
  if (run.problems.empty()) return {};
  std::string out = "<div class=\"problems\"><p>These files could not be used:</p><ul>";
  for (const std::string& problem : run.problems) out += fmt::format("<li>{}</li>", escape(problem));
  return out + "</ul></div>\n";
}

}  // namespace

std::string generator_mark(const std::string& generator) {
  return fmt::format("<meta name=\"generator\" content=\"{}\">", escape(generator));
}

std::string page_head(const std::string& title, const std::string& generator, const std::string& about) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n{0}\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{1} - {2}</title>\n<style>{3}</style></head>\n<body>\n<h1>{1}</h1>\n"
      "<p class=\"soft\">Diffusion of energy-based priors in the latent space of a hierarchical VAE: {4}</p>\n",
      generator_mark(generator), escape(title), escape(generator), style_sheet(), escape(about));
}

std::string render_report(const std::filesystem::path& run_directory) {
  const RunFolder run = read_run_folder(run_directory);
  std::string out = page_head(run.name.empty() ? "run" : run.name, "hebm_dist report", "report of a run.");
  if (const std::string sweep = sweep_section(run); !sweep.empty())
    return out + problems(run) + sweep + "</body></html>\n";
  const std::string priors = priors_section(run), ood = ood_section(run), results = results_section(run);
  PictureBudget budget;
  const std::string pictures = pictures_section(run, budget);
  const std::string transition = transition_section(run, budget);
  const std::string vary = vary_section(run, budget);
  const std::string temperature = temperature_section(run, budget);
  const std::string labels = labels_section(run, budget), compose = compose_section(run, budget);
  const auto link = [](const std::string& section, const char* html) { return section.empty() ? "" : html; };
  out +=
      "<nav><a href=\"#scores\">Scores</a><a href=\"#pictures\">Pictures</a><a href=\"#curves\">Curves</a>"
      "<a href=\"#levels\">By level</a>";
  out += link(priors, "<a href=\"#priors\">Priors</a>");
  out += link(ood, "<a href=\"#ood\">Out of distribution</a>");
  out += link(transition, "<a href=\"#transition\">Transitions</a>");
  out += link(vary, "<a href=\"#vary\">Layers</a>");
  out += link(temperature, "<a href=\"#temperature\">Temperature</a>");
  out += link(labels, "<a href=\"#labels\">Labels</a>");
  out += link(compose, "<a href=\"#compose\">Attributes</a>");
  out +=
      "<a href=\"#commands\">How it was made</a><a href=\"#configuration\">Configuration</a>"
      "<a href=\"#environment\">Environment</a></nav>\n";
  out += problems(run) + scores_section(run) + priors + pictures + curves_section(run) + levels_section(run) + ood +
         transition + vary + temperature + labels + compose + results + commands_section(run) +
         configuration_section(run) + environment_section(run);
  return out + "</body></html>\n";
}

void write_report(const std::filesystem::path& run_directory, const std::filesystem::path& out) {
  storage::write_file_atomic(out, render_report(run_directory));
}

}  // namespace hebm::report
