// The potential's values, label heads included; a chain without labels needs its gradient alone.
#include <ATen/TensorOperators.h>
#include "prior/potential.h"

namespace hebm::prior {

at::Tensor Potential::of_layer(const at::Tensor& u, std::size_t layer) const {
  return outputs(layer, backbone_.transport(u)[layer]).f;
}

std::vector<at::Tensor> Potential::each_layer(const at::Tensor& u, at::Tensor EnergyNet::Outputs::*part) const {
  const std::vector<at::Tensor> z = backbone_.transport(u);
  std::vector<at::Tensor> out;
  for (std::size_t i = 0; i < z.size(); ++i) out.push_back(outputs(i, z[i]).*part);
  return out;
}
std::vector<at::Tensor> Potential::by_layer(const at::Tensor& u) const { return each_layer(u, &EnergyNet::Outputs::f); }
std::vector<at::Tensor> Potential::label_outputs(const at::Tensor& u) const {
  return each_layer(u, &EnergyNet::Outputs::labels);
}

at::Tensor Potential::value(const at::Tensor& u) const { return value_of(backbone_.transport(u)); }

at::Tensor Potential::value_of(const std::vector<at::Tensor>& z) const {
  at::Tensor total;
  std::vector<at::Tensor> g;
  for (std::size_t i = 0; i < z.size(); ++i) {
    const auto out = outputs(i, z[i]);
    total = total.defined() ? total + out.f : out.f;
    g.push_back(out.labels);
  }
  if (!labelled_) return total;
  const auto values = head_values(prior_.heads(), g);
  const auto& [s2, choice] = labels_;
  for (std::size_t h = 0; h < values.size(); ++h) {
    const at::Tensor term =
        choice == nullptr
            ? marginal_value(values[h], s2)
            : guided_value(values[h], s2, choice->category.select(1, static_cast<std::int64_t>(h)), choice->guidance);
    total = total + at_zero_ * term;
  }
  return total;
}

}  // namespace hebm::prior
