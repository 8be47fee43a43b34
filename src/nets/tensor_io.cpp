#include "nets/tensor_io.h"
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <zlib.h>
#include <limits>
#include <optional>
#include <set>
#include "base/error.h"
#include "storage/json.h"

namespace hebm::nets {
namespace {

constexpr std::size_t kMaxMetadata = 1 << 20, kShown = 200;  // bytes
constexpr const char* kHeaderHash = "header_hash";

storage::StType st_type(const NamedTensor& t) {
  switch (t.tensor.scalar_type()) {
    case at::kFloat: return storage::StType::kF32;
    case at::kDouble: return storage::StType::kF64;
    case at::kLong: return storage::StType::kI64;
    default: fail(ExitCode::kRuntime, "tensor {}: this scalar type is not written", t.name);
  }
}

std::span<const std::byte> bytes_of(const at::Tensor& host) {
  return {static_cast<const std::byte*>(host.const_data_ptr()), static_cast<std::size_t>(host.nbytes())};
}

std::string shape_text(storage::StType type, const std::vector<std::int64_t>& shape) {
  return fmt::format("{}[{}]", storage::name_of(type), fmt::join(shape, ","));
}

using Texts = std::map<std::string, std::string>;

Texts shapes_of(const storage::SafetensorsFile& file) {
  Texts shapes;
  for (const auto& [name, entry] : file.entries()) shapes[name] = shape_text(entry.type, entry.shape);
  return shapes;
}

// What a header says, however its JSON is laid out: the metadata but for `own_key`, then each
// tensor's name, type and shape, all by name, each text with a 0 behind it so that none can shift
// into the next.
std::string header_text(const Texts& metadata, const Texts& shapes, const std::string& own_key) {
  std::string out;
  for (const Texts* texts : {&metadata, &shapes}) {
    for (const auto& [name, text] : *texts) {
      if (texts == &metadata && name == own_key) continue;
      out.append(name.c_str(), name.size() + 1).append(text.c_str(), text.size() + 1);
    }
  }
  return out;
}

// Files of ours have header_hash (and a hash of their values). Imported ones have CRCs of zlib
// instead: `crc32` of the data, which is compared when they are loaded, and header_crc32.
void check_header(const storage::SafetensorsFile& file) {
  const auto& metadata = file.metadata();
  const bool imported = metadata.contains("header_crc32");
  const std::string key = imported ? "header_crc32" : kHeaderHash;
  const auto found = metadata.find(key);
  if (found == metadata.end() && metadata.contains("crc32")) return;
  check(found != metadata.end(), ExitCode::kCorrupt,
      "{}: the metadata has no '{}': the file is damaged or of an older program; make it again", file.path().string(),
      key);
  const std::string text = header_text(metadata, shapes_of(file), key);
  const std::string got =
      imported ? fmt::format("{:08x}", crc32_z(0, reinterpret_cast<const Bytef*>(text.data()), text.size()))
               : storage::hash_text(text);
  check(got == found->second, ExitCode::kCorrupt,
      "{}: the header has {} {}, expected {}: the file is damaged; make it again or copy it again",
      file.path().string(), imported ? "CRC-32" : "hash", got, found->second.substr(0, kShown));
}

at::Tensor on_host(const at::Tensor& tensor) { return tensor.detach().to(at::kCPU).contiguous(); }

// A weight whose square overflows float32 makes norms and products of a net infinite.
constexpr double kLargestWeight = 1.8e19;

// largest: of their magnitudes.
void expect_usable(
    const storage::SafetensorsFile& file, const std::string& name, const at::Tensor& host, double largest) {
  if (!host.is_floating_point() || host.numel() == 0) return;
  const auto found = host.abs().max().item<double>();  // NaN where there is one
  check(found <= largest, ExitCode::kCorrupt,
      "{}: tensor {} holds {:.6g}, expected numbers up to {:g}: the weights have diverged or the file is damaged; "
      "train or "
      "import them again",
      file.path().string(), name, found, largest);
}

// The stored values are of the scalar type `stored`, or of each tensor's own. largest: of their
// magnitudes.
void load(const storage::SafetensorsFile& file, const std::vector<NamedTensor>& tensors,
    std::optional<at::ScalarType> stored, bool allow_extra, double largest) {
  const c10::NoGradGuard no_grad;
  std::set<std::string> wanted;
  for (const auto& t : tensors) {
    const auto& entry = file.entry(t.name);
    wanted.insert(t.name);
    at::Tensor host = at::empty(t.tensor.sizes(), stored.value_or(t.tensor.scalar_type()));
    const storage::StType type = st_type({t.name, host});
    check(entry.type == type, ExitCode::kCorrupt, "{}: tensor {} has type {}, expected {}", file.path().string(),
        t.name, storage::name_of(entry.type), storage::name_of(type));
    check(entry.shape == t.tensor.sizes().vec(), ExitCode::kCorrupt, "{}: tensor {} has shape [{}], expected [{}]",
        file.path().string(), t.name, fmt::join(entry.shape, ","), fmt::join(t.tensor.sizes().vec(), ","));
    file.read(t.name, {static_cast<std::byte*>(host.mutable_data_ptr()), static_cast<std::size_t>(host.nbytes())});
    expect_usable(file, t.name, host, largest);
    at::Tensor target = t.tensor;
    target.copy_(host);
  }
  if (allow_extra) return;
  for (const auto& [name, entry] : file.entries()) {
    check(wanted.contains(name), ExitCode::kCorrupt, "{}: holds a tensor {} that this model does not have",
        file.path().string(), name);
  }
}

}  // namespace

storage::HashedFileWriter::Result save_tensors(const std::filesystem::path& path,
    const std::vector<NamedTensor>& tensors, const std::map<std::string, std::string>& metadata) {
  std::vector<at::Tensor> kept;
  std::vector<storage::StTensor> out;
  for (const auto& t : tensors) {
    kept.push_back(on_host(t.tensor));
    out.push_back({t.name, st_type(t), t.tensor.sizes().vec(), bytes_of(kept.back())});
  }
  return storage::write_safetensors(path, out, metadata);
}

std::vector<NamedTensor> saved_tensors(const Parameters& params, const std::string& prefix) {
  auto out = params.parameters();
  out.insert(out.end(), params.states().begin(), params.states().end());
  for (auto& t : out) t.name.insert(0, prefix);
  return out;
}

void publish_tensors(const std::filesystem::path& path, const std::vector<NamedTensor>& tensors,
    const std::map<std::string, std::string>& metadata) {
  storage::create_folders(path.parent_path());
  const std::filesystem::path temporary = storage::temporary_name(path);
  Texts shapes, complete = metadata;
  for (const auto& t : tensors) shapes[t.name] = shape_text(st_type(t), t.tensor.sizes().vec());
  complete[kHeaderHash] = storage::hash_text(header_text(metadata, shapes, kHeaderHash));
  save_tensors(temporary, tensors, complete);
  storage::publish_file(temporary, path);
}

void check_format(const storage::SafetensorsFile& file, const std::string& format, const std::string& version) {
  const auto text = [&](const char* key) {
    const auto found = file.metadata().find(key);
    return found == file.metadata().end() ? std::string("nothing") : found->second.substr(0, kShown);
  };
  check(text("format") == format && text("version") == version, ExitCode::kCorrupt,
      "{}: expected format {} version {}, got {} version {}", file.path().string(), format, version, text("format"),
      text("version"));
  check_header(file);
}

const std::string& metadata_text(const storage::SafetensorsFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  check(found != file.metadata().end(), ExitCode::kCorrupt, "{}: the metadata has no '{}'", file.path().string(), key);
  check(found->second.size() <= kMaxMetadata, ExitCode::kCorrupt, "{}: metadata '{}' has {} bytes, expected at most {}",
      file.path().string(), key, found->second.size(), kMaxMetadata);
  return found->second;
}

nlohmann::json metadata_json(const storage::SafetensorsFile& file, const std::string& key) {
  const std::string& text = metadata_text(file, key);
  auto json = storage::lenient_json(text);
  check(json.is_object(), ExitCode::kCorrupt, "{}: metadata '{}' is not a JSON object: '{}'", file.path().string(), key,
      text.substr(0, kShown));
  return json;
}

std::int64_t integer_field(const nlohmann::json& json, const char* key, std::int64_t max, std::int64_t min) {
  check(json.contains(key), ExitCode::kCorrupt, "no '{}' in '{}'", key, storage::Shown{json, kShown});
  const auto& value = json[key];
  const bool small = value.is_number_unsigned() && value.get<std::uint64_t>() >= static_cast<std::uint64_t>(min) &&
                     value.get<std::uint64_t>() <= static_cast<std::uint64_t>(max);
  check(small, ExitCode::kCorrupt, "'{}' must be an integer from {} to {}, got {}", key, min, max,
      storage::Shown{value, kShown});
  return value.get<std::int64_t>();
}

std::int64_t num_values(const storage::SafetensorsFile& file) {
  std::int64_t total = 0;  // bounded by the file's size: the container was checked
  for (const auto& [name, entry] : file.entries())
    total += static_cast<std::int64_t>(entry.bytes / storage::size_of(entry.type));
  return total;
}

void load_tensors(const storage::SafetensorsFile& file, const std::vector<NamedTensor>& tensors, bool allow_extra) {
  load(file, tensors, {}, allow_extra, std::numeric_limits<double>::max());
}

void load_float32(const storage::SafetensorsFile& file, const std::vector<NamedTensor>& tensors) {
  load(file, tensors, at::kFloat, false, kLargestWeight);
}

std::string metadata_or_empty(const storage::SafetensorsFile& file, const std::string& key) {
  return file.metadata().contains(key) ? metadata_text(file, key) : std::string();
}

std::string hash_tensors(const std::vector<NamedTensor>& tensors) {
  storage::Hasher hasher;
  for (const auto& t : tensors) {
    const std::string head = fmt::format("{}[{}]", t.name, fmt::join(t.tensor.sizes().vec(), ","));
    hasher.update(storage::as_bytes(head.data(), head.size()));
    hasher.update(bytes_of(on_host(t.tensor)));
  }
  return hasher.digest();
}

std::string hash_weights(const std::string& architecture, std::vector<NamedTensor> tensors) {
  for (auto& t : tensors) t.tensor = t.tensor.detach().to(at::kFloat);
  return storage::hash_text(architecture + "\n" + hash_tensors(tensors));
}

void check_whole(const storage::SafetensorsFile& file, const std::string& key, const std::function<std::string()>& hash,
    const std::string& advice) {
  const std::string stored = metadata_or_empty(file, key), crc = metadata_or_empty(file, "crc32");
  check(!stored.empty() || !crc.empty(), ExitCode::kCorrupt, "{}: the metadata has neither '{}' nor 'crc32'",
      file.path().string(), key);
  const std::string& expected = stored.empty() ? crc : stored;
  const std::string got = stored.empty() ? file.data_crc32() : hash();
  check(got == expected, ExitCode::kCorrupt, "{}: the weights have {} {}, expected {}: the file is damaged{}",
      file.path().string(), stored.empty() ? "CRC-32" : "hash", got, expected.substr(0, 64), advice);
}

}  // namespace hebm::nets
