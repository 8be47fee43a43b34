// A data set without images: u_0 = (u_1, u_2) of a two-dimensional normal, so that what a trainer should learn has a closed form.
#pragma once
#include <cmath>
#include <cstring>
#include <vector>

#include "prior/forward_pair.h"
#include "train/latent_source.h"

namespace hebm::test {

struct TwoNormals {
  double mean1 = 0, mean2 = 0;
  double v11 = 1, v12 = 0, v22 = 1;  // covariance
  // [count, 2]; rows depend on their number alone.
  at::Tensor draw(const prior::ChainIds& ids) const {
    const at::Tensor n = prior::normal_rows(2, {1, 0, Purpose::kTest}, ids, {});
    const double l11 = std::sqrt(v11), l21 = v12 / l11, l22 = std::sqrt(v22 - l21 * l21);
    at::Tensor u = n.clone();
    u.select(1, 0).copy_(mean1 + l11 * n.select(1, 0));
    u.select(1, 1).copy_(mean2 + l21 * n.select(1, 0) + l22 * n.select(1, 1));
    return u;
  }
};

// Micro-batches from update `first` on, no row twice.
class GaussianSource final : public train::LatentSource {
 public:
  GaussianSource(const TwoNormals& normals, const train::MicroBatches& units, std::int64_t first)
      : normals_(normals), size_(units.size), next_(first * units.count) {}
  LatentBatch next() override {
    const prior::ChainIds ids = prior::chain_ids(next_++ * size_, size_);
    const at::Tensor u = normals_.draw(ids);
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
