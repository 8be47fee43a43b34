// A data set or a shard of a cache: the structure of the HDF5 file, then all that it claims.
#include "data/dataset.h"
#include "data/shard_file.h"
#include "harness.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  hebm::fuzz::judge_file(
      data, size, [](const std::filesystem::path& path) { hebm::data::Dataset::open(path).verify(); });
  return hebm::fuzz::judge_file(
      data, size, [](const std::filesystem::path& path) { hebm::data::read_shard_header(path); });
}
