// Replay of a case that the program made itself: equal to its own record, and each way in which a
// case can be wrong.
#include "evaluate/replay.h"
#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <gtest/gtest.h>
#include <filesystem>
#include "../nets/support.h"
#include "../prior/noise.h"
#include "base/error.h"
#include "vae/hvae.h"

namespace hebm::evaluate {
namespace {

namespace fs = std::filesystem;

class Replay : public ::testing::Test {
 protected:
  static constexpr double kEta = 3e-5;
  Replay()
      : backbone_(vae_options(), ImageShape{}, {.seed = 1}),
        prior_(energy_options(), backbone_.groups(), prior::make_schedule(3), 5) {
    inputs_.t = {0, 1, 2};
    inputs_.posterior_noise = noise(backbone_.dim(), 1);
    inputs_.u = noise(backbone_.dim(), 2);
    inputs_.langevin_noise = {noise(backbone_.dim(), 3), noise(backbone_.dim(), 4)};
    inputs_.x = noise(32 * 32, 5).reshape({3, 1, 32, 32}).sigmoid();
    case_ = run_stages(inputs_, backbone_, prior_, kEta);
    add("x", inputs_.x);
    add_layers("posterior_noise", inputs_.posterior_noise);
    add_layers("u", inputs_.u);
    add_layers("langevin_noise/0", inputs_.langevin_noise[0]);
    add_layers("langevin_noise/1", inputs_.langevin_noise[1]);
  }

  static vae::HvaeOptions vae_options() {
    vae::HvaeOptions o;
    o.latents = "2x4,3x8";
    o.width = o.image_width = o.pixel_width = o.top_width = 4;
    return o;
  }
  static prior::EnergyOptions energy_options() {
    prior::EnergyOptions o;
    o.net = prior::NetKind::kCifar10;
    o.width = 4;
    o.per_level = false;
    return o;
  }
  static at::Tensor noise(std::int64_t dim, std::uint32_t visit) {
    return test::normal_rows(dim, {3, 0, Purpose::kTest}, {{0, 1, 2}, {visit, visit, visit}});
  }
  void add(const std::string& name, const at::Tensor& tensor) { case_.push_back({name, tensor}); }
  void add_layers(const std::string& name, const at::Tensor& u) {
    const auto layers = vae::split_layers(u, backbone_.groups());
    for (std::size_t i = 0; i < layers.size(); ++i) add(name + "/" + std::to_string(i), layers[i]);
  }
  at::Tensor& of(const std::string& name) {
    for (auto& entry : case_) {
      if (entry.name == name) return entry.tensor;
    }
    throw std::logic_error(name);
  }
  void drop(const std::string& name) {
    std::erase_if(case_, [&](const nets::NamedTensor& entry) { return entry.name == name; });
  }
  fs::path write_case() {
    const fs::path path = folder_ / "case.h5";
    fs::remove(path);
    auto file = storage::H5File::create(path);
    for (const auto& entry : case_) {
      const at::Tensor host = entry.tensor.contiguous();
      file.write(entry.name, host.scalar_type() == at::kFloat ? storage::H5Type::kF32 : storage::H5Type::kF64,
          {host.sizes().begin(), host.sizes().end()},
          {static_cast<const std::byte*>(host.const_data_ptr()), static_cast<std::size_t>(host.nbytes())});
    }
    file.write("t", storage::H5Type::kI64, {inputs_.t.size()}, std::as_bytes(std::span(inputs_.t)));
    file.close_durable();
    return path;
  }
  std::vector<Comparison> replay() {
    const auto file = storage::H5File::open(write_case());
    const auto inputs = read_replay_inputs(file, backbone_, prior_.num_levels(), at::kFloat);
    return compare_with_case(file, run_stages(inputs, backbone_, prior_, kEta));
  }
  void expect_corrupt(const std::string& word) {
    try {
      replay();
      FAIL() << "taken, expected an error about " << word;
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::kCorrupt);
      EXPECT_NE(std::string(e.what()).find(word), std::string::npos) << e.what();
    }
  }

