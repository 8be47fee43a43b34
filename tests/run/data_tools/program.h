// hebm_data as the tests of this folder run it: the built program, a folder of its own, files of
// images.
#pragma once
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <zlib.h>
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>
#include "storage/files.h"

namespace hebm::data_tools::test {
namespace fs = std::filesystem;

inline std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

inline std::string word(std::uint32_t value) {
  return {static_cast<char>(value >> 24), static_cast<char>(value >> 16), static_cast<char>(value >> 8),
      static_cast<char>(value)};
}

inline std::string idx_images(std::uint32_t count, std::uint32_t rows, std::uint32_t columns) {
  std::string text = word(0x803) + word(count) + word(rows) + word(columns);
  for (std::uint32_t i = 0; i < count * rows * columns; ++i) text += static_cast<char>(i * 31 % 255 + 1);  // never 0
  return text;
}

inline std::string idx_labels(std::uint32_t count) {
  std::string text = word(0x801) + word(count);
  for (std::uint32_t i = 0; i < count; ++i) text += static_cast<char>(i % 3);
  return text;
}

inline std::string quoted(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

struct Outcome {
  int code = -1;
  std::string out, err;
};

class DataTools : public ::testing::Test {
 protected:
  DataTools() : folder_(fs::temp_directory_path() / ("hebm-data-tools-" + storage::random_suffix())) {
    fs::create_directory(folder_);
  }
  ~DataTools() override { fs::remove_all(folder_); }

  std::string put(const std::string& name, const std::string& content) const {
    std::ofstream(folder_ / name, std::ios::binary) << content;
    return folder_ / name;
  }
  std::string put_gz(const std::string& name, const std::string& content) const {
    const std::string path = folder_ / name;
    gzFile file = gzopen(path.c_str(), "wb9");
    gzwrite(file, content.data(), static_cast<unsigned>(content.size()));
    gzclose(file);
    return path;
  }
  std::string before_;  // in the shell, before the program
  Outcome run(const std::vector<std::string>& args) const {
    std::string command = before_ + quoted(HEBM_DATA_BINARY);
    for (const std::string& arg : args) command += " " + quoted(arg);
    const std::string out = folder_ / "stdout", err = folder_ / "stderr";
    const int status = std::system((command + " >" + quoted(out) + " 2>" + quoted(err)).c_str());
    Outcome outcome{WIFEXITED(status) ? WEXITSTATUS(status) : -1, slurp(out), slurp(err)};
    fs::remove(out);
    fs::remove(err);
    return outcome;
  }
  std::string out() const { return folder_ / "set.h5"; }
  Outcome import(const std::string& images, const std::string& labels, std::vector<std::string> more = {}) const {
    std::vector<std::string> args = {"import-idx", "--images", images, "--labels", labels, "--out", out()};
    args.insert(args.end(), more.begin(), more.end());
    return run(args);
  }
  // Exit code, no output, one sentence with all parts, no data set and no temporary file.
  void expect_refused(const Outcome& outcome, int code, const std::vector<std::string>& parts) const {
    EXPECT_EQ(outcome.code, code) << outcome.err;
    EXPECT_EQ(outcome.out, "");
    EXPECT_EQ(outcome.err.find("hebm_data: error: "), 0u) << outcome.err;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
    for (const std::string& part : parts)
      EXPECT_NE(outcome.err.find(part), std::string::npos) << '"' << part << "\" is not in: " << outcome.err;
    for (const auto& entry : fs::directory_iterator(folder_))
      EXPECT_EQ(entry.path().filename().string().find("set.h5"), std::string::npos) << entry.path();
  }

  fs::path folder_;
};

}  // namespace hebm::data_tools::test
