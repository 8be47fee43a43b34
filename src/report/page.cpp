#include <algorithm>
#include "report/report.h"
#include "report/sections.h"
#include "results/sweep.h"
#include "storage/files.h"
#include "storage/lenient_json.h"

namespace hebm::report {

// Every section has a file of its own, or shares that of its neighbours: a name here, its place on
// the page below.
using SectionFunction = SectionSource();
SectionFunction scores, priors, pictures, curves, levels, ood, transition, vary, temperature, labels, compose, others,
    commands, configuration, environment;
Section sweep_section(const results::Sweep& sweep);

std::vector<SectionSource> section_sources() {
  return {scores(), priors(), pictures(), curves(), levels(), ood(), transition(), vary(), temperature(), labels(),
      compose(), others(), commands(), configuration(), environment()};
}

bool ResultFiles::has(const std::string& name, const nlohmann::json& json) const {
  const bool named = std::any_of(names.begin(), names.end(),
      [&](const std::string& own) { return own.ends_with('-') ? name.starts_with(own) : name == own; });
  return named && storage::text_in(json, "format") == format;
}

std::string render_report(const std::filesystem::path& run_directory) {
  const RunFolder run = read_run_folder(run_directory);
  Page page{.title = run.name.empty() ? "run" : run.name,
      .generator = "hebm_dist report",
      .about = "report of a run.",
      .problems = run.problems};
  if (run.results.contains("sweep")) {
    page.sections = {sweep_section(result_of<results::Sweep>(run, "sweep"))};
    return render(page);
  }
  for (const SectionSource& source : section_sources()) {
    if (Section section = source.make(run); !section.blocks.empty()) page.sections.push_back(std::move(section));
  }
  return render(page);
}

void write_report(const std::filesystem::path& run_directory, const std::filesystem::path& out) {
  storage::write_file_atomic(out, render_report(run_directory));
}

}  // namespace hebm::report
