// docs/method.md maps every equation, algorithm, table and figure of the paper to one file and
// function, or to "not yet".
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <filesystem>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <vector>
#include "storage/files.h"

namespace hebm::report {
namespace {

namespace fs = std::filesystem;
const fs::path kSource = HEBM_SOURCE_DIR;

struct Row {
  std::string item, where;  // "Eq. 5", "src/prior/schedule.h `make_schedule`" or "not yet"
};

std::vector<Row> rows(const std::string& text) {
  static const std::regex kRow(R"(^\| ((?:Eq|Alg|Tab|Fig)\. [0-9]+) \| ([^|]*[^ |]) +\|.*)");
  std::vector<Row> out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::smatch match;
    if (std::regex_match(line, match, kRow)) out.push_back({match[1], match[2]});
  }
  return out;
}

std::string without_comments(const std::string& code) { return std::regex_replace(code, std::regex("//[^\n]*"), ""); }

std::size_t count(const std::string& code, const std::string& pattern) {
  const std::regex regex(pattern);
  return static_cast<std::size_t>(
      std::distance(std::sregex_iterator(code.begin(), code.end(), regex), std::sregex_iterator()));
}

// How often the code declares (in a header) or defines (in a source) this class, struct or
// function.
std::size_t declarations(const std::string& code, const std::string& name) {
  const std::string plain = without_comments(code);
  const std::size_t types = count(plain, "\\b(class|struct) " + name + "\\b[^;]*\\{");
  return types > 0 ? types : count(plain, "(^|[^A-Za-z0-9_:.>])" + name + "\\(");
}

// "" where the place is right, else what is wrong with it.
std::string problem(const std::string& where, const fs::path& source) {
  if (where == "not yet") return {};
  static const std::regex kPlace(R"((src/[a-z_]+/[a-z_]+\.(?:h|cpp)) `([A-Za-z_:]+)`)");
  std::smatch match;
  if (!std::regex_match(where, match, kPlace)) return "neither 'not yet' nor a file and `function`";
  if (!fs::is_regular_file(source / match[1].str())) return match[1].str() + " does not exist";
  const std::size_t found = declarations(storage::read_file(source / match[1].str()), match[2]);
  return found == 1 ? ""
                    : match[1].str() + " has " + match[2].str() + " " + std::to_string(found) + " times, expected once";
}

std::vector<std::string> items() {
  std::vector<std::string> out;
  for (const auto& [kind, last] : {std::pair{"Eq", 21}, {"Alg", 2}, {"Tab", 3}, {"Fig", 9}}) {
    for (int i = 1; i <= last; ++i) out.push_back(std::string(kind) + ". " + std::to_string(i));
  }
  return out;
}

TEST(MethodPage, EveryItemOfThePaperHasOneRow) {
  std::map<std::string, int> seen;
  for (const Row& row : rows(storage::read_file(kSource / "docs/method.md"))) ++seen[row.item];
  for (const std::string& item : items()) {
    EXPECT_EQ(seen[item], 1) << item;
    seen.erase(item);
  }
  seen.erase("Fig. 10");
  for (const auto& [item, times] : seen) ADD_FAILURE() << item << " is not in the paper";
}

TEST(MethodPage, EveryAnchorExistsOnce) {
  for (const Row& row : rows(storage::read_file(kSource / "docs/method.md"))) {
    EXPECT_EQ(problem(row.where, kSource), "") << row.item << ": " << row.where;
  }
}

// The checks above see what they should.
TEST(MethodPage, TheCheckFindsMistakes) {
  const auto found = rows("| Eq. 5 | src/a/b.h `f` | note |\n| Eq. 6 | not yet | x |\n| item | where | note |\n");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].where, "src/a/b.h `f`");
  EXPECT_EQ(found[1].where, "not yet");
  EXPECT_EQ(declarations("int f(int);  // f() is\nint g() { return h.f(1); }", "f"), 1u);
  EXPECT_EQ(declarations("int f(int);\nint f(double);", "f"), 2u);
  EXPECT_EQ(declarations("class A;\nclass A {\n A();\n A(int);\n};", "A"), 1u);
  EXPECT_EQ(declarations("// f()\nint other_f(int);", "f"), 0u);
  EXPECT_EQ(declarations("void A::run() {}\nvoid B::run() {}", "A::run"), 1u);
  EXPECT_NE(problem("src/no/such.h `f`", kSource), "");
  EXPECT_NE(problem("soon", kSource), "");
}

}  // namespace
}  // namespace hebm::report
