#include "storage/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "storage/tensorboard.h"
#include "support.h"

namespace hebm::storage::test {
namespace {

using Json = nlohmann::json;

std::string lines_of(const fs::path& run) { return read_file(run / "metrics.jsonl"); }

std::vector<std::int64_t> steps_of(const fs::path& run) {
  std::vector<std::int64_t> steps;
  for (const Json& line : read_metrics(run)) steps.push_back(line["step"]);
  return steps;
}

TEST(Metrics, LinesHoldWhatWasWritten) {
  const TempFolder folder;
  {
    MetricsWriter writer(folder / "run", -1);
    writer.write(0, {{"loss", 0.1}, {"gap/t0", std::nan("")}, {"gap/t1", std::numeric_limits<double>::infinity()}},
                 {{"note", "first"}});
    EXPECT_EQ(lines_of(folder / "run"), "");  // buffered
    writer.flush();
    EXPECT_NE(lines_of(folder / "run"), "");
    writer.write(3, {{"loss", 1e300}});
    expect_error(ExitCode::kRuntime, {"twice"}, [&] { writer.write(4, {{"a", 1}, {"a", 2}}); });
    expect_error(ExitCode::kRuntime, {}, [&] { writer.write(4, {{"step", 1}}); });
  }  // the destructor flushes
  const std::vector<Json> lines = read_metrics(folder / "run");
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[0]["loss"], 0.1);
  EXPECT_TRUE(lines[0]["gap/t0"].is_null());
  EXPECT_TRUE(lines[0]["gap/t1"].is_null());
  EXPECT_EQ(lines[0]["note"], "first");
  EXPECT_EQ(lines[1]["step"], 3);
  EXPECT_EQ(lines[1]["loss"], 1e300);
  EXPECT_GT(lines[1]["time_s"], 1.6e9);
}

TEST(Metrics, ResumeDropsLaterStepsAndTornLines) {
  const TempFolder folder;
  const fs::path run = folder.path();
  {
    MetricsWriter writer(run, -1);
    for (std::int64_t step = 0; step < 10; ++step) writer.write(step, {{"loss", 1.0 * static_cast<double>(step)}});
  }
  const std::string whole = lines_of(run);
  spill(run / "metrics.jsonl", whole + "{\"step\":10,\"lo");
  EXPECT_EQ(steps_of(run).size(), 10u);  // a reader ignores the torn line
  {
    MetricsWriter writer(run, 6);
    EXPECT_EQ(writer.num_dropped(), 4);
    writer.write(7, {{"loss", -7.0}});
  }
  EXPECT_EQ(steps_of(run), (std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(read_metrics(run).back()["loss"], -7.0);
  // Lines that came whole are kept byte by byte.
  EXPECT_TRUE(lines_of(run).starts_with(whole.substr(0, whole.find("{\"step\":7"))));
  EXPECT_EQ(MetricsWriter(run, 7).num_dropped(), 0);
}

// TensorBoard reads a folder's files by name: those of a resumed run must come in the order of
// time, within a second too.
TEST(Metrics, EventFilesSortByTime) {
  const TempFolder folder;
  std::string last;
  for (int i = 0; i < 20; ++i) {
    const MetricsWriter writer(folder.path(), -1);
    std::string newest;
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator(folder.path())) {
      const std::string name = entry.path().filename();
      if (!name.starts_with("events.out.tfevents.")) continue;
      newest = std::max(newest, name);
      ++count;
    }
    EXPECT_EQ(count, static_cast<std::size_t>(i + 1));
    EXPECT_GT(newest, last);
    last = newest;
  }
}

TEST(Metrics, ReadingThinsEvenlyAndNamesABrokenLine) {
  const TempFolder folder;
  const fs::path run = folder.path();
  EXPECT_TRUE(read_metrics(run).empty());
  {
    MetricsWriter writer(run, -1);
    for (std::int64_t step = 0; step <= 100; ++step) writer.write(step, {});
  }
  std::vector<std::int64_t> thinned;
  for (const Json& line : read_metrics(run, 5)) thinned.push_back(line["step"]);
  EXPECT_EQ(thinned, (std::vector<std::int64_t>{0, 25, 50, 75, 100}));
  EXPECT_EQ(read_metrics(run, 1).at(0)["step"], 100);
  EXPECT_TRUE(read_metrics(run, 0).empty());
  spill(run / "metrics.jsonl", "{\"step\":1}\nbroken\n{\"step\":2}\n");
  expect_error(ExitCode::kCorrupt, {"line 2"}, [&] { read_metrics(run); });
}

// --- TensorBoard; tests/run/readers.py reads a whole file with TensorBoard itself ---

std::string hex(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

// RFC 3720, appendix B.4, and the check value of the CRC catalogue.
TEST(TensorBoard, Crc32cKnownAnswers) {
  EXPECT_EQ(tensorboard::crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(tensorboard::crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(tensorboard::crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(tensorboard::crc32c(""), 0u);
}

// By hand from the protobuf encoding: 09 wall_time, 10 step, 2a summary { 0a value { 0a tag, 15
// simple_value } }.
TEST(TensorBoard, EventsByteByByte) {
  EXPECT_EQ(hex(tensorboard::scalars_event(1.5, 300, {{"a", 0.5}})),
            "09000000000000f83f"
            "10ac02"
            "2a0a"
            "0a08"
            "0a0161"
            "150000003f");
  EXPECT_EQ(hex(tensorboard::version_event(0)),
            "090000000000000000"
            "1000"
            "1a0d" +
                hex("brain.Event:2"));
  EXPECT_EQ(hex(tensorboard::restart_event(0, -1)),
            "090000000000000000"
            "10ffffffffffffffffff01"
            "3a020801");
  const std::vector<std::uint8_t> png = {1, 2};
  EXPECT_EQ(hex(tensorboard::image_event(0, 1, "i", 200, 3, 1, png)),
            "090000000000000000"
            "1001"
            "2a12"
            "0a10"
            "0a0169"
            "220b"
            "0803"
            "10c801"
            "1801"
            "22020102");
}

TEST(TensorBoard, FrameIsLengthCrcDataCrc) {
  const std::string framed = tensorboard::frame("abc");
  ASSERT_EQ(framed.size(), 8u + 4 + 3 + 4);
  EXPECT_EQ(hex(framed.substr(0, 8)), "0300000000000000");
  EXPECT_EQ(framed.substr(12, 3), "abc");
  const auto masked = [](std::string_view bytes) {  // ((crc >> 15) | (crc << 17)) + 0xa282ead8
    const std::uint32_t crc = tensorboard::crc32c(bytes);
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
  };
  std::uint32_t got = 0;
  std::memcpy(&got, framed.data() + 8, 4);
  EXPECT_EQ(got, masked(framed.substr(0, 8)));
  std::memcpy(&got, framed.data() + 15, 4);
  EXPECT_EQ(got, masked("abc"));
}

}  // namespace
}  // namespace hebm::storage::test
