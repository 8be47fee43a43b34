// `bench langevin`: one Langevin step with random weights against the matrix-product rate of the
// same process. `bench draw`: images of the Gaussian prior by a VAE of random weights.
#pragma once
#include <c10/core/Device.h>
#include <cstdint>
#include <nlohmann/json.hpp>
#include "base/options.h"
#include "prior/energy_net.h"
#include "prior/langevin.h"
#include "prior/schedule.h"
#include "vae/make_backbone.h"

namespace hebm::cli {

struct LangevinBench {
  vae::BackboneOptions vae;
  prior::EnergyOptions energy;
  prior::LangevinOptions langevin;
  prior::ScheduleOptions schedule;
  std::int64_t batch = 128;
  bool random_weights = true;  // there are no others: the flag says so
  void describe(Options& options);
};

nlohmann::json bench_langevin(const LangevinBench& bench, at::Device device);
// Seconds to build the VAE and to draw `batch` images. Error(kRuntime) where one is not finite.
nlohmann::json bench_draw(const LangevinBench& bench, at::Device device);

}  // namespace hebm::cli
