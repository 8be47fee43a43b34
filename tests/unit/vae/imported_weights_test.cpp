// Weights as data_tools/import_pytorch.py writes them: no hash of ours, but CRCs of header and
// data.
#include <zlib.h>
#include <nlohmann/json.hpp>
#include "../nets/support.h"
#include "base/error.h"
#include "vae/nvae.h"
#include "vae/weights_file.h"

namespace hebm::vae {
namespace {

using test::TempFolder;

std::string hex_crc(const std::string& bytes) {
  return fmt::format("{:08x}",
      crc32(crc32(0, nullptr, 0), reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size())));
}

Nvae small_net() {
  NvaeOptions options;
  options.channels = 2;
  options.groups_per_scale = options.latents = 2;
  options.preprocess_blocks = options.preprocess_cells = options.postprocess_blocks = options.postprocess_cells = 1;
  options.use_se = false;
  return Nvae(options, {1, 8, 8}, {.seed = 3});
}

// The container, written here a second time: header and data.
std::pair<std::string, std::string> imported(const Nvae& net) {
  auto tensors = net.params().parameters();
  tensors.insert(tensors.end(), net.params().states().begin(), net.params().states().end());
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  std::string data, texts;
  nlohmann::json header = nlohmann::json::object();
  std::map<std::string, std::string> metadata = {{"format", kVaeFormat}, {"version", kVaeVersion},
      {"architecture", net.architecture()}, {"identity", "{}"}, {"results", "{}"}};
  for (const auto& t : tensors) {
    const at::Tensor host = t.tensor.detach().contiguous();
    const std::size_t begin = data.size();
    data.append(static_cast<const char*>(host.const_data_ptr()), host.nbytes());
    header[t.name] = {{"dtype", "F32"}, {"shape", host.sizes().vec()}, {"data_offsets", {begin, data.size()}}};
    texts += t.name + '\0' + "F32" + header[t.name]["shape"].dump() + '\0';
  }
  metadata["crc32"] = hex_crc(data);
  std::string before;
  for (const auto& [key, value] : metadata) before += key + '\0' + value + '\0';
  metadata["header_crc32"] = hex_crc(before + texts);
  header["__metadata__"] = metadata;
  return {header.dump(), data};
}

std::string file_of(const std::string& header, const std::string& data) {
  const std::uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + header + data;
}

TEST(ImportedWeights, HaveTheHashThatOursWouldHave) {
  const TempFolder folder;
  const Nvae net = small_net();
  const auto [header, data] = imported(net);
  test::spill(folder / "vae.safetensors", file_of(header, data));
  const auto loaded = load_backbone(folder / "vae.safetensors");
  EXPECT_TRUE(loaded->params().flat().equal(net.params().flat()));
  EXPECT_EQ(backbone_hash(*loaded), backbone_hash(net));
}

// Nothing may come out but the same weights of the same architecture, whichever bit of the file is
// turned.
TEST(ImportedWeights, EveryTurnedBitIsFound) {
  const TempFolder folder;
  const Nvae net = small_net();
  const auto [header, data] = imported(net);
  const std::string good = file_of(header, data), hash = backbone_hash(net);
  const auto path = folder / "vae.safetensors";
  const std::size_t header_end = 8 + header.size();
  int refused = 0, tried = 0;
  for (std::size_t at = 0; at < good.size(); at += at < header_end ? 31 : 211) {
    for (const int bit : {0, 3, 6}) {
      std::string bytes = good;
      bytes[at] = static_cast<char>(bytes[at] ^ (1 << bit));
      test::spill(path, bytes);
      ++tried;
      try {
        EXPECT_EQ(backbone_hash(*load_backbone(path)), hash) << "byte " << at << ", bit " << bit;
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::kCorrupt) << error.what();
        EXPECT_NE(std::string(error.what()).find(path.string()), std::string::npos) << error.what();
        ++refused;
      }
    }
  }
  EXPECT_GE(refused, tried - tried / 50);  // the key header_crc32 itself may change: then all else is whole
}

TEST(ImportedWeights, WhatChangesNoShapeIsFoundToo) {
  const TempFolder folder;
  const auto path = folder / "vae.safetensors";
  const auto [header, data] = imported(small_net());
  const auto refused = [&](const std::string& from, const std::string& to, const std::string& words) {
    std::string changed = header;
    const std::size_t at = changed.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    test::spill(path, file_of(changed.replace(at, from.size(), to), data));
    test::expect_error(ExitCode::kCorrupt, {path.string(), words}, [&] { load_backbone(path); });
  };
  refused("res_dist\\\":true", "res_dist\\\":false", "the header has CRC-32");
  refused("bits\\\":8", "bits\\\":5", "the header has CRC-32");
  refused("\"crc32\":", "\"crc33\":", "the header has CRC-32");
}

}  // namespace
}  // namespace hebm::vae
