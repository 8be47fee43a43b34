#include "data/json_fields.h"
#include <gtest/gtest.h>
#include "support.h"

namespace hebm::data::test {
namespace {

TEST(JsonFields, UnsignedNumbersDoNotWrap) {
  const nlohmann::json json = nlohmann::json::parse("{\"a\": 18446744073709551615, \"b\": -5}");
  expect_error(
      ExitCode::kCorrupt, {"here: a", "got 18446744073709551615"}, [&] { json_int(json, "a", -10, 10, "here"); });
  EXPECT_EQ(json_u64(json, "a", "here"), 18446744073709551615ull);
  EXPECT_EQ(json_int(json, "b", -10, 10, "here"), -5);
  expect_error(ExitCode::kCorrupt, {"here: b", "got -5"}, [&] { json_u64(json, "b", "here"); });
}

TEST(JsonFields, NestedTextIsRefusedBeforeItIsBuilt) {
  const std::string deep = std::string(50000, '[') + std::string(50000, ']');
  expect_error(ExitCode::kCorrupt, {"here", "nested 50000 deep"}, [&] { parse_json(deep, "here"); });
  expect_error(ExitCode::kCorrupt, {"here", "object or array", "got 1"}, [&] { parse_json("1", "here"); });
}

}  // namespace
}  // namespace hebm::data::test
