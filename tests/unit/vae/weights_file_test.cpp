#include "vae/weights_file.h"
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>
#include "../nets/support.h"
#include "nets/tensor_io.h"
#include "vae/hvae.h"
#include "vae/inputs.h"
#include "vae/nvae.h"

namespace hebm::vae {
namespace {

using test::expect_error;
using test::TempFolder;

Hvae small_net(std::uint64_t seed = 3) {
  HvaeOptions options;
  options.latents = "2x2,3x4";
  options.width = options.image_width = options.pixel_width = options.top_width = 4;
  return Hvae(options, {1, 16, 16}, {.seed = seed});
}

TEST(WeightsFile, RoundTripIsBitEqual) {
  const TempFolder folder;
  const auto path = folder / "vae/vae.safetensors";
  const Hvae net = small_net();
  const std::string hash = save_vae(path, net, {{"run.seed", 3}}, {{"elbo", -1.5}});
  const auto loaded = load_backbone(path);
  EXPECT_TRUE(loaded->params().flat().equal(net.params().flat()));
  EXPECT_EQ(backbone_hash(*loaded), hash);
  EXPECT_EQ(backbone_hash(net), hash);
  EXPECT_NE(backbone_hash(small_net(4)), hash);
  const VaeInfo info = read_vae_info(path);
  EXPECT_EQ(info.fingerprint["run.seed"], 3);
  EXPECT_EQ(info.results["elbo"], -1.5);
  const c10::NoGradGuard no_grad;
  const at::Tensor u = test::random_tensor({2, net.dim()}, 1, at::kFloat);
  EXPECT_TRUE(loaded->decode(u).equal(net.decode(u, 1.0)));
}

TEST(WeightsFile, EveryFlippedByteOfTheDataIsFound) {
  const TempFolder folder;
  const auto path = folder / "vae.safetensors";
  save_vae(path, small_net(), {}, {});
  const std::string good = test::slurp(path);
  for (std::size_t at = good.size() - 1; at > good.size() - 2000; at -= 97) {
    std::string bytes = good;
    bytes[at] = static_cast<char>(bytes[at] ^ 4);
    test::spill(path, bytes);
    expect_error(ExitCode::kCorrupt, {path.string(), "hash"}, [&] { load_backbone(path); });
  }
  test::spill(path, good);
  load_backbone(path);
}

TEST(WeightsFile, MetadataIsHostile) {
  const TempFolder folder;
  const auto path = folder / "vae.safetensors";
  const Hvae net = small_net();
  const auto with = [&](const std::string& key, const std::string& value) {
    std::map<std::string, std::string> metadata = {{"format", kVaeFormat}, {"version", kVaeVersion},
        {"architecture", net.architecture()}, {"identity", "{}"}, {"results", "{}"}, {"vae_hash", backbone_hash(net)}};
    metadata[key] = value;
    nets::publish_tensors(path, net.params().parameters(), metadata);
    return [&path] { load_backbone(path); };
  };
  with("vae_hash", backbone_hash(net))();
  expect_error(ExitCode::kCorrupt, {path.string(), "hash"}, with("vae_hash", std::string(32, '0')));
  expect_error(ExitCode::kCorrupt, {path.string(), "hebm-features"}, with("format", "hebm-features"));
  expect_error(ExitCode::kCorrupt, {path.string(), "version"}, with("version", "2"));
  expect_error(ExitCode::kCorrupt, {path.string(), "architecture"}, with("architecture", "{"));
  auto other = nlohmann::json::parse(net.architecture());
  other["width"] = 4096;  // more weights than the file has numbers
  expect_error(ExitCode::kCorrupt, {path.string(), "values"}, with("architecture", other.dump()));
  other["width"] = 5;  // as many or more, of other shapes
  expect_error(ExitCode::kCorrupt, {path.string()}, with("architecture", other.dump()));
  with("identity", "[]");
  expect_error(ExitCode::kCorrupt, {path.string(), "identity"}, [&] { read_vae_info(path); });
}

Nvae small_nvae() {
  NvaeOptions options;
  options.channels = 2;
  options.groups_per_scale = 2;
  options.latents = 1;
  options.preprocess_blocks = options.postprocess_blocks = 1;
  return Nvae(options, {1, 4, 4}, {.seed = 3});
}

TEST(WeightsFile, NvaeAndItsRunningStatisticsComeBackInBothPrecisions) {
  const TempFolder folder;
  const auto path = folder / "vae.safetensors";
  Nvae net = small_nvae();
  {
    const c10::NoGradGuard no_grad;
    at::Tensor variance = net.modules().norms()[1].running_var;
    variance.fill_(0.3);
  }
  const std::string hash = save_vae(path, net, {}, {});
  const c10::NoGradGuard no_grad;
  const at::Tensor u = test::random_tensor({2, net.dim()}, 1, at::kFloat);
  const auto loaded = load_backbone(path), exact = load_backbone(path, at::kDouble);
  EXPECT_TRUE(loaded->decode(u).equal(net.decode(u, 1.0)));
  EXPECT_EQ(backbone_hash(*exact), hash);
  EXPECT_EQ(exact->params().dtype(), at::kDouble);
  EXPECT_LT(test::largest_difference(exact->decode(u.to(at::kDouble)), net.decode(u, 1.0)), 1e-4);
}

// A file of the importer: no vae_hash but the CRC-32 of the data.
TEST(WeightsFile, ImportedFilesAreCheckedByTheirCrc) {
  const TempFolder folder;
  const auto path = folder / "vae.safetensors";
  const Nvae net = small_nvae();
  auto tensors = net.params().parameters();
  tensors.insert(tensors.end(), net.params().states().begin(), net.params().states().end());
  const auto write = [&](const char* key, const std::string& value) {
    nets::publish_tensors(path, tensors,
        {{"format", kVaeFormat}, {"version", kVaeVersion}, {"architecture", net.architecture()}, {"identity", "{}"},
            {"results", "{}"}, {key, value}});
  };
  write("nothing", "");
  expect_error(ExitCode::kCorrupt, {path.string(), "vae_hash", "crc32"}, [&] { load_backbone(path); });
  const std::string crc = storage::SafetensorsFile(path).data_crc32();
  write("crc32", crc);
  EXPECT_EQ(backbone_hash(*load_backbone(path)), backbone_hash(net));
  const std::string good = test::slurp(path);
  for (const std::size_t back : {1, 500, 1500}) {
    std::string bytes = good;
    bytes[bytes.size() - back] = static_cast<char>(bytes[bytes.size() - back] ^ 4);
    test::spill(path, bytes);
    expect_error(ExitCode::kCorrupt, {path.string(), "CRC-32", crc}, [&] { load_backbone(path); });
  }
}

TEST(Inputs, PixelsAreBytesOver255) {
  ImageBatch images;
  images.shape = {1, 1, 3};
  images.count = 2;
  images.pixels = {0, 255, 51, 1, 2, 3};
  const at::Tensor x = image_tensor(images);
  EXPECT_EQ(x.sizes().vec(), (std::vector<std::int64_t>{2, 1, 1, 3}));
  const auto values = test::values_of(x);
  EXPECT_EQ(values[0], 0.0);
  EXPECT_EQ(values[1], 1.0);
  EXPECT_EQ(static_cast<float>(values[2]), 0.2f);
  images.pixels.pop_back();
  expect_error(ExitCode::kRuntime, {"5 bytes"}, [&] { image_tensor(images); });
}

TEST(Inputs, NoiseOfAnImageDoesNotDependOnTheBatch) {
  const RandomKey key{1, 0, Purpose::kPosterior};
  const std::vector<std::int64_t> images = {5, 9, 5}, alone = {9};
  const std::vector<std::uint32_t> visits = {0, 1, 2}, one = {1};
  const at::Tensor noise = posterior_noise(key, images, visits, 33);
  EXPECT_TRUE(noise.select(0, 1).equal(posterior_noise(key, alone, one, 33).select(0, 0)));
  EXPECT_FALSE(noise.select(0, 0).equal(noise.select(0, 2)));
  std::vector<float> direct(33);
  fill_normal(direct, key, {.item = 9, .visit = 1});
  EXPECT_EQ(test::values_of(noise.select(0, 1)), std::vector<double>(direct.begin(), direct.end()));
}

}  // namespace
}  // namespace hebm::vae
