// What a run folder holds for the report, and where the sections of its page come from. Nothing of
// the folder is trusted: sizes are bounded and broken files become problems, not errors.
#pragma once
#include <array>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>
#include "base/text.h"
#include "report/page.h"
#include "report/report.h"
#include "results/json.h"

namespace hebm::report {

// The run folder itself (name "") or a subfolder of it with files of its own.
struct RunPart {
  std::string name, title;  // "prior", "Energy-based prior"
  std::string config;       // config.ini, "" if missing
  // Of env.json: the command as a shell would take it, when it started (NaN: unknown), and the
  // rest, an object; null if missing.
  std::string command;
  double time = std::nan("");
  nlohmann::json environment;
  std::vector<nlohmann::json> metrics;
};

struct RunFolder {
  std::string name;
  std::vector<RunPart> parts;                     // "" first, then vae, features, encode, prior, others by name
  std::map<std::string, nlohmann::json> results;  // "summary" -> results/summary.json
  std::vector<Picture> pictures;                  // by name
  std::vector<std::string> problems;              // files that are there but could not be used, and why
};

// Of a folder `results`: its *.json but env.json, which is there as soon as a command starts.
bool is_result(const std::filesystem::directory_entry& entry);
RunFolder read_run_folder(const std::filesystem::path& directory, const PartTitles& titles = {});

// Which of results/*.json a section shows: by name, or by its beginning ("vary-"), and by the
// format that they name, if any.
struct ResultFiles {
  std::vector<std::string> names;
  std::string format{};
  bool has(const std::string& name, const nlohmann::json& json) const;
};

struct SectionSource {
  std::string id, title, link;  // link: its name at the top of the page; "" for none
  ResultFiles files;
  std::string pictures;                          // how the names of its pictures begin; "": it has none of its own
  std::function<Blocks(const RunFolder&)> make;  // none: there is nothing to show
};

// Each is defined in a file of its own, or in that of its neighbours, or the program does not link.
template <Literal kName> SectionSource section();
std::vector<SectionSource> section_sources();  // in the order of the page

template <class Result> struct Named {
  std::string name;  // of the file, without .json
  Result result;
};

// A section of an experiment, from all its results; none where it was not run.
template <class Result> SectionSource experiment(std::string id, std::string title, std::string link,
    const ResultFiles& files, std::string pictures,
    Blocks (*show)(const std::vector<Named<Result>>&, const RunFolder&)) {
  return {std::move(id), std::move(title), std::move(link), files, std::move(pictures),
      [files, show](const RunFolder& run) {
        std::vector<Named<Result>> found;
        for (const auto& [name, json] : run.results) {
          if (files.has(name, json)) found.push_back({name, results::from_json<Result>(json)});
        }
        return found.empty() ? Blocks() : show(found, run);
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
