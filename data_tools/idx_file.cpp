#include "idx_file.h"
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <tuple>
#include <utility>
#include "base/error.h"
#include "storage/files.h"

namespace hebm::data_tools {
namespace {

constexpr std::uint64_t kMaxElements = std::uint64_t{1} << 31;
constexpr std::uint64_t kMaxSide = 16384;
constexpr std::uint64_t kMaxDeflateRatio = 1032;  // bytes out for a byte in, at the very most
constexpr std::uint64_t kMaxRatio = 100, kAnyRatioBytes = std::uint64_t{64} << 20;  // images have about 10
constexpr std::size_t kBlockBytes = std::size_t{16} << 20, kReadBytes = std::size_t{1} << 20;

std::uint32_t big_endian(std::span<const std::uint8_t> bytes) {
  return static_cast<std::uint32_t>(bytes[0]) << 24 | static_cast<std::uint32_t>(bytes[1]) << 16 |
         static_cast<std::uint32_t>(bytes[2]) << 8 | bytes[3];
}

// The first bytes and the size, by a handle that refuses folders and pipes.
std::pair<bool, std::uint64_t> look_at(const std::filesystem::path& path) {
  std::error_code error;
  check(std::filesystem::exists(path, error), ExitCode::kUsage, "{}: no such file", path.string());
  check(std::filesystem::is_regular_file(path, error), ExitCode::kUsage,
      "{}: expected a file, got a folder or a device", path.string());
  const storage::ReadOnlyFile file(path);
  std::array<std::byte, 2> first{};
  if (file.size() >= first.size()) file.read_at(0, first);
  return {first[0] == std::byte{0x1f} && first[1] == std::byte{0x8b}, file.size()};
}

}  // namespace

IdxFile::IdxFile(const std::filesystem::path& path, IdxKind kind) : name_(path.string()) {
  std::tie(is_gzip_, file_bytes_) = look_at(path);
  file_ = gzopen(path.c_str(), "rb");
  check(file_ != nullptr, ExitCode::kRuntime, "{}: cannot open for reading: {}", name_, std::strerror(errno));
  try {
    gzbuffer(file_, 1u << 20);
    std::array<std::uint8_t, 4> word{};
    std::size_t got = read_some(word);
    check(got == word.size(), ExitCode::kCorrupt, "{}: truncated: expected a magic number of 4 bytes, got {} bytes",
        name_, got);
    check_magic(word, kind);
    const std::size_t num_dims = kind == IdxKind::kImages ? 3 : 1;
    for (std::size_t d = 0; d < num_dims; ++d) {
      got = read_some(word);
      check(got == word.size(), ExitCode::kCorrupt, "{}: truncated: expected a header of {} bytes, got {} bytes", name_,
          4 + 4 * num_dims, 4 + 4 * d + got);
      dims_.push_back(big_endian(word));
    }
    check_dims();
    check_room(4 + 4 * num_dims);
  } catch (...) {  // the destructor does not run for a constructor that throws
    gzclose(file_);
    throw;
  }
}

IdxFile::~IdxFile() { gzclose(file_); }

std::size_t IdxFile::read_some(std::span<std::uint8_t> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const auto want = static_cast<unsigned>(std::min(out.size() - done, kBlockBytes));
    const int got = gzread(file_, out.data() + done, want);
    if (got < 0) {
      int code = 0;
      const std::string why = gzerror(file_, &code);
      check(code != Z_ERRNO, ExitCode::kRuntime, "{}: reading failed: {}", name_, std::strerror(errno));
      fail(ExitCode::kCorrupt, "{}: damaged gzip data: {}", name_, why);
    }
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

void IdxFile::check_magic(std::span<const std::uint8_t> magic, IdxKind kind) const {
  const std::uint32_t expected = kind == IdxKind::kImages ? 0x00000803u : 0x00000801u;
  const std::uint32_t got = big_endian(magic);
  if (got == expected) return;
  const char* hint = "this is not an IDX file of unsigned bytes";
  if (got == 0x00000801u) hint = "these are labels";
  if (got == 0x00000803u) hint = "these are images";
  if (magic[0] == 0 && magic[1] == 0 && magic[2] >= 0x09 && magic[2] <= 0x0e)
    hint = "its elements are not unsigned bytes";
  fail(ExitCode::kCorrupt, "{}: wrong magic number: expected 0x{:08x} (IDX {}, unsigned bytes), got 0x{:08x}: {}",
      name_, expected, kind == IdxKind::kImages ? "images" : "labels", got, hint);
}

void IdxFile::check_dims() const {
  check(count() >= 1, ExitCode::kCorrupt, "{}: expected at least 1 entry, got 0", name_);
  const auto text = [this] { return fmt::format("{} x {} x {}", count(), rows(), columns()); };
  check(rows() >= 1 && rows() <= kMaxSide && columns() >= 1 && columns() <= kMaxSide, ExitCode::kCorrupt,
      "{}: absurd size: expected 1 to {} pixels a side, got {}", name_, kMaxSide, text());
  // At most 2^32 * 2^14 * 2^14: no overflow.
  check(num_elements() <= kMaxElements, ExitCode::kCorrupt, "{}: absurd size: expected at most {} elements, got {}",
      name_, kMaxElements, text());
}

void IdxFile::check_room(std::uint64_t header_bytes) const {
  const std::uint64_t expected = header_bytes + num_elements();
  if (!is_gzip_) {
    check(file_bytes_ >= expected, ExitCode::kCorrupt, "{}: truncated: expected {} bytes by its header, got {}", name_,
        expected, file_bytes_);
    check(file_bytes_ == expected, ExitCode::kCorrupt, "{}: trailing bytes: expected {} bytes by its header, got {}",
        name_, expected, file_bytes_);
  } else {
    check(expected / kMaxDeflateRatio <= file_bytes_, ExitCode::kCorrupt,
        "{}: truncated: expected {} bytes by its header, got {} compressed bytes, which hold {} at most", name_,
        expected, file_bytes_, file_bytes_ * kMaxDeflateRatio);
    check(expected <= kAnyRatioBytes || expected / kMaxRatio <= file_bytes_, ExitCode::kCorrupt,
        "{}: unpacks from {} to {} bytes, expected at most {} times as many: these are no pictures; unpack it yourself "
        "if they are",
        name_, file_bytes_, expected, kMaxRatio);
  }
}

void IdxFile::read(std::uint64_t count, const std::function<void(std::span<const std::uint8_t>)>& take) {
  const std::uint64_t entry = rows() * columns(), at_once = std::max<std::uint64_t>(kReadBytes / entry, 1);
  std::vector<std::uint8_t> block(std::min(at_once, this->count()) * entry);
  for (std::uint64_t done = 0; done < this->count();) {
    const std::uint64_t here = std::min(at_once, this->count() - done);
    const std::span<std::uint8_t> wanted = std::span(block).first(here * entry);
    const std::size_t got = read_some(wanted);
    check(got == wanted.size(), ExitCode::kCorrupt, "{}: truncated: expected {} elements, got {}", name_,
        num_elements(), done * entry + got);
    if (done < count) take(wanted.first(std::min(here, count - done) * entry));
    done += here;
  }
  std::array<std::uint8_t, 1> extra{};
  const std::size_t more = read_some(extra);  // also makes zlib check the sum at the end
  check(more == 0, ExitCode::kCorrupt, "{}: trailing bytes: expected {} elements, got more", name_, num_elements());
  int code = Z_OK;
  gzerror(file_, &code);
  check(code == Z_OK || code == Z_STREAM_END, ExitCode::kCorrupt,
      "{}: truncated: expected the end of the gzip data with its check sum, got the end of the file", name_);
}

}  // namespace hebm::data_tools
