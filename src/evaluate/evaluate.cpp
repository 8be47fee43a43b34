#include "evaluate/evaluate.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/options.h"
#include "evaluate/experiment.h"
#include "evaluate/scorer.h"
#include "evaluate/stored_samples.h"
#include "prior/chains.h"
#include "prior/reverse_chain.h"
#include "storage/lenient_json.h"
#include "storage/png.h"
#include "vae/inputs.h"

namespace hebm::evaluate {
namespace fs = std::filesystem;

void EvaluateOptions::describe(Options& o) {
  o.add("evaluate.num_images", &num_images, "images of every row", {100, 10000000}, Show::kCommon);
  o.add("evaluate.chunk", &chunk, "images of one unit of work", {1, 100000});
  o.add("evaluate.by_level", &by_level, "also the score of the chain started at the true u_t, for each t",
        Show::kCommon);
  o.add("evaluate.level_images", &level_images, "images of evaluate.by_level", {100, 10000000});
  o.add_list("evaluate.temperatures", &temperatures,
             "also the scores of both priors with every sigma of the decode times each of these (0.7,0.8,0.9,1)",
             {0.0, 10.0}, Show::kCommon);
  o.add("evaluate.temperature_images", &temperature_images, "images of evaluate.temperatures", {100, 10000000});
  o.add("evaluate.neighbours", &neighbours, "k of precision and recall", {1, 100});
  o.add("evaluate.seed", &seed, "seed of Gaussian samples, reconstruction noise and subsets", {0});
}

namespace {

class Evaluation {
 public:
  Evaluation(const EvaluateOptions& options, const EvaluateInputs& inputs, comm::Communicator& comm, Logger& logger)
      : options_(options),
        in_(inputs),
        comm_(comm),
        logger_(logger),
        seed_(static_cast<std::uint64_t>(options.seed)),
        device_(inputs.backbone.params().device()),
        scorer_(options, inputs.dataset, inputs.backbone, inputs.features, comm, logger) {}

  nlohmann::json run(const fs::path& pictures);

 private:
  nlohmann::json model(const nlohmann::json& drawn) const;
  nlohmann::json levels();
  nlohmann::json temperatures(const fs::path& pictures);
  void write_grid(const fs::path& file, const at::Tensor& images, std::int64_t columns) const;
  void write_pictures(const fs::path& directory) const;

