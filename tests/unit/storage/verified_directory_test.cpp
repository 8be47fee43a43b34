#include "storage/verified_directory.h"
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <atomic>
#include <barrier>
#include <chrono>
#include <random>
#include <thread>
#include "storage/hash.h"
#include "support.h"

namespace hebm::storage::test {
namespace {

using testing::HasSubstr;

using Json = nlohmann::json;

PartResult write_part(const fs::path& folder, const std::string& name, const std::string& content) {
  HashedFileWriter writer(folder / name);
  writer.write(as_bytes(content.data(), content.size()));
  const auto result = writer.close_durable();
  return {name, result.size, result.hash};
}

// A world of threads: all_gather by two barriers around a shared list.
class World {
 public:
  explicit World(int size) : size_(size), barrier_(size), texts_(static_cast<std::size_t>(size)) {}

  // Runs `body` as every rank; what each threw, "" where nothing.
  std::vector<std::string> run(const std::function<void(const Peers&)>& body) {
    std::vector<std::string> errors(static_cast<std::size_t>(size_));
    std::vector<std::thread> threads;
    for (int rank = 0; rank < size_; ++rank) {
      threads.emplace_back([&, rank] {
        try {
          body(peers(rank));
        } catch (const Error& error) {
          EXPECT_EQ(error.code(), ExitCode::kRuntime);
          errors[static_cast<std::size_t>(rank)] = error.what();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    return errors;
  }
 private:
  Peers peers(int rank) {
    return {rank, size_, [this, rank](std::string mine) {
              texts_[static_cast<std::size_t>(rank)] = std::move(mine);
              barrier_.arrive_and_wait();
              std::vector<std::string> all = texts_;
              barrier_.arrive_and_wait();
              return all;
            }};
  }

  int size_;
  std::barrier<> barrier_;
  std::vector<std::string> texts_;
};

std::string part_name(int rank, int part) { return fmt::format("model-{}-{}.safetensors", rank, part); }
std::string part_content(int rank, int part) {
  return std::string(static_cast<std::size_t>(100 + 50 * rank + part), static_cast<char>('a' + rank));
}

// Rank r writes r parts: rank 0 none.
std::vector<PartResult> write_parts(const fs::path& folder, int rank) {
  std::vector<PartResult> parts;
  for (int part = 0; part < rank; ++part) {
    parts.push_back(write_part(folder, part_name(rank, part), part_content(rank, part)));
  }
  return parts;
}

void publish(const fs::path& parent, const std::string& name, int step) {
  publish_directory(
      parent, name, {{"step", step}}, [&](const fs::path& folder) { return write_parts(folder, 2); }, alone());
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename());
  std::sort(names.begin(), names.end());
  return names;
}

TEST(VerifiedDirectory, ThreeRanksPublishOneFolder) {
  const TempFolder folder;
  const fs::path parent = folder / "run/checkpoints";
  const std::vector<std::string> errors = World(3).run([&](const Peers& peers) {
    ASSERT_EQ(peers.size, 3);
    publish_directory(
        parent, "step-0000400", {{"step", 400}, {"rank", peers.rank}},
        [&](const fs::path& part) { return write_parts(part, peers.rank); }, peers);
  });
  EXPECT_EQ(errors, (std::vector<std::string>{"", "", ""}));
  EXPECT_EQ(names_in(parent), std::vector<std::string>{"step-0000400"});
  const Json manifest = verify_directory(parent / "step-0000400");
  EXPECT_EQ(manifest["step"], 400);
  EXPECT_EQ(manifest["rank"], 0);  // rank 0's content
  EXPECT_EQ(manifest["parts"].size(), 3u);
  EXPECT_EQ(manifest["parts"][2]["name"], part_name(2, 1));
  EXPECT_EQ(manifest["parts"][2]["hash"], hash_text(part_content(2, 1)));
  EXPECT_EQ(read_file(parent / "step-0000400" / part_name(1, 0)), part_content(1, 0));
}

TEST(VerifiedDirectory, FailureOfAnyRankIsTheSameErrorOnAllAndLeavesNothing) {
  for (int failing = 0; failing < 3; ++failing) {
    const TempFolder folder;
    publish(folder.path(), "step-1", 1);
    const std::vector<std::string> errors = World(3).run([&](const Peers& peers) {
      publish_directory(
          folder.path(), "step-2", {},
          [&](const fs::path& part) {
            auto parts = write_parts(part, peers.rank);
            if (peers.rank >= failing) throw std::runtime_error(fmt::format("disk of {}", peers.rank));
            return parts;
          },
          peers);
    });
    EXPECT_THAT(errors[0], HasSubstr(fmt::format("rank {0}: disk of {0}", failing)));  // the lowest one
    EXPECT_EQ(errors[1], errors[0]);
    EXPECT_EQ(errors[2], errors[0]);
    EXPECT_EQ(names_in(folder.path()), std::vector<std::string>{"step-1"});
    verify_directory(folder / "step-1");
  }
}

TEST(VerifiedDirectory, BadPartsManifestsAndNamesAreErrorsOnAll) {
  const TempFolder folder;
  const auto fails = [&](const std::string& name, const Json& manifest,
                         const std::function<std::vector<PartResult>(const fs::path&, int)>& write) {
    const auto errors = World(2).run([&](const Peers& peers) {
      publish_directory(
          folder.path(), name, manifest, [&](const fs::path& part) { return write(part, peers.rank); }, peers);
    });
    EXPECT_FALSE(errors[0].empty());
    EXPECT_EQ(errors[0], errors[1]);
    EXPECT_TRUE(names_in(folder.path()).empty());
    return errors[0];
  };
  const auto none = [](const fs::path&, int) { return std::vector<PartResult>(); };
  EXPECT_THAT(fails("a/b", Json::object(), none), HasSubstr("cannot be a folder's name"));
  EXPECT_THAT(fails("step-1", Json::array(), none), HasSubstr("must be a JSON object"));
  EXPECT_THAT(fails("step-1", {{"text", "\xff"}}, none), HasSubstr("not UTF-8"));
  const PartResult absent{"absent", 3, std::string(32, '0')};
  EXPECT_THAT(fails("step-1", Json::object(), [&](const fs::path&, int) { return std::vector{absent}; }),
      HasSubstr("stands there twice"));
  EXPECT_THAT(fails("step-1", Json::object(),
                  [&](const fs::path&, int rank) { return rank == 1 ? std::vector{absent} : none({}, 0); }),
      HasSubstr("rank 0 sees No such file"));
  EXPECT_THAT(fails("step-1", Json::object(),
                  [&](const fs::path& path, int rank) {
                    auto parts = write_parts(path, rank);
                    for (PartResult& part : parts) ++part.size;
                    return parts;
                  }),
      HasSubstr("one shared file system"));
  for (const char* name : {"../x", "manifest.json", "", "."}) {
    EXPECT_THAT(fails("step-1", Json::object(),
                    [&](const fs::path&, int rank) {
                      return rank == 1 ? std::vector{PartResult{name, 0, std::string(32, '0')}} : none({}, 0);
                    }),
        HasSubstr("is no name of a part"));
  }
}

TEST(VerifiedDirectory, AnExistingNameIsAnErrorIfWholeElseMakesRoom) {
  const TempFolder folder;
  publish(folder.path(), "step-1", 1);
  expect_error(ExitCode::kRuntime, {"exists already and is whole"}, [&] { publish(folder.path(), "step-1", 2); });
  EXPECT_EQ(verify_directory(folder / "step-1")["step"], 1);
  fs::remove(folder / "step-1" / part_name(2, 0));
  publish(folder.path(), "step-1", 2);
  EXPECT_EQ(verify_directory(folder / "step-1")["step"], 2);
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"step-1", "step-1.bad"}));
}

// R3: every flipped bit in every file is found and the file is named.
TEST(VerifiedDirectory, EveryFlippedBitIsFound) {
  const TempFolder folder;
  publish(folder.path(), "step-1", 1);
  std::mt19937_64 random(1);
  for (const std::string& name : names_in(folder / "step-1")) {
    const fs::path path = folder / "step-1" / name;
    const std::string raw = read_file(path);
    for (int i = 0; i < 400; ++i) {
      std::string text = raw;
      const std::size_t at = random() % text.size();
      text[at] = static_cast<char>(text[at] ^ (1 << random() % 8));
      spill(path, text);
      expect_error(ExitCode::kCorrupt, {name}, [&] { verify_directory(folder / "step-1"); });
    }
    spill(path, raw);
    verify_directory(folder / "step-1");
  }
}

// R4: truncated, missing, extra.
TEST(VerifiedDirectory, TruncatedMissingAndExtraFiles) {
  const TempFolder folder;
  publish(folder.path(), "step-1", 1);
  const fs::path directory = folder / "step-1";
  const auto refused = [&](const std::string& part) {
    expect_error(ExitCode::kCorrupt, {part}, [&] { verify_directory(directory); });
  };
  for (const std::string& name : names_in(directory)) {
    const std::string raw = read_file(directory / name);
    for (std::size_t i = 0; i < 50; ++i) {
      spill(directory / name, raw.substr(0, raw.size() * i / 50));
      // By its size, so at once: no hash of large parts is needed to see it. The manifest says
      // nothing of its own.
      refused(
          name == "manifest.json" ? name : fmt::format("{} bytes, expected {} bytes", raw.size() * i / 50, raw.size()));
    }
    spill(directory / name, raw + "x");
    refused(name);
    fs::remove(directory / name);
    refused(name + ": is missing");
    fs::create_directory(directory / name);
    refused("not a regular file");
    fs::remove(directory / name);
    spill(folder / "elsewhere", raw);
    fs::create_symlink(folder / "elsewhere", directory / name);
    refused("not a regular file");
    fs::remove(directory / name);
    spill(directory / name, raw);
  }
  spill(directory / "stray", "x");
  refused("stray: is not in the manifest");
  fs::remove(directory / "stray");
  EXPECT_EQ(verify_directory(directory)["step"], 1);
  expect_error(ExitCode::kCorrupt, {}, [&] { verify_directory(folder / "absent"); });
}

// A manifest made by a stranger, with the right hash over the wrong content.
TEST(VerifiedDirectory, HostileManifests) {
  const TempFolder folder;
  create_folders(folder / "step-1");
  const auto refused = [&](const std::string& rest, const std::string& part) {
    spill(folder / "step-1/manifest.json", "{\n  \"manifest_hash\": \"" + hash_text(rest) + rest);
    expect_error(ExitCode::kCorrupt, {part}, [&] { verify_directory(folder / "step-1"); });
  };
  const std::string format = R"(","format":"hebm-verified-directory/1")";
  refused(format + R"(,"parts":{}})", "not a list");
  refused(format + "}", "not a list");
  refused(R"(","format":"other/1","parts":[]})", "format is \"other/1\"");
  refused(format + R"(,"parts":[{"name":"../a","size":1,"hash":"00000000000000000000000000000000"}]})",
      "no name of a part");
  refused(
      format + R"(,"parts":[{"name":"a","size":-1,"hash":"00000000000000000000000000000000"}]})", "needs name, size");
  refused(format + R"(,"parts":[{"name":"a","size":1,"hash":"zz"}]})", "32 hex digits");
  refused(format + R"(,"parts":[1]})", "needs name, size");
  refused(format + R"(,"parts":[],"x":)" + std::string(100000, '['), "nested 100001 deep");
  refused(format, "expected JSON");
  spill(folder / "step-1/manifest.json", "{}");
  expect_error(ExitCode::kCorrupt, {}, [&] { verify_directory(folder / "step-1"); });
  fs::resize_file(folder / "step-1/manifest.json", (16u << 20) + 1);
  expect_error(ExitCode::kCorrupt, {"expected at most 16777216"}, [&] { verify_directory(folder / "step-1"); });
}

