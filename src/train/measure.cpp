#include "train/measure.h"
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <algorithm>
#include <numeric>
#include "base/visits.h"
#include "comm/chunks.h"
#include "vae/inputs.h"

namespace hebm::train {

data::Split judged_split(const data::Dataset& dataset) {
  return dataset.members(data::Split::kTest).empty() ? data::Split::kTrain : data::Split::kTest;
}

std::int64_t measured_at_once(const ImageShape& image) {
  constexpr std::int64_t kValues = std::int64_t{1} << 21;  // 100 images of 3 x 64 x 64 are fewer
  return std::clamp<std::int64_t>(kValues / image.size(), 1, kMeasuredAtOnce);
}

std::vector<double> measure_chunks(const std::vector<std::int64_t>& images, std::int64_t count, std::size_t width,
    comm::Communicator& comm, Logger& logger, const MeasureChunk& measure, std::int64_t at_once) {
  const c10::NoGradGuard no_grad;
  std::vector<double> rows(static_cast<std::size_t>((count + at_once - 1) / at_once) * width);
  comm::share_chunks(
      {count, at_once, "images measured"}, {comm, logger},
      [&](const comm::Chunk& chunk) {
        const auto first = images.begin() + chunk.first;
        std::vector<std::int64_t> members(first, first + chunk.count);
        members.resize(at_once, members.back());
        return comm::bytes_of<double>(measure(members, chunk.count));
      },
      [&](const comm::Chunk& chunk, std::string_view row) {
        comm::copy_bytes<double>(row, std::span(rows).subspan(static_cast<std::size_t>(chunk.first / at_once) * width));
      });
  comm.broadcast(std::as_writable_bytes(std::span(rows)), 0);
  return rows;
}

double sum_of(const at::Tensor& values, std::int64_t real) {
  return values.narrow(0, 0, real).to(at::kDouble).sum().item<double>();
}

VaeInput::Batch VaeInput::load(
    const std::vector<std::int64_t>& images, const std::vector<std::uint32_t>& epochs, std::uint32_t attempt) const {
  const auto device = backbone.params().device();
  at::Tensor x = vae::quantised(vae::image_tensor(dataset.read(images)), backbone.likelihood().bits);
  if (binarise) x = vae::binarised(x, {seed, attempt, Purpose::kBinarise}, images, epochs);
  const RandomKey key{seed, attempt, Purpose::kPosterior};
  return {x.to(device), vae::posterior_noise(key, images, epochs, backbone.dim()).to(device)};
}

double Elbo::value() const { return std::accumulate(kl.begin(), kl.end(), log_likelihood, std::minus<>()); }

nlohmann::json Elbo::to_json() const {
  return {{"elbo", value()}, {"log_likelihood", log_likelihood}, {"kl", kl}, {"num_images", num_images}};
}

Elbo measure_elbo(
    const VaeInput& input, data::Split split, std::int64_t count, comm::Communicator& comm, Logger& logger) {
  const vae::Backbone& backbone = input.backbone;
  const auto& members = input.dataset.members(split);
  const std::size_t width = 1 + backbone.groups().size();
  Elbo elbo{
      .kl = std::vector<double>(width - 1, 0.0), .num_images = std::min<std::int64_t>(count, std::ssize(members))};
  const auto sums = measure_chunks(
      members, elbo.num_images, width, comm, logger,
      [&](const auto& images, std::int64_t real) {
        const auto [x, eps] = input.load(images, std::vector<std::uint32_t>(images.size(), visits::kMeasure));
        const auto q = backbone.posterior(x, eps);
        std::vector<double> out = {sum_of(backbone.log_likelihood(backbone.decode_posterior(q), x), real)};
        for (const at::Tensor& kl : q.kl) out.push_back(sum_of(kl, real));
        return out;
      },
      measured_at_once(input.dataset.shape()));
  for (std::size_t e = 0; e < sums.size(); ++e) {
    (e % width == 0 ? elbo.log_likelihood : elbo.kl[e % width - 1]) += sums[e] / static_cast<double>(elbo.num_images);
  }
  return elbo;
}

}  // namespace hebm::train
