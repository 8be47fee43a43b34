#include "encode/encode.h"
#include <ATen/core/Tensor.h>
#include <c10/core/GradMode.h>
#include <cmath>
#include <csignal>
#include "../train/support.h"
#include "base/visits.h"
#include "comm/single_communicator.h"
#include "vae/hvae.h"
#include "vae/inputs.h"
#include "vae/weights_file.h"

namespace hebm::encode {
namespace {

using test::expect_error;
using test::TempFolder;

vae::Hvae make_net() {
  vae::HvaeOptions options;
  options.latents = "2x2,3x4";
  options.width = options.image_width = options.pixel_width = options.top_width = 8;
  return vae::Hvae(options, {1, 16, 16}, {.seed = 5});
}

EncodeOptions small_options() {
  EncodeOptions options;
  options.shards = 3;
  options.batch = 5;  // 23 images: shards of 7, 8 and 8, none a whole number of chunks
  return options;
}

struct World {
  test::OneThread one_thread;
  TempFolder folder;
  data::Dataset dataset = test::make_dataset(folder / "data.h5", 23, 9, 16);
  vae::Hvae net = make_net();
  comm::SingleCommunicator comm;
  Logger logger{false};
  EncodeResult encode(const std::string& name, const EncodeOptions& options = small_options(),
      const StopFlag* stop = nullptr, std::uint64_t seed = 4) {
    return encode_cache(options, folder / name, {dataset, net, vae::backbone_hash(net), seed}, stop, comm, logger);
  }
  // All draws of all images, [n, R, D].
  std::vector<float> read_all(const std::string& name) const {
    const auto cache = data::LatentCache::open(folder / name);
    std::vector<std::int64_t> positions, draws;
    for (std::int64_t p = 0; p < cache.num_images(); ++p) {
      for (std::int64_t r = 0; r < cache.layout().key.draws; ++r) {
        positions.push_back(p);
        draws.push_back(r);
      }
    }
    std::vector<float> out(positions.size() * static_cast<std::size_t>(net.dim()));
    cache.read(positions, draws, out);
    return out;
  }
};

TEST(EncodeCache, HoldsThePosteriorDrawsOfEveryImage) {
  World world;
  const auto result = world.encode("cache");
  EXPECT_EQ(result.outcome, EncodeResult::Outcome::kDone);
  EXPECT_EQ(result.shards_written, 3);
  const auto cache = data::LatentCache::open(world.folder / "cache");
  cache.expect(cache_layout(small_options(), world.dataset, world.net, vae::backbone_hash(world.net), 4).key);
  const auto all = world.read_all("cache");
  const auto& members = world.dataset.members(data::Split::kTrain);
  const c10::NoGradGuard no_grad;
  const std::int64_t dim = world.net.dim();
  double largest = 0, sum = 0, sum_squares = 0;
  for (std::size_t p = 0; p < members.size(); ++p) {
    EXPECT_EQ(cache.global_index(static_cast<std::int64_t>(p)), members[p]);
    for (std::uint32_t r = 0; r < 2; ++r) {
      const std::vector<std::int64_t> image = {members[p]};
      const std::vector<std::uint32_t> visit = {visits::kCache + r};
      const at::Tensor noise = vae::posterior_noise({4, 0, Purpose::kPosterior}, image, visit, dim);
      const auto expected = test::values_of(world.net.posterior(vae::image_tensor(world.dataset.read(image)), noise).u);
      for (std::int64_t e = 0; e < dim; ++e) {
        const double got = all[(p * 2 + r) * static_cast<std::size_t>(dim) + static_cast<std::size_t>(e)];
        EXPECT_NEAR(got, expected[static_cast<std::size_t>(e)], 1e-5)
            << p << ' ' << r << ' ' << e;  // another batch shape
        largest = std::max(largest, std::fabs(got));
        if (e < 8) sum += got, sum_squares += got * got;
      }
    }
  }
  ASSERT_EQ(result.moments.size(), 2u);
  const double count = 23 * 2 * 8, mean = sum / count;
  EXPECT_NEAR(result.moments[0].mean, mean, 1e-9);
  EXPECT_NEAR(result.moments[0].variance, sum_squares / count - mean * mean, 1e-9);
  EXPECT_EQ(result.max_abs_u, largest);
}

// What is encoded does not depend on how the list is cut into shards, as long as a chunk's shape is
// the same.
TEST(EncodeCache, ShardsDoNotChangeTheBits) {
  World world;
  world.encode("three");
  EncodeOptions options = small_options();
  options.shards = 5;
  world.encode("five", options);
  EXPECT_EQ(world.read_all("three"), world.read_all("five"));
  EXPECT_NE(world.read_all("three"), (world.encode("seed", small_options(), nullptr, 5), world.read_all("seed")));
}

TEST(EncodeCache, GoesOnShardByShardAfterAStop) {
  World world;
  world.encode("whole");
  {
    const StopFlag stop;
    ASSERT_EQ(std::raise(SIGUSR1), 0);
    for (int i = 0; i < 2; ++i) {
      const auto result = world.encode("parts", small_options(), &stop);
      EXPECT_EQ(result.outcome, EncodeResult::Outcome::kStopped);
      EXPECT_EQ(result.shards_written, 1);
    }
  }
  const auto first = std::filesystem::last_write_time(world.folder / "parts" / data::shard_name(0, 3));
  expect_error(ExitCode::kCorrupt, {"index.json"}, [&] { data::LatentCache::open(world.folder / "parts"); });
  EXPECT_EQ(world.encode("parts").shards_written, 1);
  EXPECT_EQ(std::filesystem::last_write_time(world.folder / "parts" / data::shard_name(0, 3)), first);
  EXPECT_EQ(world.read_all("parts"), world.read_all("whole"));
  EXPECT_EQ(world.encode("parts").shards_written, 0);  // nothing to do
}

TEST(EncodeCache, OtherSettingsAreRefusedByName) {
  World world;
  world.encode("cache");
  expect_error(ExitCode::kUsage, {(world.folder / "cache").string(), "seed"},
      [&] { world.encode("cache", small_options(), nullptr, 5); });
  EncodeOptions options = small_options();
  options.dtype = data::Dtype::kFloat16;
  expect_error(ExitCode::kUsage, {"dtype"}, [&] { world.encode("cache", options); });
  options = small_options();
  options.shards = 24;
  expect_error(ExitCode::kUsage, {"cache.shards = 24", "23 images"}, [&] { world.encode("other", options); });
}

TEST(EncodeCache, HalfPrecisionReportsItsRounding) {
  World world;
  EncodeOptions options = small_options();
  options.dtype = data::Dtype::kFloat16;
  options.split = data::Split::kTest;
  const auto result = world.encode("half", options);
  EXPECT_GT(result.max_rounding_error, 0.0);
  EXPECT_LE(result.max_rounding_error, result.max_abs_u * std::exp2(-11));  // half a unit in the last place of 11 bits
  EXPECT_EQ(data::LatentCache::open(world.folder / "half").num_images(), 9);
}

TEST(EncodeCache, NanFromThePosteriorNamesImageAndLayer) {
  World world;
  world.net.params().flat().fill_(std::nanf(""));
  expect_error(ExitCode::kCorrupt, {"image 0"}, [&] { world.encode("cache"); });
  EXPECT_FALSE(std::filesystem::exists(world.folder / "cache/index.json"));
}

}  // namespace
}  // namespace hebm::encode
