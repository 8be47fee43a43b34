#include "cli/inputs.h"
#include <fmt/format.h>
#include <algorithm>
#include <array>
#include "base/error.h"
#include "storage/lenient_json.h"
#include "train/checkpoints.h"
#include "train/readjust.h"
#include "vae/weights_file.h"

namespace hebm::cli {

data::Dataset open_dataset(const RunOptions& run) {
  const auto path = RunPaths(run).dataset;
  require(path, "hebm_data import-idx --out " + path.string() + " ...");
  return data::Dataset::open(path);
}

nlohmann::json fingerprint_of(const Options& options, const PriorKind& kind) {
  nlohmann::json out = nlohmann::json::object();
  for (const auto& [key, value] : options.fingerprint()) {
    if (kind.depends_on(key)) out[key] = value;
  }
  return out;
}

nlohmann::json fingerprint_of(
    const Options& options, const RunOptions& run, const data::Dataset& dataset, const PriorKind& kind) {
  auto out = fingerprint_of(options, kind);
  out["run.seed"] = run.seed;
  out["images_hash"] = dataset.images_hash();
  return out;
}

std::unique_ptr<vae::Backbone> planned_backbone(const RunOptions& run, const vae::BackboneOptions& options) {
  std::optional<ImageShape> shape;
  if (!std::filesystem::exists(RunPaths(run).dataset)) shape = options.chosen().planned_shape();
  return vae::make_backbone(options, shape ? *shape : open_dataset(run).shape(), 0, at::kMeta);
}

Lines describe_backbone(const vae::Backbone& backbone, const std::filesystem::path& missing) {
  Lines out;
  if (!missing.empty())
    out.push_back(fmt::format("{} is not there: sizes are those of {}", missing.string(), vae::backbone_sections()));
  const auto& groups = backbone.groups();
  std::string layers;
  for (auto first = groups.begin(); first != groups.end();) {
    const auto end = std::find_if(first, groups.end(), [&](const LatentShape& shape) { return shape != *first; });
    layers += fmt::format(
        "{}{} of {}x{}x{}", layers.empty() ? "" : ", ", end - first, first->channels, first->height, first->width);
    first = end;
  }
  out.insert(out.end(), {fmt::format("parameters: {}", backbone.params().size()),
                            fmt::format("latents: {} in {} layers", backbone.dim(), groups.size()),
                            fmt::format("layers, top first: {}", layers)});
  return out;
}

RunVae open_vae(const RunOptions& run) {
  require(RunPaths(run).vae, "hebm_dist train-vae");
  const auto files = vae_files(run);
  RunVae out{files.back(), nullptr, ""};
  if (files.size() > 1) {
    require(out.file, "hebm_dist encode");
    const auto difference = train::fingerprint_difference(
        train::readjust_fingerprint(files[0], run.bn_readjust), vae::read_vae_info(out.file).fingerprint);
    check(difference.empty(), ExitCode::kUsage,
        "{} was made with other settings:{}\nRemove it and run `hebm_dist encode`.", out.file.string(), difference);
  }
  out.backbone = vae::load_backbone(out.file);
  out.hash = vae::backbone_hash(*out.backbone);
  return out;
}

std::vector<std::filesystem::path> vae_files(const RunOptions& run) {
  const RunPaths paths(run);
  if (run.bn_readjust == 0 || !std::filesystem::exists(paths.vae)) return {paths.vae};
  const auto fingerprint = vae::read_vae_info(paths.vae).fingerprint;
  if (fingerprint.is_object() && fingerprint.value(train::kReadjustKey, nlohmann::json()) == run.bn_readjust)
    return {paths.vae};
  return {paths.vae, paths.run / storage::run_files::kReadjustedVae};
}

void readjust_where_asked(const RunOptions& run, Context& context) {
  require(RunPaths(run).vae, "hebm_dist train-vae");
  const auto files = vae_files(run);
  if (files.size() > 1) train::make_readjusted(files[0], files[1], run.bn_readjust, context.comm(), context.logger());
}

std::optional<std::string> trained_with(const prior::PriorInfo& prior, const std::string& key) {
  const nlohmann::json* const known = storage::field_in(prior.fingerprint, key.c_str());
  const nlohmann::json value = known != nullptr ? *known : storage::implied(key);
  return value.is_string() ? std::optional(value.get<std::string>()) : std::nullopt;
}

static std::string or_none(const std::string& value) { return value.empty() ? "none" : value; }

void expect_same_chains(const Options& options, const prior::PriorInfo& prior, MayDiffer may) {
  constexpr std::array<std::string_view, 7> kSame = {"langevin.start", "langevin.steps", "langevin.step_rule",
      "langevin.step", "langevin.eta", "langevin.by_level", "langevin.eta_marginal"};
  const auto settings = fingerprint_of(options, prior_kind(prior.kind));
  std::string out;
  for (const auto& [key, value] : settings.items()) {
    const auto trained = trained_with(prior, key);
    const auto asked = value.get<std::string>();
    if (!trained || *trained == asked || (key == "langevin.steps" && may.steps)) continue;
    if (std::ranges::find(kSame, key) != kSame.end())
      out +=
          fmt::format("\n  {}: the prior was trained with {}, you ask for {}", key, or_none(*trained), or_none(asked));
  }
  check(out.empty(), ExitCode::kUsage,
      "the chains would not be those of the prior's training:{}\nGive the command the training's settings (its "
      "--config); sample.steps gives chains that draw another K.",
      out);
}

void note_other_langevin(const Options& options, const prior::LoadedPrior& prior, Logger& logger) {
  const auto settings = fingerprint_of(options, prior_kind(prior.kind));
  for (const auto& [key, value] : settings.items()) {
    if (!key.starts_with("langevin.")) continue;
    const auto trained = trained_with(prior, key);
    const auto asked = value.get<std::string>();
    if (trained != asked)
      logger.line(
          "note: {} = {}, the prior was trained with {}", key, or_none(asked), trained ? or_none(*trained) : "?");
  }
}

Lines missing_lines(const std::vector<std::filesystem::path>& files) {
  Lines out;
  for (const auto& file : files) {
    if (!std::filesystem::exists(file))
      out.push_back(fmt::format("{} is not there yet: only the options were checked", file.string()));
  }
  return out;
}

int exit_code(const train::TrainingResult& result) {
  if (result.outcome == train::Outcome::kStopped) return static_cast<int>(ExitCode::kRequeue);
  return static_cast<int>(result.save_failed ? ExitCode::kRuntime : ExitCode::kDone);
}

}  // namespace hebm::cli
