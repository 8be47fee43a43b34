#include "storage/verified_directory.h"
#include <algorithm>
#include <charconv>
#include <chrono>
#include <map>
#include <system_error>
#include "base/error.h"
#include "storage/hash.h"
#include "storage/manifest.h"

namespace hebm::storage {
namespace {

constexpr int kMaxBad = 10000;
constexpr auto kStaleAge = std::chrono::hours(1);

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

// By the newest time in it: a large part that is still being written keeps it young.
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

nlohmann::json read_manifest(const fs::path& directory) {
  const fs::path path = directory / kManifestName;
  check(fs::is_regular_file(fs::symlink_status(path)), ExitCode::kCorrupt, "{}: is missing or not a regular file",
      path.string());
  const ReadOnlyFile file(path, Links::kRefuse);
  check(file.size() <= kMaxManifest, ExitCode::kCorrupt, "{}: {} bytes, expected at most {}", path.string(),
      file.size(), kMaxManifest);
  return parse_manifest(file.text(0, file.size()), path.string());
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
    std::error_code error;
    const std::uint64_t size = entry.file_size(error);
    check(!error, ExitCode::kRuntime, "{}: stat failed: {} (errno {})", entry.path().string(), error.message(),
        error.value());
    check(size == part->second, ExitCode::kCorrupt, "{}: {} bytes, expected {} bytes", entry.path().string(), size,
        part->second);
    expected.erase(part);
  }
  check(expected.empty(), ExitCode::kCorrupt, "{}: is missing",
      expected.empty() ? "" : (directory / expected.begin()->first).string());
}

void check_hash(const fs::path& directory, const PartResult& part) {
  const ReadOnlyFile file(directory / part.name, Links::kRefuse);
  Hasher hasher;
  file.read_blocks(0, file.size(), [&](auto block) { hasher.update(block); });
  const std::string got = hasher.digest();
  check(got == part.hash, ExitCode::kCorrupt, "{}: hash {}, expected {}", file.path().string(), got, part.hash);
}

}  // namespace

nlohmann::json verify_directory(const fs::path& directory) {
  check(fs::is_directory(directory), ExitCode::kCorrupt, "{}: is missing or not a folder", directory.string());
  nlohmann::json manifest = read_manifest(directory);
  const std::vector<PartResult> parts = parts_from_json(manifest["parts"], (directory / kManifestName).string());
  check_sizes(directory, parts);
  for (const PartResult& part : parts) check_hash(directory, part);
  return manifest;
}

bool verifies(const fs::path& directory) {
  try {
    verify_directory(directory);
    return true;
  } catch (const Error& error) {
    if (error.code() != ExitCode::kCorrupt) throw;
    return false;
  }
}

std::int64_t count_directories(const fs::path& parent, const std::string& prefix) {
  if (!fs::is_directory(parent)) return 0;
  return std::ranges::count_if(entries_of(parent), [&](const fs::directory_entry& entry) {
    const std::string name = entry.path().filename();
    return number_of(name.substr(0, name.find(".bad")), prefix).has_value() && entry.is_directory();
  });
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

std::optional<Verified> latest_verified(
    const fs::path& parent, const std::string& prefix, const std::function<void(const std::string&)>& warn) {
  for (const std::string& name : list_directories(parent, prefix)) {
    try {
      return Verified{name, verify_directory(parent / name)};
    } catch (const std::exception& error) {
      if (!fs::exists(parent / name)) continue;  // a running job has just removed it as too old
      const auto* known = dynamic_cast<const Error*>(&error);
      if (known == nullptr || known->code() != ExitCode::kCorrupt) {
        fail(known == nullptr ? ExitCode::kRuntime : known->code(),
            "{}; that is no damage: nothing was renamed. Try again; where it stays so, move {} away, and the next "
            "older "
            "one is used",
            error.what(), (parent / name).string());
      }
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
  std::size_t first_old = names.size();
  if (names.size() > static_cast<std::size_t>(keep)) {
    // Only what is behind one that was just read back whole goes; where none verifies, all stay.
    const auto newest =
        std::find_if(names.begin(), names.end(), [&](const auto& name) { return verifies(parent / name); });
    first_old = static_cast<std::size_t>(newest - names.begin()) + static_cast<std::size_t>(keep);
  }
  for (std::size_t i = first_old; i < names.size(); ++i) {
    // Out of sight first: a kill in the middle leaves no half of a folder under a good name.
    const fs::path doomed = temporary_name(parent / names[i]);
    rename_durable(parent / names[i], doomed);
    remove_tree(doomed);
  }
  for (const fs::path& temporary : temporaries_in(parent, prefix + "-")) {
    if (is_stale(temporary)) remove_tree(temporary);
  }
}

}  // namespace hebm::storage
