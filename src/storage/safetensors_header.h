// Inside of safetensors.cpp: the JSON header, parsed event by event so that nothing is built that
// was not checked.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
#include "base/error.h"
#include "storage/safetensors.h"

namespace hebm::storage::detail {

struct StHeader {
  std::map<std::string, StEntry> entries;
  std::map<std::string, std::string> metadata;
};

// `file` is for messages; data_bytes is the size of the data part. Error(kCorrupt) for anything but
// a header whose tensors cover the data part without overlap or holes.
StHeader parse_st_header(std::string_view text, const fs::path& file, std::uint64_t data_bytes);

std::optional<StType> type_of(std::string_view name);  // none: not a type of ours
// shape product * item size; Error(code) on a negative dimension or overflow, with `what` in front.
std::uint64_t st_extent(StType type, const std::vector<std::int64_t>& shape, ExitCode code, const std::string& what);

}  // namespace hebm::storage::detail
