#include "report/report.h"

#include <iostream>

#include "cli/command.h"
#include "storage/files.h"

namespace hebm::cli {

int report_command(Arguments args) {
  Options options("hebm_dist report [--config FILE.ini] [--run.directory RUN]", "Writes RUN/report.html: one self-contained page.");
  RunOptions run;
  run.describe(options);
  allow_pipeline_keys(options);
  const auto action = options.parse(args);
  if (action == Options::Action::kHelpShown) return 0;
  const RunPaths paths(run);
  if (action == Options::Action::kDryRun) {
    print_dry_run(options, {});
    return 0;
  }
  const auto page = paths.run / "report.html";
  report::write_report(paths.run, page);
  if (std::filesystem::exists(paths.summary())) {
    const auto summary = nlohmann::json::parse(storage::read_file(paths.summary()), nullptr, false);
    std::cout << report::summary_table(summary);
  }
  std::cout << page.string() << std::endl;
  return 0;
}

}  // namespace hebm::cli
