// The header of a weights file, then every tensor of it.
#include "storage/safetensors.h"
#include <vector>
#include "harness.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return hebm::fuzz::judge_file(data, size, [](const std::filesystem::path& path) {
    const hebm::storage::SafetensorsFile file(path);
    for (const auto& [name, entry] : file.entries()) {
      std::vector<std::byte> bytes(entry.bytes);
      file.read(name, bytes);
    }
    static_cast<void>(file.data_crc32());
  });
}
