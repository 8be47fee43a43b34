#include "results/result_file.h"
#include <gtest/gtest.h>
#include "../support.h"

namespace hebm::results {
namespace {

using test::expect_error;

const nlohmann::json kResult = {{"fd_fmnist", 12.5}, {"kid", 1e-5}, {"rows", {1, 2, nullptr}}, {"seconds", 3.0},
    {"identity", {{"run.seed", "0"}, {"prior_hash", "0123456789abcdef0123456789abcdef"}}}, {"name", "Größe"}};

TEST(ResultFile, CarriesItsHash) {
  const test::TempFolder folder;
  const auto path = folder / "results/x.json";
  const nlohmann::json hashed = with_hash(kResult);
  EXPECT_EQ(with_hash(hashed), hashed);
  write_result(path, hashed);
  nlohmann::json got = read_result(path);
  EXPECT_EQ(got, hashed);
  got.erase(kContentHash);
  EXPECT_EQ(got, kResult);
}

TEST(ResultFile, EveryFlippedBitIsNamed) {
  const test::TempFolder folder;
  const auto path = folder / "x.json";
  const std::string whole = with_hash(kResult).dump(2) + "\n";
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    if (nlohmann::json::parse(damaged, nullptr, false) == nlohmann::json::parse(whole)) continue;  // 1e-05, 1E-05
    test::spill(path, damaged);
    expect_error(ExitCode::kCorrupt, {path.string()}, [&] { read_result(path); });
    if (testing::Test::HasFailure()) FAIL() << "bit " << bit << ": " << damaged;
  }
}

TEST(ResultFile, OneFromBeforeTheHashIsRead) {
  EXPECT_EQ(parse_result(kResult.dump()), kResult);
  EXPECT_EQ(parse_result("[1]"), nlohmann::json::array({1}));
  expect_error(ExitCode::kCorrupt, {"not valid JSON"}, [] { parse_result("{"); });
}

}  // namespace
}  // namespace hebm::results
