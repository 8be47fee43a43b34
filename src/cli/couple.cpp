#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <limits>

#include "base/error.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/estimate.h"
#include "cli/inputs.h"
#include "cli/label_options.h"
#include "cli/prior_training.h"
#include "data/label_column.h"
#include "encode/encode.h"
#include "prior/prior_file.h"
#include "storage/hash.h"
#include "train/coupling.h"
#include "train/product.h"

namespace hebm::cli {
namespace {

struct CoupleCommand {
  RunOptions run;
  LabelOptions labels;
  std::string columns = data::kLabels, layers;
  CoupleOptions coupling;
  prior::ScheduleOptions schedule;
  encode::EncodeOptions encoding;
  prior::EnergyOptions energy;
  prior::LangevinOptions langevin;
  train::PriorTrainOptions training;

  void describe(Options& o);
  prior::LabelHeads heads(const std::vector<data::LabelColumn>& columns, std::int64_t num_layers) const;
};

void CoupleCommand::describe(Options& o) {
  run.describe(o);
  o.add("labels", &columns,
        "what is coupled: labels (of the data set), or names of its attributes; several with commas", Show::kCommon);
  o.add("layers", &layers,
        "layers that know the label, 0: the top, with commas; of several labels in their order, with '/'; default: all",
        Show::kCommon);
  labels.describe(o);
  coupling.describe(o);
  schedule.describe(o);
  energy.describe(o);
  langevin.describe(o);
  training.describe(o);
  encoding.describe(o);
  allow_pipeline_keys(o);
}

std::vector<std::int64_t> layer_list(const std::string& text) {
  std::vector<std::int64_t> out;
  for (const std::string& part : split(text, ',')) {
    std::int64_t layer = -1;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), layer);
    check(
        error == std::errc() && end == part.data() + part.size(), ExitCode::kUsage,
        "--layers: '{}' is no layer; expected numbers like 0,1 (0: the top), for several labels with '/' between them",
        part);
    out.push_back(layer);
  }
  return out;
}

prior::LabelHeads CoupleCommand::heads(const std::vector<data::LabelColumn>& of_images, std::int64_t num_layers) const {
  std::vector<std::vector<std::int64_t>> of_head(of_images.size());
  if (layers.empty()) {
    for (auto& list : of_head) {
      for (std::int64_t i = 0; i < num_layers; ++i) list.push_back(i);
    }
  } else {
    const auto parts = split(layers, '/');
    check(parts.size() == of_images.size(), ExitCode::kUsage, "--layers {}: layers of {} labels, --labels names {}",
          layers, parts.size(), columns);
    for (std::size_t h = 0; h < parts.size(); ++h) of_head[h] = layer_list(parts[h]);
  }
  prior::LabelHeads out;
  for (std::size_t h = 0; h < of_images.size(); ++h)
    out.push_back({of_images[h].name, of_images[h].categories, of_head[h]});
  prior::check_heads(out, num_layers);
  return out;
}

// The labelled prior before its training, and what it starts from.
struct Start {
  prior::EnergyOptions energy;
  std::unique_ptr<prior::EnergyPrior> prior;
  std::string from_hash;  // of the unlabelled prior; "" from nothing
};

// All of the unlabelled prior; the label heads stay 0, so that F-hat is its F but for a constant.
Start from_prior(const CoupleCommand& c, const std::filesystem::path& file, const RunVae& vae, prior::LabelHeads heads,
                 std::uint64_t seed) {
  require(file, "hebm_dist train");
  const auto loaded = prior::load_prior(file, vae.backbone->groups(), vae.hash);
  check(loaded.prior->heads().empty(), ExitCode::kUsage,
        "{}: this prior has label heads already; couple starts from one without, or couple.from = nothing",
        file.string());
  Start out{loaded.energy, nullptr, loaded.prior_hash};
  out.energy.power_iterations = c.energy.power_iterations;
  out.energy.power_iterations_in_chain = c.energy.power_iterations_in_chain;
  out.prior =
      std::make_unique<prior::EnergyPrior>(out.energy, vae.backbone->groups(), loaded.prior->schedule(), seed,
                                           at::kFloat, std::numeric_limits<std::int64_t>::max(), std::move(heads));
  out.prior->copy_from(*loaded.prior);
  return out;
}

Start from_nothing(const CoupleCommand& c, const RunVae& vae, prior::LabelHeads heads, std::uint64_t seed) {
  return {c.energy,
          std::make_unique<prior::EnergyPrior>(c.energy, vae.backbone->groups(), c.schedule.make(), seed, at::kFloat,
                                               std::numeric_limits<std::int64_t>::max(), std::move(heads)),
          ""};
}

nlohmann::json heads_json(const std::vector<data::LabelColumn>& columns, const prior::LabelHeads& heads) {
  auto out = nlohmann::json::array();
  for (std::size_t h = 0; h < heads.size(); ++h) {
    out.push_back(
        {{"name", heads[h].name},
         {"categories", heads[h].categories},
         {"layers", heads[h].layers},
         {"values_hash", storage::hash_bytes(storage::as_bytes(columns[h].values.data(), columns[h].values.size()))}});
  }
  return out;
}

