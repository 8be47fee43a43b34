#include "encode/encode.h"

#include <fmt/format.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/estimate.h"
#include "cli/inputs.h"
#include "vae/weights_file.h"

namespace hebm::cli {
namespace {

// What the cache takes. The VAE's file need not be there yet: then vae.* and nvae.* say what it
// will be.
std::vector<std::string> plan(const RunOptions& run, const encode::EncodeOptions& encoding,
                              const vae::BackboneOptions& planned) {
  const auto vae_file = RunPaths(run).vae;
  const bool trained = std::filesystem::exists(vae_file);
  const auto backbone = trained ? vae::load_backbone(vae_file) : planned_backbone(run, planned);
  auto lines = describe_backbone(*backbone);
  if (!trained)
    lines.insert(lines.begin(),
                 fmt::format("{} is not there: sizes are those of {}", vae_file.string(), vae::backbone_sections()));
  const std::int64_t bytes = backbone->dim() * (encoding.dtype == "float16" ? 2 : 4) * encoding.draws;
  lines.push_back(fmt::format("cache: an image takes {} bytes ({}): {} latents, {}, {} draws", bytes,
                              format_bytes(static_cast<double>(bytes)), backbone->dim(), encoding.dtype,
                              encoding.draws));
  if (!std::filesystem::exists(dataset_path(run))) return lines;
  const data::Dataset dataset = open_dataset(run);
  const std::string hash = trained ? vae::backbone_hash(*backbone) : std::string();
  const auto layout = encode::cache_layout(encoding, dataset, *backbone, hash, static_cast<std::uint64_t>(run.seed));
  const double shard =
      static_cast<double>(bytes) * static_cast<double>(layout.key.num_images) / static_cast<double>(layout.num_shards);
  lines.push_back(
      fmt::format("cache: {} images x {} draws x {} latents", layout.key.num_images, layout.key.draws, layout.dim()));
  lines.push_back(disk_line("shards", layout.num_shards, shard, RunPaths(run).cache));
  lines.push_back(steps_line(
      "shards", layout.num_shards,
      fmt::format("about {} images in chunks of {}", layout.key.num_images / layout.num_shards, encoding.batch)));
  lines.push_back(
      memory_line({.used = static_cast<double>(backbone->params().size()) + shard / 2,  // u of a shard, twice
                   .values = map_values(backbone->params(), backbone->image_shape().height / 2),
                   .images = static_cast<double>(encoding.batch),
                   .data_bytes = kept_bytes(dataset)}));
  return lines;
}

}  // namespace

int encode_command(Arguments args) {
  Options options(
      "hebm_dist encode [--config FILE.ini] [--section.key VALUE ...]",
      "Draws u_0 ~ q(u_0|x) for all images of a split into the sharded latent cache RUN/cache, on all ranks.");
  RunOptions run;
  encode::EncodeOptions encoding;
  vae::BackboneOptions planned;
  run.describe(options);
  encoding.describe(options);
  planned.describe(options);
  allow_pipeline_keys(options);
  const auto action = options.parse(args);
  if (action == Options::Action::kHelpShown) return 0;
  if (action == Options::Action::kDryRun) {
    print_dry_run(options, plan(run, encoding, planned));
    return 0;
  }
  const data::Dataset dataset = open_dataset(run);
  require(RunPaths(run).vae, "hebm_dist train-vae");
  // A cache that is whole may be anybody's and read only.
  const std::filesystem::path cache = RunPaths(run).cache;
  Context context(run, options, "encode",
                  std::filesystem::exists(cache / "index.json") ? std::filesystem::path() : cache);
  readjust_where_asked(run, context);
  const RunVae vae = open_vae(run);
  vae.backbone->params().to(context.device());
  const auto result =
      encode::encode_cache(encoding, cache, {dataset, *vae.backbone, vae.hash, static_cast<std::uint64_t>(run.seed)},
                           &context.stop(), context.comm(), context.logger());
  return static_cast<int>(result.outcome == encode::EncodeResult::Outcome::kDone ? ExitCode::kDone
                                                                                 : ExitCode::kRequeue);
}

}  // namespace hebm::cli
