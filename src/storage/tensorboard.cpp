#include "storage/tensorboard.h"
#include <array>
#include <bit>
#include <boost/crc.hpp>

namespace hebm::storage::tensorboard {
namespace {

static_assert(std::endian::native == std::endian::little, "TFRecord and protobuf are little-endian");

std::uint32_t masked_crc(std::string_view bytes) {
  return std::rotr(crc32c(bytes), 15) + 0xa282ead8u;  // TFRecord's mask: a CRC of a CRC is a poor CRC
}

template <class T> std::string raw(T value) {
  const auto bytes = std::bit_cast<std::array<char, sizeof value>>(value);
  return {bytes.begin(), bytes.end()};
}

// --- protobuf: key = field number << 3 | wire type ---

std::string varint(std::uint64_t value) {
  std::string out;
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>((value & 0x7f) | 0x80));
  out.push_back(static_cast<char>(value));
  return out;
}

std::string integer_field(std::uint32_t number, std::int64_t value) {
  return varint(number << 3) + varint(static_cast<std::uint64_t>(value));
}
std::string double_field(std::uint32_t number, double value) { return varint(number << 3 | 1) + raw(value); }
std::string bytes_field(std::uint32_t number, std::string_view value) {
  return varint(number << 3 | 2) + varint(value.size()) + std::string(value);
}
std::string float_field(std::uint32_t number, float value) { return varint(number << 3 | 5) + raw(value); }

// Event { double wall_time = 1; int64 step = 2; string file_version = 3; Summary summary = 5;
// SessionLog session_log = 7 }
std::string event(double time_s, std::int64_t step, std::uint32_t field, std::string_view content) {
  return double_field(1, time_s) + integer_field(2, step) + bytes_field(field, content);
}

}  // namespace

std::uint32_t crc32c(std::string_view bytes) {
  boost::crc_optimal<32, 0x1EDC6F41, 0xFFFFFFFF, 0xFFFFFFFF, true, true> crc;
  crc.process_bytes(bytes.data(), bytes.size());
  return crc.checksum();
}

std::string frame(std::string_view event) {
  const std::string length = raw(static_cast<std::uint64_t>(event.size()));
  return length + raw(masked_crc(length)) + std::string(event) + raw(masked_crc(event));
}

std::string version_event(double time_s) { return event(time_s, 0, 3, "brain.Event:2"); }

std::string restart_event(double time_s, std::int64_t step) {
  return event(time_s, step, 7, integer_field(1, 1));  // SessionLog { status = 1: START = 1 }
}

// Summary { Value value = 1 }, Value { string tag = 1; float simple_value = 2; Image image = 4 }
std::string scalars_event(
    double time_s, std::int64_t step, const std::vector<std::pair<std::string, double>>& scalars) {
  std::string summary;
  for (const auto& [tag, value] : scalars) {
    summary += bytes_field(1, bytes_field(1, tag) + float_field(2, static_cast<float>(value)));
  }
  return event(time_s, step, 5, summary);
}

// Image { int32 height = 1; int32 width = 2; int32 colorspace = 3; bytes encoded_image_string = 4 }
std::string image_event(double time_s, std::int64_t step, const std::string& tag, std::int64_t width,
    std::int64_t height, int channels, std::span<const std::uint8_t> png_bytes) {
  const std::string_view png(reinterpret_cast<const char*>(png_bytes.data()), png_bytes.size());
  const std::string image =
      integer_field(1, height) + integer_field(2, width) + integer_field(3, channels) + bytes_field(4, png);
  return event(time_s, step, 5, bytes_field(1, bytes_field(1, tag) + bytes_field(4, image)));
}

}  // namespace hebm::storage::tensorboard
