// Small nets of the paper's two architectures and float64 inputs for their tests.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <string>
#include <vector>
#include "noise.h"
#include "prior/energy_net.h"

namespace hebm::prior {

inline EnergyOptions paper_options(const std::string& net, std::int64_t width = 4) {
  EnergyOptions o;
  o.net = *value_named<NetKind>(net);
  o.width = width;
  o.per_level = false;
  o.warm_iterations = 2;
  return o;
}

inline at::Tensor normal(std::vector<std::int64_t> shape, std::uint32_t item) {
  std::int64_t count = 1;
  for (const auto n : shape) count *= n;
  return test::normal_rows(count, {3, 0, Purpose::kTest}, {{item}, {0}}).reshape(shape).to(at::kDouble);
}

}  // namespace hebm::prior