Lines dry_run_lines(const CoupleCommand& c, const prior::EnergyPrior& prior, const vae::Backbone& backbone,
                    const std::filesystem::path& folder) {
  Lines lines = describe_backbone(backbone);
  lines.push_back(energy_nets_line(prior));
  for (const auto& head : prior.heads()) {
    lines.push_back(fmt::format("label {}: {} categories, known to layers {}", head.name, head.categories.size(),
                                fmt::join(head.layers, ",")));
  }
  lines.push_back(checkpoint_line(prior.num_parameters(), c.training.keep, folder));
  lines.push_back(weights_line(prior.num_parameters(), folder));
  lines.push_back(
      steps_line("updates", c.training.updates,
                 fmt::format("{} images in units of {}, {} Langevin steps each, {} at t = 0", c.training.batch,
                             c.training.micro_batch, c.langevin.steps, c.langevin.steps_at(0))));
  lines.push_back(memory_line({.trained = static_cast<double>(prior.num_parameters()),
                               .used = static_cast<double>(backbone.params().size()),
                               .values = chain_values(prior, backbone),
                               .images = static_cast<double>(c.training.micro_batch)}));
  return lines;
}

}  // namespace

int couple_command(Arguments args) {
  Options options(
      "hebm_dist couple [--labels NAMES] [--layers LISTS] [--name NAME] [--config FILE.ini] [--section.key VALUE ...]",
      "Couples the prior with labels at t = 0 (Eq. 14, 18-21) on all ranks, from a trained prior or from nothing. "
      "Result: "
      "RUN/prior-NAME/prior.safetensors (averaged weights), for `labels`, `compose` and `sample --label`.");
  CoupleCommand c;
  c.describe(options);
  const auto action = options.parse(args);
  if (action == Options::Action::kHelpShown) return 0;
  const auto cache_seed = static_cast<std::uint64_t>(c.run.seed);
  const auto seed = c.training.seed >= 0 ? static_cast<std::uint64_t>(c.training.seed) : cache_seed;
  const RunPaths paths(c.run);
  const auto directory = labelled_directory(c.run, c.labels.name), product = directory / "prior.safetensors";
  if (action == Options::Action::kDryRun &&
      !(vae_is_there(c.run) && (c.coupling.from == "nothing" || std::filesystem::exists(paths.prior)))) {
    print_dry_run(options, missing_lines({paths.vae, paths.prior}));
    return 0;
  }
  const data::Dataset dataset = open_dataset(c.run);
  std::vector<data::LabelColumn> columns;
  for (const std::string& name : split(c.columns, ',')) columns.push_back(data::label_column(dataset, name));
  const RunVae vae = open_vae(c.run);
  const auto& backbone = vae.backbone;
  dataset.expect_shape(backbone->image_shape(), "VAE");
  auto heads = c.heads(columns, static_cast<std::int64_t>(backbone->groups().size()));
  const Start start =
      c.coupling.from == "prior" ? from_prior(c, paths.prior, vae, heads, seed) : from_nothing(c, vae, heads, seed);
  prior::EnergyPrior& prior = *start.prior;
  c.langevin.zero_steps = c.labels.steps;
  c.training.updates = c.coupling.updates;
  if (c.coupling.learning_rate > 0.0) c.training.rate.base = c.coupling.learning_rate;
  c.training.only_zero =
      c.coupling.levels == "zero" || (c.coupling.levels == "auto" && c.coupling.from == "prior" && prior.per_level());
  if (action == Options::Action::kDryRun) {
    c.training.expect_possible(prior.per_level(), 1);
    print_dry_run(options, dry_run_lines(c, prior, *backbone, directory));
    return 0;
  }
  Context context(c.run, options, "couple", directory);
  backbone->params().to(context.device());
  prior.to(context.device());
  auto identity =
      product_identity(options, {"prior.", "energy.", "langevin.", "train.", "couple."}, c.run.seed, dataset);
  for (const char* replaced : {"train.updates", "couple.guidance", "couple.candidates"})
    identity.erase(replaced);  // of other commands
  identity["vae_hash"] = vae.hash;
  identity["from_hash"] = start.from_hash;
  identity["heads"] = heads_json(columns, heads);
  if (train::product_done(product, prior::kPriorFormat, prior::kPriorVersion, identity, context.comm(),
                          context.logger()))
    return 0;

  const auto cache = training_cache(c.training, paths, c.encoding, dataset, vae, cache_seed, context);
  std::vector<std::vector<std::int64_t>> categories;
  for (const auto& column : columns) categories.push_back(column.values);
  const train::LabelTerm labels(std::move(heads), std::move(categories), c.coupling.weight);
  const auto make_source = [&](const train::MicroBatches& units, std::int64_t first) {
    return cache ? train::cache_source(*cache, units, seed, first, c.training.updates)
                 : train::online_source(dataset, data::Split::kTrain, *backbone, units, seed, first);
  };
  const train::TrainingRun run{directory, identity, context.comm(), context.logger(), &context.stop()};
  train::CouplingObjective objective(c.training, {prior, start.energy, *backbone, c.langevin, seed, make_source}, run,
                                     labels);
  train::TrainingLoop loop(objective, run);
  const auto result = loop.run();
  if (result.outcome == train::Outcome::kDone) {
    comm::agree(context.comm(), [&] {
      if (!context.comm().is_root()) return;
      const auto averaged = averaged_weights(prior, loop);
      prior::save_prior(product, prior, start.energy, backbone->groups(), vae.hash, identity);
    });
    context.logger().line("{}: done after {} updates", product.string(), c.training.updates);
  }
  return exit_code(result.outcome, result.save_failed);
}

}  // namespace hebm::cli
