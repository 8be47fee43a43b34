#include "storage/safetensors.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <array>
#include <cstring>
#include "storage/hash.h"
#include "support.h"

namespace hebm::storage::test {
namespace {

using testing::HasSubstr;

// CRC-32 bit by bit, as the standard writes it.
std::string crc_of(const std::string& bytes) {
  std::uint32_t crc = 0xffffffff;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320 : 0);
  }
  char text[9];
  std::snprintf(text, sizeof text, "%08x", crc ^ 0xffffffff);
  return text;
}

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

  EXPECT_EQ(file.data_crc32(), crc_of(raw.substr(raw.size() - 35)));

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

void write_raw(const fs::path& path, const std::string& header, const std::string& data, std::uint64_t length) {
  spill(path, std::string(reinterpret_cast<const char*>(&length), 8) + header + data);
}

std::string refusal(const std::string& header, std::size_t data_bytes) {
  const TempFolder folder;
  write_raw(folder / "a", header, std::string(data_bytes, 'd'), header.size());
  return expect_error(ExitCode::kCorrupt, {}, [&] { SafetensorsFile(folder / "a"); });
}

TEST(Safetensors, AcceptsWhatOtherWritersWrite) {
  const TempFolder folder;
  const std::string header =
      R"({ "b" : {"shape":[1],"data_offsets":[4,8],"dtype":"F32"},"a":{"dtype":"BF16","data_offsets":[0,4],"shape":[2]}}  )";
  write_raw(folder / "a", header, "abcdefgh", header.size());
  const SafetensorsFile file(folder / "a");
  std::array<char, 4> out{};
  file.read("b", std::as_writable_bytes(std::span(out)));
  EXPECT_EQ(std::string(out.data(), 4), "efgh");
  EXPECT_EQ(file.entry("a").type, StType::kBF16);
  EXPECT_EQ(file.entry("a").offset, 0u);
  write_raw(folder / "none", "{}", "", 2);
  EXPECT_TRUE(SafetensorsFile(folder / "none").entries().empty());
}

TEST(Safetensors, HostileLengths) {
  const TempFolder folder;
  spill(folder / "a", "1234567");
  expect_error(ExitCode::kCorrupt, {"too few"}, [&] { SafetensorsFile(folder / "a"); });
  for (const std::uint64_t length :
      {std::uint64_t{3}, std::uint64_t{100'000'001}, ~std::uint64_t{0}, std::uint64_t{1} << 63}) {
    write_raw(folder / "a", "{}", "", length);
    expect_error(ExitCode::kCorrupt, {"expected at most 2"}, [&] { SafetensorsFile(folder / "a"); });
  }
  // 100 MB is the limit even where the file is longer.
  write_raw(folder / "a", "{}", "", 100'000'001);
  fs::resize_file(folder / "a", 200'000'000);
  expect_error(ExitCode::kCorrupt, {"expected at most 100000000"}, [&] { SafetensorsFile(folder / "a"); });
}

