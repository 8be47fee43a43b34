#include "train/readjust.h"
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/zeros.h>
#include <c10/core/GradMode.h>
#include <algorithm>
#include "base/error.h"
#include "base/visits.h"
#include "train/product.h"
#include "vae/batch_statistics.h"
#include "vae/weights_file.h"

namespace hebm::train {
namespace {

// u of one forward, [kReadjustBatch, D]; the seed is fixed: a VAE has one re-estimated form.
at::Tensor prior_draws(std::int64_t forward, std::int64_t dim) {
  at::Tensor u = at::empty({kReadjustBatch, dim}, at::kFloat);
  for (std::int64_t b = 0; b < kReadjustBatch; ++b) {
    fill_normal({u.data_ptr<float>() + b * dim, static_cast<std::size_t>(dim)}, {0, 0, Purpose::kPriorNoise},
        {.item = static_cast<std::uint32_t>(forward * kReadjustBatch + b), .visit = visits::kMeasure});
  }
  return u;
}

void copy_between(const std::vector<nets::NamedTensor>& states, const at::Tensor& row, bool into_states) {
  std::int64_t at = 0;
  for (const auto& state : states) {
    const at::Tensor part = row.narrow(0, at, state.tensor.numel()).view(state.tensor.sizes());
    at += state.tensor.numel();
    if (into_states) {
      state.tensor.copy_(part);
    } else {
      part.copy_(state.tensor);
    }
  }
}

}  // namespace

nlohmann::json readjust_identity(const std::filesystem::path& source, std::int64_t forwards) {
  return {{"source", vae::read_vae_info(source).fingerprint}, {kReadjustKey, forwards}, {"batch", kReadjustBatch}};
}

void readjust_statistics(vae::Backbone& net, std::int64_t forwards, comm::Communicator& comm) {
  const c10::NoGradGuard no_grad;
  const auto training = net.batch_statistics({}, 0);
  check(training != nullptr, ExitCode::kRuntime, "batch-norm re-estimation of a VAE that has no batch norm");
  const auto states = training->decoder_statistics();
  std::int64_t total = 0;
  for (const auto& state : states) total += state.tensor.numel();
  at::Tensor running = at::empty({total}, at::kFloat);
  copy_between(states, running, false);
  for (std::int64_t first = 0; first < forwards; first += comm.size()) {  // one round: a forward for every rank
    const std::int64_t count = std::min<std::int64_t>(comm.size(), forwards - first);
    const at::Tensor rows = at::zeros({count, total}, at::kFloat);
    if (comm.rank() < count) {
      training->update_decoder_statistics(prior_draws(first + comm.rank(), net.dim()).to(net.params().device()), 1.0);
      copy_between(states, rows[comm.rank()], false);
    }
    // Every row has one rank's values and zeros: the sum is exact.
    comm.all_reduce(std::span<float>(rows.data_ptr<float>(), static_cast<std::size_t>(rows.numel())), comm::Op::kSum);
    for (std::int64_t n = 0; n < count; ++n) {
      running.mul_(1.0 - kReadjustMomentum).add_(rows[n], kReadjustMomentum);
    }
  }
  check(at::isfinite(running).all().item<bool>(), ExitCode::kRuntime,
      "batch-norm re-estimation: a statistic of the decoder's samples is not finite; train the VAE again with a larger "
      "vae_train.spectral or a smaller learning rate");
  copy_between(states, running, true);
}

void make_readjusted(const std::filesystem::path& source, const std::filesystem::path& target, std::int64_t forwards,
    comm::Communicator& comm, Logger& logger) {
  nlohmann::json identity;
  comm::agree(comm, [&] { identity = readjust_identity(source, forwards); });
  if (product_done(target, vae::kVaeFormat, vae::kVaeVersion, identity, comm, logger)) return;
  std::unique_ptr<vae::Backbone> backbone;
  comm::agree(comm, [&] {
    backbone = vae::load_backbone(source);
    check(backbone->batch_statistics({}, 0) != nullptr, ExitCode::kUsage,
        "{}: vae.bn_readjust = {} re-estimates batch norm, this VAE has none; set vae.bn_readjust = 0", source.string(),
        forwards);
  });
  readjust_statistics(*backbone, forwards, comm);
  comm::agree(comm, [&] {
    if (!comm.is_root()) return;
    const std::string hash = vae::save_vae(target, *backbone, identity, nlohmann::json::object());
    logger.line("{}: batch norm of the decoder re-estimated by {} forwards of {} samples, hash {}", target.string(),
        forwards, kReadjustBatch, hash);
  });
}

}  // namespace hebm::train
