#include <fmt/core.h>
#include <algorithm>
#include <array>
#include <cctype>
#include <functional>
#include <string_view>
#include <system_error>
#include "base/error.h"
#include "report/sections.h"
#include "storage/files.h"
#include "storage/lenient_json.h"
#include "storage/metrics.h"

namespace hebm::report {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMaxConfig = 1 << 20, kMaxJson = 4 << 20, kMaxPicture = 8 << 20;
constexpr std::size_t kMaxMetricLines = 20000, kMaxPictures = 200, kMaxResults = 100;
struct KnownPart {
  std::string_view name, title;
};
// In this order, all others by name behind them.
constexpr std::array<KnownPart, 5> kParts = {{{"", "This run"}, {"vae", "VAE"}, {"features", "Feature classifier"},
    {"encode", "Latent cache"}, {"prior", "Energy-based prior"}}};

std::size_t place(const std::string& name) {
  const auto it = std::ranges::find(kParts, name, &KnownPart::name);
  return static_cast<std::size_t>(it - kParts.begin());
}

// Names of the entries of a folder that `wanted` accepts, sorted; empty where there is no folder.
std::vector<std::string> names_in(
    const fs::path& folder, RunFolder& run, const std::function<bool(const fs::directory_entry&)>& wanted) {
  std::vector<std::string> names;
  std::error_code error;
  if (!fs::is_directory(folder, error)) return names;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (wanted(*it)) names.push_back(it->path().filename().string());
  }
  if (error) run.problems.push_back(fmt::format("{}: {}", folder.filename().string(), error.message()));
  std::sort(names.begin(), names.end());
  return names;
}

bool is_file(const fs::directory_entry& entry, const char* extension) {
  std::error_code error;
  return entry.path().extension() == extension && entry.is_regular_file(error);
}

// Runs `read`; what is wrong with the file becomes a problem that names it.
void attempt(RunFolder& run, const std::string& file, const std::function<void()>& read) {
  try {
    read();
  } catch (const Error& e) {
    run.problems.push_back(fmt::format("{}: {}", file, e.what()));
  }
}

nlohmann::json read_json(const fs::path& path) {
  return storage::parse_json(storage::read_file(path, kMaxJson), "not valid JSON");
}

std::uint32_t big_endian(const std::string& bytes, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(bytes[at + i]);
  return value;
}

Picture read_picture(const fs::path& path) {
  using namespace std::string_literals;
  Picture picture{path.stem().string(), 0, 0, storage::read_file(path, kMaxPicture)};
  const bool png = picture.bytes.size() > 33 && picture.bytes.starts_with("\x89PNG\r\n\x1a\n\0\0\0\rIHDR"s);
  check(png, ExitCode::kCorrupt, "not a PNG file");
  picture.width = big_endian(picture.bytes, 16);
  picture.height = big_endian(picture.bytes, 20);
  check(picture.width >= 1 && picture.height >= 1 && picture.width <= 20000 && picture.height <= 20000,
      ExitCode::kCorrupt, "a PNG of {} x {} pixels", picture.width, picture.height);
  return picture;
}

// An argument as a shell would need it.
std::string quoted(const std::string& argument) {
  const bool plain = !argument.empty() && std::all_of(argument.begin(), argument.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || std::string_view("-_./=:,+@%").find(static_cast<char>(c)) != std::string_view::npos;
  });
  if (plain) return argument;
  std::string out = "'";
  for (const char c : argument) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string command_of(const nlohmann::json& env) {
  std::string out = storage::text_in(env, "command");
  const nlohmann::json* words = storage::field_in(env, "command");
  if (words == nullptr || !words->is_array()) return out;
  for (const nlohmann::json& word : *words) {
    if (word.is_string()) out += (out.empty() ? "" : " ") + quoted(word.get<std::string>());
  }
  return out;
}

void read_environment(RunPart& part, nlohmann::json env) {
  part.command = command_of(env);
  part.time = storage::number_in(env, "time");
  if (env.is_object()) env.erase("command");
  if (std::isfinite(part.time)) env["time"] = utc(part.time);
  part.environment = std::move(env);
}

void read_part(RunFolder& run, const fs::path& folder, const std::string& name, const PartTitles& titles) {
  RunPart part;
  const auto given = titles.find(name);
  part.name = name;
  part.title = place(name) < kParts.size() ? kParts[place(name)].title : given == titles.end() ? name : given->second;
  const auto label = [&](const char* file) { return name.empty() ? file : name + "/" + file; };
  std::error_code error;
  if (fs::exists(folder / "config.ini", error)) {
    attempt(run, label("config.ini"), [&] { part.config = storage::read_file(folder / "config.ini", kMaxConfig); });
  }
  if (fs::exists(folder / "env.json", error)) {
    attempt(run, label("env.json"), [&] { read_environment(part, read_json(folder / "env.json")); });
  }
  attempt(run, label("metrics.jsonl"), [&] { part.metrics = storage::read_metrics(folder, kMaxMetricLines); });
  if (!part.config.empty() || !part.environment.is_null() || !part.metrics.empty())
    run.parts.push_back(std::move(part));
}

void read_parts(RunFolder& run, const fs::path& directory, const PartTitles& titles) {
  std::vector<std::string> names = names_in(directory, run, [](const fs::directory_entry& entry) {
    std::error_code error;
    return entry.is_directory(error) && !entry.is_symlink(error);
  });
  names.insert(names.begin(), "");
  std::ranges::stable_sort(names, {}, place);
  for (const std::string& name : names) read_part(run, name.empty() ? directory : directory / name, name, titles);
}

}  // namespace

bool is_result(const fs::directory_entry& entry) {
  return is_file(entry, ".json") && entry.path().filename() != "env.json";
}

RunFolder read_run_folder(const fs::path& directory, const PartTitles& titles) {
  std::error_code error;
  check(fs::is_directory(directory, error), ExitCode::kUsage,
      "{}: not a folder; give the folder of a run, for example "
      "runs/quickstart",
      directory.string());
  RunFolder run;
  run.name = storage::resolved(directory).filename().string();
  read_parts(run, directory, titles);
  for (const std::string& file : names_in(directory / "results", run, is_result)) {
    if (run.results.size() == kMaxResults) break;
    attempt(run, "results/" + file,
        [&] { run.results[fs::path(file).stem().string()] = read_json(directory / "results" / file); });
  }
  const auto pictures = names_in(directory / "samples", run, [](const auto& e) { return is_file(e, ".png"); });
  for (const std::size_t i : evenly(pictures.size(), kMaxPictures))  // there may be a grid every so many images
    attempt(run, "samples/" + pictures[i],
        [&] { run.pictures.push_back(read_picture(directory / "samples" / pictures[i])); });
  return run;
}

}  // namespace hebm::report
