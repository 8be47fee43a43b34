#include "storage/metrics.h"
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <cmath>
#include <limits>
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
    EXPECT_EQ(steps_of(run).size(), 7u);
    writer.write(7, {{"loss", -7.0}});
  }
  EXPECT_EQ(steps_of(run), (std::vector<std::int64_t>{0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(read_metrics(run).back()["loss"], -7.0);
  // Lines that came whole are kept byte by byte.
  EXPECT_TRUE(lines_of(run).starts_with(whole.substr(0, whole.find("{\"step\":7"))));
  const std::string before = lines_of(run);
  { const MetricsWriter nothing_later(run, 7); }
  EXPECT_EQ(lines_of(run), before);
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

// A file of zeros costs nothing, and says nothing; lines are read one at a time.
TEST(Metrics, MemoryIsThatOfOneLine) {
  const TempFolder folder;
  const fs::path file = folder / "metrics.jsonl";
  const auto peak = [] {
    rusage usage{};
    EXPECT_EQ(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss / 1024;  // MiB
  };
  spill(file, "{\"step\":1}\n");
  fs::resize_file(file, std::uint64_t{1} << 31);  // sparse
  const auto before = peak();
  EXPECT_EQ(read_metrics(folder.path()).size(), 1u);
  { const MetricsWriter resumed(folder.path(), 1); }
  EXPECT_EQ(lines_of(folder.path()), "{\"step\":1}\n");
  EXPECT_LT(peak() - before, 64);
}

TEST(Metrics, ALineThatIsTooLongIsNamed) {
  const TempFolder folder;
  const std::string exact = "{\"step\":1,\"a\":\"" + std::string((1 << 20) - 17, 'x') + "\"}\n";
  ASSERT_EQ(exact.size(), (1u << 20) + 1);
  spill(folder / "metrics.jsonl", exact + "{\"step\":2}\n");
  EXPECT_EQ(read_metrics(folder.path()).size(), 2u);
  const std::string longer = "{\"step\":1, \"a\":\"" + exact.substr(exact.find('x'));
  spill(folder / "metrics.jsonl", "{\"step\":0}\n" + longer + "{\"step\":2}\n");
  expect_error(ExitCode::kCorrupt, {"line 2 is longer than 1048576 bytes"}, [&] { read_metrics(folder.path()); });
  { const MetricsWriter resumed(folder.path(), 2); }
  EXPECT_EQ(lines_of(folder.path()), "{\"step\":0}\n{\"step\":2}\n");
}

}  // namespace
}  // namespace hebm::storage::test
