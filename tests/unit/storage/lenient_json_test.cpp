// Settings of a file against those that are asked for.
#include "storage/lenient_json.h"
#include "support.h"

namespace hebm::storage {
namespace {

using Json = nlohmann::json;

TEST(LenientJson, SettingsThatDiffer) {
  const Json stored = {{"a", 1}, {"b", "x"}};
  EXPECT_EQ(settings_difference({{"a", 1}}, stored, "file"), "");
  EXPECT_EQ(settings_difference({{"a", 2}, {"b", "x"}}, stored, "run"), "\n  a: the run has 1, you ask for 2");
  EXPECT_EQ(settings_difference({{"c", 2}}, stored, "file"), "\n  c: the file has nothing, you ask for 2");
  EXPECT_EQ(settings_difference({{"c", 2}}, Json::array(), "file"), "\n  c: the file has nothing, you ask for 2");
}

// Files from before the key computed in float32.
TEST(LenientJson, ChainPrecisionOfAnEarlierFile) {
  const char* key = "compute.chain_precision";
  EXPECT_EQ(settings_difference({{key, "float32"}}, Json::object(), "file"), "");
  EXPECT_EQ(settings_difference({{key, "bfloat16"}}, Json::object(), "file"),
      "\n  compute.chain_precision: the file has \"float32\", you ask for \"bfloat16\"");
  EXPECT_NE(settings_difference({{key, "float32"}}, {{key, "bfloat16"}}, "file"), "");
}

// Chains started at u_{t+1}, before there was another start.
TEST(LenientJson, StartOfTheChainsOfAnEarlierFile) {
  const char* key = "langevin.start";
  EXPECT_EQ(settings_difference({{key, "next"}}, Json::object(), "file"), "");
  EXPECT_EQ(settings_difference({{key, "kernel"}}, Json::object(), "file"),
      "\n  langevin.start: the file has \"next\", you ask for \"kernel\"");
  const Json paper = {{"train.chain", "data"}, {"train.reverse_from", "0"}};
  EXPECT_EQ(settings_difference(paper, Json::object(), "file"), "");
  EXPECT_NE(settings_difference({{"train.chain", "reverse"}}, Json::object(), "file"), "");
}

// A VAE from before its layers' KL had targets had none.
TEST(LenientJson, KlTargetsOfAnEarlierFile) {
  const Json none = {{"vae_train.kl_targets", ""}, {"vae_train.kl_ramp", "0.3"}};
  EXPECT_EQ(settings_difference(none, Json::object(), "run"), "");
  EXPECT_NE(settings_difference({{"vae_train.kl_targets", "20,30"}}, Json::object(), "run"), "");
}

}  // namespace
}  // namespace hebm::storage
