#include "storage/chunk_file.h"
#include <fmt/format.h>
#include <array>
#include <cstddef>
#include <cstring>
#include "base/error.h"
#include "base/printable.h"
#include "base/version.h"
#include "storage/json.h"
#include "storage/lenient_json.h"

namespace hebm::storage {
namespace {

constexpr std::string_view kMagic = "hebmchk1";
constexpr std::size_t kHash = 32;
constexpr std::uint64_t kMaxIdentity = 1 << 20, kMaxBytes = 1ull << 31;
constexpr std::int64_t kIdentity = -1;  // number of the first record, which says what the chunks are of

// In front of each record's bytes, as it stands in the file.
struct Head {
  std::array<char, 8> magic;
  std::array<char, kHash> pass;  // hash of its name
  std::int64_t number;
  std::uint64_t bytes;
  double seconds;
  std::array<char, kHash> hash;  // of the bytes
  std::array<char, kHash> own;   // of all before
};
static_assert(sizeof(Head) == 128);

template <std::size_t kSize> void put(std::array<char, kSize>& to, std::string_view text) {
  std::memcpy(to.data(), text.data(), kSize);
}
template <std::size_t kSize> std::string text(const std::array<char, kSize>& from) { return {from.data(), kSize}; }

std::string own_hash(const Head& head) {
  return hash_bytes(as_bytes(reinterpret_cast<const std::byte*>(&head), offsetof(Head, own)));
}

Head make_head(const std::string& pass, std::int64_t number, std::string_view bytes, double seconds) {
  Head head{};
  put(head.magic, kMagic);
  put(head.pass, pass);
  head.number = number;
  head.bytes = bytes.size();
  head.seconds = seconds;
  put(head.hash, hash_text(bytes));
  put(head.own, own_hash(head));
  return head;
}

// take(head, place of its bytes) for every whole record, in order; returns where the last one ends.
std::uint64_t for_records(const ReadOnlyFile& file, const std::function<void(const Head&, std::uint64_t)>& take) {
  std::uint64_t end = 0;
  while (file.size() - end >= sizeof(Head)) {
    Head head{};
    file.read_at(end, std::as_writable_bytes(std::span(&head, 1)));
    const std::uint64_t start = end + sizeof(Head);
    if (text(head.magic) != kMagic || text(head.own) != own_hash(head) || head.bytes > file.size() - start) break;
    take(head, start);
    end = start + head.bytes;
  }
  return end;
}

bool is_there(const fs::path& path) {
  std::error_code error;
  return fs::exists(fs::symlink_status(path, error));
}

}  // namespace

ChunkFile::ChunkFile(fs::path path, const nlohmann::json& identity, std::function<void(const std::string&)> note)
    : path_(std::move(path)),
      identity_(nlohmann::json{{"version", kVersion}, {"settings", identity}}.dump()),
      note_(std::move(note)) {
  if (is_there(path_)) read();
}

ChunkFile::~ChunkFile() = default;

void ChunkFile::read() {
  reader_.emplace(path_, Links::kRefuse);
  std::string identity;  // "": damaged
  whole_bytes_ = for_records(*reader_, [&](const Head& head, std::uint64_t at) {
    if (at == sizeof(Head) && head.number == kIdentity && head.bytes <= kMaxIdentity) {
      identity = reader_->text(at, head.bytes);
      if (hash_text(identity) != text(head.hash)) identity.clear();
    }
    if (head.number < 0) return;
    records_[{text(head.pass), head.number}] = {at, head.bytes, text(head.hash)};
    seconds_ += head.seconds;
  });
  if (identity == identity_) return;
  records_.clear();
  seconds_ = 0;
  if (identity.empty()) {
    whole_bytes_ = 0;
    return note_(fmt::format("note: {}: its beginning is damaged; all chunks are made again", path_.string()));
  }
  compare(lenient_json(identity));
}

void ChunkFile::compare(const nlohmann::json& stored) {
  const nlohmann::json wanted = nlohmann::json::parse(identity_);
  const nlohmann::json* settings = field_in(stored, "settings");
  difference_ = settings_difference(wanted["settings"], settings == nullptr ? nlohmann::json() : *settings, "file");
  other_settings_ = !difference_.empty();
  if (!other_settings_)
    difference_ = fmt::format(
        "\n  version: the file has {}, this program is {}", printable(text_in(stored, "version")), kVersion);
}

void ChunkFile::forget() {
  if (!difference_.empty()) return;
  reader_.reset();
  writer_.reset();
  records_.clear();
  remove_tree(path_);
}

void ChunkFile::begin(const std::string& pass) { pass_ = hash_text(fmt::format("{} #{}", pass, ++times_[pass])); }

std::optional<std::string> ChunkFile::find(std::int64_t number) {
  const auto record = records_.find({pass_, number});
  if (record == records_.end() || !reader_) return std::nullopt;
  std::string bytes = reader_->text(record->second.offset, record->second.bytes);
  if (hash_text(bytes) == record->second.hash) return bytes;
  note_(fmt::format("note: {}: chunk {} is damaged (its hash is another); it is made again", path_.string(), number));
  return std::nullopt;
}

void ChunkFile::keep(std::int64_t number, std::string_view bytes, double seconds) {
  if (full_) return;
  try {
    check(bytes.size() <= kMaxBytes, ExitCode::kRuntime, "a chunk of {} bytes, at most {} are kept", bytes.size(),
        kMaxBytes);
    if (!writer_) {
      create_folders(path_.parent_path());
      if (!difference_.empty() || whole_bytes_ == 0) {
        remove_tree(path_);
        whole_bytes_ = 0;
      }
      writer_.emplace(path_);
      writer_->cut(whole_bytes_);  // behind it is what a kill left of a record
      if (whole_bytes_ == 0) append(kIdentity, identity_, 0);
      difference_.clear();
    }
    append(number, bytes, seconds);
  } catch (const Error& error) {
    full_ = true;
    note_(fmt::format("WARNING: {}. From here on nothing is kept for a later start: a stop loses this command's work.",
        error.what()));
  }
}

void ChunkFile::append(std::int64_t number, std::string_view bytes, double seconds) {
  const Head head = make_head(number == kIdentity ? hash_text("") : pass_, number, bytes, seconds);
  std::string record(reinterpret_cast<const char*>(&head), sizeof(head));
  writer_->append(record.append(bytes));
}

void ChunkFile::sync() {
  if (!writer_ || full_) return;
  writer_->sync();
  fsync_path(path_.parent_path());
}

std::int64_t ChunkFile::count_in(const fs::path& path) {
  std::int64_t count = 0;
  if (!is_there(path)) return count;
  for_records(ReadOnlyFile(path, Links::kRefuse), [&](const Head& head, std::uint64_t) { count += head.number >= 0; });
  return count;
}

}  // namespace hebm::storage
