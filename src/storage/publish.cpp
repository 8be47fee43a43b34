#include <exception>
#include <system_error>
#include "base/error.h"
#include "storage/json.h"
#include "storage/manifest.h"
#include "storage/verified_directory.h"

namespace hebm::storage {
namespace {

using Json = nlohmann::json;

// What all ranks throw where one of them failed.
class NotSaved : public Error {
 public:
  using Error::Error;
};

// Runs `work` here and tells everybody how it went: every rank gets what each rank's work returned,
// or throws what the first one that failed says.
template <class Work> std::vector<Json> share(const Peers& peers, const fs::path& target, const Work& work) {
  Json mine;
  try {
    mine["result"] = work();
  } catch (const std::exception& error) {  // not hidden: it becomes the error that all ranks throw
    mine["error"] = error.what();
  }
  std::vector<Json> results;
  for (const std::string& text : peers.all_gather(json_text(mine))) {
    const Json theirs = parse_json(text, "what a rank said");
    if (theirs.contains("error")) {
      throw NotSaved(ExitCode::kRuntime, fmt::format("{} was not saved: rank {}: {} (earlier ones are untouched)",
                                             target.string(), results.size(), theirs["error"].get<std::string>()));
    }
    results.push_back(theirs["result"]);
  }
  check(static_cast<int>(results.size()) == peers.size, ExitCode::kRuntime, "{} ranks reported, expected {}",
      results.size(), peers.size);
  return results;
}

// A folder of this name that does not verify makes room; one that does is an error.
void make_room(const fs::path& target) {
  if (!fs::exists(fs::symlink_status(target))) return;
  check(!verifies(target), ExitCode::kRuntime, "it exists already and is whole");
  quarantine(target);
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
void seal(
    const fs::path& temporary, const fs::path& target, const Json& manifest, const std::vector<Json>& parts_by_rank) {
  std::vector<PartResult> parts;
  for (const Json& of_rank : parts_by_rank) {
    for (const Json& part : of_rank) parts.push_back(part);
  }
  const std::string text = format_manifest(manifest, parts);
  check(text.size() <= kMaxManifest, ExitCode::kRuntime, "a manifest of {} bytes, at most {} are allowed", text.size(),
      kMaxManifest);
  check_visible(temporary, parts);
  HashedFileWriter writer(temporary / kManifestName);
  writer.write(text);
  writer.close_durable();
  fsync_path(temporary);
  rename_durable(temporary, target);
}

// Best effort after a failure that is being reported; retain() removes what stays and is stale.
void discard(const fs::path& temporary, const fs::path& target, bool may_be_renamed) {
  std::error_code ignored;
  if (may_be_renamed && !fs::exists(temporary, ignored)) fs::rename(target, temporary, ignored);
  fs::remove_all(temporary, ignored);
}

}  // namespace

void publish_directory(const fs::path& parent, const std::string& name, const nlohmann::json& manifest,
    const std::function<std::vector<PartResult>(const fs::path&)>& write_parts, const Peers& peers) {
  const bool root = peers.rank == 0;
  const fs::path target = parent / name;
  const std::vector<Json> folders = share(peers, target, [&] { return root ? Json(prepare(parent, name)) : Json(); });
  const fs::path temporary = parent / folders[0].get<std::string>();
  bool sealing = false;
  try {
    const std::vector<Json> parts = share(peers, target, [&] { return Json(write_parts(temporary)); });
    sealing = true;
    share(peers, target, [&] {
      if (root) seal(temporary, target, manifest, parts);
      return Json();
    });
  } catch (const NotSaved&) {
    if (root) discard(temporary, target, sealing);
    throw;
  }
}

}  // namespace hebm::storage
