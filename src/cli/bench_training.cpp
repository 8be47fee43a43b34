#include <ATen/TensorOperators.h>
#include <ATen/ops/rand.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <limits>
#include <map>
#include <numeric>
#include "base/status.h"
#include "cli/bench_net.h"
#include "nets/optimiser.h"
#include "train/diffusion.h"
#include "train/online_source.h"

namespace hebm::cli {
namespace {

constexpr std::int64_t kUpdates = 3;  // the fastest counts; one before them warms up

// Seconds of an update by share; the fastest update's are kept.
class Shares {
 public:
  // work(), whose result a GPU may still be making when it returns, timed until it is there.
  template <class Work> auto of(const std::string& share, const Work& work) {
    const Timer timer;
    auto result = work();
    wait_for(result);
    now_[share] += timer.seconds();
    return result;
  }
  void move(const std::string& from, const std::string& to, double seconds) {
    now_[from] -= seconds;
    now_[to] += seconds;
  }
  void end_update(bool counts) {
    const auto sum = [](double total, const auto& share) { return total + share.second; };
    const double total = std::accumulate(now_.begin(), now_.end(), 0.0, sum);
    if (counts && total < total_) {
      total_ = total;
      best_ = now_;
    }
    now_.clear();
  }
  nlohmann::json json() const { return {{"s_per_update", total_}, {"shares_s", best_}}; }
 private:
  std::map<std::string, double> now_, best_;
  double total_ = std::numeric_limits<double>::infinity();
};

at::Tensor random_images(const vae::Backbone& backbone, std::int64_t count, at::Device device) {
  const ImageShape shape = backbone.image_shape();
  return at::rand({count, shape.channels, shape.height, shape.width}, at::TensorOptions(at::kFloat).device(device));
}

double chain_seconds(const train::Objective& objective) {
  train::Report report;
  report.gradient_norms.assign(objective.buckets().size(), 0.0);
  for (const auto& [name, value] : objective.describe(report)) {
    if (name == "seconds/chain") return value;
  }
  return 0.0;  // of a GPU nobody waits for it alone
}

std::vector<nets::Optimiser> optimisers_of(const train::Objective& objective) {
  std::vector<nets::Optimiser> out;
  for (const train::Bucket& bucket : objective.buckets())
    out.emplace_back(bucket.params, objective.options().optimiser);
  return out;
}

}  // namespace

nlohmann::json bench_update(const BenchNet& net, at::Device device) {
  const auto backbone = net.backbone(device);
  prior::EnergyPrior prior(net.energy, backbone->groups(), net.schedule.make(), 0);
  prior.to(device);
  comm::CommOptions single;
  single.kind = comm::Kind::kSingle;
  const auto comm = comm::make_communicator(single);
  Logger silent(false);
  const train::TrainingRun run{{}, {}, *comm, silent};
  Shares shares;
  const at::Tensor x = random_images(*backbone, net.batch, device);
  std::vector<std::int64_t> images(static_cast<std::size_t>(net.batch));
  std::iota(images.begin(), images.end(), 0);
  LatentBatch latents;
  const train::MakeSource source = [&](const train::MicroBatches&, std::int64_t) -> train::LatentSource {
    return {[&](const train::Work&) { return latents; }};
  };
  train::PriorTrainOptions options;
  options.batch = options.micro_batch = net.batch;
  const train::PriorInputs inputs{prior, net.energy, *backbone, net.langevin, 0, source};
  train::DiffusionObjective objective(options, inputs, run);
  train::GradientSum sum(*comm, objective.buckets(), false, 1);
  auto optimisers = optimisers_of(objective);
  objective.resume(0, nlohmann::json::object());
  for (std::int64_t number = 0; number <= kUpdates; ++number) {
    const train::Update update{number, kUpdates + 1, 0};
    shares.of("posterior", [&] {
      latents = train::draw_latents(*backbone, x, 0, images, std::vector<std::uint32_t>(images.size()));
      return x;
    });
    objective.record().zero();
    const train::Plan plan = objective.begin(update);
    shares.of("loss", [&] {
      sum.begin(plan.local_passes);
      objective.learn({update, 0, 1}, sum);
      sum.finish();
      return objective.buckets()[0].params.grad();
    });
    std::vector<double> nothing;
    objective.record().reduce(*comm, nothing);
    shares.move("loss", "chain", chain_seconds(objective));
    shares.of("optimiser", [&] {
      for (std::size_t b = 0; b < optimisers.size(); ++b) {
        if (plan.active[b]) optimisers[b].step(options.rate.base);
      }
      objective.after_update();
      return objective.buckets()[0].params.flat();
    });
    shares.end_update(number > 0);
  }
  auto out = about(*backbone, device);
  out.update(shares.json());
  out.update({{"batch", net.batch}, {"steps", net.langevin.steps}, {"energy_parameters", prior.num_parameters()}});
  return out;
}

nlohmann::json bench_vae(const BenchNet& net, at::Device device) {
  const auto backbone = net.backbone(device, false);
  const auto statistics = backbone->batch_statistics({}, 0);
  nets::Optimiser optimiser(backbone->params(), {.rule = nets::Rule::kAdamax});
  const at::Tensor x = random_images(*backbone, net.batch, device);
  const at::Tensor eps = prior::prior_noise(prior::chain_ids(0, 0, net.batch), backbone->dim(), device);
  Shares shares;
  for (std::int64_t number = 0; number <= kUpdates; ++number) {
    backbone->params().grad().zero_();
    const at::Tensor loss = shares.of("elbo", [&] {
      const c10::AutoGradMode grad_on(true);
      if (statistics) statistics->begin_update(false);
      const vae::Posterior q = statistics ? statistics->posterior(x, eps) : backbone->posterior(x, eps);
      at::Tensor out =
          -backbone->log_likelihood(statistics ? statistics->decode(q) : backbone->decode_posterior(q), x).sum();
      for (const at::Tensor& kl : q.kl) out = out + kl.sum();
      return out / static_cast<double>(net.batch);
    });
    shares.of("backward", [&] {
      torch::autograd::backward({loss}, {});
      if (statistics) statistics->end_update({});
      return backbone->params().grad();
    });
    shares.of("optimiser", [&] {
      optimiser.step(1e-4);
      return backbone->params().flat();
    });
    shares.end_update(number > 0);
  }
  auto out = about(*backbone, device);
  out.update(shares.json());
  out["batch"] = net.batch;
  return out;
}

}  // namespace hebm::cli
