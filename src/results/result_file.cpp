#include "results/result_file.h"
#include <algorithm>
#include "base/error.h"
#include "base/printable.h"
#include "storage/files.h"
#include "storage/hash.h"
#include "storage/json.h"
#include "storage/lenient_json.h"

namespace hebm::results {
namespace {

std::string hash_of(nlohmann::json result) {
  result.erase(kContentHash);
  return storage::hash_text(storage::json_text(result));
}

// The name of a field may be what is damaged: no other text at the top looks like a hash.
bool has_hash(const nlohmann::json& result) {
  return result.contains(kContentHash) || std::any_of(result.begin(), result.end(), [](const nlohmann::json& field) {
    return field.is_string() && storage::is_hash(field.get_ref<const std::string&>());
  });
}

}  // namespace

nlohmann::json with_hash(nlohmann::json result) {
  const std::string hash = hash_of(result);
  result[kContentHash] = hash;
  return result;
}

void write_result(const std::filesystem::path& path, const nlohmann::json& result) {
  storage::create_folders(path.parent_path());
  storage::write_file_atomic(path, storage::json_text(result, 2) + "\n");
}

nlohmann::json parse_result(std::string_view text) {
  nlohmann::json result = storage::lenient_json(text);
  check(!result.is_discarded(), ExitCode::kCorrupt, "not valid JSON");
  if (!result.is_object() || !has_hash(result)) return result;
  const std::string stored = storage::text_in(result, kContentHash), got = hash_of(result);
  check(stored == got, ExitCode::kCorrupt,
      "the content has the hash {}, {} says {}: the file is damaged or was edited; remove it and run its command again",
      got, kContentHash, stored.empty() ? "nothing" : printable(stored, 64));
  return result;
}

nlohmann::json read_result(const std::filesystem::path& path) {
  try {
    return parse_result(storage::read_file(path));
  } catch (const Error& error) {
    if (error.code() != ExitCode::kCorrupt) throw;
    fail(ExitCode::kCorrupt, "{}: {}", path.string(), error.what());
  }
}

}  // namespace hebm::results
