// The paper's nets in use: power iterations within the chain against a literal loop of forwards,
// one step with given noise, prior files of ours and imported ones.
#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <cmath>
#include <filesystem>
#include <map>
#include "../nets/support.h"
#include "base/error.h"
#include "nets/tensor_io.h"
#include "paper_nets.h"
#include "prior/langevin_update.h"
#include "prior/potential.h"
#include "prior/prior_file.h"

namespace hebm::prior {
namespace {

// ---- power iterations within the chain
// -------------------------------------------------------------------------------------

TEST(EnergyNet, IteratedIsALiteralLoopOfForwardsWithAnIterationEach) {
  constexpr std::int64_t kSteps = 3;
  const std::vector<std::int64_t> levels = {0, 1};
  const at::Tensor t = at::tensor(levels, at::kLong), z = normal({2, 2, 8, 8}, 4);
  const auto make = [] {
    return make_energy_net(paper_options("cifar10"), {2, 8, 8}, {.num_levels = 2, .seed = 3, .dtype = at::kDouble});
  };
  const auto net = make(), literal = make();
  const auto f_of = [&](const EnergyNet& n, const EnergyNet::Weights& w) { return n.outputs(w, n.select(w, t), z).f; };
  const auto gradient = [&](EnergyNet& n, const EnergyNet::Weights& w) {
    n.params().zero_grad();
    torch::autograd::backward({f_of(n, w).sum()}, {});
    return n.params().grad().clone();
  };
  const at::Tensor before = net->params().states()[0].tensor.clone();
  const std::vector<EnergyNet::Spectral> moving = net->iterated(kSteps, 2);
  EXPECT_TRUE(net->params().states()[0].tensor.equal(before)) << "the stored vectors stay until adopt()";
  const auto expect_equal = [](const at::Tensor& a, const at::Tensor& b) {
    EXPECT_LT((a - b).abs().max().item<double>(), 1e-13);
  };
  at::Tensor last;
  for (std::int64_t k = 0; k < kSteps; ++k) {
    literal->power_iterate(1);
    const at::Tensor f = f_of(*net, net->weights(false, moving.at(static_cast<std::size_t>(k))));
    expect_equal(f, f_of(*literal, literal->weights(false)));
    if (last.defined()) {
      EXPECT_GT((f - last).abs().max().item<double>(), 1e-6) << "the weights change within the chain";
    }
    last = f;
  }
  for (const std::size_t k : {3u, 4u}) {
    literal->power_iterate(1);
    expect_equal(gradient(*net, net->weights(true, moving.at(k))), gradient(*literal, literal->weights(true)));
  }
  net->adopt(moving.back());
  for (std::size_t i = 0; i < net->params().states().size(); ++i) {
    expect_equal(net->params().states()[i].tensor, literal->params().states()[i].tensor);
  }
}

// ---- one step with given noise
// ------------------------------------------------------------------------------------------

TEST(LangevinStep, IsTheAuthorsUpdate) {
  const Schedule schedule = make_schedule(3);
  LangevinOptions options;
  options.step_rule = StepRule::kPaper;
  options.integrator = Integrator::kPaper;
  options.eta = 3e-5;
  const at::Tensor y = normal({3, 5}, 1), next = normal({3, 5}, 2), gradient = normal({3, 5}, 3),
                   noise = normal({3, 5}, 4);
  const std::vector<std::int64_t> t = {0, 1, 2};
  const at::Tensor got = langevin_step(y, next, gradient, noise, step_coefficients(schedule, options), t);
  for (std::size_t b = 0; b < 3; ++b) {
    const double alpha = schedule.alpha[b + 1], sigma = schedule.sigma[b + 1], w = b == 2 ? 0.0 : 1.0;
    const double s2 = 3e-5 * schedule.sigma_cum[b] / schedule.sigma_cum[0] * sigma * sigma;
    const auto row = static_cast<std::int64_t>(b);
    const at::Tensor want = y[row] + 0.5 * gradient[row] -
                            0.5 * s2 * (w * alpha * (alpha * y[row] - next[row]) / (sigma * sigma) + y[row]) +
                            std::sqrt(s2) * noise[row];
    EXPECT_LT((got[row] - want).abs().max().item<double>(), 1e-14);
  }
}

// ---- files
// ------------------------------------------------------------------------------------------

class PaperPriorFile : public ::testing::Test {
 protected:
  test::TempFolder folder_;
  std::filesystem::path file_ = folder_ / "prior.safetensors";
  std::vector<LatentShape> groups_ = {{2, 4, 4}, {3, 8, 8}};
};

TEST_F(PaperPriorFile, KeepsKindAndBitsAndLoadsInFloat64) {
  for (const std::string net : {"cifar10", "celebahq256"}) {
    const EnergyPrior prior(paper_options(net), groups_, make_schedule(3), 5);
    const std::string hash = save_prior(file_, prior, paper_options(net), groups_, "the-vae", nlohmann::json::object());
    for (const auto dtype : {at::kFloat, at::kDouble}) {
      const LoadedPrior loaded = load_prior(file_, groups_, "the-vae", dtype);
      EXPECT_EQ(loaded.prior_hash, hash);
      const auto want = prior.named_tensors(), got = loaded.prior->named_tensors();
      ASSERT_EQ(got.size(), want.size());
      for (std::size_t i = 0; i < got.size(); ++i)
        EXPECT_TRUE(got[i].tensor.equal(want[i].tensor.to(dtype))) << got[i].name;
    }
  }
}

// As data_tools/import_pytorch.py writes it: no hashes but the CRC-32 of the data.
TEST_F(PaperPriorFile, ImportedFilesFitAnyVaeAndAreCheckedByTheirCrc) {
  const EnergyPrior prior(paper_options("cifar10"), groups_, make_schedule(3), 5);
  save_prior(file_, prior, paper_options("cifar10"), groups_, "the-vae", nlohmann::json::object());
  std::map<std::string, std::string> metadata;
  {
    const storage::SafetensorsFile saved(file_);
    metadata = saved.metadata();
    metadata["crc32"] = saved.data_crc32();
  }
  metadata.erase("vae_hash");
  metadata.erase("prior_hash");
  nets::publish_tensors(file_, prior.named_tensors(), metadata);
  EXPECT_EQ(load_prior(file_, groups_, "any-vae").vae_hash, "");
  const auto expect_corrupt = [&](const std::string& what) {
    nets::publish_tensors(file_, prior.named_tensors(), metadata);
    try {
      load_prior(file_, groups_, "any-vae");
      FAIL() << what;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::kCorrupt) << e.what();
    }
  };
  const auto good = metadata;
  metadata["crc32"] = "00000000";
  expect_corrupt("another CRC");
  metadata = good;
  metadata.erase("crc32");
  expect_corrupt("neither hash nor CRC");
  metadata = good;
  auto architecture = nlohmann::json::parse(metadata["architecture"]);
  architecture["width"] = 16384;
  metadata["architecture"] = architecture.dump();
  expect_corrupt("a width that the file cannot hold");
}

}  // namespace
}  // namespace hebm::prior
