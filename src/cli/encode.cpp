#include "encode/encode.h"

#include <fmt/format.h>

#include "base/error.h"
#include "cli/command.h"
#include "cli/inputs.h"
#include "storage/files.h"
#include "vae/weights_file.h"

namespace hebm::cli {

int encode_command(Arguments args) {
  Options options("hebm_dist encode [--config FILE.ini] [--section.key VALUE ...]",
                  "Draws u_0 ~ q(u_0|x) for all images of a split into the sharded latent cache RUN/cache, on all ranks.");
  RunOptions run;
  encode::EncodeOptions encoding;
  run.describe(options);
  encoding.describe(options);
  allow_pipeline_keys(options);
  const auto action = options.parse(args);
  if (action == Options::Action::kHelpShown) return 0;
  const data::Dataset dataset = open_dataset(run);
  const RunPaths paths(run);
  require(paths.vae, "hebm_dist train-vae");
  const auto backbone = vae::load_backbone(paths.vae);
  const std::string hash = vae::read_vae_info(paths.vae).vae_hash;
  if (action == Options::Action::kDryRun) {
    const auto layout = encode::cache_layout(encoding, dataset, *backbone, hash, static_cast<std::uint64_t>(run.seed));
    const double bytes = static_cast<double>(layout.key.num_images * layout.key.draws * layout.dim()) * (encoding.dtype == "float16" ? 2 : 4);
    print_dry_run(options, {fmt::format("cache: {} images x {} draws x {} latents = {} in {} shards; free: {}", layout.key.num_images,
                                        layout.key.draws, layout.dim(), format_bytes(bytes), layout.num_shards,
                                        format_bytes(static_cast<double>(storage::free_bytes(run.directory))))});
    return 0;
  }
  Context context(run, options, "encode");
  const auto result = encode::encode_cache(encoding, paths.cache, dataset, *backbone, hash, static_cast<std::uint64_t>(run.seed),
                                           &context.stop(), context.comm(), context.logger());
  return static_cast<int>(result.outcome == encode::EncodeResult::Outcome::kDone ? ExitCode::kDone : ExitCode::kRequeue);
}

}  // namespace hebm::cli
