// Files that never change once they are in their place: shards of a cache, data sets.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>

namespace hebm::data {

// `write` makes and fsyncs a file under a temporary name, which is then renamed. Folders are made;
// nothing is left where it fails. Error(kRuntime) where the place is taken, and, before a byte is
// written, where the file system has less than `bytes` left.
void write_new_file(const std::filesystem::path& target, std::uint64_t bytes,
    const std::function<void(const std::filesystem::path& temporary)>& write);

}  // namespace hebm::data
