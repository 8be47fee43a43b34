// The nets of small_energy_net.cpp on the host in float32, from weights that stay for a while: one
// forward and one reverse pass, to z (chains) and to the weights (loss). Equal to the plain path to
// rounding.
#pragma once
#include <ATen/core/Tensor.h>
#include <memory>
#include <vector>
#include "nets/map_conv.h"
#include "nets/passes.h"
#include "prior/energy_net.h"

namespace hebm::prior {

// One stage: h = SiLU(x * W + b), channels last.
struct SmallStage {
  nets::MapConv conv;        // or
  at::Tensor dense, turned;  // [in, out], [out, in] of a dense layer, in the type of the products
  nets::MapShape in, out;    // of a dense layer 1 x 1
  bool convolves() const { return !dense.defined(); }
};

struct SmallNetForm {
  LatentShape shape;
  std::size_t residual = 0;  // the stage that adds to its input; 0: none
  double gain = 1.0;
  at::ScalarType products = at::kFloat;
};

class SmallNetPass;

class SmallNetPlan final : public EnergyNet::Frozen, public std::enable_shared_from_this<SmallNetPlan> {
 public:
  // weights: [out, in, k, k] or [out, in], the last of them the output's.
  SmallNetPlan(const std::vector<at::Tensor>& weights, const SmallNetForm& form);
  ~SmallNetPlan() override;
  at::Tensor input_gradient(const std::vector<at::Tensor>& biases, const at::Tensor& z) const override;
  // What the output reads, [B, W]: differentiable in z, the weights (the plan's values) and biases.
  at::Tensor features(
      const at::Tensor& z, const std::vector<at::Tensor>& weights, const std::vector<at::Tensor>& biases) const;
  const std::vector<SmallStage>& stages() const { return stages_; }
  std::size_t residual() const { return residual_; }
 private:
  friend struct SmallNetNode;
  std::unique_ptr<SmallNetPass> take(std::int64_t images) const;

  std::vector<SmallStage> stages_;
  std::size_t residual_;
  at::Tensor output_;  // [W], gain included
  mutable nets::PassPool<SmallNetPass> pool_;
};

}  // namespace hebm::prior
