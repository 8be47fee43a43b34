#include <gtest/gtest.h>

#include "storage/hash.h"
#include "storage/verified_directory.h"
#include "temp_folder.h"

namespace hebm::storage::test {
namespace {

PartResult write_part(const fs::path& folder, const std::string& name, const std::string& content) {
  HashedFileWriter writer(folder / name);
  writer.write(as_bytes(content.data(), content.size()));
  const auto result = writer.close_durable();
  return {name, result.size, result.hash};
}

TEST(VerifiedDirectory, PublishAndVerifyAlone) {
  const TempFolder folder;
  publish_directory(
      folder / "checkpoints", "step-0000400", {{"step", 400}},
      [](const fs::path& part) { return std::vector{write_part(part, "model", "abc")}; }, Peers::alone());
  const nlohmann::json manifest = verify_directory(folder / "checkpoints/step-0000400");
  EXPECT_EQ(manifest["step"], 400);
  EXPECT_EQ(manifest["parts"].size(), 1u);
  EXPECT_EQ(list_directories(folder / "checkpoints", "step"), std::vector<std::string>{"step-0000400"});
}

}  // namespace
}  // namespace hebm::storage::test
