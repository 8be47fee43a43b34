// An IDX file of images or labels, plain or gzip.
#include "harness.h"
#include "idx_file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using hebm::data_tools::IdxFile;
  using hebm::data_tools::IdxKind;
  for (const IdxKind kind : {IdxKind::kImages, IdxKind::kLabels}) {
    hebm::fuzz::judge_file(data, size, [&](const std::filesystem::path& path) {
      IdxFile file(path, kind);
      file.read(file.count(), [](std::span<const std::uint8_t>) {});
    });
  }
  return 0;
}
