#include "storage/hdf5_bytes.h"
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace hebm::storage::detail {
namespace {

// Structure alone: the largest pieces are the names of a group and a text of 1 MiB.
constexpr std::uint64_t kMaxPiece = 32u << 20, kMaxTotal = 256u << 20, kLeastCost = 64;

}  // namespace

void H5Source::fail_with(const std::string& reason) const {
  fail(ExitCode::kCorrupt, "{}: is not a whole HDF5 file: {}{}", path().string(), place_, reason);
}

Bytes H5Source::read(std::uint64_t address, std::uint64_t size) {
  expect(address <= file_.size() && size <= file_.size() - address,
      "refers to {} bytes at byte {} of a file of {} bytes", size, address, file_.size());
  total_bytes_ += std::max(size, kLeastCost);
  expect(size <= kMaxPiece && total_bytes_ <= kMaxTotal, "takes more than {} bytes of structure", kMaxTotal);
  Bytes bytes(size);
  file_.read_at(address, bytes);
  return bytes;
}

Bytes H5Source::read_signed(std::uint64_t address, std::uint64_t size, std::string_view signature, bool with_sum) {
  Bytes bytes = read(address, size);
  const bool starts = size >= 8 && std::memcmp(bytes.data(), signature.data(), signature.size()) == 0;
  expect(starts, "expected {} at byte {}", signature, address);
  if (!with_sum) return bytes;
  const std::uint64_t stored = Cursor(*this, bytes, bytes.size() - 4).number(4);
  const std::uint32_t got = lookup3(std::span(bytes).first(bytes.size() - 4));
  expect(stored == got, "{} at byte {} has check sum {:08x}, expected {:08x}", signature, address, got, stored);
  return bytes;
}

std::span<const std::byte> Cursor::take(std::uint64_t count) {
  source_.expect(count <= bytes_.size(), "ends {} bytes too early", count - std::min<std::uint64_t>(count, left()));
  const std::span<const std::byte> taken = bytes_.first(count);
  bytes_ = bytes_.subspan(count);
  return taken;
}

std::uint64_t Cursor::number(std::size_t num_bytes) {
  std::uint64_t value = 0;
  std::size_t shift = 0;
  for (const std::byte byte : take(num_bytes)) {
    value |= std::to_integer<std::uint64_t>(byte) << shift;
    shift += 8;
  }
  return value;
}

std::string Cursor::text(std::uint64_t count) {
  const std::span<const std::byte> bytes = take(count);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Bob Jenkins, lookup3.c, May 2006 (public domain): hashlittle with initval 0.
std::uint32_t lookup3(std::span<const std::byte> bytes) {
  std::uint32_t a = 0xdeadbeefU + static_cast<std::uint32_t>(bytes.size()), b = a, c = a;
  const auto add = [&](std::span<const std::byte> block) {
    std::array<std::uint32_t, 3> words{};
    for (std::size_t i = 0; i < block.size(); ++i)
      words[i / 4] |= std::to_integer<std::uint32_t>(block[i]) << (8 * (i % 4));
    a += words[0];
    b += words[1];
    c += words[2];
  };
  for (; bytes.size() > 12; bytes = bytes.subspan(12)) {
    add(bytes.first(12));
    a -= c, a ^= std::rotl(c, 4), c += b;
    b -= a, b ^= std::rotl(a, 6), a += c;
    c -= b, c ^= std::rotl(b, 8), b += a;
    a -= c, a ^= std::rotl(c, 16), c += b;
    b -= a, b ^= std::rotl(a, 19), a += c;
    c -= b, c ^= std::rotl(b, 4), b += a;
  }
  if (bytes.empty()) return c;
  add(bytes);
  c ^= b, c -= std::rotl(b, 14);
  a ^= c, a -= std::rotl(c, 11);
  b ^= a, b -= std::rotl(a, 25);
  c ^= b, c -= std::rotl(b, 16);
  a ^= c, a -= std::rotl(c, 4);
  b ^= a, b -= std::rotl(a, 14);
  c ^= b, c -= std::rotl(b, 24);
  return c;
}

}  // namespace hebm::storage::detail
