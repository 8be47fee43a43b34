// Statistics of one update, by diffusion step t and by layer: summed over ranks once an update,
// written to metrics.jsonl and TensorBoard.
#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

#include "comm/communicator.h"
#include "storage/metrics.h"

namespace hebm::train {

// Sums over the images of an update; energies are f / s_t^2.
struct UpdateStats {
  // Fields of `at`: kPositive + 2 i and kNegative + 2 i belong to layer i; then label heads have
  // kHeadFields each, from head(h) on.
  enum Field : std::size_t { kCount = 0, kDisplacement = 1, kPositive = 2, kNegative = 3 };
  enum HeadField : std::size_t { kHeadPositive = 0, kHeadNegative = 1, kCrossEntropy = 2, kHits = 3, kHeadFields = 4 };

  UpdateStats(std::size_t num_layers, std::int64_t num_levels, std::size_t num_heads = 0);
  double& at(std::size_t field, std::size_t t) { return by_level[field * levels + t]; }
  double at(std::size_t field, std::size_t t) const { return by_level[field * levels + t]; }
  std::size_t head(std::size_t h) const { return kPositive + 2 * layers + h * kHeadFields; }
  std::size_t num_fields() const { return head(heads); }
  // One sum over ranks, flags included.
  void reduce(comm::Communicator& comm);
  std::vector<double> counts() const;  // [T]
  std::vector<double> gap() const;     // [T] mean of F(pos) - F(neg), label heads included; 0 where count is 0
  double layer_gap(std::size_t layer, std::size_t t) const;

  std::size_t layers, levels, heads;
  double stop = 0;     // ranks that were asked to stop
  double chain_s = 0;  // seconds in chains, over ranks; 0 on a GPU
  double unit_s = 0;   // seconds this rank spent on a unit of work, its data included, the wait for other ranks not
  std::vector<double> unit_s_of_rank;  // by reduce()
  std::vector<double> by_level;
};

class PriorMetrics {
 public:
  PriorMetrics(const std::filesystem::path& directory, std::int64_t last_step) : writer_(directory, last_step) {}
  void write(std::int64_t step, const UpdateStats& stats, const storage::Scalars& gradient_norms,
             const std::vector<double>& level_weights, const std::vector<double>& step_variances,
             storage::Scalars more);

  void flush() { writer_.flush(); }

 private:
  storage::MetricsWriter writer_;
};

}  // namespace hebm::train
