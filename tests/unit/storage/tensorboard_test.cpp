// Bytes of single events; tests/run/readers.py reads a whole file with TensorBoard itself.
#include "storage/tensorboard.h"
#include <gtest/gtest.h>
#include <cstring>
#include "support.h"

namespace hebm::storage::test {
namespace {

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

// RFC 3720, appendix B.4, and the check value of the CRC catalogue.
TEST(TensorBoard, Crc32cKnownAnswers) {
  EXPECT_EQ(tensorboard::crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(tensorboard::crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(tensorboard::crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(tensorboard::crc32c(""), 0u);
}

// By hand from the protobuf encoding: 09 wall_time, 10 step, 2a summary { 0a value { 0a tag, 15
// simple_value } }.
TEST(TensorBoard, EventsByteByByte) {
  EXPECT_EQ(hex(tensorboard::scalars_event(1.5, 300, {{"a", 0.5}})),
      "09000000000000f83f"
      "10ac02"
      "2a0a"
      "0a08"
      "0a0161"
      "150000003f");
  EXPECT_EQ(hex(tensorboard::version_event(0)),
      "090000000000000000"
      "1000"
      "1a0d" +
          hex("brain.Event:2"));
  EXPECT_EQ(hex(tensorboard::restart_event(0, -1)),
      "090000000000000000"
      "10ffffffffffffffffff01"
      "3a020801");
  const std::vector<std::uint8_t> png = {1, 2};
  EXPECT_EQ(hex(tensorboard::image_event(0, 1, "i", 200, 3, 1, png)),
      "090000000000000000"
      "1001"
      "2a12"
      "0a10"
      "0a0169"
      "220b"
      "0803"
      "10c801"
      "1801"
      "22020102");
}

TEST(TensorBoard, FrameIsLengthCrcDataCrc) {
  const std::string framed = tensorboard::frame("abc");
  ASSERT_EQ(framed.size(), 8u + 4 + 3 + 4);
  EXPECT_EQ(hex(framed.substr(0, 8)), "0300000000000000");
  EXPECT_EQ(framed.substr(12, 3), "abc");
  const auto masked = [](std::string_view bytes) {  // ((crc >> 15) | (crc << 17)) + 0xa282ead8
    const std::uint32_t crc = tensorboard::crc32c(bytes);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
  };
  std::uint32_t got = 0;
  std::memcpy(&got, framed.data() + 8, 4);
  EXPECT_EQ(got, masked(framed.substr(0, 8)));
  std::memcpy(&got, framed.data() + 15, 4);
  EXPECT_EQ(got, masked("abc"));
}

}  // namespace
}  // namespace hebm::storage::test
