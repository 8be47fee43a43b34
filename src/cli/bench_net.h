// What `bench` measures of a VAE and energy nets of the given options, with random weights.
#pragma once
#include <memory>
#include <nlohmann/json.hpp>
#include "base/options.h"
#include "base/status.h"
#include "prior/energy_net.h"
#include "prior/langevin.h"
#include "prior/schedule.h"
#include "vae/make_backbone.h"

namespace hebm::cli {

struct BenchNet {
  vae::BackboneOptions vae;
  prior::EnergyOptions energy;
  prior::LangevinOptions langevin;
  prior::ScheduleOptions schedule;
  std::int64_t batch = 128;
  bool random_weights = true;  // there are no others: the flag says so
  double product_rate = 0;     // GFLOP/s of float32 by the fastest library, measured before; 0: not

  void describe(Options& options);
  std::unique_ptr<vae::Backbone> backbone(at::Device device, bool frozen = true) const;
};

template <class Work> double seconds_of(const Work& work) {
  const Timer timer;
  work();
  return timer.seconds();
}
// A GPU works behind the program: reading a value waits until it is there.
void wait_for(const at::Tensor& values);
// Device, threads, sizes and the process's peak memory until now.
nlohmann::json about(const vae::Backbone& backbone, at::Device device);

// One Langevin step against the matrix-product rate of the same run.
nlohmann::json bench_langevin(const BenchNet& net, at::Device device);
// Images of the Gaussian prior.
nlohmann::json bench_draw(const BenchNet& net, at::Device device);
// Algorithm 1's iteration on one micro-batch: posterior, chain, loss, optimiser.
nlohmann::json bench_update(const BenchNet& net, at::Device device);
// An update of the VAE on one micro-batch: ELBO, backward, optimiser.
nlohmann::json bench_vae(const BenchNet& net, at::Device device);

}  // namespace hebm::cli
