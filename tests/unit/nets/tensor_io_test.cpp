#include "nets/tensor_io.h"
#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>
#include <cmath>
#include "../nets/support.h"

namespace hebm::nets {
namespace {

using test::expect_error;
using test::TempFolder;

std::vector<NamedTensor> some_tensors() {
  return {{"a", test::random_tensor({2, 3}, 1, at::kFloat)}, {"b", test::random_tensor({4}, 2, at::kDouble).t()},
      {"c", test::random_tensor({3, 2}, 3, at::kFloat).t()},  // not contiguous
      {"n", at::full({1}, 1ll << 60, at::kLong)}};
}

std::vector<NamedTensor> blank_tensors() {
  std::vector<NamedTensor> out;
  for (const auto& t : some_tensors()) out.push_back({t.name, at::zeros(t.tensor.sizes(), t.tensor.options())});
  return out;
}

TEST(TensorIo, RoundTripIsBitEqual) {
  const TempFolder folder;
  const auto tensors = some_tensors();
  save_tensors(folder / "x.safetensors", tensors, {{"key", "value"}});
  const storage::SafetensorsFile file(folder / "x.safetensors");
  auto loaded = blank_tensors();
  load_tensors(file, loaded);
  for (std::size_t i = 0; i < tensors.size(); ++i)
    EXPECT_TRUE(loaded[i].tensor.equal(tensors[i].tensor)) << tensors[i].name;
  EXPECT_EQ(hash_tensors(loaded), hash_tensors(tensors));
  EXPECT_EQ(num_values(file), 6 + 4 + 6 + 1);
}

TEST(TensorIo, WhatDoesNotFitIsNamed) {
  const TempFolder folder;
  save_tensors(folder / "x.safetensors", some_tensors(), {});
  const storage::SafetensorsFile file(folder / "x.safetensors");
  const std::string path = (folder / "x.safetensors").string();
  const auto load = [&](std::size_t i, const NamedTensor& other, bool extra = false) {
    auto wanted = blank_tensors();
    if (i < wanted.size()) {
      wanted[i] = other;
    } else {
      wanted.pop_back();
    }
    load_tensors(file, wanted, extra);
  };
  expect_error(ExitCode::kCorrupt, {path, "a", "[2,3]", "[3,2]"}, [&] {
    load(0, {"a", at::zeros({3, 2}, at::kFloat)});
  });
  expect_error(ExitCode::kCorrupt, {path, "b", "F64", "F32"}, [&] { load(1, {"b", at::zeros({4}, at::kFloat)}); });
  expect_error(ExitCode::kCorrupt, {path, "missing"}, [&] { load(0, {"missing", at::zeros({2, 3}, at::kFloat)}); });
  expect_error(ExitCode::kCorrupt, {path, "tensor n"}, [&] { load(99, {}); });
  load(99, {}, true);
}

TEST(TensorIo, NumbersThatNoNetComputesWithAreNamed) {
  const TempFolder folder;
  const auto path = folder / "x.safetensors";
  const auto load_with = [&](float value, bool weights) {
    at::Tensor bad = at::zeros({2, 3}, at::kFloat);
    bad.mutable_data_ptr<float>()[4] = value;
    std::filesystem::remove(path);
    save_tensors(path, {{"fine", at::zeros({2})}, {"layer0.weight", bad}}, {});
    const storage::SafetensorsFile file(path);
    const std::vector<NamedTensor> target = {
        {"fine", at::zeros({2})}, {"layer0.weight", at::zeros({2, 3}, at::kFloat)}};
    weights ? load_float32(file, target) : load_tensors(file, target);
  };
  for (const bool weights : {false, true}) {
    for (const float bad : {std::nanf(""), INFINITY, -INFINITY})
      expect_error(ExitCode::kCorrupt, {path.string(), "tensor layer0.weight holds"}, [&] { load_with(bad, weights); });
    load_with(-1e18F, weights);
  }
  expect_error(ExitCode::kCorrupt, {"tensor layer0.weight holds 3e+38"}, [&] { load_with(3e38F, true); });
  expect_error(ExitCode::kCorrupt, {"tensor layer0.weight"}, [&] { load_with(-3e38F, true); });
  load_with(3e38F, false);  // a second moment of a checkpoint
}

TEST(TensorIo, HashSeesNamesShapesAndValues) {
  const auto hash = [](const std::string& name, const at::Tensor& t) { return hash_tensors({{name, t}}); };
  const at::Tensor x = test::random_tensor({2, 3}, 1, at::kFloat);
  EXPECT_EQ(hash("x", x), hash("x", x.clone()));
  EXPECT_NE(hash("x", x), hash("y", x));
  EXPECT_NE(hash("x", x), hash("x", x.reshape({3, 2})));
  at::Tensor other = x.clone();
  other.mutable_data_ptr<float>()[5] = -other.const_data_ptr<float>()[5];
  EXPECT_NE(hash("x", x), hash("x", other));
}

TEST(TensorIo, PublishReplacesAndLeavesNothingBehind) {
  const TempFolder folder;
  const auto path = folder / "deep/er.safetensors";
  publish_tensors(path, {{"a", at::zeros({1})}}, {{"version", "1"}});
  publish_tensors(path, {{"a", at::zeros({2})}}, {{"version", "2"}});
  EXPECT_EQ(metadata_text(storage::SafetensorsFile(path), "version"), "2");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder / "deep"), {}), 1);
}

