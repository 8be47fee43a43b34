#include "cli/inputs.h"

#include <fmt/format.h>

#include "base/error.h"
#include "storage/files.h"
#include "train/product.h"
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

nlohmann::json product_identity(const Options& options, const std::vector<std::string>& prefixes, std::int64_t seed,
                                const data::Dataset& dataset, const std::string& kind) {
  nlohmann::json out = identity_of(options, prefixes, kind);
  for (const auto& [key, value] : options.values()) {
    for (const char* volatile_end :
         {".checkpoint_every", ".log_every", ".keep", ".preview_every", ".export_every", ".max_rollbacks"}) {
      if (key.ends_with(volatile_end)) out.erase(key);
    }
  }
  out["run.seed"] = seed;
  out["images_hash"] = dataset.images_hash();
  return out;
}

std::unique_ptr<vae::Backbone> planned_backbone(const RunOptions& run, const vae::BackboneOptions& options) {
  std::optional<ImageShape> shape;
  if (!std::filesystem::exists(dataset_path(run))) shape = options.chosen().planned_shape();
  return vae::make_backbone(options, shape ? *shape : open_dataset(run).shape(), 0, at::kMeta);
}

std::vector<std::string> describe_backbone(const vae::Backbone& backbone) {
  const auto& groups = backbone.groups();
  std::string layers;
  for (std::size_t i = 0; i < groups.size();) {
    std::size_t end = i;
    while (end < groups.size() && groups[end] == groups[i]) ++end;
    layers += fmt::format("{}{} of {}x{}x{}", i == 0 ? "" : ", ", end - i, groups[i].channels, groups[i].height,
                          groups[i].width);
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
    const auto identity = train::readjust_identity(out.file, run.bn_readjust);
    out.file = train::readjusted_file(run.directory);
    require(out.file, "hebm_dist encode");
    const auto difference = train::identity_difference(identity, vae::read_vae_info(out.file).identity);
    check(difference.empty(), ExitCode::kUsage,
          "{} was made with other settings:{}\nRemove it and run `hebm_dist encode`.", out.file.string(), difference);
  }
  out.backbone = vae::load_backbone(out.file);
  out.hash = vae::backbone_hash(*out.backbone);
  return out;
}

bool vae_is_there(const RunOptions& run) {
  const auto source = RunPaths(run).vae;
  return std::filesystem::exists(source) &&
         (!wants_copy(run, source) || std::filesystem::exists(train::readjusted_file(run.directory)));
}

void readjust_where_asked(const RunOptions& run, Context& context) {
  const auto source = RunPaths(run).vae;
  require(source, "hebm_dist train-vae");
  if (!wants_copy(run, source)) return;
  train::make_readjusted(source, train::readjusted_file(run.directory), run.bn_readjust, context.comm(),
                         context.logger());
}

void Experiment::to(at::Device device) const {
  vae.backbone->params().to(device);
  features.net->params().to(device);
  prior.prior->to(device);
}

Experiment open_experiment(const RunOptions& run, const std::string& prior_made_by) {
  const RunPaths paths(run);
  require_dataset(run);
  require(paths.vae, "hebm_dist train-vae");
  require(paths.features, "hebm_dist train-features");
  require(paths.prior, prior_made_by);
  data::Dataset dataset = open_dataset(run);
  RunVae vae = open_vae(run);
  auto features = nets::load_feature_net(paths.features);
  auto prior = prior::load_prior(paths.prior, vae.backbone->groups(), vae.hash);
  dataset.expect_shape(vae.backbone->image_shape(), "VAE");
  dataset.expect_shape(features.net->image_shape(), "classifier");
  return {std::move(dataset), std::move(vae), std::move(features), std::move(prior)};
}

std::vector<std::string> missing_for_experiment(const RunOptions& run) {
  const RunPaths paths(run);
  std::vector<std::filesystem::path> files = {dataset_path(run), paths.vae, paths.features, paths.prior};
  if (std::filesystem::exists(paths.vae) && !vae_is_there(run)) files.push_back(train::readjusted_file(run.directory));
  return missing_lines(files);
}

nlohmann::json experiment_identity(const Options& options, const std::vector<std::string>& prefixes,
                                   const prior::LangevinOptions& drawing, const RunOptions& run,
                                   const Experiment& files) {
  auto identity = product_identity(options, prefixes, run.seed, files.dataset);
  identity["langevin.steps"] = fmt::to_string(drawing.steps);
  identity["vae_hash"] = files.vae.hash;
  identity["features_hash"] = files.features.hash;
  identity["prior_hash"] = files.prior.prior_hash;
  return identity;
}

void note_other_langevin(const Options& options, const prior::LangevinOptions& drawing, const prior::LoadedPrior& prior,
                         Logger& logger) {
  auto settings = identity_of(options, {"langevin."}, prior.kind);
  if (settings.contains("langevin.steps")) settings["langevin.steps"] = fmt::to_string(drawing.steps);
  for (const auto& [key, value] : settings.items()) {
    const std::string trained = prior.identity.value(key, std::string("?"));
    if (trained != value.get<std::string>())
      logger.line("note: {} = {}, the prior was trained with {}", key, value.get<std::string>(), trained);
  }
}

nlohmann::json kept_result(const std::filesystem::path& file, const nlohmann::json& identity, Context& context,
                           const std::function<nlohmann::json()>& make) {
  std::string stored;
  comm::agree(context.comm(), [&] {
    if (context.comm().is_root() && std::filesystem::exists(file)) stored = storage::read_file(file);
  });
  stored = context.comm().all_gather(stored)[0];
  nlohmann::json result;
  if (!stored.empty()) result = nlohmann::json::parse(stored, nullptr, false);
  if (result.is_object() && result.value("identity", nlohmann::json()) == identity) {
    context.logger().line("{} is there already, made with these settings: nothing to do", file.string());
    return result;
  }
  result = make();
  result["identity"] = identity;
  comm::agree(context.comm(), [&] {
    if (!context.comm().is_root()) return;
    std::filesystem::create_directories(file.parent_path());
    storage::write_file_atomic(file, result.dump(2) + "\n");
  });
  return result;
}

std::vector<std::string> missing_lines(const std::vector<std::filesystem::path>& files) {
  std::vector<std::string> out;
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
