// The latent cache from a frozen backbone (Alg. 1, line 3, ahead of time): R posterior draws u_0 an
// image, by shards that are dealt to ranks. What a shard holds does not depend on the number of
// ranks: noise is keyed by image and draw, and chunks have one fixed shape.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>
#include "base/options.h"
#include "base/signals.h"
#include "base/status.h"
#include "comm/communicator.h"
#include "data/dataset.h"
#include "data/latent_cache.h"
#include "vae/backbone.h"

namespace hebm::encode {

struct EncodeOptions {
  std::int64_t draws = 2, shards = 16, batch = 100;
  data::Dtype dtype = data::Dtype::kFloat32;
  data::Split split = data::Split::kTrain;
  void describe(Options& options);
};

// What the cache of these settings is; readers expect() its key.
data::CacheLayout cache_layout(const EncodeOptions& options, const data::Dataset& dataset,
    const vae::Backbone& backbone, const std::string& vae_hash, std::uint64_t seed);

struct EncodeInputs {
  const data::Dataset& dataset;
  const vae::Backbone& backbone;
  const std::string& vae_hash;
  std::uint64_t seed = 0;
};

struct EncodeResult {
  enum class Outcome { kDone, kStopped } outcome = Outcome::kDone;  // kStopped: leave with ExitCode::kRequeue
  std::int64_t shards_written = 0;                                  // by all ranks, now
  std::vector<data::LatentCache::Moments> moments{};                // of the whole cache, by layer (kDone)
  double max_abs_u = 0, max_rounding_error = 0;
};

// Collective. Writes the shards that are missing into `directory` and, last, its index. A whole
// cache of these settings is only described again; one of other settings is Error(kUsage) naming
// what differs. NaN from the posterior: Error naming image and layer.
EncodeResult encode_cache(const EncodeOptions& options, const std::filesystem::path& directory,
    const EncodeInputs& inputs, const StopFlag* stop, comm::Communicator& comm, Logger& logger);

}  // namespace hebm::encode
