// The nets of small_energy_net.cpp on the host in float32, from weights that stay for a while: a
// batch in chunks over threads (small_net_pass.h), in torch's graph. Equal to the plain path to
// rounding.
#pragma once
#include <ATen/core/Tensor.h>
#include <memory>
#include <vector>
#include "nets/passes.h"
#include "prior/energy_net.h"
#include "prior/small_net_pass.h"

namespace hebm::prior {

struct SmallNetForm {
  LatentShape shape;
  std::size_t residual = 0;  // the stage that adds to its input; 0: none
  double gain = 1.0;
  at::ScalarType products = at::kFloat;
};

class SmallNetPlan final : public EnergyNet::Frozen, public std::enable_shared_from_this<SmallNetPlan> {
 public:
  // weights: [out, in, k, k] or [out, in], the last of them the output's.
  SmallNetPlan(const std::vector<at::Tensor>& weights, const SmallNetForm& form);
  at::Tensor input_gradient(const std::vector<at::Tensor>& biases, const at::Tensor& z) const override;
  // What the output reads, [B, W]: differentiable in z, the weights (the plan's values) and biases.
  at::Tensor features(
      const at::Tensor& z, const std::vector<at::Tensor>& weights, const std::vector<at::Tensor>& biases) const;
 private:
  friend struct SmallNetNode;
  std::unique_ptr<SmallNetPass> take(std::int64_t images) const;

  std::vector<SmallStage> stages_;
  std::size_t residual_;
  at::Tensor output_;  // [W], gain included
  mutable nets::PassPool<SmallNetPass> pool_;
};

}  // namespace hebm::prior
