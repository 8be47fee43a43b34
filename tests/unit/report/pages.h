// What the tests of pages share: a folder to be a run (or hold runs), and what every page must be.
#pragma once
#include <gtest/gtest.h>
#include <unistd.h>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>
#include "storage/png.h"

namespace hebm::report {

namespace fs = std::filesystem;

class ReportTest : public ::testing::Test {
 protected:
  void SetUp() override {
    run_ = fs::temp_directory_path() / ("hebm-report-" + std::to_string(::getpid())) /
           ::testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(run_);
    fs::create_directories(run_);
  }
  void TearDown() override { fs::remove_all(run_.parent_path()); }
  void put(const fs::path& name, const std::string& content) const {
    fs::create_directories((run_ / name).parent_path());
    std::ofstream out(run_ / name, std::ios::binary);
    out << content;
    ASSERT_TRUE(out.good());
  }
  // Noise, in samples/ of the folder or of a run in it.
  void put_png(const std::string& name, std::int64_t side, const std::string& run = "") const {
    std::vector<std::uint8_t> pixels(static_cast<std::size_t>(side * side));
    std::uint32_t state = 1;
    for (auto& p : pixels) p = static_cast<std::uint8_t>((state = state * 1664525u + 1013904223u) >> 24);
    fs::create_directories(run_ / run / "samples");
    storage::write_png(run_ / run / "samples" / name, side, side, 1, pixels);
  }
  fs::path run_;
};

// Every element is closed, in order.
inline ::testing::AssertionResult balanced(const std::string& html) {
  std::vector<std::string> open;
  for (auto at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
    const auto end = html.find('>', at);
    if (end == std::string::npos) return ::testing::AssertionFailure() << "no '>' after " << html.substr(at, 60);
    std::istringstream words(html.substr(at + 1, end - at - 1));
    std::string name;
    words >> name;
    if (name == "!DOCTYPE" || name == "meta" || name == "img" || html[end - 1] == '/') continue;
    if (name[0] != '/') {
      open.push_back(name);
    } else if (open.empty() || "/" + open.back() != name) {
      return ::testing::AssertionFailure() << "<" << name << "> closes <" << (open.empty() ? "nothing" : open.back())
                                           << "> at " << html.substr(at > 80 ? at - 80 : 0, 120);
    } else {
      open.pop_back();
    }
  }
  return open.empty() ? ::testing::AssertionSuccess()
                      : ::testing::AssertionFailure() << "<" << open.back() << "> is open";
}

// Nothing that a browser would load or run.
inline ::testing::AssertionResult self_contained(const std::string& html) {
  for (const char* word : {"http:", "https:", "ftp:", "file:", "src=\"/", "<script", "<link", "<iframe", "<object",
           "@import", "url(", "xlink:", "javascript:", " onload", " onerror"}) {
    if (const auto at = html.find(word); at != std::string::npos) {
      return ::testing::AssertionFailure() << word << " in " << html.substr(at > 60 ? at - 60 : 0, 140);
    }
  }
  return ::testing::AssertionSuccess();
}

}  // namespace hebm::report
