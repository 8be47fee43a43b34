#include <algorithm>
#include "report/sections.h"
#include "storage/lenient_json.h"

namespace hebm::report {

std::vector<SectionSource> section_sources() {
  return {
      section<"scores">(),
      section<"priors">(),
      section<"pictures">(),
      section<"curves">(),
      section<"hierarchy">(),
      section<"levels">(),
      section<"ood">(),
      section<"transition">(),
      section<"vary">(),
      section<"temperature">(),
      section<"labels">(),
      section<"compose">(),
      section<"results">(),
      section<"commands">(),
      section<"configuration">(),
      section<"environment">(),
  };
}

bool ResultFiles::has(const std::string& name, const nlohmann::json& json) const {
  const bool named = std::any_of(names.begin(), names.end(),
      [&](const std::string& own) { return own.ends_with('-') ? name.starts_with(own) : name == own; });
  return named && storage::text_in(json, "format") == format;
}

std::string render_report(const std::filesystem::path& run_directory, const PartTitles& titles) {
  const RunFolder run = read_run_folder(run_directory, titles);
  Page page{.title = run.name.empty() ? "run" : run.name,
      .generator = "hebm_dist report",
      .about = "report of a run.",
      .problems = run.problems};
  const bool is_sweep = run.results.contains("sweep");  // a page of its own
  for (const SectionSource& source : is_sweep ? std::vector{section<"sweep">()} : section_sources()) {
    if (Blocks blocks = source.make(run); !blocks.empty())
      page.sections.push_back({source.id, source.title, source.link, std::move(blocks)});
  }
  return render(page);
}

}  // namespace hebm::report