TEST(VerifiedDirectory, NewestThatVerifiesWithTheOthersQuarantined) {
  const TempFolder folder;
  EXPECT_TRUE(list_directories(folder / "none", "step").empty());
  for (const int step : {9, 10, 200}) publish(folder.path(), fmt::format("step-{}", step), step);
  create_folders(folder / "step-300.tmp-0123456789abcdef");
  create_folders(folder / "step-400.bad");
  create_folders(folder / "step-");
  create_folders(folder / "step-5x");
  create_folders(folder / "other-7");
  spill(folder / "step-999", "a file");
  EXPECT_EQ(list_directories(folder.path(), "step"), (std::vector<std::string>{"step-200", "step-10", "step-9"}));

  spill(folder / "step-200" / part_name(2, 0), "broken");
  fs::create_directory(folder / "step-200.bad");
  std::vector<std::string> warnings;
  const auto warn = [&](const std::string& text) { warnings.push_back(text); };
  const std::optional<Verified> latest = latest_verified(folder.path(), "step", warn);
  ASSERT_TRUE(latest.has_value());
  EXPECT_EQ(latest->name, "step-10");
  EXPECT_EQ(latest->manifest["step"], 10);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_THAT(warnings[0], HasSubstr(part_name(2, 0)));
  EXPECT_THAT(warnings[0], HasSubstr("step-200.bad-2"));
  EXPECT_TRUE(fs::exists(folder / "step-200.bad-2" / "manifest.json"));
  EXPECT_FALSE(latest_verified(folder / "none", "step", warn).has_value());
}

