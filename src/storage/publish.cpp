#include <exception>
#include <system_error>
#include "base/error.h"
#include "storage/hash.h"
#include "storage/manifest.h"
#include "storage/verified_directory.h"

namespace hebm::storage {
namespace {

// What one rank tells the others after a phase.
struct Report {
  std::optional<std::string> error;
  std::string folder;             // rank 0: the temporary folder's name
  std::vector<PartResult> parts;  // written by this rank
};

std::string to_text(const Report& report) {
  nlohmann::json json = {{"folder", report.folder}, {"parts", to_json(report.parts)}};
  if (report.error) json["error"] = *report.error;
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Report from_text(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text);
  Report report;
  if (json.contains("error")) report.error = json["error"].get<std::string>();
  report.folder = json.at("folder");
  for (const nlohmann::json& part : json.at("parts"))
    report.parts.push_back({part.at("name"), part.at("size"), part.at("hash")});
  return report;
}

// Runs `work` here and tells everybody how it went; every rank gets the same list.
template <class Work> std::vector<Report> share(const Peers& peers, const Work& work) {
  Report mine;
  try {
    work(mine);
  } catch (const std::exception& error) {  // not hidden: it becomes the error that all ranks throw
    mine.error = error.what();
  }
  std::vector<Report> reports;
  for (const std::string& text : peers.all_gather(to_text(mine))) reports.push_back(from_text(text));
  check(static_cast<int>(reports.size()) == peers.size, ExitCode::kRuntime, "{} ranks reported, expected {}",
      reports.size(), peers.size);
  return reports;
}

// The sentence that all ranks throw where one of them failed.
std::optional<std::string> common_error(const std::vector<Report>& reports, const fs::path& target) {
  for (std::size_t rank = 0; rank < reports.size(); ++rank) {
    if (!reports[rank].error) continue;
    return fmt::format(
        "{} was not saved: rank {}: {} (earlier ones are untouched)", target.string(), rank, *reports[rank].error);
  }
  return {};
}

// A folder of this name that does not verify makes room; one that does is an error.
void make_room(const fs::path& target) {
  if (!fs::exists(fs::symlink_status(target))) return;
  try {
    verify_directory(target);
  } catch (const Error& error) {
    if (error.code() != ExitCode::kCorrupt) throw;
    quarantine(target);
    return;
  }
  fail(ExitCode::kRuntime, "it exists already and is whole");
}

std::string prepare(const fs::path& parent, const std::string& name) {
  check(is_file_name(name), ExitCode::kRuntime, "\"{}\" cannot be a folder's name", name);
  create_folders(parent);
  make_room(parent / name);
  const std::string folder = temporary_name(name).string();
  create_new_folder(parent / folder);
  return folder;
}

// A part that rank 0 cannot see was written to a disk of another node.
void check_visible(const fs::path& folder, const std::vector<PartResult>& parts) {
  for (const PartResult& part : parts) {
    std::error_code error;
    const std::uint64_t size = fs::file_size(folder / part.name, error);
    check(!error && size == part.size, ExitCode::kRuntime,
        "{}: expected {} bytes, rank 0 sees {}; all ranks need this folder on one shared file system",
        (folder / part.name).string(), part.size, error ? error.message() : fmt::format("{} bytes", size));
  }
}

// After all parts are durable: manifest, fsync of the folder, rename, fsync of the parent.
void seal(const fs::path& temporary, const fs::path& target, const nlohmann::json& manifest,
    const std::vector<Report>& reports) {
  std::vector<PartResult> parts;
  for (const Report& report : reports) parts.insert(parts.end(), report.parts.begin(), report.parts.end());
  const std::string text = format_manifest(manifest, parts);
  check(text.size() <= kMaxManifest, ExitCode::kRuntime, "a manifest of {} bytes, at most {} are allowed", text.size(),
      kMaxManifest);
  check_visible(temporary, parts);
  HashedFileWriter writer(temporary / kManifestName);
  writer.write(as_bytes(text.data(), text.size()));
  writer.close_durable();
  fsync_path(temporary);
  rename_durable(temporary, target);
}

// Best effort after a failure that is being reported; what stays is removed by retain() once it is
// stale.
void discard(const fs::path& temporary, const fs::path& target, bool may_be_renamed) {
  std::error_code ignored;
  if (may_be_renamed && !fs::exists(temporary, ignored)) fs::rename(target, temporary, ignored);
  fs::remove_all(temporary, ignored);
}

}  // namespace

Peers Peers::alone() {
  return {0, 1, [](std::string mine) { return std::vector<std::string>{std::move(mine)}; }};
}

void publish_directory(const fs::path& parent, const std::string& name, const nlohmann::json& manifest,
    const std::function<std::vector<PartResult>(const fs::path&)>& write_parts, const Peers& peers) {
  const bool root = peers.rank == 0;
  const fs::path target = parent / name;
  std::vector<Report> reports = share(peers, [&](Report& mine) {
    if (root) mine.folder = prepare(parent, name);
  });
  std::optional<std::string> error = common_error(reports, target);
  check(!error, ExitCode::kRuntime, "{}", error.value_or(""));

  const fs::path temporary = parent / reports[0].folder;
  reports = share(peers, [&](Report& mine) { mine.parts = write_parts(temporary); });
  error = common_error(reports, target);
  const bool sealing = !error;
  if (sealing) {
    const std::vector<Report> sealed = share(peers, [&](Report&) {
      if (root) seal(temporary, target, manifest, reports);
    });
    error = common_error(sealed, target);
  }
  if (!error) return;
  if (root) discard(temporary, target, sealing);
  fail(ExitCode::kRuntime, "{}", *error);
}

}  // namespace hebm::storage