TEST(Safetensors, HostileLayouts) {
  const auto one = [](const std::string& shape, const std::string& offsets) {
    return R"({"x":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
  };
  const auto two = [](const std::string& a, const std::string& b) {
    return R"({"x":{"dtype":"U8","shape":[4],"data_offsets":)" + a +
           R"(},"y":{"dtype":"U8","shape":[4],"data_offsets":)" + b + "}}";
  };
  EXPECT_THAT(refusal(two("[0,4]", "[2,6]"), 6), HasSubstr("\"y\" starts at byte 2 of the data, expected 4"));
  EXPECT_THAT(refusal(two("[0,4]", "[0,4]"), 4), HasSubstr("starts at byte 0 of the data, expected 4"));
  EXPECT_THAT(refusal(two("[0,4]", "[6,10]"), 10), HasSubstr("starts at byte 6 of the data, expected 4"));
  EXPECT_THAT(refusal(two("[0,4]", "[4,8]"), 9), HasSubstr("cover 8 bytes of data, the file has 9"));
  EXPECT_THAT(refusal(two("[0,4]", "[4,8]"), 7), HasSubstr("ends at byte 8 of the data, which has 7"));
  EXPECT_THAT(refusal(one("[2]", "[0,4]"), 4), HasSubstr("do not hold the 8 bytes"));
  EXPECT_THAT(refusal(one("[1]", "[4,0]"), 4), HasSubstr("do not hold the 4 bytes"));
  EXPECT_THAT(refusal(one("[1]", "[0,4,8]"), 8), HasSubstr("two data_offsets"));
  EXPECT_THAT(refusal(one("[-1]", "[0,4]"), 4), HasSubstr("-1 is negative"));
  EXPECT_THAT(refusal(one("[1.0]", "[0,4]"), 4), HasSubstr("1.0 is not expected here"));
  EXPECT_THAT(refusal(one("[4611686018427387904,4]", "[0,0]"), 0), HasSubstr("out of range"));
  EXPECT_THAT(refusal(one("[4294967296,4294967296]", "[0,0]"), 0), HasSubstr("out of range"));
  EXPECT_THAT(refusal(one("[18446744073709551615]", "[0,4]"), 4), HasSubstr("over 2^63"));
  EXPECT_THAT(refusal(one("[99999999999999999999999]", "[0,4]"), 4), HasSubstr("not expected"));
  std::string ones = "[1";
  for (int i = 0; i < 32; ++i) ones += ",1";
  EXPECT_THAT(refusal(one(ones + "]", "[0,4]"), 4), HasSubstr("more than 32"));
}