TEST(VerifiedDirectory, RetentionKeepsTheNewestVerifiedAndOneOlder) {
  const TempFolder folder;
  for (int step = 1; step <= 5; ++step) publish(folder.path(), fmt::format("step-{}", step), step);
  expect_error(ExitCode::kUsage, {}, [&] { retain(folder.path(), "step", 1); });
  fs::remove(folder / "step-5/manifest.json");
  retain(folder.path(), "step", 2);
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"step-3", "step-4", "step-5"}));
  for (const char* name : {"step-3", "step-4"}) fs::remove(folder / name / "manifest.json");
  retain(folder.path(), "step", 2);  // none verifies: all stay
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"step-3", "step-4", "step-5"}));
}

TEST(VerifiedDirectory, StaleTemporaryFoldersGo) {
  const TempFolder folder;
  const auto two_hours_ago = fs::file_time_type::clock::now() - std::chrono::hours(2);
  for (const char* name : {"step-1.tmp-00000000000000aa", "step-2.tmp-00000000000000bb", "step-3.tmp-00000000000000cc",
           "other-1.tmp-00000000000000dd", "step-9.bad"}) {
    create_folders(folder / name);
    spill(folder / name / "part", "x");
  }
  // step-2: a part that is being written now; step-3: young itself.
  for (const char* name :
      {"step-1.tmp-00000000000000aa", "step-3.tmp-00000000000000cc", "other-1.tmp-00000000000000dd", "step-9.bad"}) {
    fs::last_write_time(folder / name / "part", two_hours_ago);
  }
  for (const char* name :
      {"step-1.tmp-00000000000000aa", "step-2.tmp-00000000000000bb", "other-1.tmp-00000000000000dd", "step-9.bad"}) {
    fs::last_write_time(folder / name, two_hours_ago);
  }
  retain(folder.path(), "step", 2);
  EXPECT_EQ(names_in(folder.path()), (std::vector<std::string>{"other-1.tmp-00000000000000dd",
                                         "step-2.tmp-00000000000000bb", "step-3.tmp-00000000000000cc", "step-9.bad"}));
}

}  // namespace
}  // namespace hebm::storage::test
