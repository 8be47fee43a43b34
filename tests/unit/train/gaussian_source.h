// A data set without images: u_0 = (u_1, u_2) of a two-dimensional normal, so that what a trainer
// should learn has a closed form.
#pragma once
#include <ATen/ops/stack.h>
#include <cstring>
#include <vector>
#include "../prior/linear_backbone.h"
#include "base/status.h"
#include "comm/single_communicator.h"
#include "prior/chains.h"
#include "support.h"
#include "train/latent_source.h"

namespace hebm::test {

// Micro-batches from update `first` on, no row twice.
inline train::LatentSource gaussian_source(
    const TwoNormals& normals, const train::MicroBatches& batches, std::int64_t first) {
  return {[=, size = batches.size, next = first * batches.count](const train::Work& /*work*/) mutable {
    const prior::ChainIds ids = prior::chain_ids(1, next++ * size, size);
    const at::Tensor n = prior::Chains(ids, 0, at::kCPU).normals(Purpose::kTest, 2);
    const at::Tensor u = at::stack(normals.draw(n.select(1, 0), n.select(1, 1)), 1);
    LatentBatch out{size, 2, std::vector<float>(static_cast<std::size_t>(2 * size)), {}, ids.visit};
    std::memcpy(out.u.data(), u.const_data_ptr<float>(), out.u.size() * sizeof(float));
    for (const auto item : ids.item) out.index.push_back(item);
    return out;
  }};
}

// What a training on it has around it.
struct LinearWorld {
  OneThread one_thread;
  TempFolder folder;
  LinearBackbone backbone;
  comm::SingleCommunicator comm;
  Logger logger{false};
};

}  // namespace hebm::test
