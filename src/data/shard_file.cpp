#include "data/shard_file.h"
#include <fmt/format.h>
#include <algorithm>
#include <cstring>
#include "base/error.h"
#include "data/cache_layout.h"
#include "data/json_fields.h"
#include "storage/hash.h"
#include "storage/hdf5.h"

namespace hebm::data {
namespace {

using storage::H5File;
using storage::H5Info;
using storage::H5Type;

constexpr std::size_t kBlockBytes = std::size_t{8} << 20;

ShardMoments parse_moments(const std::string& text, std::size_t num_groups, const std::string& where) {
  const nlohmann::json json = parse_json(text, where);
  ShardMoments moments;
  moments.num_records = json_int(json, "num_records", 1, kMaxCacheImages, where);
  moments.max_abs_u = json_finite(json, "max_abs_u", where);
  moments.max_rounding_error = json_finite(json, "max_rounding_error", where);
  const nlohmann::json& groups = json_array(json, "groups", num_groups, num_groups, where);
  for (const auto& group : groups) {
    moments.mean.push_back(json_finite(group, "mean", where));
    moments.second_moment.push_back(json_finite(group, "second_moment", where));
  }
  return moments;
}

void check_shape(const H5Info& info, H5Type type, const std::vector<std::uint64_t>& shape, const char* name,
    const std::string& path) {
  check(info.type == type && info.shape == shape, ExitCode::kCorrupt, "{}: {}: expected {} [{}], got {} [{}]", path,
      name, storage::name_of(type), fmt::join(shape, ", "), storage::name_of(info.type), fmt::join(info.shape, ", "));
}

// In blocks of fixed size, so that -O2 vectorises the inner loop: every verified byte comes here.
template <class Word> bool all_finite(std::span<const std::byte> bytes, Word exponent) {
  constexpr std::size_t kLanes = 64 / sizeof(Word);
  Word bad[kLanes] = {};
  const auto add = [&](std::size_t from, std::size_t count) {
    Word words[kLanes] = {};  // what is not filled is zero, which is finite
    std::memcpy(words, bytes.data() + from, count);
    for (std::size_t lane = 0; lane < kLanes; ++lane)
      bad[lane] = static_cast<Word>(bad[lane] | ((words[lane] & exponent) == exponent ? 1 : 0));
  };
  std::size_t at = 0;
  for (; at + 64 <= bytes.size(); at += 64) add(at, 64);
  add(at, bytes.size() - at);
  return std::all_of(std::begin(bad), std::end(bad), [](Word word) { return word == 0; });
}

}  // namespace

std::string ShardTexts::content_hash(std::span<const std::int64_t> index, std::span<const std::uint64_t> hashes) const {
  storage::Hasher hasher;
  for (const std::string* text : {&key, &groups, &moments})
    hasher.update(storage::as_bytes(text->c_str(), text->size() + 1));  // with the end, so that texts cannot shift
  hasher.update(storage::as_bytes(index.data(), index.size()));
  hasher.update(storage::as_bytes(hashes.data(), hashes.size()));
  return hasher.digest();
}

nlohmann::json moments_to_json(const ShardMoments& moments) {
  nlohmann::json groups = nlohmann::json::array();
  for (std::size_t g = 0; g < moments.mean.size(); ++g)
    groups.push_back({{"mean", moments.mean[g]}, {"second_moment", moments.second_moment[g]}});
  return {{"num_records", moments.num_records}, {"max_abs_u", moments.max_abs_u},
      {"max_rounding_error", moments.max_rounding_error}, {"groups", groups}};
}

ShardHeader read_shard_header(const std::filesystem::path& path) {
  const std::string name = path.string();
  const H5File file = H5File::open(path);
  const std::string format = file.string_attribute("format");
  check(format == "hebm-latent-shard", ExitCode::kCorrupt, "{}: expected format hebm-latent-shard, got \"{}\"", name,
      format.substr(0, 64));
  const std::int64_t version = file.int_attribute("version");
  check(version == 1, ExitCode::kCorrupt, "{}: expected shard version 1, got {}", name, version);
  const ShardTexts texts{
      file.string_attribute("key"), file.string_attribute("groups"), file.string_attribute("moments")};
  ShardHeader header;
  CacheLayout& layout = header.layout;
  layout.key = CacheKey::from_json(parse_json(texts.key, name + ": key"), name + ": key");
  layout.groups = parse_groups(parse_json(texts.groups, name + ": groups"), name + ": groups");
  layout.num_shards = file.int_attribute("num_shards");
  check_layout(layout, ExitCode::kCorrupt, name);
  header.shard = file.int_attribute("shard");
  check(header.shard >= 0 && header.shard < layout.num_shards, ExitCode::kCorrupt,
      "{}: shard: expected 0 to {}, got {}", name, layout.num_shards - 1, header.shard);
  const auto [begin, end] = shard_range(header.shard, layout.num_shards, layout.key.num_images);
  const auto count = static_cast<std::uint64_t>(end - begin);
  const H5Info u = file.info("u");
  check_shape(u, element_type(layout.key.dtype),
      {count, static_cast<std::uint64_t>(layout.key.draws), static_cast<std::uint64_t>(layout.dim())}, "u", name);
  check_shape(file.info("index"), H5Type::kI64, {count}, "index", name);
  check_shape(file.info("hash"), H5Type::kU64, {count}, "hash", name);
  header.u_offset = u.file_offset;
  header.u_bytes = u.bytes;
  header.index = file.read_all<std::int64_t>("index", H5Type::kI64);
  header.hashes = file.read_all<std::uint64_t>("hash", H5Type::kU64);
  const std::string expected = file.string_attribute("content_hash");
  const std::string got = texts.content_hash(header.index, header.hashes);
  check(got == expected, ExitCode::kCorrupt, "{}: content_hash: expected {}, got {}: the shard's header is damaged",
      name, expected.substr(0, 64), got);
  header.moments = parse_moments(texts.moments, layout.groups.size(), name + ": moments");
  check(header.moments.num_records == end - begin, ExitCode::kCorrupt, "{}: moments: expected {} records, got {}", name,
      end - begin, header.moments.num_records);
  for (const std::int64_t image : header.index)
    check(image >= 0 && image < kMaxCacheImages, ExitCode::kCorrupt, "{}: index: expected 0 to {}, got {}", name,
        kMaxCacheImages - 1, image);
  return header;
}

void check_same_cache(
    const ShardHeader& header, const CacheLayout& layout, std::int64_t shard, const std::filesystem::path& path) {
  std::vector<std::string> parts;
  const auto compare = [&parts](const char* name, const auto& expected, const auto& got) {
    if (expected != got) parts.push_back(fmt::format("{}: expected {}, got {}", name, expected, got));
  };
  if (std::string of_key = layout.key.difference(header.layout.key); !of_key.empty()) parts.push_back(of_key);
  compare("groups", groups_to_json(layout.groups).dump(), groups_to_json(header.layout.groups).dump());
  compare("number of shards", layout.num_shards, header.layout.num_shards);
  compare("shard", shard, header.shard);
  check(parts.empty(), ExitCode::kCorrupt, "{} belongs to another cache: {}; choose another folder or remove this one",
      path.string(), fmt::join(parts, "; "));
}

void check_shard_exists(const std::filesystem::path& path) {
  check(std::filesystem::exists(path), ExitCode::kCorrupt, "{}: expected this shard, got none; {}", path.string(),
      kEncodeAgain);
}

std::string hash_outside_u(const storage::ReadOnlyFile& file, std::uint64_t u_offset, std::uint64_t u_bytes) {
  const std::uint64_t size = file.size();
  check(u_offset <= size && u_bytes <= size - u_offset, ExitCode::kCorrupt,
      "{}: expected {} bytes of u at offset {}, got a file of {} bytes", file.path().string(), u_bytes, u_offset, size);
  storage::Hasher hasher;
  const auto add = [&](std::span<const std::byte> block) { hasher.update(block); };
  file.read_blocks(0, u_offset, add);
  file.read_blocks(u_offset + u_bytes, size, add);
  return hasher.digest();
}

void check_record(const ShardHeader& header, std::size_t record, std::span<const std::byte> bytes,
    const storage::ReadOnlyFile& file) {
  const std::uint64_t expected = header.hashes[record], got = storage::hash64(bytes);
  const std::string name = file.path().string();
  check(got == expected, ExitCode::kCorrupt,
      "{}: record {} (image {}): expected hash {:016x}, got {:016x}: the shard is damaged; remove it and {}", name,
      record, header.index[record], expected, got, kEncodeAgain);
  const bool finite = header.layout.key.dtype == Dtype::kFloat16 ? all_finite<std::uint16_t>(bytes, 0x7c00u)
                                                                 : all_finite<std::uint32_t>(bytes, 0x7f800000u);
  check(finite, ExitCode::kCorrupt, "{}: record {} (image {}): expected finite latents, got NaN or infinity", name,
      record, header.index[record]);
}

void check_all_records(
    const storage::ReadOnlyFile& file, const ShardHeader& header, const std::function<void(std::int64_t)>& progress) {
  const std::size_t count = header.hashes.size(), bytes = header.u_bytes / count;
  const std::size_t at_once = std::clamp<std::size_t>(kBlockBytes / bytes, 1, count);
  std::vector<std::byte> block(at_once * bytes);
  for (std::size_t first = 0; first < count; first += at_once) {
    const std::size_t here = std::min(at_once, count - first);
    file.read_at(header.u_offset + first * bytes, std::span(block).first(here * bytes));
    for (std::size_t i = 0; i < here; ++i)
      check_record(header, first + i, std::span(block).subspan(i * bytes, bytes), file);
    if (progress) progress(static_cast<std::int64_t>(here));
  }
}

}  // namespace hebm::data
