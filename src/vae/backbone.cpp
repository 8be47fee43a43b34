#include "vae/backbone.h"
#include <ATen/ops/cat.h>
#include "vae/batch_statistics.h"

namespace hebm::vae {

std::int64_t Backbone::dim() const {
  std::int64_t total = 0;
  for (const auto& g : groups()) total += g.size();
  return total;
}

std::unique_ptr<BatchStatistics> Backbone::batch_statistics(nets::SumOverRanks, std::uint64_t) const { return nullptr; }

std::vector<at::Tensor> split_layers(const at::Tensor& u, const std::vector<LatentShape>& groups) {
  std::vector<at::Tensor> out;
  std::int64_t at = 0;
  for (const auto& g : groups) {
    out.push_back(u.narrow(1, at, g.size()).reshape({u.size(0), g.channels, g.height, g.width}));
    at += g.size();
  }
  return out;
}

at::Tensor join_layers(const std::vector<at::Tensor>& layers) {
  std::vector<at::Tensor> flat;
  for (const auto& layer : layers) flat.push_back(layer.flatten(1));
  return at::cat(flat, 1);
}

}  // namespace hebm::vae