TEST(Safetensors, HostileHeaders) {
  const std::string good = R"("x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  EXPECT_THAT(refusal("", 0), HasSubstr("does not start with '{'"));
  EXPECT_THAT(refusal(" {}", 0), HasSubstr("does not start with '{'"));
  EXPECT_THAT(refusal("{" + good, 1), HasSubstr("not JSON"));
  EXPECT_THAT(refusal("{" + good + "}}", 1), HasSubstr("not JSON"));
  EXPECT_THAT(refusal("{" + good + "," + good + "}", 1), HasSubstr("\"x\": stands there twice"));
  EXPECT_THAT(refusal(R"({"__metadata__":{},"__metadata__":{}})", 0), HasSubstr("stands there twice"));
  EXPECT_THAT(refusal(R"({"__metadata__":{"a":"1","a":"2"}})", 0), HasSubstr("stands there twice"));
  EXPECT_THAT(refusal(R"({"__metadata__":{"a":1}})", 0), HasSubstr("\"__metadata__\", a: a number is not expected"));
  EXPECT_THAT(refusal(R"({"__metadata__":{"a":{"b":"c"}}})", 0), HasSubstr("an object is not expected"));
  EXPECT_THAT(refusal(R"({"__metadata__":null})", 0), HasSubstr("null is not expected"));
  EXPECT_THAT(refusal(R"({"x":[1]})", 0), HasSubstr("a list is not expected"));
  EXPECT_THAT(refusal(R"({"x":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}})", 1), HasSubstr("dtype BOOL"));
  EXPECT_THAT(
      refusal(R"({"x":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1), HasSubstr("not expected"));
  EXPECT_THAT(
      refusal(R"({"x":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}})", 1), HasSubstr("not expected"));
  EXPECT_THAT(refusal(R"({"x":{"dtype":"U8","shape":[1]}})", 1), HasSubstr("needs dtype, shape"));
  EXPECT_THAT(
      refusal(R"({"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"code":"rm"}})", 1), HasSubstr("not expected"));
  EXPECT_THAT(
      refusal(R"({"x":{"dtype":"U8","shape":[[1]],"data_offsets":[0,1]}})", 1), HasSubstr("a list is not expected"));
  EXPECT_THAT(refusal("{\"\xff\":1}", 1), HasSubstr("not JSON"));
  EXPECT_THAT(refusal(R"({"\u001b[2J":1})", 0), HasSubstr("\"\\x1b[2J\": a number is not expected"));
  EXPECT_LT(refusal("{\"" + std::string(1'000'000, 'n') + "\":1}", 0).size(), 1000u);
  EXPECT_LT(refusal("{\"" + std::string(1'000'000, 'n') + "\"", 0).size(), 1000u);
  std::string deep = "{\"x\":";
  deep.append(1'000'000, '[');
  EXPECT_THAT(refusal(deep, 0), HasSubstr("a list is not expected"));
}

TEST(Safetensors, FlippedAndTruncatedNeverCrash) {
  const TempFolder folder;
  const std::vector<float> values(16, 1.f);
  const std::vector<StTensor> tensors = {{"x", StType::kF32, {4, 4}, as_bytes(values.data(), 16)}};
  write_safetensors(folder / "a", tensors, {{"k", "v"}});
  const std::string raw = read_file(folder / "a");
  for (std::size_t size = 0; size < raw.size(); ++size) {
    spill(folder / "b", raw.substr(0, size));
    expect_error(ExitCode::kCorrupt, {}, [&] { SafetensorsFile(folder / "b"); });
  }
  for (std::size_t bit = 0; bit < 8 * (raw.size() - 64); ++bit) {  // the header; data is the manifest's to check
    std::string text = raw;
    text[bit / 8] = static_cast<char>(text[bit / 8] ^ (1 << bit % 8));
    spill(folder / "b", text);
    try {
      EXPECT_LE(SafetensorsFile(folder / "b").entries().size(), 1u);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kCorrupt) << error.what();
    }
  }
}

TEST(Safetensors, WrongQuestionsNameTheNearest) {
  const TempFolder folder;
  const std::vector<float> values(2, 1.f);
  const std::vector<StTensor> tensors = {
      {"net.0.weight", StType::kF32, {2}, as_bytes(values.data(), 2)}, {"step", StType::kF32, {0}, {}}};
  write_safetensors(folder / "a", tensors, {});
  const SafetensorsFile file(folder / "a");
  expect_error(ExitCode::kCorrupt, {"nearest is \"net.0.weight\""}, [&] { file.entry("net.0.wieght"); });
  std::array<std::byte, 4> out{};
  expect_error(ExitCode::kRuntime, {}, [&] { file.read("net.0.weight", out); });
}

TEST(Safetensors, WriterRefusesWhatCouldNotBeRead) {
  const TempFolder folder;
  const std::vector<float> values(2, 1.f);
  const StTensor good{"x", StType::kF32, {2}, as_bytes(values.data(), 2)};
  const auto refuse = [&](std::vector<StTensor> tensors, const std::map<std::string, std::string>& metadata = {}) {
    const std::string message =
        expect_error(ExitCode::kRuntime, {}, [&] { write_safetensors(folder / "a", tensors, metadata); });
    EXPECT_FALSE(fs::exists(folder / "a"));
    return message;
  };
  EXPECT_THAT(refuse({good, good}), HasSubstr("given twice"));
  EXPECT_THAT(refuse({{"x", StType::kF32, {3}, good.data}}), HasSubstr("8 bytes given, its shape has 12"));
  EXPECT_THAT(refuse({{"x", StType::kF32, {-2, -1}, good.data}}), HasSubstr("out of range"));
  EXPECT_THAT(refuse({{"__metadata__", StType::kF32, {2}, good.data}}), HasSubstr("not a good name"));
  EXPECT_THAT(refuse({{"\xff", StType::kF32, {2}, good.data}}), HasSubstr("not UTF-8"));
  EXPECT_THAT(refuse({good}, {{"k", "\xff"}}), HasSubstr("not UTF-8"));
}

}  // namespace
}  // namespace hebm::storage::test
