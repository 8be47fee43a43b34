// Files of strangers: damaged, made to fill memory, or to speak to the terminal. Every command that
// reads them ends with 4 and one line.
#include <nlohmann/json.hpp>
#include "program.h"
#include "storage/hash.h"
#include "storage/hdf5.h"

namespace hebm::data_tools::test {
namespace {

using storage::H5File;
using storage::H5Type;

class Strangers : public DataTools {
 protected:
  // A data set without hashes, as other programs write it; `more` adds to it.
  std::string data_set(const std::string& name, const std::function<void(H5File&)>& more) const {
    H5File file = H5File::create(folder_ / name);
    const std::vector<std::uint8_t> pixels(4 * 8 * 8, 7);
    file.write("images", H5Type::kU8, {4, 1, 8, 8}, storage::as_bytes(pixels.data(), pixels.size()));
    file.set_attribute("format", std::string("hebm-dataset"));
    file.set_attribute("version", std::int64_t{1});
    file.set_attribute("images_hash", storage::hash_bytes(storage::as_bytes(pixels.data(), pixels.size())));
    more(file);
    file.close_durable();
    return folder_ / name;
  }
  std::vector<std::vector<std::string>> readers(const std::string& file) const {
    return {{"verify", file}, {"inspect", file}, {"derive", "--from", file, "--kind", "invert", "--out", out()},
        {"derive-attributes", "--from", file, "--out", out()}};
  }
};

TEST_F(Strangers, DamagedHdf5EndsWithFour) {
  int files = 0;
  for (const auto& entry : fs::directory_iterator(HEBM_DAMAGED_FILES)) {
    for (const auto& command : readers(entry.path())) expect_refused(run(command), 4, {entry.path().string()});
    ++files;
  }
  EXPECT_EQ(files, 3);
}

TEST_F(Strangers, NestedJsonEndsWithFour) {
  const std::string deep = std::string(50000, '[') + std::string(50000, ']');
  for (const char* attribute : {"label_names", "attributes"}) {
    const std::string file =
        data_set(std::string(attribute) + ".h5", [&](H5File& h5) { h5.set_attribute(attribute, deep); });
    for (const auto& command : readers(file)) expect_refused(run(command), 4, {file, attribute, "nested 50000 deep"});
  }
}

TEST_F(Strangers, ASparseFileThatClaimsBillionsOfImagesEndsWithFour) {
  const std::string file = folder_ / "sparse.h5";
  {
    constexpr std::uint64_t kCount = std::uint64_t{1} << 31;
    H5File h5 = H5File::create(file);
    h5.create_dataset("images", H5Type::kU8, {kCount, 1, 1, 1});
    h5.create_dataset("labels", H5Type::kI64, {kCount});
    h5.set_attribute("format", std::string("hebm-dataset"));
    h5.set_attribute("version", std::int64_t{1});
    h5.set_attribute("images_hash", std::string(32, '0'));
    h5.close_durable();
  }
#ifndef __SANITIZE_ADDRESS__
  before_ = "ulimit -d 4194304; ";  // KiB of data, as on a machine of 4 GiB
#endif
  for (const auto& command : readers(file)) expect_refused(run(command), 4, {file, "2147483648"});
}

TEST_F(Strangers, EscapesDoNotReachTheTerminal) {
  const std::string escape =
      "\x1b[2J\x1b]0;owned\x07\xc2\x9b"
      "31m";
  const std::string file = data_set("escapes.h5", [&](H5File& h5) {
    h5.set_attribute("source", "here" + escape);
    h5.set_attribute("label_names", nlohmann::json{escape, "b"}.dump());
    h5.set_attribute("attributes",
        nlohmann::json{{{"name", escape}, {"categories", {escape, "y"}}, {"measure", "class"}, {"of_label", {0, 1}}}}
            .dump());
    const std::vector<std::int64_t> labels = {0, 1, 0, 1};
    h5.write("labels", H5Type::kI64, {4}, storage::as_bytes(labels.data(), 4));
    const std::vector<std::uint8_t> values = {0, 1, 0, 1};
    h5.write("attributes", H5Type::kU8, {4, 1}, storage::as_bytes(values.data(), 4));
  });
  for (const std::vector<std::string>& command :
      {std::vector<std::string>{"inspect", file}, {"inspect", file, "--json"}, {"verify", file}}) {
    const Outcome outcome = run(command);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    for (const char* part : {"\x1b", "\x07", "\xc2\x9b"}) EXPECT_EQ(outcome.out.find(part), std::string::npos);
  }
  EXPECT_NE(run({"inspect", file}).out.find("here\\x1b[2J\\x1b]0;owned\\x07\\u009b31m"), std::string::npos);
  EXPECT_EQ(nlohmann::json::parse(run({"inspect", file, "--json"}).out)["source"], "here" + escape);
  for (const char* attribute : {"format", "images_hash", "content_hash"}) {
    const std::string bad =
        data_set(std::string(attribute) + ".h5", [&](H5File& h5) { h5.set_attribute(attribute, escape); });
    const Outcome outcome = run({"verify", bad});
    expect_refused(outcome, 4, {attribute, "\\x1b[2J"});
    EXPECT_EQ(outcome.err.find('\x1b'), std::string::npos);
  }
}

TEST_F(Strangers, AGzipBombIsRefusedAndALimitReadsInLittleMemory) {
  constexpr std::uint32_t kCount = 200000;
  std::string zeros = word(0x803) + word(kCount) + word(32) + word(32);
  zeros.resize(zeros.size() + std::size_t{kCount} * 1024);
  const std::string labels = put("l", idx_labels(kCount)), bomb = put_gz("bomb", zeros);
  expect_refused(import(bomb, labels, {"--limit", "10"}), 4, {"/bomb: unpacks from", "at most 100 times"});
  const std::string plain = put("plain", zeros);
#ifndef __SANITIZE_ADDRESS__
  before_ = "ulimit -d 131072; ";  // KiB of data; the images take 195 MiB
#endif
  const Outcome outcome = import(plain, labels, {"--limit", "10"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("wrote 10 images"), std::string::npos) << outcome.out;
}

}  // namespace
}  // namespace hebm::data_tools::test
