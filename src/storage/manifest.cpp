#include "storage/manifest.h"
#include <algorithm>
#include <set>
#include "base/error.h"
#include "base/printable.h"
#include "storage/hash.h"
#include "storage/json.h"

namespace hebm::storage {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kStart = "{\n  \"manifest_hash\": \"";
constexpr std::size_t kHashDigits = 32;
constexpr std::size_t kMaxParts = 100000;
constexpr const char* kFormat = "hebm-verified-directory/1";

PartResult part_from_json(const Json& json, const std::string& what) {
  const bool shaped = json.is_object() && json.size() == 3 && json.contains("name") && json["name"].is_string() &&
                      json.contains("size") && json["size"].is_number_unsigned() && json.contains("hash") &&
                      json["hash"].is_string();
  check(shaped, ExitCode::kCorrupt, "{}: a part needs name, size and hash", what);
  PartResult part = json;
  check(is_file_name(part.name) && part.name != kManifestName, ExitCode::kCorrupt, "{}: \"{}\" is no name of a part",
      what, printable(part.name));
  check(is_hash(part.hash), ExitCode::kCorrupt, "{}: part {}: the hash is not {} hex digits", what, part.name,
      kHashDigits);
  return part;
}

}  // namespace

bool is_file_name(const std::string& name) {
  if (name.empty() || name.size() > 255 || name == "." || name == "..") return false;
  return std::none_of(name.begin(), name.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f || c == '/'; });
}

void to_json(Json& json, const PartResult& part) {
  json = {{"name", part.name}, {"size", part.size}, {"hash", part.hash}};
}

void from_json(const Json& json, PartResult& part) { part = {json.at("name"), json.at("size"), json.at("hash")}; }

std::vector<PartResult> parts_from_json(const Json& json, const std::string& what) {
  check(json.is_array() && json.size() <= kMaxParts, ExitCode::kCorrupt, "{}: \"parts\" is not a list of at most {}",
      what, kMaxParts);
  std::vector<PartResult> parts;
  std::set<std::string> names;
  for (const Json& element : json) {
    parts.push_back(part_from_json(element, what));
    check(names.insert(parts.back().name).second, ExitCode::kCorrupt, "{}: part {} stands there twice", what,
        parts.back().name);
  }
  return parts;
}

std::string format_manifest(const Json& content, const std::vector<PartResult>& parts) {
  check(content.is_object(), ExitCode::kRuntime, "a manifest must be a JSON object, got: {}", content.type_name());
  const Json list = parts;
  try {
    parts_from_json(list, "parts");  // what could not be read back is not written
  } catch (const Error& error) {
    fail(ExitCode::kRuntime, "{}", error.what());
  }
  // The object's members follow the hash: dump them without the opening "{\n".
  Json members = content;
  members["format"] = kFormat;
  members["parts"] = list;
  members.erase("manifest_hash");
  std::string rest;
  try {
    rest = "\",\n" + members.dump(2).substr(2) + "\n";
  } catch (const Json::type_error&) {
    fail(ExitCode::kRuntime, "the manifest holds a text that is not UTF-8; look for one among the settings");
  }
  const std::string excess = json_excess(rest);
  check(excess.empty(), ExitCode::kRuntime, "the manifest could not be read back: {}", excess);
  return std::string(kStart) + hash_text(rest) + rest;
}

Json parse_manifest(const std::string& text, const std::string& what) {
  check(text.size() > kStart.size() + kHashDigits && text.starts_with(kStart), ExitCode::kCorrupt,
      "{}: does not start with its hash, as manifests here do", what);
  const std::string expected = text.substr(kStart.size(), kHashDigits);
  const std::string got = hash_text(std::string_view(text).substr(kStart.size() + kHashDigits));
  check(expected == got, ExitCode::kCorrupt, "{}: hash {}, expected {}", what, got, expected);
  Json json = parse_json(text, what);
  const Json format = json.value("format", Json());
  check(format == kFormat, ExitCode::kCorrupt, "{}: format is {}, expected \"{}\"", what, Shown{format}, kFormat);
  parts_from_json(json.value("parts", Json()), what);
  json.erase("manifest_hash");
  return json;
}

}  // namespace hebm::storage
