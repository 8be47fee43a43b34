// Batch-norm re-estimation (the authors, before EBM training): the decoder's statistics become
// those of its own samples, since the running ones were gathered on posterior draws, which the
// prior's samples differ from. The result is a VAE of its own, with a hash of its own, in
// RUN/vae/vae-readjusted.safetensors: made once, and a function of the VAE and the number of
// forwards alone.
#pragma once
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include "base/status.h"
#include "comm/communicator.h"
#include "vae/backbone.h"

namespace hebm::train {

inline constexpr std::int64_t kReadjustBatch = 25;  // samples a forward
inline constexpr double kReadjustMomentum = 0.05;
inline constexpr const char* kReadjustKey = "vae.bn_readjust";

// What a re-estimated file is made of; stored in its metadata as `identity`.
nlohmann::json readjust_identity(const std::filesystem::path& source, std::int64_t forwards);

// Forward n = 0 .. forwards - 1 decodes draws of the Gaussian prior at temperature 1 in train mode;
// running = 0.95 running + 0.05 batch in that order. The forwards are dealt to ranks (each sees its
// own batch alone, whatever their number), so the result has the same bits for any number of ranks.
// Error(kRuntime) when a statistic is not finite, or the net has no batch norm. Collective.
void readjust_statistics(vae::Backbone& net, std::int64_t forwards, comm::Communicator& comm);

// Makes `target` from `source` unless it is there. Collective. A target of another VAE or number:
// Error(kUsage) naming the difference; a backbone without batch norm: Error(kUsage).
void make_readjusted(const std::filesystem::path& source, const std::filesystem::path& target, std::int64_t forwards,
    comm::Communicator& comm, Logger& logger);

}  // namespace hebm::train
