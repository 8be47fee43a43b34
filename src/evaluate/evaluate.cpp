#include "evaluate/evaluate.h"
#include <ATen/ops/cat.h>
#include <ATen/ops/stack.h>
#include <c10/core/GradMode.h>
#include <fmt/format.h>
#include <algorithm>
#include <map>
#include "base/error.h"
#include "prior/chains.h"
#include "prior/reverse_chain.h"
#include "storage/lenient_json.h"

namespace hebm::evaluate {
namespace fs = std::filesystem;
using results::kGaussian, results::kOwn, results::kPosterior, results::kReconstruction;

void EvaluateOptions::describe(Options& o) {
  o.add("evaluate.num_images", &num_images, "images of every row", {100, 10000000}, Show::kCommon);
  o.add("evaluate.chunk", &chunk, "images of a chunk; the ranks get whole ones", {1, 100000});
  o.add(
      "evaluate.by_level", &by_level, "also the score of the chain started at the true u_t, for each t", Show::kCommon);
  o.add("evaluate.level_images", &level_images, "images of evaluate.by_level", {100, 10000000});
  o.add_list("evaluate.temperatures", &temperatures,
      "also the scores of both priors with every sigma of the decode times each of these (0.7,0.8,0.9,1)", {0.0, 10.0},
      Show::kCommon);
  o.add("evaluate.temperature_images", &temperature_images, "images of evaluate.temperatures", {100, 10000000});
  o.add("evaluate.neighbours", &neighbours, "k of precision and recall", {1, 100});
  o.add("evaluate.seed", &seed, "seed of Gaussian samples, reconstruction noise and subsets", {0});
}

namespace {

class Evaluation : Scorer {
 public:
  Evaluation(const EvaluateOptions& options, const EvaluateInputs& inputs, comm::Communicator& comm, Logger& logger)
      : Scorer(options, inputs, comm, logger), inputs_(inputs) {}

  results::Summary run(const fs::path& pictures) const {
    const c10::NoGradGuard no_grad;
    results::Summary out;
    const auto num_test = std::ssize(in_.dataset.members(data::Split::kTest));
    const double test_distance = distance(collect(
        num_test, false,
        [&](const Chunk& c) { return split_images(in_.dataset, data::Split::kTest, c.first, c.size, device_); },
        "features of the test images"));
    out.sets = {scored(kGaussian, gaussian()), scored(kReconstruction, reconstruction()),
        scored(kPosterior, posterior_draws())};
    if (comm::root_says(comm_, [&] { return fs::exists(inputs_.samples); })) {
      out.sets.push_back(scored(inputs_.kind, stored(inputs_.samples, "samples")));
      out.sets.back().name = inputs_.title;
      comm::on_root(comm_, [&] { out.samples = read_stored_samples(inputs_.samples).fingerprint; });
    } else {
      logger_.line("{} is not there: no row for the {} prior (run `hebm_dist sample` first)", inputs_.samples.string(),
          inputs_.kind);
    }
    auto& sanity = out.sets.emplace_back();
    sanity.key = "sanity_test_vs_train";
    sanity.num_images = num_test;
    sanity.scores[results::score("fd_fmnist")].value = test_distance;
    for (auto& set : out.sets) set.of_gaussian = out.of_gaussian(set.scores);
    out.model = model(out.samples);
    out.gap_closed = out.gap();
    out.features = classifier(in_.features);
    out.reference_images = std::ssize(in_.dataset.members(data::Split::kTrain));
    if (options_.by_level) out.by_level = levels();
    if (!options_.temperatures.empty()) out.by_temperature = temperatures(pictures);
    comm::on_root(comm_, [&] { write_pictures(pictures); });
    return out;
  }
 private:
  results::ScoredSet scored(const std::string& key, const FeatureRows& rows) const {
    return {key, scores(rows), rows.features.size(0), rows.seconds};
  }
  const prior::EnergyPrior& trained_prior(const char* option) const {
    check(inputs_.prior != nullptr, ExitCode::kUsage, "{} needs a trained prior", option);
    return *inputs_.prior;
  }

  // What was scored, for a table over several runs. K is that of the samples where there are some.
  results::Model model(const nlohmann::json& drawn) const {
    results::Model out{storage::parse_json(in_.backbone.architecture(), "architecture").at("backbone"),
        std::ssize(in_.backbone.groups()), in_.backbone.dim(), {}, {}, {}};
    if (inputs_.prior != nullptr) {
      out.levels = inputs_.prior->num_levels();
      out.langevin_steps = inputs_.langevin.steps;
      out.training_steps = training_steps(inputs_.training);
      out.training_gradients = training_gradients(inputs_.learns_by_chains, inputs_.training);
      out.sampling_gradients = inputs_.sampling_cost(out.levels, drawn).gradients;
    }
    if (inputs_.kind != kOwn) out.kind = inputs_.kind;
    if (storage::field_in(drawn, "langevin.steps") != nullptr)
      out.langevin_steps = storage::integer_in(drawn, "langevin.steps");
    return out;
  }

