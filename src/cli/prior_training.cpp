#include "cli/prior_training.h"

namespace hebm::cli {

std::optional<data::LatentCache> training_cache(const train::PriorTrainOptions& training, const RunPaths& paths,
                                                const encode::EncodeOptions& encoding, const data::Dataset& dataset,
                                                const RunVae& vae, std::uint64_t seed, Context& context) {
  std::optional<data::LatentCache> cache;
  if (training.source != "cache") return cache;
  comm::agree(context.comm(), [&] {
    require(paths.cache / "index.json", "hebm_dist encode");
    cache.emplace(data::LatentCache::open(paths.cache));
    cache->expect(encode::cache_layout(encoding, dataset, *vae.backbone, vae.hash, seed).key);
  });
  return cache;
}

std::vector<std::unique_ptr<nets::WithEma>> averaged_weights(prior::EnergyPrior& prior,
                                                             const train::TrainingLoop& loop) {
  std::vector<std::unique_ptr<nets::WithEma>> out;
  for (std::size_t b = 0; b < prior.num_buckets(); ++b) {
    out.push_back(std::make_unique<nets::WithEma>(prior.bucket(b).params(), loop.ema(b)));
  }
  return out;
}

}  // namespace hebm::cli
