#include "evaluate/feature_rows.h"

#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cstring>

#include "base/error.h"

namespace hebm::evaluate {

FeatureRows collect_features(const nets::FeatureNet& net, const std::vector<double>& reference, std::int64_t n,
                             std::int64_t chunk, bool keep, const MakeImages& images, comm::Communicator& comm,
                             Logger& logger, const std::string& what) {
  const c10::NoGradGuard no_grad;
  FeatureRows out;
  FeatureSums sums(reference);
  const std::int64_t num_chunks = (n + chunk - 1) / chunk, dim = nets::FeatureNet::kFeatures;
  std::string mine;  // this rank's kept features, chunks rank, rank + size, ...
  StatusLine status(logger, what, n);
  comm::agree(comm, [&] {
    for (std::int64_t c = comm.rank(); c < num_chunks; c += comm.size()) {
      const Timer timer;
      const at::Tensor x = images(c * chunk, chunk);
      out.seconds += timer.seconds();
      const std::int64_t rows = std::min(chunk, n - c * chunk);
      const at::Tensor f = net.features(x).narrow(0, 0, rows).to(at::kCPU).contiguous();
      sums.add(f);
      if (keep) mine.append(reinterpret_cast<const char*>(f.const_data_ptr<float>()), f.nbytes());
      status.update(std::min(n, (c + comm.size()) * chunk));
    }
  });
  status.finish();
  comm.all_reduce(sums.buffer(), comm::Op::kSum);
  out.moments = sums.moments();
  comm.all_reduce(std::span<double>(&out.seconds, 1), comm::Op::kMax);
  if (!keep) return out;
  const auto all = comm.all_gather(mine);
  out.features = at::empty({n, dim}, at::kFloat);
  std::vector<std::size_t> taken(all.size(), 0);
  for (std::int64_t c = 0; c < num_chunks; ++c) {
    const auto r = static_cast<std::size_t>(c % comm.size());
    const std::size_t bytes = static_cast<std::size_t>(std::min(chunk, n - c * chunk) * dim) * sizeof(float);
    std::memcpy(out.features.mutable_data_ptr<float>() + c * chunk * dim, all[r].data() + taken[r], bytes);
    taken[r] += bytes;
  }
  return out;
}

}  // namespace hebm::evaluate
