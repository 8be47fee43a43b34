#include "encode/encode.h"
#include <fmt/format.h>
#include <unistd.h>
#include "base/error.h"
#include "cli/estimate.h"
#include "cli/inputs.h"
#include "vae/weights_file.h"

namespace hebm::cli {
namespace {

class Encode : public RunCommand {
 public:
  Encode()
      : RunCommand("hebm_dist encode [--config FILE.ini] [--section.key VALUE ...]",
            "Draws u_0 ~ q(u_0|x) for all images of a split into the sharded latent cache RUN/cache, on all ranks.") {}
 private:
  void describe(Options& options) override {
    encoding_.describe(options);
    planned_.describe(options);
  }

  // What the cache takes. The VAE's file need not be there yet: then vae.* and nvae.* say what it
  // will be.
  Lines plan() override {
    const auto vae_file = RunPaths(run_).vae;
    const bool trained = std::filesystem::exists(vae_file);
    const auto backbone = trained ? vae::load_backbone(vae_file) : planned_backbone(run_, planned_);
    auto lines = describe_backbone(*backbone, trained ? "" : vae_file);
    const std::int64_t bytes =
        backbone->dim() * static_cast<std::int64_t>(data::bytes_of(encoding_.dtype)) * encoding_.draws;
    lines.push_back(fmt::format("cache: an image takes {} bytes ({}): {} latents, {}, {} draws", bytes,
        format_bytes(bytes), backbone->dim(), name_of(encoding_.dtype), encoding_.draws));
    if (!std::filesystem::exists(RunPaths(run_).dataset)) return lines;
    const data::Dataset dataset = open_dataset(run_);
    const std::string hash = trained ? vae::backbone_hash(*backbone) : std::string();
    const auto layout =
        encode::cache_layout(encoding_, dataset, *backbone, hash, static_cast<std::uint64_t>(run_.seed));
    const std::int64_t shard = bytes * layout.key.num_images / layout.num_shards;
    lines.push_back(
        fmt::format("cache: {} images x {} draws x {} latents", layout.key.num_images, layout.key.draws, layout.dim()));
    lines.push_back(disk_line("shards", layout.num_shards, shard, RunPaths(run_).cache));
    lines.push_back(steps_line("shards", layout.num_shards,
        fmt::format("about {} images in chunks of {}", layout.key.num_images / layout.num_shards, encoding_.batch)));
    lines.push_back(memory_line({.used = backbone->params().size() + shard / 2,  // u of a shard, twice
        .values = vae_values(*backbone),
        .images = encoding_.batch,
        .data_bytes = kept_bytes(dataset)}));
    return lines;
  }

  void open() override {
    dataset_.emplace(open_dataset(run_));
    require(RunPaths(run_).vae, "hebm_dist train-vae");
  }

  // A cache that is whole may be anybody's and read only. A job that was killed at its very end has
  // left its lease there.
  Folders folders(const Invocation& call) const override {
    const auto cache = RunPaths(run_).cache;
    const bool left = std::filesystem::exists(cache / "lease.json") && ::access(cache.c_str(), W_OK) == 0;
    return {RunPaths(run_).run / call.command,
        std::filesystem::exists(cache / "index.json") && !left ? std::filesystem::path() : cache, cache};
  }

  int work(Context& context) override {
    readjust_where_asked(run_, context);
    const RunVae vae = open_vae(run_);
    vae.backbone->params().to(context.device());
    const auto result = encode::encode_cache(encoding_, RunPaths(run_).cache,
        {*dataset_, *vae.backbone, vae.hash, static_cast<std::uint64_t>(run_.seed)}, &context.stop(), context.comm(),
        context.logger());
    return static_cast<int>(
        result.outcome == encode::EncodeResult::Outcome::kDone ? ExitCode::kDone : ExitCode::kRequeue);
  }

  encode::EncodeOptions encoding_;
  vae::BackboneOptions planned_;  // --dry-run, where the VAE is not there yet
  std::optional<data::Dataset> dataset_;
};

}  // namespace

template <> std::unique_ptr<Command> make_command<"encode">() { return std::make_unique<Encode>(); }

}  // namespace hebm::cli
