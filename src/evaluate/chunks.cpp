#include "evaluate/chunks.h"
#include <ATen/ops/empty.h>
#include <cstring>

namespace hebm::evaluate {
void Packer::operator()(const at::Tensor& tensor) {
  const at::Tensor host = tensor.to(at::kCPU).contiguous();
  add_number(static_cast<std::int64_t>(host.scalar_type()));
  add_number(host.dim());
  for (const std::int64_t size : host.sizes()) add_number(size);
  bytes.append(static_cast<const char*>(host.const_data_ptr()), host.nbytes());
}

void Packer::operator()(const std::vector<at::Tensor>& tensors) {
  add_number(std::ssize(tensors));
  for (const at::Tensor& tensor : tensors) (*this)(tensor);
}

void Packer::add_number(std::int64_t number) { bytes.append(reinterpret_cast<const char*>(&number), sizeof(number)); }

void Unpacker::operator()(at::Tensor& tensor) {
  const auto type = static_cast<at::ScalarType>(number());
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(number()));
  for (std::int64_t& size : sizes) size = number();
  tensor = at::empty(sizes, type);
  if (tensor.numel() > 0) take(tensor.mutable_data_ptr(), tensor.nbytes());
}

void Unpacker::operator()(std::vector<at::Tensor>& tensors) {
  tensors.resize(static_cast<std::size_t>(number()));
  for (at::Tensor& tensor : tensors) (*this)(tensor);
}

std::int64_t Unpacker::number() {
  std::int64_t out = 0;
  take(&out, sizeof(out));
  return out;
}

void Unpacker::take(void* to, std::size_t size) {
  std::memcpy(to, left_.data(), size);
  left_.remove_prefix(size);
}

at::Tensor on_every_rank(const at::Tensor& of_root, comm::Communicator& comm) {
  Packer packer;
  if (comm.is_root()) packer(of_root);
  const auto all = comm.all_gather(packer.bytes);
  at::Tensor out;
  Unpacker{all[0]}(out);
  return out;
}

}  // namespace hebm::evaluate
