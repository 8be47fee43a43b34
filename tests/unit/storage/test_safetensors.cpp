#include <gtest/gtest.h>

#include <cstring>

#include "storage/hash.h"
#include "storage/safetensors.h"
#include "temp_folder.h"

namespace hebm::storage::test {
namespace {

TEST(Safetensors, RoundTripAndLayout) {
  const TempFolder folder;
  const std::vector<float> weight = {1.5f, -2.f, 3.25f, 0.f, 1e-30f, 7.f};
  const std::vector<std::uint8_t> flags = {1, 2, 3};
  const std::vector<std::int64_t> scalar = {-42};
  const std::vector<StTensor> tensors = {
      {"net.weight", StType::kF32, {2, 3}, as_bytes(weight.data(), weight.size())},
      {"empty", StType::kF64, {0, 4}, {}},
      {"flags", StType::kU8, {3}, as_bytes(flags.data(), flags.size())},
      {"step", StType::kI64, {}, as_bytes(scalar.data(), scalar.size())},
  };
  const auto written = write_safetensors(folder / "a.safetensors", tensors, {{"architecture", "{\"width\":32}"}});
  const std::string raw = read_file(folder / "a.safetensors");
  EXPECT_EQ(written.size, raw.size());
  EXPECT_EQ(written.hash, hash_text(raw));

  const SafetensorsFile file(folder / "a.safetensors");
  EXPECT_EQ(file.entries().size(), 4u);
  EXPECT_EQ(file.metadata().at("architecture"), "{\"width\":32}");
  EXPECT_EQ(file.entry("net.weight").shape, (std::vector<std::int64_t>{2, 3}));
  std::vector<float> got(6);
  file.read("net.weight", std::as_writable_bytes(std::span(got)));
  EXPECT_EQ(got, weight);
  std::int64_t step = 0;
  file.read("step", std::as_writable_bytes(std::span(&step, 1)));
  EXPECT_EQ(step, -42);

  std::uint64_t length = 0;
  std::memcpy(&length, raw.data(), 8);
  EXPECT_EQ(length % 8, 0u);
  EXPECT_EQ(raw.substr(8, length),
            "{\"__metadata__\":{\"architecture\":\"{\\\"width\\\":32}\"},"
            "\"net.weight\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
            "\"empty\":{\"dtype\":\"F64\",\"shape\":[0,4],\"data_offsets\":[24,24]},"
            "\"flags\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[24,27]},"
            "\"step\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[27,35]}}" +
                std::string(length - raw.substr(8, length).find_last_of('}') - 1, ' '));
}

}  // namespace
}  // namespace hebm::storage::test
