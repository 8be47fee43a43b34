// The one loop over images: fixed chunks, shared by the ranks; rank 0 takes what they make.
#pragma once
#include <ATen/core/Tensor.h>
#include <algorithm>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include "base/status.h"
#include "comm/communicator.h"

namespace hebm::evaluate {

struct Chunk {
  std::int64_t first;  // number of its first item
  std::int64_t size;   // items that are made: the same in every chunk, for bits depend on shapes
  std::int64_t count;  // of them, those that are asked for
  at::Tensor keep(const at::Tensor& rows) const { return rows.narrow(0, 0, count); }
  // The same of items below `limit` only: those of a picture.
  at::Tensor keep_below(std::int64_t limit, const at::Tensor& rows) const {
    return rows.narrow(0, 0, std::clamp<std::int64_t>(limit - first, 0, count));
  }
};

struct Items {
  std::int64_t count, chunk;
  std::string what;  // for the status line
};

// Tensors of any device as bytes, and back on the host.
class Packer {
 public:
  void operator()(const at::Tensor& tensor);
  void operator()(const std::vector<at::Tensor>& tensors);
  std::string bytes;
};
class Unpacker {
 public:
  explicit Unpacker(std::string_view bytes) : left_(bytes) {}
  void operator()(at::Tensor& tensor);
  void operator()(std::vector<at::Tensor>& tensors);
 private:
  std::string_view left_;
};

void for_packed_chunks(const Items& items, comm::Communicator& comm, Logger& logger,
    const std::function<std::string(const Chunk&)>& make,
    const std::function<void(const Chunk&, std::string_view)>& take);

// make(chunk) -> Part on the rank whose turn it is; take(chunk, part) on rank 0, for all chunks in
// order, so that sums have the same bits on any number of ranks. A Part names its tensors once:
// static void tensors(auto& part, auto& visit) { visit(part.features); }. What either throws, every
// rank throws. Collective.
template <class Part> void for_chunks(const Items& items, comm::Communicator& comm, Logger& logger,
    const std::function<Part(const Chunk&)>& make, const std::function<void(const Chunk&, const Part&)>& take) {
  for_packed_chunks(
      items, comm, logger,
      [&](const Chunk& chunk) {
        const Part part = make(chunk);
        Packer packer;
        Part::tensors(part, packer);
        return std::move(packer.bytes);
      },
      [&](const Chunk& chunk, std::string_view bytes) {
        Part part;
        Unpacker unpacker(bytes);
        Part::tensors(part, unpacker);
        take(chunk, part);
      });
}

// Rank 0's tensor on every rank's host. Collective.
at::Tensor on_every_rank(const at::Tensor& of_root, comm::Communicator& comm);

}  // namespace hebm::evaluate
