#include "train/elbo.h"
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>
#include <algorithm>
#include "base/visits.h"
#include "vae/inputs.h"

namespace hebm::train {

at::Tensor ImageInput::load(const data::Dataset& dataset, std::uint64_t seed, std::uint32_t attempt,
    const std::vector<std::int64_t>& images, const std::vector<std::uint32_t>& visits) const {
  const at::Tensor x = vae::quantised(vae::image_tensor(dataset.read(images)), bits);
  return binarise ? vae::binarised(x, {seed, attempt, Purpose::kBinarise}, images, visits) : x;
}

double Elbo::value() const {
  double out = log_likelihood;
  for (const double layer : kl) out -= layer;
  return out;
}

nlohmann::json Elbo::to_json() const {
  return {{"elbo", value()}, {"log_likelihood", log_likelihood}, {"kl", kl}, {"num_images", num_images}};
}

Elbo measure_elbo(const vae::Backbone& backbone, const data::Dataset& dataset, data::Split split, std::int64_t count,
    std::uint64_t seed, comm::Communicator& comm, const ImageInput& input) {
  constexpr std::int64_t kChunk = 100;
  const c10::NoGradGuard no_grad;
  const auto& members = dataset.members(split);
  const std::int64_t total = std::min(count, static_cast<std::int64_t>(members.size()));
  const std::size_t width = 1 + backbone.groups().size();
  std::vector<double> sums(static_cast<std::size_t>((total + kChunk - 1) / kChunk) * width, 0.0);  // by chunk
  for (std::int64_t chunk = comm.rank(); chunk * kChunk < total; chunk += comm.size()) {
    const std::int64_t first = chunk * kChunk, real = std::min(kChunk, total - first);
    std::vector<std::int64_t> images;
    for (std::int64_t b = 0; b < kChunk; ++b)
      images.push_back(members[static_cast<std::size_t>(first + std::min(b, real - 1))]);
    const std::vector<std::uint32_t> visits(images.size(), visits::kMeasure);
    const at::Tensor x = input.load(dataset, seed, 0, images, visits).to(backbone.params().device());
    const at::Tensor eps =
        vae::posterior_noise({seed, 0, Purpose::kPosterior}, images, visits, backbone.dim()).to(x.device());
    const auto q = backbone.posterior(x, eps);
    const auto sum_of = [&](const at::Tensor& values) {
      return values.narrow(0, 0, real).to(at::kDouble).sum().item<double>();
    };
    double* out = &sums[static_cast<std::size_t>(chunk) * width];
    out[0] = sum_of(backbone.log_likelihood(backbone.decode_posterior(q), x));
    for (std::size_t i = 0; i < q.kl.size(); ++i) out[1 + i] = sum_of(q.kl[i]);
  }
  comm.all_reduce(std::span<double>(sums), comm::Op::kSum);  // every entry has one rank's value and zeros: exact
  Elbo elbo;
  elbo.num_images = total;
  elbo.kl.assign(width - 1, 0.0);
  for (std::size_t e = 0; e < sums.size(); ++e) {
    (e % width == 0 ? elbo.log_likelihood : elbo.kl[e % width - 1]) += sums[e] / static_cast<double>(total);
  }
  return elbo;
}

}  // namespace hebm::train