  static constexpr std::int64_t kGridColumns = 10;
  const EvaluateOptions& options_;
  const EvaluateInputs& in_;
  comm::Communicator& comm_;
  Logger& logger_;
  std::uint64_t seed_;
  at::Device device_;
  Scorer scorer_;
};

nlohmann::json Evaluation::run(const fs::path& pictures) {
  const c10::NoGradGuard no_grad;
  nlohmann::json out;
  const auto test = scorer_.test_images();
  const auto gaussian = scorer_.gaussian(), reconstruction = scorer_.reconstruction();
  out["gaussian"] = scorer_.score(gaussian, gaussian.seconds);
  out["reconstruction"] = scorer_.score(reconstruction, reconstruction.seconds);
  out["sanity_test_vs_train"] = {{"fd_fmnist", scorer_.distance(test)},
                                 {"num_images", test.sums.count()},
                                 {"of_gaussian", scorer_.distance(test) / out["gaussian"]["fd_fmnist"].get<double>()}};
  nlohmann::json drawn;  // what the samples depend on
  if (fs::exists(in_.samples)) {
    const auto ours = scorer_.stored(in_.samples, "samples");
    const StoredSamples stored = read_stored_samples(in_.samples);
    out["diffusion"] = scorer_.score(ours, stored.seconds_per_image * static_cast<double>(options_.num_images));
    const double g = out["gaussian"]["fd_fmnist"], r = out["reconstruction"]["fd_fmnist"],
                 d = out["diffusion"]["fd_fmnist"];
    out["gap_closed"] = (g - d) / (g - r);
    out["samples"] = drawn = stored.identity;
  } else {
    logger_.line("{} is not there: no row for the diffusion prior (run `hebm_dist sample` first)",
                 in_.samples.string());
  }
  out["model"] = model(drawn);
  out["features"] = scorer_.features_json();
  out["reference_images"] = in_.dataset.members(data::Split::kTrain).size();
  if (options_.by_level) out["by_level"] = levels();
  if (!options_.temperatures.empty()) out["by_temperature"] = temperatures(pictures);
  comm::agree(comm_, [&] {
    if (comm_.is_root()) write_pictures(pictures);
  });
  return out;
}

// What was scored, for a table over several runs. K is that of the samples where there are some.
nlohmann::json Evaluation::model(const nlohmann::json& drawn) const {
  const auto vae = nlohmann::json::parse(in_.backbone.architecture());
  nlohmann::json out = {{"backbone", vae.at("backbone")},
                        {"layers", in_.backbone.groups().size()},
                        {"latents", in_.backbone.dim()},
                        {"levels", nullptr},
                        {"langevin_steps", nullptr}};
  if (in_.prior != nullptr) {
    out["levels"] = in_.prior->num_levels();
    out["langevin_steps"] = in_.langevin.steps;
  }
  if (const auto* steps = storage::field_in(drawn, "langevin.steps")) out["langevin_steps"] = *steps;
  return out;
}

// For each t: decode the true u_t, and run the reverse chain from it. Says which level holds the
// quality back.
nlohmann::json Evaluation::levels() {
  check(in_.prior != nullptr, ExitCode::kUsage, "evaluate.by_level needs a trained prior");
  const prior::Schedule& schedule = in_.prior->schedule();
  const prior::ReverseChain chain(*in_.prior, in_.backbone, in_.langevin);
  const std::int64_t n = options_.level_images;
  auto out = nlohmann::json::array();
  for (std::int64_t t = 0; t <= schedule.num_levels; ++t) {
    const auto noisy = [&](std::int64_t first, std::int64_t count) {
      const prior::Chains chains(prior::chain_ids(seed_, first, count), t, device_);
      at::Tensor u = scorer_.posterior(data::Split::kTrain, first, count).u;
      const at::Tensor noise = chains.normals(Purpose::kForwardNoise, in_.backbone.dim());
      const auto level = static_cast<std::size_t>(t);
      return u.mul_(schedule.alpha_cum[level]).add_(noise, schedule.sigma_cum[level]);
    };
    nlohmann::json row = {{"t", t}, {"num_images", n}};
    row["decode_true"] = scorer_.distance(scorer_.collect(
        n, false,
        [&](std::int64_t first, std::int64_t count) {
          return in_.backbone.mean_image(in_.backbone.decode(noisy(first, count)));
        },
        fmt::format("true u_{} decoded", t)));
    if (t > 0) {
      row["from_true"] = scorer_.distance(scorer_.collect(
          n, false,
          [&](std::int64_t first, std::int64_t count) {
            const at::Tensor u0 = chain.run(noisy(first, count), t - 1, prior::chain_ids(seed_, first, count));
            return in_.backbone.mean_image(in_.backbone.decode(u0));
          },
          fmt::format("chain from the true u_{}", t)));
    }
    out.push_back(row);
  }
  return out;
}

// u_0 of a chunk is drawn once and decoded at every temperature: the chains run at temperature 1.
nlohmann::json Evaluation::temperatures(const fs::path& pictures) {
  check(in_.prior != nullptr, ExitCode::kUsage, "evaluate.temperatures needs a trained prior");
  const prior::ReverseChain chain(*in_.prior, in_.backbone, in_.langevin);
  auto out = nlohmann::json::array();
  for (const double temperature : options_.temperatures)
    out.push_back({{"temperature", temperature}, {"num_images", options_.temperature_images}});
  for (const std::string name : {"gaussian", "diffusion"}) {
    std::map<std::int64_t, at::Tensor> drawn;  // by first chain, this rank's chunks
    const auto draw = [&](std::int64_t first, std::int64_t count) {
      const auto ids = prior::chain_ids(seed_, first, count);
      return name == "diffusion" ? chain.sample(ids) : chain.noise(ids);
    };
    std::vector<at::Tensor> rows;
    for (auto& row : out) {
      const double temperature = row["temperature"];
      const auto decoded = scorer_.collect(
          options_.temperature_images, true,
          [&](std::int64_t first, std::int64_t count) {
            if (!drawn.contains(first)) drawn[first] = draw(first, count).to(at::kCPU);
            const at::Tensor x = in_.backbone.mean_image(in_.backbone.decode(drawn[first].to(device_), temperature));
            if (first == 0) rows.push_back(x.narrow(0, 0, std::min(count, kGridColumns)).clone());
            return x;
          },
          fmt::format("{} prior at temperature {}", name, temperature));
      row[name] = scorer_.score(decoded, decoded.seconds);
      row[name].erase("seconds");  // of the first temperature: with the chains
    }
    comm::agree(comm_, [&] {
      if (comm_.is_root())
        write_grid(pictures / fmt::format("temperature-{}.png", name), at::cat(rows, 0), rows[0].size(0));
    });
  }
  return out;
}

void Evaluation::write_grid(const fs::path& file, const at::Tensor& images, std::int64_t columns) const {
  fs::create_directories(file.parent_path());
  storage::write_png_grid(file, vae::image_batch(images), columns);
}

void Evaluation::write_pictures(const fs::path& directory) const {
  constexpr std::int64_t kImages = 100;
  const at::Tensor u = prior::prior_noise(prior::chain_ids(seed_, 0, kImages), in_.backbone.dim(), device_);
  write_grid(directory / "gaussian.png", in_.backbone.mean_image(in_.backbone.decode(u)), kGridColumns);
  // Originals in odd rows, their reconstructions below.
  const at::Tensor originals = split_images(in_.dataset, data::Split::kTest, 0, kImages / 2, device_);
  const at::Tensor drawn =
      in_.backbone.mean_image(in_.backbone.decode_posterior(scorer_.posterior(data::Split::kTest, 0, kImages / 2)));
  const auto rows = [](const at::Tensor& x) { return x.unflatten(0, {-1, kGridColumns}); };
  write_grid(directory / "reconstruction.png", at::stack({rows(originals), rows(drawn)}, 1).flatten(0, 2),
             kGridColumns);
}

}  // namespace

nlohmann::json evaluate(const EvaluateOptions& options, const EvaluateInputs& inputs, comm::Communicator& comm,
                        Logger& logger, const fs::path& picture_directory) {
  return Evaluation(options, inputs, comm, logger).run(picture_directory);
}

}  // namespace hebm::evaluate
