// What a run folder holds for the report. Nothing here is trusted: sizes are bounded and broken
// files become problems, not errors.
#pragma once
#include <cmath>
#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace hebm::report {

struct Picture {
  std::string name;  // file name without .png
  std::int64_t width = 0, height = 0;
  std::string bytes;  // the file
};

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
RunFolder read_run_folder(const std::filesystem::path& directory);

}  // namespace hebm::report
