// Batch-norm re-estimation (the authors, before EBM training): the decoder's statistics become
// those of its own samples, since the running ones were gathered on posterior draws, which the
// prior's samples differ from. The result is a VAE of its own, with a hash of its own: made once,
// and a function of the VAE and the number of forwards alone.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include "base/status.h"
#include "comm/communicator.h"
#include "vae/backbone.h"

namespace hebm::train {

inline constexpr const char* kReadjustKey = "vae.bn_readjust";

// What a re-estimated file is made of; stored in its metadata as `identity`.
nlohmann::json readjust_fingerprint(const std::filesystem::path& source, std::int64_t forwards);

// `start` [n] after as many forwards: running = 0.95 running + 0.05 forward(number), in the order
// of their numbers. They are dealt to ranks; each is a function of its number alone, so the result
// has the same bits on any number of ranks. On the host. Collective.
at::Tensor running_statistics(const at::Tensor& start, std::int64_t forwards,
    const std::function<at::Tensor(std::int64_t number)>& forward, comm::Communicator& comm, Logger& logger);

// Makes `target` from `source` unless it is there. Collective. A target of another VAE or number:
// Error(kUsage) naming the difference; a backbone without batch norm: Error(kUsage).
void make_readjusted(const std::filesystem::path& source, const std::filesystem::path& target, std::int64_t forwards,
    comm::Communicator& comm, Logger& logger);

}  // namespace hebm::train
