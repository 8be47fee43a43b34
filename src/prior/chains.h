// The chains of one micro-batch: who they are, at which level each stands, and their noise, which
// is drawn where they live, host or GPU, with the same bits. Nothing here waits for the GPU.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <vector>
#include "base/random.h"
#include "prior/langevin_element.h"

namespace hebm::prior {

// Who they are. Row b's noise is a function of (seed, attempt, purpose; item[b], visit[b], t, k).
struct ChainIds {
  std::vector<std::uint32_t> item;   // [B] image or chain number
  std::vector<std::uint32_t> visit;  // [B]
  std::uint64_t seed = 0;
  std::uint32_t attempt = 0;
  std::int64_t count() const { return static_cast<std::int64_t>(item.size()); }
  RandomKey key(Purpose purpose) const { return {seed, attempt, purpose}; }
};
// Chains first .. first + count - 1 of a seed, visit 0.
ChainIds chain_ids(std::uint64_t seed, std::int64_t first, std::int64_t count);

// The same at their levels. Their rows go to the device once, here.
class Chains {
 public:
  // levels [B], or one for all. Error(kRuntime): a device without kernels (CUDA in a build without
  // it), ids and levels that do not fit together.
  Chains(const ChainIds& ids, const std::vector<std::int64_t>& levels, at::Device device);
  Chains(const ChainIds& ids, std::int64_t level, at::Device device);

  std::int64_t count() const { return rows_.size(0); }
  at::Device device() const { return rows_.device(); }
  const std::vector<std::int64_t>& levels() const { return levels_; }
  const at::Tensor& t() const { return t_; }  // [B] int64, the levels on the device
  RandomKey key(Purpose purpose) const { return {seed_, attempt_, purpose}; }
  // [B, 1] float32 on the device for each table: its entry for the row's level + shift.
  struct Table {
    const std::vector<double>& values;
    std::int64_t shift = 0;
  };
  std::vector<at::Tensor> by_level(const std::vector<Table>& tables) const;
  // [B, dim] ~ N(0, I), row b keyed by (ids[b], t[b]).
  at::Tensor normals(Purpose purpose, std::int64_t dim) const;
  // [B], for what runs on device().
  const ChainRow* rows() const { return static_cast<const ChainRow*>(rows_.const_data_ptr()); }
 private:
  std::uint64_t seed_;
  std::uint32_t attempt_;
  std::vector<std::int64_t> levels_;
  at::Tensor rows_, t_;  // [B, 3] int32 that hold ChainRow
};

// u_T ~ N(0, I) of these chains, [B, dim].
at::Tensor prior_noise(const ChainIds& ids, std::int64_t dim, at::Device device);

// Rows of `dim` numbers that a thread of the host takes at once.
inline std::int64_t rows_at_once(std::int64_t dim) { return 1 + 32768 / dim; }
inline StreamKey kernel_key(const RandomKey& key) {
  const auto words = stream_key(key);
  return {words[0], words[1]};
}
inline RandomCounter counter_of(const ChainRow& row, std::int64_t k) {
  return {.item = row.item, .visit = row.visit, .t = row.t, .k = static_cast<std::uint32_t>(k)};
}

// Importance resampling: for each column b of log weights [M, B] float64 a proposal m, drawn with
// probability ~ exp(weight[m, b]); uniform [B] in [0, 1). Error(kDiverged): a weight is not finite.
std::vector<std::int64_t> choose_proposals(const at::Tensor& log_weights, const std::vector<double>& uniform);

// uniform [B] of the choice, keyed by (ids, t).
std::vector<double> choice_uniforms(const ChainIds& ids, std::int64_t t);

}  // namespace hebm::prior
