// The energy nets of a prior.
#pragma once
#include <ATen/core/Tensor.h>
#include <limits>
#include <memory>
#include <vector>
#include "prior/energy_net.h"
#include "prior/label_heads.h"
#include "prior/schedule.h"

namespace hebm::prior {

// The energy nets of all layers, top first, in sets: one set that is told t, or (energy.per_level)
// one set for every t. Owns them.
class EnergyPrior {
 public:
  // max_values: nets of more parameters and vectors in all are Error(kCorrupt) before they are
  // allocated. heads: of the nets of t = 0.
  EnergyPrior(const EnergyOptions& options, const std::vector<LatentShape>& groups, const Schedule& schedule,
      std::uint64_t seed, at::ScalarType dtype = at::kFloat,
      std::int64_t max_values = std::numeric_limits<std::int64_t>::max(), LabelHeads heads = {});
  std::size_t num_layers() const { return num_layers_; }
  const Schedule& schedule() const { return schedule_; }
  std::int64_t num_levels() const { return schedule_.num_levels; }
  bool per_level() const { return per_level_; }
  const LabelHeads& heads() const { return heads_; }
  // All nets as buckets: bucket = set * num_layers + layer.
  std::size_t num_buckets() const { return nets_.size(); }
  // Layer 0's of the set for these levels; with per_level all must be equal.
  std::size_t first_bucket(const std::vector<std::int64_t>& levels) const;
  EnergyNet& bucket(std::size_t b) { return *nets_.at(b); }
  const EnergyNet& bucket(std::size_t b) const { return *nets_.at(b); }
  const EnergyNet& net(std::size_t set, std::size_t layer) const { return *nets_.at(set * num_layers_ + layer); }
  // "level2.layer0." (or "layer0." with one set).
  std::string bucket_name(std::size_t b) const;
  std::int64_t num_parameters() const;
  at::Device device() const { return nets_.at(0)->params().device(); }
  // Moves all nets (see nets::Parameters::to).
  void to(at::Device device);
  // Parameters and power-iteration vectors of all nets under their buckets' names.
  std::vector<nets::NamedTensor> named_tensors() const;
  // All tensors of a prior of the same nets, which may have no label heads: then these stay as they
  // are.
  void copy_from(const EnergyPrior& other);
  // By bucket.
  std::vector<EnergyNet::Weights> frozen_weights(nets::Precision of_chains = nets::Precision::kFloat32) const;
 private:
  Schedule schedule_;
  std::size_t num_layers_;
  bool per_level_;
  LabelHeads heads_;
  std::vector<std::unique_ptr<EnergyNet>> nets_;
};

}  // namespace hebm::prior
