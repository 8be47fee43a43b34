// Where the sections of a run's page come from, and what they share.
#pragma once
#include <array>
#include <functional>
#include <string>
#include <utility>
#include <vector>
#include "report/page.h"
#include "report/run_folder.h"
#include "results/json.h"

namespace hebm::report {

// Which of results/*.json a section shows: by name, or by its beginning ("vary-"), and by the
// format that they name, if any.
struct ResultFiles {
  std::vector<std::string> names;
  std::string format{};
  bool has(const std::string& name, const nlohmann::json& json) const;
};

struct SectionSource {
  ResultFiles files;
  std::string pictures;  // how the names of its pictures begin; "": it has none of its own
  std::function<Section(const RunFolder&)> make;
};

// In the order of the page.
std::vector<SectionSource> section_sources();

template <class Result> struct Named {
  std::string name;  // of the file, without .json
  Result result;
};

// A section of an experiment, from all its results; none where it was not run.
template <class Result> SectionSource experiment(const ResultFiles& files, std::string pictures,
    Section (*show)(const std::vector<Named<Result>>&, const RunFolder&)) {
  return {files, std::move(pictures), [files, show](const RunFolder& run) {
            std::vector<Named<Result>> found;
            for (const auto& [name, json] : run.results) {
              if (files.has(name, json)) found.push_back({name, results::from_json<Result>(json)});
            }
            return found.empty() ? Section{} : show(found, run);
          }};
}

// results/NAME.json; what the struct starts with where there is none.
template <class Result> Result result_of(const RunFolder& run, const std::string& name) {
  const auto found = run.results.find(name);
  return found == run.results.end() ? Result{} : results::from_json<Result>(found->second);
}

// Any JSON: an array of objects is a table, an object key and value; depth and length are bounded.
Blocks json_blocks(const nlohmann::json& json, int depth = 0);

inline Text soft(std::string text) { return {std::move(text), Tone::kSoft}; }
inline Text missing(std::string text) { return {std::move(text), Tone::kMissing}; }

inline void append(Blocks& out, const Blocks& more) { out.insert(out.end(), more.begin(), more.end()); }

// Name and caption of a picture; those that are there.
Figures figures_of(const RunFolder& run, const std::vector<std::pair<std::string, std::string>>& named);

enum MainGrid : std::size_t { kGaussianGrid, kReconstructionGrid, kLearnedGrid };
// By their names; null where there is none. No picture twice, none of an experiment.
std::array<const Picture*, 3> main_grids(const RunFolder& run);

}  // namespace hebm::report
