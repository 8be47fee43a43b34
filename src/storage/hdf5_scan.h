// Reads the structure of a foreign HDF5 file, by a parser of our own: libhdf5 crashes on damaged
// files, and what it is asked cannot be bounded. Known are all ways in which libhdf5 stores groups,
// links and attributes, and contiguous datasets of native numbers; all else is refused by name.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>
#include "storage/hdf5.h"

namespace hebm::storage::detail {

inline constexpr std::size_t kMaxRank = 8, kMaxName = 1024, kMaxString = std::size_t{1} << 20;

struct H5Content {
  std::map<std::string, H5Info> datasets;
  std::map<std::string, H5Attribute> attributes;  // of the root group
};

// Error(kCorrupt) names what is damaged or refused. Follows hard links only; sizes are checked
// against the file's before anything is allocated.
H5Content scan_file(const ReadOnlyFile& file);

// Bytes of `shape`; none where a product of its non-zero dimensions passes 2^63.
std::optional<std::uint64_t> bytes_of(const std::vector<std::uint64_t>& shape, H5Type type);
// Printable ASCII, not too long, no part between '/' is empty, "." or "..".
bool is_good_name(const std::string& name);

}  // namespace hebm::storage::detail
