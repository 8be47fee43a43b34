#include "storage/verified_directory.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <exception>
#include <map>
#include <system_error>

#include "base/error.h"
#include "storage/hash.h"
#include "storage/manifest.h"

namespace hebm::storage {
namespace {

constexpr std::uint64_t kMaxManifest = 16ull << 20;
constexpr int kMaxBad = 10000;
constexpr auto kStaleAge = std::chrono::hours(1);

// --- publishing ---

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
template <class Work>
std::vector<Report> share(const Peers& peers, const Work& work) {
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
    return fmt::format("{} was not saved: rank {}: {} (earlier ones are untouched)", target.string(), rank,
                       *reports[rank].error);
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
  const std::string folder = name + ".tmp-" + random_suffix();
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

// Best effort after a failure that is being reported; what stays is removed by retain() once it is stale.
void discard(const fs::path& temporary, const fs::path& target, bool may_be_renamed) {
  std::error_code ignored;
  if (may_be_renamed && !fs::exists(temporary, ignored)) fs::rename(target, temporary, ignored);
  fs::remove_all(temporary, ignored);
}

// --- looking around ---

std::optional<std::uint64_t> number_of(std::string_view name, const std::string& prefix) {
  if (!name.starts_with(prefix + "-")) return {};
  name.remove_prefix(prefix.size() + 1);
  std::uint64_t number = 0;
  const auto [stop, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (name.empty() || error != std::errc() || stop != name.data() + name.size()) return {};
  return number;
}

std::vector<fs::directory_entry> entries_of(const fs::path& folder) {
  std::vector<fs::directory_entry> entries;
  std::error_code error;
  fs::directory_iterator it(folder, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) entries.push_back(*it);
  check(!error, ExitCode::kRuntime, "{}: listing the folder failed: {}", folder.string(), error.message());
  return entries;
}

bool is_temporary(const std::string& name, const std::string& prefix) {
  const std::size_t dot = name.find(".tmp-");
  return dot != std::string::npos && number_of(std::string_view(name).substr(0, dot), prefix).has_value();
}

// The newest time of the folder and what is in it: a large part that is still being written keeps it young.
bool is_stale(const fs::path& folder) {
  std::error_code error;
  fs::file_time_type newest = fs::last_write_time(folder, error);
  if (error) return false;  // somebody else has just removed or renamed it
  for (const fs::directory_entry& entry : entries_of(folder)) {
    const fs::file_time_type time = fs::last_write_time(entry.path(), error);
    if (error) return false;
    newest = std::max(newest, time);
  }
  return fs::file_time_type::clock::now() - newest > kStaleAge;
}

// --- verifying ---

std::string hash_file(const ReadOnlyFile& file) {
  constexpr std::uint64_t kBlock = 4ull << 20;
  std::vector<std::byte> block(std::min(kBlock, file.size()));
  Hasher hasher;
  for (std::uint64_t offset = 0; offset < file.size(); offset += block.size()) {
    const std::span<std::byte> piece(block.data(), std::min<std::uint64_t>(block.size(), file.size() - offset));
    file.read_at(offset, piece);
    hasher.update(piece);
  }
  return hasher.digest();
}

nlohmann::json read_manifest(const fs::path& directory) {
  const fs::path path = directory / kManifestName;
  check(fs::is_regular_file(fs::symlink_status(path)), ExitCode::kCorrupt, "{}: is missing or not a regular file",
        path.string());
  const ReadOnlyFile file(path, Links::kRefuse);
  check(file.size() <= kMaxManifest, ExitCode::kCorrupt, "{}: {} bytes, expected at most {}", path.string(),
        file.size(), kMaxManifest);
  std::string text(file.size(), '\0');
  file.read_at(0, {reinterpret_cast<std::byte*>(text.data()), text.size()});
  return parse_manifest(text, path.string());
}

// Names and sizes of all files first: it is quick, whatever their size.
void check_sizes(const fs::path& directory, const std::vector<PartResult>& parts) {
  std::map<std::string, std::uint64_t> expected;
  for (const PartResult& part : parts) expected.emplace(part.name, part.size);
  for (const fs::directory_entry& entry : entries_of(directory)) {
    const std::string name = entry.path().filename();
    if (name == kManifestName) continue;
    const auto part = expected.find(name);
    check(part != expected.end(), ExitCode::kCorrupt, "{}: is not in the manifest", entry.path().string());
    check(fs::is_regular_file(entry.symlink_status()), ExitCode::kCorrupt, "{}: is not a regular file",
          entry.path().string());
    check(entry.file_size() == part->second, ExitCode::kCorrupt, "{}: {} bytes, expected {}", entry.path().string(),
          entry.file_size(), part->second);
    expected.erase(part);
  }
  check(expected.empty(), ExitCode::kCorrupt, "{}: is missing",
        expected.empty() ? "" : (directory / expected.begin()->first).string());
}

void check_hash(const fs::path& directory, const PartResult& part) {
  const ReadOnlyFile file(directory / part.name, Links::kRefuse);
  std::string got;
  try {
    got = hash_file(file);
  } catch (const Error& error) {  // EIO: what cannot be read is not whole
    fail(ExitCode::kCorrupt, "{}", error.what());
  }
  check(got == part.hash, ExitCode::kCorrupt, "{}: hash {}, expected {}", file.path().string(), got, part.hash);
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

nlohmann::json verify_directory(const fs::path& directory) {
  check(fs::is_directory(directory), ExitCode::kCorrupt, "{}: is missing or not a folder", directory.string());
  nlohmann::json manifest = read_manifest(directory);
  const std::vector<PartResult> parts = parts_from_json(manifest["parts"], (directory / kManifestName).string());
  check_sizes(directory, parts);
  for (const PartResult& part : parts) check_hash(directory, part);
  return manifest;
}

std::vector<std::string> list_directories(const fs::path& parent, const std::string& prefix) {
  std::vector<std::pair<std::uint64_t, std::string>> found;
  if (!fs::is_directory(parent)) return {};
  for (const fs::directory_entry& entry : entries_of(parent)) {
    const std::string name = entry.path().filename();
    const std::optional<std::uint64_t> number = number_of(name, prefix);
    if (number && entry.is_directory()) found.emplace_back(*number, name);
  }
  std::sort(found.rbegin(), found.rend());
  std::vector<std::string> names;
  for (auto& [number, name] : found) names.push_back(std::move(name));
  return names;
}

std::optional<Verified> latest_verified(const fs::path& parent, const std::string& prefix,
                                        const std::function<void(const std::string&)>& warn) {
  for (const std::string& name : list_directories(parent, prefix)) {
    try {
      return Verified{name, verify_directory(parent / name)};
    } catch (const Error& error) {
      if (error.code() != ExitCode::kCorrupt) throw;
      const fs::path moved = quarantine(parent / name);
      warn(fmt::format("{} does not verify ({}); it was renamed to {} and the next older one is tried",
                       (parent / name).string(), error.what(), moved.filename().string()));
    }
  }
  return {};
}

fs::path quarantine(const fs::path& directory) {
  for (int i = 1; i <= kMaxBad; ++i) {
    const fs::path target = directory.string() + (i == 1 ? ".bad" : fmt::format(".bad-{}", i));
    if (fs::exists(fs::symlink_status(target))) continue;
    rename_durable(directory, target);
    return target;
  }
  fail(ExitCode::kRuntime, "{}: there are {} quarantined ones of this name; remove some", directory.string(), kMaxBad);
}

void retain(const fs::path& parent, const std::string& prefix, int keep) {
  check(keep >= 2, ExitCode::kUsage, "{} checkpoints to keep, expected at least 2", keep);
  const std::vector<std::string> names = list_directories(parent, prefix);
  if (names.size() > static_cast<std::size_t>(keep)) {
    // Nothing is removed before the newest has been read back whole: Error(kCorrupt) leaves all in place.
    verify_directory(parent / names.front());
    for (std::size_t i = static_cast<std::size_t>(keep); i < names.size(); ++i) {
      // Out of sight first, so that a kill in the middle leaves no half of a folder under a good name.
      const fs::path doomed = parent / (names[i] + ".tmp-" + random_suffix());
      rename_durable(parent / names[i], doomed);
      remove_tree(doomed);
    }
  }
  if (!fs::is_directory(parent)) return;
  for (const fs::directory_entry& entry : entries_of(parent)) {
    if (is_temporary(entry.path().filename(), prefix) && is_stale(entry.path())) remove_tree(entry.path());
  }
}

}  // namespace hebm::storage