// Wherever a bit of the header flips: metadata, names, types, shapes, offsets, the header's length,
// the blanks at its end.
TEST(TensorIo, EveryFlippedBitOfTheHeaderIsNoticed) {
  const TempFolder folder;
  const auto path = folder / "x.safetensors";
  publish_tensors(path, {{"a", at::zeros({1, 2})}, {"n", at::full({3}, 1ll << 60, at::kLong)}},
      {{"format", "hebm-vae"}, {"version", "1"}, {"identity", R"({"run.seed":0})"}, {"results", R"({"elbo":-231.5})"}});
  const auto open = [&] { check_format(storage::SafetensorsFile(path), "hebm-vae", "1"); };
  open();
  const std::string whole = test::slurp(path);
  const std::size_t header = whole.size() - 4 * 2 - 8 * 3;
  ASSERT_GT(header, 200u);
  for (std::size_t bit = 0; bit < 8 * header; ++bit) {
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    test::spill(path, damaged);
    expect_error(ExitCode::kCorrupt, {path.string()}, open);
    if (testing::Test::HasFailure()) FAIL() << "bit " << bit;
  }
}

TEST(TensorIo, OnlyImportedFilesMayLackTheHeadersHash) {
  const TempFolder folder;
  const std::map<std::string, std::string> metadata = {{"format", "hebm-vae"}, {"version", "1"}};
  save_tensors(folder / "old.safetensors", some_tensors(), metadata);
  expect_error(ExitCode::kCorrupt, {"old.safetensors", "header_hash"},
      [&] { check_format(storage::SafetensorsFile(folder / "old.safetensors"), "hebm-vae", "1"); });
  auto imported = metadata;
  imported["crc32"] = "00000000";
  save_tensors(folder / "imported.safetensors", some_tensors(), imported);
  check_format(storage::SafetensorsFile(folder / "imported.safetensors"), "hebm-vae", "1");
}

TEST(TensorIo, MetadataIsHostile) {
  const TempFolder folder;
  const auto path = folder / "x.safetensors";
  publish_tensors(path, {{"a", at::zeros({1})}},
      {{"format", "hebm-vae"}, {"version", "2"}, {"json", "{\"a\": [1, -1, 0, 1.5, 99, 3]}"}, {"bad", "{"},
          {"list", "[1]"}, {"long", std::string(3 << 20, 'x')}});
  const storage::SafetensorsFile file(path);
  check_format(file, "hebm-vae", "2");
  expect_error(ExitCode::kCorrupt, {"hebm-vae version 1", "version 2"}, [&] { check_format(file, "hebm-vae", "1"); });
  expect_error(ExitCode::kCorrupt, {"hebm-features"}, [&] { check_format(file, "hebm-features", "2"); });
  expect_error(ExitCode::kCorrupt, {"no 'absent'"}, [&] { metadata_text(file, "absent"); });
  expect_error(ExitCode::kCorrupt, {"long", "bytes"}, [&] { metadata_text(file, "long"); });
  expect_error(ExitCode::kCorrupt, {"bad"}, [&] { metadata_json(file, "bad"); });
  expect_error(ExitCode::kCorrupt, {"list"}, [&] { metadata_json(file, "list"); });
  const auto json = metadata_json(file, "json");
  for (const std::size_t i : {1, 2, 3, 4}) {
    const nlohmann::json object = {{"side", json["a"][i]}};
    expect_error(ExitCode::kCorrupt, {"side", "1 to 98"}, [&] { integer_field(object, "side", 98); });
  }
  expect_error(ExitCode::kCorrupt, {"side"}, [&] { integer_field(json, "side", 98); });
  expect_error(ExitCode::kCorrupt, {"side"}, [&] { integer_field({{"side", "3"}}, "side", 98); });
  EXPECT_EQ(integer_field(nlohmann::json::parse("{\"side\": 98}"), "side", 98), 98);
}

}  // namespace
}  // namespace hebm::nets
