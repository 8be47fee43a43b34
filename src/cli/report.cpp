#include "report/report.h"
#include <fmt/format.h>
#include <iostream>
#include "base/error.h"
#include "cli/context.h"
#include "results/summary.h"
#include "storage/files.h"
#include "storage/json.h"

namespace hebm::cli {
namespace fs = std::filesystem;
namespace {

fs::path page_of(const fs::path& run) { return run / "report.html"; }

report::PartTitles part_titles() {
  report::PartTitles out;
  for (const PriorKind& kind : prior_kinds()) {
    if (!kind.part.empty()) out[kind.folder()] = kind.part;
  }
  return out;
}

// Returns the page.
std::string report_run(const fs::path& run) {
  storage::write_file_atomic(page_of(run), report::render_report(run, part_titles()));
  return page_of(run).string() + "\n";
}

class Report : public Command {
 public:
  Report()
      : Command("hebm_dist report [RUN ...] [--out FILE] [--config FILE.ini] [--run.directory RUN]",
            "Writes RUN/report.html: one self-contained page. Of several RUN also an index page: a table with a row a "
            "run, and the samples of Gaussian and learned prior side by side (Fig. 8).") {}
  bool reads_pipeline_ini() const override { return true; }

  void declare(Options& options) override {
    run_.describe(options);
    options.add_positional_list("RUN", &named_, "folders of runs that have results; default: run.directory");
    options.add("out", &out_, "the index page of several RUN; default: index.html in the nearest folder above them",
        Show::kCommon);
  }

  int execute(const Invocation& call) override {
    const auto runs = report::runs_with_results(named_);
    check(out_.empty() || runs.size() > 1, ExitCode::kUsage,
        "--out = {} names the index page of several RUN; a run's own page is RUN/report.html", out_);
    const fs::path index = runs.size() < 2 ? fs::path() : out_.empty() ? report::index_place(runs) : fs::path(out_);
    if (!index.empty()) report::check_index_place(index);
    if (call.dry_run) {
      std::vector<std::string> lines;
      for (const fs::path& folder : runs) lines.push_back(fmt::format("page: {}", page_of(folder).string()));
      if (!index.empty()) lines.push_back(fmt::format("index: {}", index.string()));
      print_dry_run(call.options, lines);
      return 0;
    }
    if (index.empty()) {
      const RunPaths paths(runs.empty() ? run_ : RunOptions{.directory = runs[0].string()});
      const std::string page = report_run(paths.run);
      if (fs::exists(paths.summary)) {
        const auto summary = storage::lenient_json(storage::read_file(paths.summary));
        std::cout << results::text_of(results::from_json<results::Summary>(summary));
      }
      std::cout << page << std::flush;
      return 0;
    }
    for (const fs::path& run : runs) std::cout << report_run(run);
    storage::write_file_atomic(index, report::render_index(runs, index));
    std::cout << index.string() << std::endl;
    return 0;
  }
 private:
  RunOptions run_;
  std::vector<std::string> named_;
  std::string out_;
};

}  // namespace

template <> std::unique_ptr<Command> make_command<"report">() { return std::make_unique<Report>(); }

}  // namespace hebm::cli
