// Inside of hdf5_scan.cpp: the messages of an object of an HDF5 file, the links of a group and the
// attributes of an object, in all ways in which the library stores them.
#pragma once
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>
#include "storage/hdf5_bytes.h"

namespace hebm::storage::detail {

// Types of messages.
enum class H5Kind : std::uint64_t {
  kSpace = 0x1,
  kLinkInfo = 0x2,
  kType = 0x3,
  kLink = 0x6,
  kExternal = 0x7,
  kLayout = 0x8,
  kFilters = 0xb,
  kAttribute = 0xc,
  kContinuation = 0x10,
  kSymbolTable = 0x11,
  kAttributeInfo = 0x15,
};

struct H5Message {
  H5Kind kind;
  bool is_shared = false;  // kept elsewhere: `bytes` only says where
  Bytes bytes;
};

struct H5Object {
  std::uint64_t address = 0;
  std::vector<H5Message> messages;
  const H5Message* find(H5Kind kind) const;  // the first, or null
};

struct H5Link {
  enum class Target { kObject, kSoft, kOtherFile, kUnknown };
  std::string name;
  Target target = Target::kUnknown;
  std::uint64_t address = 0;  // of an object
};

H5Object read_object(H5Source& source, std::uint64_t address);
void each_link(H5Source& source, const H5Object& group, const std::function<void(H5Link)>& take);
// The messages of attributes; of one that is larger than max_bytes only the start.
void each_attribute(H5Source& source, const H5Object& object, std::size_t max_bytes,
    const std::function<void(std::span<const std::byte>)>& take);

}  // namespace hebm::storage::detail
