// What `evaluate --all` says a prior costs, and what it reads of samples.
#include "evaluate/evaluate.h"
#include <gtest/gtest.h>
#include "../nets/support.h"
#include "base/error.h"
#include "storage/hdf5.h"

namespace hebm::evaluate {
namespace {

TEST(Cost, OfTrainingCountsChainsAndBothHalvesOfTheLoss) {
  const nlohmann::json fingerprint = {{"train.updates", "600"}, {"train.batch", "128"}, {"langevin.steps", "30"}};
  EXPECT_EQ(training_gradients(true, fingerprint), 600 * 128 * 32);
  EXPECT_EQ(training_gradients(true, fingerprint), 600 * 128 * 32);
  EXPECT_EQ(training_gradients(false, fingerprint), 600 * 128 * 2);
  EXPECT_EQ(training_gradients(true, {{"train.updates", "600"}, {"train.batch", "128"}}), std::nullopt);
  for (const char* bad : {"", "x", "600x", "-1", "0", "1e3", "99999999999999999999"}) {
    EXPECT_EQ(training_gradients(false, {{"train.updates", bad}, {"train.batch", "128"}}), std::nullopt) << bad;
  }
  EXPECT_EQ(training_gradients(false, {{"train.updates", 600}, {"train.batch", "128"}}), std::nullopt);
  EXPECT_EQ(training_gradients(true,
                {{"train.updates", "1000000000"}, {"train.batch", "1000000000"}, {"langevin.steps", "1000000000"}}),
      std::nullopt);
  EXPECT_EQ(training_gradients(false, nlohmann::json()), std::nullopt);
}

// T chains an image in an update on the reverse chain.
TEST(Cost, OfTrainingOnReverseChainsIsThatOfAllLevels) {
  nlohmann::json fingerprint = {{"train.updates", "600"}, {"train.batch", "128"}, {"langevin.steps", "8"},
      {"train.chain", "reverse"}, {"train.reverse_from", "0"}, {"prior.T", "6"}};
  EXPECT_EQ(training_gradients(true, fingerprint), 600 * 128 * 6 * 10);
  fingerprint["train.reverse_from"] = "200";
  EXPECT_EQ(training_gradients(true, fingerprint), (200 + 400 * 6) * 128 * 10);
  fingerprint["train.reverse_from"] = "700";
  EXPECT_EQ(training_gradients(true, fingerprint), 600 * 128 * 10);
  fingerprint["train.chain"] = "data";
  EXPECT_EQ(training_gradients(true, fingerprint), 600 * 128 * 10);
  fingerprint.erase("prior.T");
  EXPECT_EQ(training_gradients(true, fingerprint), 600 * 128 * 10);
  fingerprint["train.chain"] = "reverse";
  EXPECT_EQ(training_gradients(true, fingerprint), std::nullopt);
}

TEST(Cost, OfASample) {
  const nlohmann::json chains = {{"langevin.steps", 30}};
  EXPECT_EQ(chain_cost(3, chains).gradients, 90);
  EXPECT_EQ(chain_cost(3, chains).evaluations, 0);
  EXPECT_EQ(chain_cost(1, chains).gradients, 30);
  EXPECT_EQ(chain_cost(std::nullopt, chains).gradients, std::nullopt);
  EXPECT_EQ(chain_cost(3, nlohmann::json()).gradients, std::nullopt);
}

class StoredSamplesTest : public ::testing::Test {
 protected:
  std::filesystem::path write(const std::string& name, const std::string& seconds, const std::string& fingerprint) {
    const auto file = folder_ / name;
    auto h5 = storage::H5File::create(file);
    std::vector<std::uint8_t> pixels(5 * 4);
    for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i);
    h5.write("images", storage::H5Type::kU8, {5, 1, 2, 2}, std::as_bytes(std::span(pixels)));
    h5.set_attribute("seconds", seconds);
    h5.set_attribute("identity", fingerprint);
    h5.close_durable();
    return file;
  }
  test::TempFolder folder_;
};

TEST_F(StoredSamplesTest, AreReadBack) {
  const auto file = write("a.h5", "2.5", R"({"vae_hash": "v"})");
  const StoredSamples stored = read_stored_samples(file);
  EXPECT_EQ(stored.count, 5);
  EXPECT_DOUBLE_EQ(stored.seconds_per_image, 0.5);
  EXPECT_EQ(stored.fingerprint.at("vae_hash"), "v");
  EXPECT_EQ(stored.images_hash, "");
  EXPECT_EQ(
      read_sample_images(file, {1, 2, 2}, 2, 2).pixels, (std::vector<std::uint8_t>{8, 9, 10, 11, 12, 13, 14, 15}));
  // Beyond the end: image 4 first, then what comes before it.
  EXPECT_EQ(read_sample_images(file, {1, 2, 2}, 4, 3).pixels,
      (std::vector<std::uint8_t>{16, 17, 18, 19, 8, 9, 10, 11, 12, 13, 14, 15}));
  test::expect_error(ExitCode::kCorrupt, {"a.h5", "1 x 2 x 3"}, [&] { read_sample_images(file, {1, 2, 3}, 0, 2); });
  test::expect_error(ExitCode::kUsage, {"a.h5", "6"}, [&] { read_sample_images(file, {1, 2, 2}, 0, 6); });
}

TEST_F(StoredSamplesTest, OfAnyOtherContentAreRefused) {
  int n = 0;
  for (const char* seconds : {"", "x", "1.5s", "nan", "-1", "inf"}) {
    const auto file = write(fmt::format("s{}.h5", n++), seconds, "{}");
    test::expect_error(ExitCode::kCorrupt, {file.filename().string(), "seconds"}, [&] { read_stored_samples(file); });
  }
  std::string nested;  // written with an indent for each level, 40 KB took 1.1 GiB
  for (int i = 0; i < 8000; ++i) nested += "{\"a\":";
  nested += "1" + std::string(8000, '}');
  for (const std::string& fingerprint :
      {std::string(), std::string("3"), std::string("[1]"), std::string("{"), nested}) {
    const auto file = write(fmt::format("i{}.h5", n++), "1", fingerprint);
    test::expect_error(ExitCode::kCorrupt, {file.filename().string(), "identity"}, [&] { read_stored_samples(file); });
  }
  test::spill(folder_ / "zero.h5", std::string(4096, '\0'));
  test::expect_error(ExitCode::kCorrupt, {"zero.h5"}, [&] { read_stored_samples(folder_ / "zero.h5"); });
}

}  // namespace
}  // namespace hebm::evaluate
