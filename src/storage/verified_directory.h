// Folders that are whole or absent: checkpoints `step-0000400/`. Parts are written under
// `NAME.tmp-<uuid>/` with O_EXCL, hashed from memory, fsynced; the manifest is last; then the
// folder is fsynced, renamed and its parent fsynced. "Latest" is the highest name whose manifest
// and every part verify; what does not verify is quarantined (renamed `.bad`), never used.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>
#include "storage/files.h"

namespace hebm::storage {

// The collective operations that publishing needs, so that storage does not know comm.
struct Peers {
  int rank = 0, size = 1;
  std::function<std::vector<std::string>(std::string)> all_gather;  // everybody's text, by rank
};

struct PartResult {
  std::string name;  // file name within the folder
  std::uint64_t size = 0;
  std::string hash;
};

// Each rank writes its own parts through `write_parts(folder)` (it may write none). Any failure on
// any rank drops the attempt on all ranks: the temporary folder is removed, every rank throws the
// same Error(kRuntime) and earlier folders are untouched. `manifest` is rank 0's; "format", "parts"
// are added. A name that exists already (verified) is an error.
void publish_directory(const fs::path& parent, const std::string& name, const nlohmann::json& manifest,
    const std::function<std::vector<PartResult>(const fs::path&)>& write_parts, const Peers& peers);

// Reads and bounds-checks the manifest, then size and hash of every part; extra files are an error
// too. Throws Error(kCorrupt) naming the file, expected and got; Error(kRuntime) where it cannot be
// read (EIO, EACCES, ESTALE, ...), which says nothing of what it holds.
nlohmann::json verify_directory(const fs::path& directory);

// Names `prefix-NNN` (no .tmp, no .bad) below parent, highest number first; none without parent.
std::vector<std::string> list_directories(const fs::path& parent, const std::string& prefix);

// Those and the quarantined ones.
std::int64_t count_directories(const fs::path& parent, const std::string& prefix);

struct Verified {
  std::string name;
  nlohmann::json manifest;
};
// The newest that verifies; damaged ones are quarantined and told to `warn`. Where one cannot be
// read, nothing is renamed: Error(kRuntime). Rank 0 only.
std::optional<Verified> latest_verified(
    const fs::path& parent, const std::string& prefix, const std::function<void(const std::string&)>& warn);
// Renames directory to NAME.bad (or .bad-2, ...); returns the new path.
fs::path quarantine(const fs::path& directory);
// Rank 0 only. Keeps the newest that verifies (it is read back whole), the keep - 1 (keep >= 2)
// before it and whatever is newer; removes what is older, and stale temporary folders (> 1 h old).
void retain(const fs::path& parent, const std::string& prefix, int keep);

}  // namespace hebm::storage
