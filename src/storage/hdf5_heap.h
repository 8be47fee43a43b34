// Inside of hdf5_objects.cpp: a fractal heap and a B-tree of version 2, where HDF5 keeps what is
// too much or too large for an object's header.
#pragma once
#include <functional>
#include <map>
#include "storage/hdf5_bytes.h"

namespace hebm::storage::detail {

class FractalHeap {
 public:
  FractalHeap(H5Source& source, std::uint64_t address);
  std::size_t id_bytes() const { return id_bytes_; }
  // The object of an id, or its first max_bytes.
  Bytes object(std::span<const std::byte> id, std::uint64_t max_bytes);
 private:
  struct Block {
    std::uint64_t address = kNoAddress, bytes = 0, offset = 0;  // offset: in the heap's own space
  };
  Block find_block(std::uint64_t offset);
  std::uint64_t child(const Block& parent, std::uint64_t num_rows, std::uint64_t entry);
  std::uint64_t row_bytes(std::uint64_t row) const { return start_bytes_ << (row == 0 ? 0 : row - 1); }
  const Bytes& direct_block(const Block& block);
  Bytes huge_object(std::uint64_t key, std::uint64_t max_bytes);

  H5Source& source_;
  std::uint64_t address_;
  std::size_t id_bytes_ = 0, offset_bytes_ = 0, length_bytes_ = 0;
  bool has_sums_ = false;
  std::uint64_t width_ = 0, start_bytes_ = 0, max_direct_bytes_ = 0, root_ = kNoAddress, root_rows_ = 0;
  std::uint64_t huge_tree_ = kNoAddress;
  std::map<std::uint64_t, Bytes> blocks_;  // by address; all of them were within the source's budget
};

struct RecordKind {
  std::uint64_t type = 0, bytes = 0;
};
// Every record of the tree, in its order.
void each_record(H5Source& source, std::uint64_t tree, const RecordKind& kind,
    const std::function<void(std::span<const std::byte>)>& take);

}  // namespace hebm::storage::detail
