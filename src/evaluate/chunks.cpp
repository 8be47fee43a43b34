#include "evaluate/chunks.h"
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <cstring>
#include <span>

namespace hebm::evaluate {
namespace {

void append(std::string& bytes, std::int64_t number) {
  bytes.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

std::string_view take_bytes(std::string_view& from, std::size_t size) {
  const std::string_view out = from.substr(0, size);
  from.remove_prefix(size);
  return out;
}

std::int64_t take_number(std::string_view& from) {
  std::int64_t out = 0;
  std::memcpy(&out, take_bytes(from, sizeof(out)).data(), sizeof(out));
  return out;
}

}  // namespace

void Packer::operator()(const at::Tensor& tensor) {
  const at::Tensor host = tensor.to(at::kCPU).contiguous();
  append(bytes, static_cast<std::int64_t>(host.scalar_type()));
  append(bytes, host.dim());
  for (const std::int64_t size : host.sizes()) append(bytes, size);
  bytes.append(static_cast<const char*>(host.const_data_ptr()), host.nbytes());
}

void Packer::operator()(const std::vector<at::Tensor>& tensors) {
  append(bytes, std::ssize(tensors));
  for (const at::Tensor& tensor : tensors) (*this)(tensor);
}

void Unpacker::operator()(at::Tensor& tensor) {
  const auto type = static_cast<at::ScalarType>(take_number(left_));
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(take_number(left_)));
  for (std::int64_t& size : sizes) size = take_number(left_);
  tensor = at::empty(sizes, type);
  if (tensor.numel() == 0) return;
  std::memcpy(tensor.mutable_data_ptr(), take_bytes(left_, tensor.nbytes()).data(), tensor.nbytes());
}

void Unpacker::operator()(std::vector<at::Tensor>& tensors) {
  tensors.resize(static_cast<std::size_t>(take_number(left_)));
  for (at::Tensor& tensor : tensors) (*this)(tensor);
}

void for_packed_chunks(const Items& items, comm::Communicator& comm, Logger& logger,
    const std::function<std::string(const Chunk&)>& make,
    const std::function<void(const Chunk&, std::string_view)>& take) {
  const auto chunk_at = [&](std::int64_t number) {
    const std::int64_t first = number * items.chunk;
    return Chunk{first, items.chunk, std::min(items.chunk, items.count - first)};
  };
  const std::int64_t num_chunks = (items.count + items.chunk - 1) / items.chunk, ranks = comm.size();
  StatusLine status(logger, items.what, items.count);
  for (std::int64_t done = 0; done < num_chunks; done += ranks) {
    std::string mine;
    comm::agree(comm, [&] {
      if (done + comm.rank() < num_chunks) mine = make(chunk_at(done + comm.rank()));
    });
    const auto parts = comm.gather(mine);
    comm::agree(comm, [&] {
      for (std::int64_t r = 0; r < std::min(std::ssize(parts), num_chunks - done); ++r)
        take(chunk_at(done + r), parts[static_cast<std::size_t>(r)]);
    });
    status.update(std::min(items.count, (done + ranks) * items.chunk));
  }
  status.finish();
}

at::Tensor on_every_rank(const at::Tensor& of_root, comm::Communicator& comm) {
  Packer packer;
  if (comm.is_root()) packer(of_root);
  auto size = std::ssize(packer.bytes);
  comm.all_reduce(std::span<std::int64_t>(&size, 1), comm::Op::kMax);
  packer.bytes.resize(static_cast<std::size_t>(size));
  comm.broadcast(std::as_writable_bytes(std::span(packer.bytes)), 0);
  at::Tensor out;
  Unpacker{packer.bytes}(out);
  return out;
}

}  // namespace hebm::evaluate
