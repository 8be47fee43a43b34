#include "report/report.h"

#include <fmt/format.h>

#include <iostream>

#include "base/error.h"
#include "cli/command.h"
#include "results/summary.h"
#include "storage/files.h"

namespace hebm::cli {
namespace fs = std::filesystem;
namespace {

fs::path page_of(const fs::path& run) { return run / "report.html"; }

void report_one(const RunPaths& paths) {
  report::write_report(paths.run, page_of(paths.run));
  if (fs::exists(paths.summary())) {
    const auto summary = nlohmann::json::parse(storage::read_file(paths.summary()), nullptr, false);
    std::cout << results::text_of(results::from_json<results::Summary>(summary));
  }
  std::cout << page_of(paths.run).string() << std::endl;
}

void report_several(const std::vector<fs::path>& runs, const fs::path& index) {
  for (const fs::path& run : runs) {
    report::write_report(run, page_of(run));
    std::cout << page_of(run).string() << "\n";
  }
  report::write_index(runs, index);
  std::cout << index.string() << std::endl;
}

}  // namespace

int report_command(Arguments args) {
  Options options("hebm_dist report [RUN ...] [--out FILE] [--config FILE.ini] [--run.directory RUN]",
                  "Writes RUN/report.html: one self-contained page. Of several RUN also an index page: a table with a "
                  "row a run, and the samples of Gaussian and learned "
                  "prior side by side (Fig. 8).");
  RunOptions run;
  std::vector<std::string> named;
  std::string out;
  run.describe(options);
  options.add_positional_list("RUN", &named, "folders of runs that have results; default: run.directory");
  options.add("out", &out, "the index page of several RUN; default: index.html in the nearest folder above them",
              Show::kCommon);
  allow_pipeline_keys(options);
  const auto action = options.parse(args);
  if (action == Options::Action::kHelpShown) return 0;
  const auto runs = report::runs_with_results(named);
  check(out.empty() || runs.size() > 1, ExitCode::kUsage,
        "--out = {} names the index page of several RUN; a run's own page is RUN/report.html", out);
  const fs::path index = runs.size() < 2 ? fs::path() : out.empty() ? report::index_place(runs) : fs::path(out);
  if (!index.empty()) report::check_index_place(index);
  if (action == Options::Action::kDryRun) {
    std::vector<std::string> lines;
    for (const fs::path& folder : runs) lines.push_back(fmt::format("page: {}", page_of(folder).string()));
    if (!index.empty()) lines.push_back(fmt::format("index: {}", index.string()));
    print_dry_run(options, lines);
    return 0;
  }
  if (index.empty()) {
    report_one(runs.empty() ? RunPaths(run) : RunPaths(runs[0]));
  } else {
    report_several(runs, index);
  }
  return 0;
}

}  // namespace hebm::cli
