// The loop over images (comm/chunks.h), of which tensors are made.
#pragma once
#include <ATen/core/Tensor.h>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>
#include "comm/chunks.h"

namespace hebm::evaluate {

using comm::Chunk;
using comm::Crew;
using comm::Items;

// Tensors of any device as bytes, and back on the host. NaN or Inf is Error(kDiverged) naming
// `what` and the image: a tensor's rows are images from `first` on.
class Packer {
 public:
  explicit Packer(std::string what = "", std::int64_t first = 0) : what_(std::move(what)), first_(first) {}
  void operator()(const at::Tensor& tensor);
  void operator()(const std::vector<at::Tensor>& tensors);
  template <class Part> void operator()(const Part& part) { Part::tensors(part, *this); }
  void operator()(const auto& first, const auto& second, const auto&... more) {
    (*this)(first);
    (*this)(second, more...);
  }
  std::string bytes;
 private:
  void add_number(std::int64_t number);
  void expect_finite(const at::Tensor& host) const;
  std::string what_;
  std::int64_t first_;
};
class Unpacker {
 public:
  explicit Unpacker(std::string_view bytes) : left_(bytes) {}
  void operator()(at::Tensor& tensor);
  void operator()(std::vector<at::Tensor>& tensors);
  template <class Part> void operator()(Part& part) { Part::tensors(part, *this); }
  void operator()(auto& first, auto& second, auto&... more) {
    (*this)(first);
    (*this)(second, more...);
  }
 private:
  std::int64_t number();
  void take(void* to, std::size_t size);
  std::string_view left_;
};

// make(chunk) -> Part and take(chunk, part) of share_chunks. A Part is a tensor, or names its
// tensors once: static void tensors(auto& p, auto& visit) { visit(p.x, p.y); }. Collective.
template <class Part> void for_chunks(const Items& items, const Crew& crew,
    const std::function<Part(const Chunk&)>& make, const std::function<void(const Chunk&, const Part&)>& take) {
  comm::share_chunks(
      items, crew,
      [&](const Chunk& chunk) {
        const Part part = make(chunk);
        Packer packer(items.what, chunk.first);
        packer(part);
        return std::move(packer.bytes);
      },
      [&](const Chunk& chunk, std::string_view bytes) {
        Part part;
        Unpacker unpacker(bytes);
        unpacker(part);
        take(chunk, part);
      });
}

// Rank 0's tensor on every rank's host. Collective.
at::Tensor on_every_rank(const at::Tensor& of_root, comm::Communicator& comm);

}  // namespace hebm::evaluate
