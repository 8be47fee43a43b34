// What an unfinished command has made: whole chunks in one file that grows, which is
// RUN/work/PRODUCT/chunks (docs/formats.md). Each record has its hash. A record that a kill cut off
// is taken away, one whose bytes have changed is made again. One writer at a time: it holds the
// lease of the folder.
#pragma once
#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include "base/kept_chunks.h"
#include "storage/files.h"

namespace hebm::storage {

class ChunkFile final : public KeptChunks {
 public:
  // identity: all that the chunks depend on, but the version of this program, which is added. Reads
  // what is there; nothing is written before the first keep(). note gets lines for the log.
  ChunkFile(fs::path path, const nlohmann::json& identity, std::function<void(const std::string&)> note);
  ~ChunkFile() override;

  // "", or how the file that is there differs (settings_difference): the first keep() replaces it.
  const std::string& difference() const { return difference_; }
  bool other_settings() const { return other_settings_; }                            // and not only of another version
  std::int64_t count() const { return static_cast<std::int64_t>(records_.size()); }  // of this identity
  double seconds() const { return seconds_; }                                        // that they took
  // Removes the file, unless it is of another identity: the product is there.
  void forget();

  void begin(const std::string& pass) override;
  std::optional<std::string> find(std::int64_t number) override;
  void keep(std::int64_t number, std::string_view bytes, double seconds) override;
  void sync() override;

  // Whole records of the chunks in a file, whoever made it; 0 where there is none.
  static std::int64_t count_in(const fs::path& path);
 private:
  struct Record {
    std::uint64_t offset = 0, bytes = 0;
    std::string hash;
  };
  void read();
  void compare(const nlohmann::json& stored);
  void append(std::int64_t number, std::string_view bytes, double seconds);

  fs::path path_;
  std::string identity_;  // as the file has it
  std::function<void(const std::string&)> note_;
  std::string difference_;
  bool other_settings_ = false;
  std::map<std::pair<std::string, std::int64_t>, Record> records_;  // by pass and number; the last one counts
  double seconds_ = 0;
  std::map<std::string, std::int64_t> times_;  // that a pass was begun
  std::string pass_;
  std::uint64_t whole_bytes_ = 0;  // of the file
  std::optional<ReadOnlyFile> reader_;
  std::optional<AppendFile> writer_;
  bool full_ = false;  // an append failed
};

}  // namespace hebm::storage