  test::TempFolder folder_;
  vae::Hvae backbone_;
  prior::EnergyPrior prior_;
  ReplayInputs inputs_;
  std::vector<nets::NamedTensor> case_;
};

TEST_F(Replay, EqualsItsOwnRecord) {
  const auto comparisons = replay();
  EXPECT_TRUE(all_ok(comparisons));
  std::size_t gradients = 0;
  for (const auto& c : comparisons) {
    EXPECT_EQ(c.error, 0.0) << c.dataset;
    gradients += c.dataset.starts_with("grad/netE") ? 1 : 0;
  }
  EXPECT_EQ(gradients, prior_.bucket(0).params().parameters().size() + prior_.bucket(1).params().parameters().size());
  const std::string table = comparison_table(comparisons);
  for (const char* stage : {"schedule", "posterior_z", "u0", "z_of_u", "logits_of_u", "f ", "langevin_y", "loss",
           "grad/netE0", "grad/netE1"}) {
    EXPECT_NE(table.find(stage), std::string::npos) << stage;
  }
  EXPECT_TRUE(comparison_json(comparisons)["ok"].get<bool>());
}

TEST_F(Replay, EveryStageHasItsBar) {
  const std::pair<const char*, double> bars[] = {{"posterior_z/1", 1e-5}, {"u0/0", 1e-5}, {"z_of_u/1", 1e-5},
      {"logits_of_u", 2e-5}, {"f", 1e-6}, {"langevin_y/0", 1e-5}, {"loss", 1e-4}, {"schedule/sigmas", 1e-9},
      {"grad/netE1/conv_start.weight_orig", 5e-4}};
  for (const auto& [name, bar] : bars) {
    const at::Tensor kept = of(name);
    const bool absolute =
        name[0] == 'f' || std::string(name).starts_with("langevin_y") || std::string(name).starts_with("schedule");
    double scale = absolute ? 1.0 : kept.abs().max().item<double>();
    if (std::string(name).starts_with("grad")) {
      for (const auto& entry : case_) {
        if (entry.name.starts_with("grad/netE1/")) scale = std::max(scale, entry.tensor.abs().max().item<double>());
      }
    }
    for (const double factor : {0.3, 3.0}) {  // of the bar: float32 cannot hit it exactly
      at::Tensor changed = kept.to(at::kDouble).clone(at::MemoryFormat::Contiguous);
      const at::Tensor smallest = changed.view(-1);
      smallest.select(0, smallest.abs().argmin().item<std::int64_t>()).add_(factor * bar * scale);
      of(name) = changed;
      const auto comparisons = replay();
      EXPECT_EQ(all_ok(comparisons), factor < 1.0) << name;
      for (const auto& c : comparisons) EXPECT_TRUE(c.ok() || c.dataset == name) << c.dataset;
    }
    of(name) = kept;
  }
}

TEST_F(Replay, ANaNIsNeverOk) {
  EXPECT_FALSE(all_ok({{"f", std::nan(""), 1e-6}}));
  EXPECT_NE(comparison_table({{"f", 0.0, 1e-6}, {"f", std::nan(""), 1e-6}}).find("OVER"), std::string::npos);
}

TEST_F(Replay, RefusesWrongCasesByName) {
  const auto whole = case_;
  for (const char* name :
      {"x", "u/1", "posterior_noise/0", "langevin_noise/1/1", "loss", "u0/0", "grad/netE0/out.1.weight_orig"}) {
    drop(name);
    expect_corrupt(std::string("no dataset ") + name);
    case_ = whole;
    of(name) = at::full({7}, 0.5, at::kFloat);
    expect_corrupt(std::string("dataset ") + name + " has shape [7]");
    case_ = whole;
    of(name) = of(name).clone();
    of(name).fill_(std::nan(""));
    expect_corrupt(std::string("dataset ") + name + " has values that are not finite");
    case_ = whole;
  }
  add("grad/netE0/another.weight_orig", at::full({2}, 0.5, at::kFloat));
  expect_corrupt("grad/netE0/another.weight_orig");
  case_ = whole;
  add("u/2", at::full({2}, 0.5, at::kFloat));
  expect_corrupt("more layers");
  case_ = whole;
  inputs_.t = {0, 1, 3};
  expect_corrupt("expected 0 to 2");
}

TEST_F(Replay, ResultsArePublishedOnce) {
  const fs::path out = folder_ / "result.h5";
  write_results(out, case_);
  const auto file = storage::H5File::open(out);
  EXPECT_EQ(file.names().size(), case_.size());
  EXPECT_EQ(file.read_all<float>("loss", storage::H5Type::kF32)[0], of("loss").item<float>());
  try {
    write_results(out, case_);
    FAIL() << "an existing file was overwritten";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kUsage);
  }
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_.path()), fs::directory_iterator{}), 1);
}

}  // namespace
}  // namespace hebm::evaluate
