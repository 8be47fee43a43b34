#include "data/samples_file.h"
#include <algorithm>
#include <vector>
#include "base/error.h"
#include "base/printable.h"
#include "storage/hash.h"

namespace hebm::data {

void verify_samples(const storage::H5File& file) {
  if (!file.has_attribute("images_hash")) return;
  constexpr std::uint64_t kBlock = 16ull << 20;  // bytes
  const auto info = file.info("images");
  const std::uint64_t count = info.shape.empty() ? 0 : info.shape[0], image = count == 0 ? 0 : info.bytes / count;
  const std::uint64_t rows =
      std::clamp<std::uint64_t>(image == 0 ? 1 : kBlock / image, 1, std::max<std::uint64_t>(1, count));
  std::vector<std::byte> block;
  storage::Hasher hasher;
  for (std::uint64_t first = 0; first < count; first += rows) {
    const std::uint64_t here = std::min(rows, count - first);
    block.resize(here * image);
    file.read_rows("images", storage::H5Type::kU8, first, here, block);
    hasher.update(block);
  }
  const std::string expected = file.string_attribute("images_hash"), got = hasher.digest();
  check(got == expected, ExitCode::kCorrupt,
      "{}: images_hash: expected {}, got {}: the pixels are damaged; remove the file and run `hebm_dist sample` again",
      file.path().string(), printable(expected, 64), got);
}

}  // namespace hebm::data
