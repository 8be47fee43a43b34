// A data set without images: u_0 = (u_1, u_2) of a two-dimensional normal, so that what a trainer
// should learn has a closed form.
#pragma once
#include <ATen/ops/stack.h>
#include <cstring>
#include <vector>
#include "../prior/linear_backbone.h"
#include "prior/chains.h"
#include "train/latent_source.h"

namespace hebm::test {

// Micro-batches from update `first` on, no row twice.
class GaussianSource final : public train::LatentSource {
 public:
  GaussianSource(const TwoNormals& normals, const train::MicroBatches& units, std::int64_t first)
      : normals_(normals), size_(units.size), next_(first * units.count) {}
  LatentBatch next() override {
    const prior::ChainIds ids = prior::chain_ids(1, next_++ * size_, size_);
    const at::Tensor n = prior::Chains(ids, 0, at::kCPU).normals(Purpose::kTest, 2);
    const at::Tensor u = at::stack(normals_.draw(n.select(1, 0), n.select(1, 1)), 1);
    LatentBatch out{size_, 2, std::vector<float>(static_cast<std::size_t>(2 * size_)), {}, ids.visit};
    std::memcpy(out.u.data(), u.const_data_ptr<float>(), out.u.size() * sizeof(float));
    for (const auto item : ids.item) out.index.push_back(item);
    return out;
  }
 private:
  TwoNormals normals_;
  std::int64_t size_, next_;
};

}  // namespace hebm::test
