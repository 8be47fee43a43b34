#include "evaluate/chunks.h"
#include <ATen/ops/empty.h>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include "base/error.h"

namespace hebm::evaluate {
namespace {

constexpr std::array kTypes = {at::kFloat, at::kDouble, at::kLong, at::kInt, at::kByte, at::kBool};

}  // namespace

void Packer::operator()(const at::Tensor& tensor) {
  const at::Tensor host = tensor.to(at::kCPU).contiguous();
  if (host.is_floating_point()) expect_finite(host);
  add_number(static_cast<std::int64_t>(host.scalar_type()));
  add_number(host.dim());
  for (const std::int64_t size : host.sizes()) add_number(size);
  bytes.append(static_cast<const char*>(host.const_data_ptr()), host.nbytes());
}

void Packer::operator()(const std::vector<at::Tensor>& tensors) {
  add_number(std::ssize(tensors));
  for (const at::Tensor& tensor : tensors) (*this)(tensor);
}

// A sum in float64 of finite float32 is finite: one look at all numbers.
void Packer::expect_finite(const at::Tensor& host) const {
  if (std::isfinite(host.sum(at::kDouble).item<double>())) return;
  const at::Tensor values = host.to(at::kDouble).flatten();
  const std::int64_t per_image = host.dim() > 0 ? values.numel() / host.size(0) : 1;
  for (std::int64_t e = 0; e < values.numel(); ++e) {
    const double value = values.const_data_ptr<double>()[e];
    check(std::isfinite(value), ExitCode::kDiverged,
        "{}: image {}: number {} of what was made of it is {}; are VAE, classifier and prior trained, and the chains' "
        "steps small enough (langevin.step)?",
        what_, first_ + e / per_image, e % per_image, value);
  }
}

void Packer::add_number(std::int64_t number) { bytes.append(reinterpret_cast<const char*>(&number), sizeof(number)); }

// The bytes may be of a file: sizes are checked before memory is taken.
void Unpacker::operator()(at::Tensor& tensor) {
  constexpr std::int64_t kMaxDimensions = 8;
  const std::int64_t type = number(), dimensions = number();
  const bool known =
      std::ranges::any_of(kTypes, [&](at::ScalarType one) { return static_cast<std::int64_t>(one) == type; });
  check(known && dimensions >= 0 && dimensions <= kMaxDimensions, ExitCode::kCorrupt,
      "a kept chunk: a tensor of type {} and {} dimensions", type, dimensions);
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(dimensions));
  std::int64_t values = 1;
  for (std::int64_t& size : sizes) {
    size = number();
    check(size >= 0 && !__builtin_mul_overflow(values, size, &values) && values <= std::ssize(left_),
        ExitCode::kCorrupt, "a kept chunk: a tensor of size {} in {} bytes", size, left_.size());
  }
  tensor = at::empty(sizes, static_cast<at::ScalarType>(type));
  if (tensor.numel() > 0) take(tensor.mutable_data_ptr(), tensor.nbytes());
}

void Unpacker::operator()(std::vector<at::Tensor>& tensors) {
  const std::int64_t count = number();
  check(count >= 0 && count <= std::ssize(left_), ExitCode::kCorrupt, "a kept chunk: {} tensors in {} bytes", count,
      left_.size());
  tensors.resize(static_cast<std::size_t>(count));
  for (at::Tensor& tensor : tensors) (*this)(tensor);
}

std::int64_t Unpacker::number() {
  std::int64_t out = 0;
  take(&out, sizeof(out));
  return out;
}

void Unpacker::take(void* to, std::size_t size) {
  check(size <= left_.size(), ExitCode::kCorrupt, "a kept chunk ends after {} bytes, expected {}", left_.size(), size);
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
