// Tensors to and from safetensors files, with every name and shape checked.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>
#include "nets/parameters.h"
#include "storage/hash.h"
#include "storage/safetensors.h"

namespace hebm::nets {

// What a file or checkpoint keeps of a net: parameters, then states.
std::vector<NamedTensor> saved_tensors(const Parameters& params, const std::string& prefix = "");

// Writes all tensors (any device; float32, float64 or int64) into one new file.
storage::HashedFileWriter::Result save_tensors(const std::filesystem::path& path,
    const std::vector<NamedTensor>& tensors, const std::map<std::string, std::string>& metadata);
// The same as one durable product: written under a temporary name, fsynced, renamed over `path`.
// Folders are made. Metadata gets "header_hash", of all other metadata and of names, types and
// shapes; the values have a hash of their own among the metadata.
void publish_tensors(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors,
    const std::map<std::string, std::string>& metadata);

// Metadata of a file that came from outside: Error(kCorrupt) naming file and key. check_format also
// verifies header_hash; only imported files, which have a crc32 of their values instead, may lack
// it.
void check_format(const storage::SafetensorsFile& file, const std::string& format, const std::string& version);
const std::string& metadata_text(const storage::SafetensorsFile& file, const std::string& key);
nlohmann::json metadata_json(const storage::SafetensorsFile& file, const std::string& key);
// json[key] as an integer from min >= 0 to max: Error(kCorrupt) naming the key.
std::int64_t integer_field(const nlohmann::json& json, const char* key, std::int64_t max, std::int64_t min = 1);
// Elements of all tensors: no model that is larger can be in the file.
std::int64_t num_values(const storage::SafetensorsFile& file);

// Copies the file's values into the tensors (in place). A name that is absent, or has another shape
// or type, is Error(kCorrupt) naming file, tensor, expected and got. Names in the file that nobody
// asks for are an error too unless allow_extra, and so are NaN and Inf.
void load_tensors(
    const storage::SafetensorsFile& file, const std::vector<NamedTensor>& tensors, bool allow_extra = false);
// The same for float32 files of weights into float32 or float64 tensors; numbers whose square
// overflows float32 are an error too.
void load_float32(const storage::SafetensorsFile& file, const std::vector<NamedTensor>& tensors);
// Metadata that need not be there: "" without it.
std::string metadata_or_empty(const storage::SafetensorsFile& file, const std::string& key);

// xxh3-128 over names, shapes and values: equal weights have equal hashes.
std::string hash_tensors(const std::vector<NamedTensor>& tensors);
// Of a net: the float32 values, whatever type it computes in.
std::string hash_weights(const std::string& architecture, std::vector<NamedTensor> tensors);

// That the weights are those that were written. Files of ours carry a hash as `key`, which hash()
// of the weights must give; imported ones the CRC-32 of their data. Error(kCorrupt) ends in advice.
void check_whole(const storage::SafetensorsFile& file, const std::string& key, const std::function<std::string()>& hash,
    const std::string& advice = "");

}  // namespace hebm::nets
