#include "cli/inputs.h"
#include <fmt/format.h>
#include <algorithm>
#include "base/error.h"
#include "train/checkpoints.h"
#include "train/readjust.h"
#include "vae/weights_file.h"

namespace hebm::cli {

std::filesystem::path dataset_path(const RunOptions& run) {
  return run.data_path.empty() ? std::filesystem::path(run.directory) / "dataset.h5"
                               : std::filesystem::path(run.data_path);
}

void require_dataset(const RunOptions& run) {
  const auto path = dataset_path(run);
  require(path, "hebm_data import-idx --out " + path.string() + " ...");
}

data::Dataset open_dataset(const RunOptions& run) {
  require_dataset(run);
  return data::Dataset::open(dataset_path(run));
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
  if (!std::filesystem::exists(dataset_path(run))) shape = options.chosen().planned_shape();
  return vae::make_backbone(options, shape ? *shape : open_dataset(run).shape(), 0, at::kMeta);
}

Lines describe_backbone(const vae::Backbone& backbone) {
  const auto& groups = backbone.groups();
  std::string layers;
  for (std::size_t i = 0; i < groups.size();) {
    std::size_t end = i;
    while (end < groups.size() && groups[end] == groups[i]) ++end;
    layers += fmt::format(
        "{}{} of {}x{}x{}", i == 0 ? "" : ", ", end - i, groups[i].channels, groups[i].height, groups[i].width);
    i = end;
  }
  return {fmt::format("parameters: {}", backbone.params().size()),
      fmt::format("latents: {} in {} layers", backbone.dim(), groups.size()),
      fmt::format("layers, top first: {}", layers)};
}

namespace {

// Whether RUN needs the re-estimated copy of this file.
bool wants_copy(const RunOptions& run, const std::filesystem::path& source) {
  if (run.bn_readjust == 0) return false;
  const auto identity = vae::read_vae_info(source).identity;
  return !identity.is_object() || identity.value(train::kReadjustKey, nlohmann::json()) != run.bn_readjust;
}

}  // namespace

RunVae open_vae(const RunOptions& run) {
  RunVae out;
  out.file = RunPaths(run).vae;
  require(out.file, "hebm_dist train-vae");
  if (wants_copy(run, out.file)) {
    const auto identity = train::readjust_fingerprint(out.file, run.bn_readjust);
    out.file = train::readjusted_file(run.directory);
    require(out.file, "hebm_dist encode");
    const auto difference = train::fingerprint_difference(identity, vae::read_vae_info(out.file).identity);
    check(difference.empty(), ExitCode::kUsage,
        "{} was made with other settings:{}\nRemove it and run `hebm_dist encode`.", out.file.string(), difference);
  }
  out.backbone = vae::load_backbone(out.file);
  out.hash = vae::backbone_hash(*out.backbone);
  return out;
}

bool vae_is_there(const RunOptions& run) {
  const auto files = vae_files(run);
  return std::all_of(files.begin(), files.end(), [](const auto& file) { return std::filesystem::exists(file); });
}

void readjust_where_asked(const RunOptions& run, Context& context) {
  const auto source = RunPaths(run).vae;
  require(source, "hebm_dist train-vae");
  if (!wants_copy(run, source)) return;
  train::make_readjusted(
      source, train::readjusted_file(run.directory), run.bn_readjust, context.comm(), context.logger());
}

std::vector<std::filesystem::path> vae_files(const RunOptions& run) {
  const auto source = RunPaths(run).vae;
  if (!std::filesystem::exists(source) || !wants_copy(run, source)) return {source};
  return {source, train::readjusted_file(run.directory)};
}

void note_other_langevin(const Options& options, const prior::LoadedPrior& prior, Logger& logger) {
  const auto settings = fingerprint_of(options, prior_kind(prior.kind));
  for (const auto& [key, value] : settings.items()) {
    if (!key.starts_with("langevin.")) continue;
    const std::string trained = prior.identity.value(key, std::string("?"));
    if (trained != value.get<std::string>())
      logger.line("note: {} = {}, the prior was trained with {}", key, value.get<std::string>(), trained);
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

int exit_code(train::Outcome outcome, bool save_failed) {
  if (outcome == train::Outcome::kStopped) return static_cast<int>(ExitCode::kRequeue);
  return static_cast<int>(save_failed ? ExitCode::kRuntime : ExitCode::kDone);
}

}  // namespace hebm::cli
