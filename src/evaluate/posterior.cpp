#include "evaluate/posterior.h"
#include <vector>
#include "vae/inputs.h"

namespace hebm::evaluate {

PosteriorDraws posterior_reference(std::int64_t n, std::int64_t chunk, std::uint64_t seed) {
  return {data::Split::kTrain, n, n, chunk, seed, visits::kPosteriorReference};
}

PosteriorDraws posterior_floor(std::int64_t n, std::int64_t chunk, std::uint64_t seed) {
  return {data::Split::kTrain, 2 * n, n, chunk, seed, visits::kPosteriorFloor};
}

vae::Posterior draw(const ScoreInputs& in, const PosteriorDraws& draws, std::int64_t first, std::int64_t size) {
  const auto index = split_members(in.dataset, draws.split, draws.start + first, size);
  const std::vector<std::uint32_t> visits(index.size(), draws.visit);
  const auto device = in.backbone.params().device();
  return vae::draw_posterior(
      in.backbone, vae::image_tensor(in.dataset.read(index)).to(device), draws.seed, index, visits);
}

FeatureRows posterior_features(
    const ScoreInputs& in, const PosteriorDraws& draws, bool keep, const std::string& what, const Crew& crew) {
  return collect_features(
      *in.features.net, {draws.count, draws.chunk, what}, keep,
      [&](const Chunk& c) {
        return in.backbone.mean_image(in.backbone.decode_posterior(draw(in, draws, c.first, c.size)));
      },
      crew);
}

}  // namespace hebm::evaluate
