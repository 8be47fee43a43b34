#include "nets/tensor_io.h"

#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <set>

#include "base/error.h"

namespace hebm::nets {
namespace {

storage::StType st_type(const NamedTensor& t) {
  switch (t.tensor.scalar_type()) {
    case at::kFloat: return storage::StType::kF32;
    case at::kDouble: return storage::StType::kF64;
    case at::kLong: return storage::StType::kI64;
    default: fail(ExitCode::kRuntime, "tensor {}: this scalar type is not written", t.name);
  }
}

std::span<const std::byte> bytes_of(const at::Tensor& host) {
  return {static_cast<const std::byte*>(host.const_data_ptr()), static_cast<std::size_t>(host.nbytes())};
}

at::Tensor on_host(const at::Tensor& tensor) { return tensor.detach().to(at::kCPU).contiguous(); }

}  // namespace

storage::HashedFileWriter::Result save_tensors(const std::filesystem::path& path,
                                               const std::vector<NamedTensor>& tensors,
                                               const std::map<std::string, std::string>& metadata) {
  std::vector<at::Tensor> kept;
  std::vector<storage::StTensor> out;
  for (const auto& t : tensors) {
    kept.push_back(on_host(t.tensor));
    out.push_back({t.name, st_type(t), t.tensor.sizes().vec(), bytes_of(kept.back())});
  }
  return storage::write_safetensors(path, out, metadata);
}

void load_tensors(const storage::SafetensorsFile& file, const std::vector<NamedTensor>& tensors, bool allow_extra) {
  const c10::NoGradGuard no_grad;
  std::set<std::string> wanted;
  for (const auto& t : tensors) {
    const auto& entry = file.entry(t.name);
    wanted.insert(t.name);
    check(entry.type == st_type(t), ExitCode::kCorrupt, "{}: tensor {} has type {}, expected {}", file.path().string(),
          t.name, storage::name_of(entry.type), storage::name_of(st_type(t)));
    check(entry.shape == t.tensor.sizes().vec(), ExitCode::kCorrupt, "{}: tensor {} has shape [{}], expected [{}]",
          file.path().string(), t.name, fmt::join(entry.shape, ","), fmt::join(t.tensor.sizes().vec(), ","));
    at::Tensor host = at::empty(t.tensor.sizes(), at::TensorOptions(t.tensor.scalar_type()));
    file.read(t.name, {static_cast<std::byte*>(host.mutable_data_ptr()), static_cast<std::size_t>(host.nbytes())});
    at::Tensor target = t.tensor;
    target.copy_(host);
  }
  if (allow_extra) return;
  for (const auto& [name, entry] : file.entries()) {
    check(wanted.contains(name), ExitCode::kCorrupt, "{}: holds a tensor {} that this model does not have",
          file.path().string(), name);
  }
}

std::string hash_tensors(const std::vector<NamedTensor>& tensors) {
  storage::Hasher hasher;
  for (const auto& t : tensors) {
    const std::string head = fmt::format("{}[{}]", t.name, fmt::join(t.tensor.sizes().vec(), ","));
    hasher.update(storage::as_bytes(head.data(), head.size()));
    hasher.update(bytes_of(on_host(t.tensor)));
  }
  return hasher.digest();
}

}  // namespace hebm::nets
