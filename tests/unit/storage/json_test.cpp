#include "storage/json.h"
#include <gtest/gtest.h>
#include <chrono>
#include "support.h"

namespace hebm::storage::test {
namespace {

using Json = nlohmann::json;

std::string nested(std::size_t levels) { return std::string(levels, '[') + std::string(levels, ']'); }

TEST(Json, DepthBytesAndValuesAreBounded) {
  EXPECT_EQ(parse_json(nested(kMaxJsonDepth), "here").size(), 1u);
  const auto refused = [](const std::string& text, const char* part) {
    expect_error(ExitCode::kCorrupt, {"here: JSON out of bounds", part}, [&] { parse_json(text, "here"); });
    EXPECT_TRUE(lenient_json(text).is_discarded());
  };
  refused(nested(kMaxJsonDepth + 1), "nested 65 deep, at most 64");
  refused(nested(50000), "nested 50000 deep");
  refused(std::string(5000000, '['), "nested 5000000 deep");  // never closed
  std::string objects;
  for (int i = 0; i < 65; ++i) objects += "{\"a\":";
  refused(objects + "1" + std::string(65, '}'), "nested 65 deep");
  std::string many = "[0";
  for (std::size_t i = 0; i < kMaxJsonValues; ++i) many += ",0";
  refused(many + "]", "values, at most 1048576");
  refused("\"" + std::string(kMaxJsonBytes, 'x') + "\"", "bytes, at most 67108864");
}

TEST(Json, BracketsWithinTextsDoNotCount) {
  const std::string text = "[" + Json(std::string(1000, '[') + "\\\"" + std::string(1000, ',')).dump() + "]";
  EXPECT_EQ(parse_json(text, "here")[0].get<std::string>().size(), 2002u);
}

TEST(Json, WhatIsNoJsonIsToldWithoutTheNameOfAClass) {
  try {
    parse_json("{\"a\": \x1b}", "here");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kCorrupt);
    const std::string what = error.what();
    EXPECT_NE(what.find("here: expected JSON, got text that does not parse: parse error at line 1"), std::string::npos)
        << what;
    EXPECT_EQ(what.find("json.exception"), std::string::npos) << what;
    EXPECT_EQ(what.find('\x1b'), std::string::npos) << what;
  }
  EXPECT_TRUE(lenient_json("{").is_discarded());
  EXPECT_TRUE(lenient_json("").is_discarded());
}

TEST(Json, WhatIsWrittenCanBeRead) {
  EXPECT_EQ(json_text(Json{{"a", {1, 2}}}), "{\"a\":[1,2]}");
  EXPECT_EQ(json_text(Json("\xff")), "\"\xef\xbf\xbd\"");  // a run's name may hold any byte
  Json deep = 1;
  for (std::size_t i = 0; i < kMaxJsonDepth; ++i) deep = Json::array({deep});
  EXPECT_EQ(parse_json(json_text(deep), "here"), deep);
  expect_error(ExitCode::kRuntime, {"could not be read back", "nested 65"}, [&] { json_text(Json::array({deep})); });
}

TEST(Json, AValueIsShownShortOnOneLine) {
  EXPECT_EQ(fmt::format("{}", Shown{Json("a\nb\x1b")}), "\"a\\nb\\u001b\"");
  EXPECT_EQ(fmt::format("{}", Shown{Json(std::string(100, 'x'))}).size(), 60u);
  EXPECT_EQ(fmt::format("{}", Shown{Json{1, 2}, 5}), "[1,2]");
}

// A check that holds costs nothing, however large the document: each of its fields was dumped once.
TEST(Json, ChecksThatHoldDoNotFormatTheDocument) {
  const Json large = std::vector<int>(1000000, 7);
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 1000; ++i) check(large.is_array(), ExitCode::kCorrupt, "got {}", Shown{large});
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(1));
}

}  // namespace
}  // namespace hebm::storage::test
