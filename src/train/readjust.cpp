#include "train/readjust.h"
#include <ATen/ops/cat.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/isfinite.h>
#include <c10/core/GradMode.h>
#include "base/error.h"
#include "base/visits.h"
#include "comm/chunks.h"
#include "prior/chains.h"
#include "train/checkpoints.h"
#include "vae/weights_file.h"

namespace hebm::train {
namespace {

constexpr std::int64_t kReadjustBatch = 25;  // samples a forward
constexpr double kReadjustMomentum = 0.05;

// u of one forward, [kReadjustBatch, D]; the seed is fixed: a VAE has one re-estimated form.
at::Tensor prior_draws(std::int64_t forward, std::int64_t dim, at::Device device) {
  prior::ChainIds ids = prior::chain_ids(0, forward * kReadjustBatch, kReadjustBatch);
  ids.visit.assign(ids.item.size(), visits::kMeasure);
  return prior::prior_noise(ids, dim, device);
}

// All of them in one row, on the host.
at::Tensor gather(const std::vector<nets::NamedTensor>& states) {
  std::vector<at::Tensor> parts;
  for (const auto& state : states) parts.push_back(state.tensor.flatten());
  return at::cat(parts).to(at::kCPU);
}

void scatter(const at::Tensor& row, const std::vector<nets::NamedTensor>& states) {
  std::int64_t at = 0;
  for (const auto& state : states) {
    state.tensor.copy_(row.narrow(0, at, state.tensor.numel()).view(state.tensor.sizes()));
    at += state.tensor.numel();
  }
}

std::span<float> span_of(const at::Tensor& row) {
  return {row.mutable_data_ptr<float>(), static_cast<std::size_t>(row.numel())};
}

// A forward decodes draws of the Gaussian prior at temperature 1 in train mode.
void readjust_statistics(vae::Backbone& net, std::int64_t forwards, comm::Communicator& comm, Logger& logger) {
  const auto training = net.batch_statistics({}, 0);
  const auto states = training->decoder_statistics();
  const auto forward = [&](std::int64_t number) {
    training->update_decoder_statistics(prior_draws(number, net.dim(), net.params().device()), 1.0);
    return gather(states);
  };
  const c10::NoGradGuard no_grad;
  const at::Tensor running = running_statistics(gather(states), forwards, forward, comm, logger);
  check(at::isfinite(running).all().item<bool>(), ExitCode::kRuntime,
      "batch-norm re-estimation: a statistic of the decoder's samples is not finite; train the VAE again with a larger "
      "vae_train.spectral or a smaller learning rate");
  scatter(running, states);
}

}  // namespace

at::Tensor running_statistics(const at::Tensor& start, std::int64_t forwards,
    const std::function<at::Tensor(std::int64_t number)>& forward, comm::Communicator& comm, Logger& logger) {
  const c10::NoGradGuard no_grad;
  const at::Tensor running = start.clone(), row = at::empty_like(start);
  comm::share_chunks(
      {forwards, 1, "batch norm re-estimated"}, {comm, logger},
      [&](const comm::Chunk& chunk) { return comm::bytes_of<float>(span_of(forward(chunk.first))); },
      [&](const comm::Chunk&, std::string_view bytes) {
        comm::copy_bytes(bytes, span_of(row));
        running.mul_(1.0 - kReadjustMomentum).add_(row, kReadjustMomentum);
      });
  comm.broadcast(std::as_writable_bytes(span_of(running)), 0);
  return running;
}

nlohmann::json readjust_fingerprint(const std::filesystem::path& source, std::int64_t forwards) {
  return {{"source", vae::read_vae_info(source).hash}, {kReadjustKey, forwards}, {"batch", kReadjustBatch}};
}

void make_readjusted(const std::filesystem::path& source, const std::filesystem::path& target, std::int64_t forwards,
    comm::Communicator& comm, Logger& logger) {
  nlohmann::json fingerprint;
  comm::agree(comm, [&] { fingerprint = readjust_fingerprint(source, forwards); });
  if (artifact_done(target, vae::kVaeFormat, vae::kVaeVersion, fingerprint, comm, logger)) return;
  std::unique_ptr<vae::Backbone> backbone;
  comm::agree(comm, [&] {
    backbone = vae::load_backbone(source);
    check(backbone->batch_statistics({}, 0) != nullptr, ExitCode::kUsage,
        "{}: vae.bn_readjust = {} re-estimates batch norm, this VAE has none; set vae.bn_readjust = 0", source.string(),
        forwards);
  });
  readjust_statistics(*backbone, forwards, comm, logger);
  comm::on_root(comm, [&] {
    const std::string hash = vae::save_vae(target, *backbone, fingerprint, nlohmann::json::object());
    logger.line("{}: batch norm of the decoder re-estimated by {} forwards of {} samples, hash {}", target.string(),
        forwards, kReadjustBatch, hash);
  });
}

}  // namespace hebm::train
