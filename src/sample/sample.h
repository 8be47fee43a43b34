// Algorithm 2 over ranks: N images from any of the priors in fixed chunks, so that image i depends
// on the seed, i and the chunk size only, never on the number of ranks. Product: samples.h5 and a
// PNG grid.
#pragma once
#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include "base/choice.h"
#include "base/options.h"
#include "base/status.h"
#include "base/types.h"
#include "comm/chunks.h"
#include "prior/chains.h"
#include "vae/backbone.h"

namespace hebm::sample {

// The mean of p(x|z), or a sample of it (the authors).
enum class Pixels { kMean, kSample };
constexpr std::array<Choice<Pixels>, 2> choices_of(Pixels) {
  return {{{"mean", Pixels::kMean}, {"sample", Pixels::kSample}}};
}

struct SampleOptions {
  std::int64_t count = 5000, chunk = 100;
  std::int64_t first = 0;    // number of the first image: images first .. first + count - 1
  double temperature = 1.0;  // of the final decode
  Pixels pixels = Pixels::kMean;
  std::int64_t grid = 100;  // images of the PNG
  std::int64_t seed = 1;
  void describe(Options& options);
};

// What the images depend on beside the prior; with it, it is stored in samples.h5.
nlohmann::json sample_fingerprint(const SampleOptions& options, const std::string& vae_hash);

// u_0 of chains first .. first + count - 1 -> images in [0, 255]. Shared with previews and
// evaluation-free callers.
ImageBatch decode_images(
    const vae::Backbone& backbone, const at::Tensor& u, const SampleOptions& options, const prior::ChainIds& ids);

// The chains' u_0, [B, D] on the backbone's device; row b depends on ids[b] only. What tells one
// prior from another.
using DrawLatents = std::function<at::Tensor(const prior::ChainIds& ids)>;

struct SampleFile {
  std::filesystem::path path;  // NAME.h5; the grid is NAME.png
  SampleOptions options;
  nlohmann::json fingerprint;
};
// Whether the file is there, of the same fingerprint and with the pixels that it was written with;
// one of another fingerprint is Error(kUsage). Collective.
bool samples_done(const SampleFile& file, comm::Communicator& comm, Logger& logger);
// Draws and publishes it. earlier_s: seconds that the crew's kept chunks took. Collective, as
// comm::share_chunks.
void write_samples(const SampleFile& file, const vae::Backbone& backbone, const DrawLatents& draw,
    const comm::Crew& crew, double earlier_s = 0);

}  // namespace hebm::sample