  // For each t: decode the true u_t, and run the reverse chain from it. Says which level holds the
  // quality back.
  std::vector<results::LevelScore> levels() const {
    const prior::EnergyPrior& prior = trained_prior("evaluate.by_level");
    const prior::Schedule& schedule = prior.schedule();
    const prior::ReverseChain chain(prior, in_.backbone, inputs_.langevin);
    const std::int64_t n = options_.level_images;
    std::vector<results::LevelScore> out;
    for (std::int64_t t = 0; t <= schedule.num_levels; ++t) {
      const auto noisy = [&](const Chunk& c) {
        const prior::Chains chains(prior::chain_ids(seed_, c.first, c.size), t, device_);
        at::Tensor u = posterior(data::Split::kTrain, c.first, c.size).u;
        const at::Tensor noise = chains.normals(Purpose::kForwardNoise, in_.backbone.dim());
        const auto level = static_cast<std::size_t>(t);
        return u.mul_(schedule.alpha_cum[level]).add_(noise, schedule.sigma_cum[level]);
      };
      auto& row = out.emplace_back(results::LevelScore{.t = t, .num_images = n});
      const auto measured = [&](double& fd, double& fd_posterior, const std::string& what, const MakeImages& make) {
        const FeatureRows rows = collect(n, false, make, what);
        fd = distance(rows);
        fd_posterior = posterior_distance(rows, n);
      };
      measured(row.decode_true, row.decode_true_posterior, fmt::format("true u_{} decoded", t),
          [&](const Chunk& c) { return images(noisy(c)); });
      if (t == 0) continue;
      measured(row.from_true, row.from_true_posterior, fmt::format("chain from the true u_{}", t),
          [&](const Chunk& c) { return images(chain.run(noisy(c), t - 1, prior::chain_ids(seed_, c.first, c.size))); });
    }
    return out;
  }

  // u_0 of a chunk is drawn once and decoded at every temperature: the chains run at temperature 1.
  std::vector<results::TemperatureScores> temperatures(const fs::path& pictures) const {
    const prior::ReverseChain chain(trained_prior("evaluate.temperatures"), in_.backbone, inputs_.langevin);
    std::vector<results::TemperatureScores> out;
    for (const double temperature : options_.temperatures)
      out.push_back({temperature, options_.temperature_images, {}, {}});
    for (const bool is_own : {false, true}) {
      const char* name = is_own ? kOwn : kGaussian;
      std::map<std::int64_t, at::Tensor> drawn;  // by first chain, this rank's chunks
      const auto draw = [&](const Chunk& c) {
        const auto ids = prior::chain_ids(seed_, c.first, c.size);
        return is_own ? chain.sample(ids) : chain.noise(ids);
      };
      std::vector<at::Tensor> rows;
      for (auto& row : out) {
        auto decoded = collect(
            options_.temperature_images, true,
            [&](const Chunk& c) {
              if (!drawn.contains(c.first)) drawn[c.first] = draw(c).to(at::kCPU);
              const at::Tensor x =
                  in_.backbone.mean_image(in_.backbone.decode(drawn[c.first].to(device_), row.temperature));
              if (c.first == 0) rows.push_back(x.narrow(0, 0, std::min(c.size, kGridColumns)).clone());
              return x;
            },
            fmt::format("{} prior at temperature {}", name, row.temperature));
        decoded.seconds = results::kUnknown;  // those of the first temperature are with the chains
        (is_own ? row.own : row.gaussian) = scored(name, decoded);
      }
      comm::on_root(comm_,
          [&] { write_grid(pictures / fmt::format("temperature-{}.png", name), at::cat(rows, 0), rows[0].size(0)); });
    }
    return out;
  }

  void write_pictures(const fs::path& directory) const {
    constexpr std::int64_t kImages = 100;
    const at::Tensor u = prior::prior_noise(prior::chain_ids(seed_, 0, kImages), in_.backbone.dim(), device_);
    write_grid(directory / fmt::format("{}.png", kGaussian), images(u), kGridColumns);
    // Originals in odd rows, their reconstructions below.
    const at::Tensor originals = split_images(in_.dataset, data::Split::kTest, 0, kImages / 2, device_);
    const at::Tensor drawn =
        in_.backbone.mean_image(in_.backbone.decode_posterior(posterior(data::Split::kTest, 0, kImages / 2)));
    const auto rows = [](const at::Tensor& x) { return x.unflatten(0, {-1, kGridColumns}); };
    write_grid(directory / fmt::format("{}.png", kReconstruction),
        at::stack({rows(originals), rows(drawn)}, 1).flatten(0, 2), kGridColumns);
  }

  static constexpr std::int64_t kGridColumns = 10;
  const EvaluateInputs& inputs_;
};

}  // namespace

results::Summary evaluate(const EvaluateOptions& options, const EvaluateInputs& inputs, comm::Communicator& comm,
    Logger& logger, const fs::path& picture_directory) {
  return Evaluation(options, inputs, comm, logger).run(picture_directory);
}

}  // namespace hebm::evaluate
