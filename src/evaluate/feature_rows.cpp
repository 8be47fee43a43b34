#include "evaluate/feature_rows.h"
#include <ATen/ops/cat.h>
#include <c10/core/GradMode.h>
#include <span>
#include <vector>

namespace hebm::evaluate {
namespace {

struct Features {
  at::Tensor rows;  // [images, F]
  static void tensors(auto& f, auto& visit) { visit(f.rows); }
};

}  // namespace

FeatureRows collect_features(const nets::FeatureNet& net, const Items& items, bool keep, const MakeImages& images,
    comm::Communicator& comm, Logger& logger) {
  FeatureRows out;
  FeatureSums sums(nets::FeatureNet::kFeatures);
  std::vector<at::Tensor> kept;
  for_chunks<Features>(
      items, comm, logger,
      [&](const Chunk& chunk) -> Features {
        const c10::NoGradGuard no_grad;
        const Timer timer;
        const at::Tensor x = images(chunk);
        out.seconds += timer.seconds();
        return {chunk.keep(net.features(x))};
      },
      [&](const Chunk&, const Features& features) {
        sums.add(features.rows);
        if (keep) kept.push_back(features.rows);
      });
  comm.all_reduce(std::span<double>(&out.seconds, 1), comm::Op::kMax);
  comm::agree(comm, [&] {
    if (!comm.is_root()) return;
    out.moments = sums.moments();
    if (keep) out.features = at::cat(kept);
  });
  if (keep) out.features = on_every_rank(out.features, comm);
  return out;
}

}  // namespace hebm::evaluate
