// Beside the training itself (train.cpp): its plan, the cache, grids and weights on the way.
#include "cli/prior_training.h"
#include <fmt/format.h>
#include "base/error.h"
#include "cli/estimate.h"
#include "nets/optimiser.h"
#include "prior/prior_file.h"
#include "sample/sample.h"
#include "storage/png.h"

namespace hebm::cli {
namespace {

// The averaged weights are in all nets while it lives.
std::vector<std::unique_ptr<nets::WithEma>> averaged_weights(
    prior::EnergyPrior& prior, const train::TrainingLoop& loop) {
  std::vector<std::unique_ptr<nets::WithEma>> out;
  for (std::size_t b = 0; b < prior.num_buckets(); ++b) {
    out.push_back(std::make_unique<nets::WithEma>(prior.bucket(b).params(), loop.ema(b)));
  }
  return out;
}

}  // namespace

void PriorTraining::describe_nets(Lines& lines) const {
  for (std::size_t i = 0; i < prior_->num_layers(); ++i) {
    lines.push_back(fmt::format("layer {}: energy net of {} parameters, {:.2f} MFLOP a forward", i,
        prior_->net(0, i).params().size(), prior_->net(0, i).forward_flop() / 1e6));
  }
  lines.push_back(fmt::format("energy nets: {} parameters in {} nets, T = {}", prior_->num_parameters(),
      prior_->num_buckets(), prior_->num_levels()));
}

void PriorTraining::describe_training(Lines& lines, const std::string& note) const {
  add_training(lines, {directory(), prior_->num_parameters(), training_.keep, training_.updates, training_.batch,
                          training_.micro_batch, note,
                          {.used = 2 * vae_.backbone->params().size(),  // and a gradient that stays zero
                              .work_bytes = chain_bytes(*prior_, *vae_.backbone, training_.micro_batch)}});
}

std::string PriorTraining::chains_note() const {
  const std::int64_t levels = prior_->num_levels(), steps = langevin_.steps;
  std::string out = fmt::format(", {} Langevin steps each", steps);
  if (langevin_.steps_at(0) != steps) out += fmt::format(", {} at t = 0", langevin_.steps_at(0));
  if (reverse()) out += fmt::format(", from update {} on at each of {} levels", training_.reverse_from, levels);
  const double images = training_.chains(training_.updates, levels) * static_cast<double>(training_.batch);
  return out + fmt::format(": {:.3g} gradients in all", images * static_cast<double>(steps + 2));
}

// With train.source = cache: the run's cache, which must be that of these images, VAE and seed.
// Collective.
std::optional<data::LatentCache> PriorTraining::open_cache(Context& context) const {
  std::optional<data::LatentCache> cache;
  if (training_.source != train::Source::kCache) return cache;
  comm::agree(context.comm(), [&] {
    const auto folder = RunPaths(run_).cache;
    require(folder / "index.json", "hebm_dist encode");
    cache.emplace(data::LatentCache::open(folder));
    const auto seed = static_cast<std::uint64_t>(run_.seed);
    cache->expect(encode::cache_layout(encoding_, *dataset_, *vae_.backbone, vae_.hash, seed).key);
  });
  return cache;
}

void PriorTraining::save(const std::filesystem::path& file, const train::TrainingRun& run) const {
  prior::save_prior(file, *prior_, nets_, vae_.backbone->groups(), vae_.hash, run.fingerprint);
}

// A grid from fixed noise, so that grids of different updates can be compared.
void PriorTraining::write_preview(const std::filesystem::path& file) const {
  const auto own = kind().own();
  const auto draw = kind().draw(prior_.get(), *vae_.backbone, {langevin_, *own});
  const prior::ChainIds ids = prior::chain_ids(0, 0, 36);
  storage::write_png_grid(file, sample::decode_images(*vae_.backbone, draw(ids), {}, ids), 6);
}

bool PriorTraining::write_on_the_way(
    const train::TrainingRun& run, const train::TrainingLoop& loop, std::int64_t update) const {
  const auto due = [&](std::int64_t every) { return every > 0 && update % every == 0; };
  const bool preview = due(training_.preview_every), exported = due(training_.export_every);
  if (!writes_on_the_way() || !(preview || exported)) return true;
  try {
    comm::on_root(run.comm, [&] {
      const auto averaged = averaged_weights(*prior_, loop);
      const auto grids = RunPaths(run_).samples;
      std::filesystem::create_directories(grids);
      const std::string of_kind = kind().is_default() ? "" : fmt::format("-{}", kind().name);
      if (preview) write_preview(grids / fmt::format("train{}-{:07}.png", of_kind, update));
      if (exported) save(run.directory / fmt::format("ema-{:07}.safetensors", update), run);
    });
  } catch (const comm::AgreedError& e) {  // a full disk, or chains that diverge, cost a picture, never the run
    if (e.code() != ExitCode::kRuntime && e.code() != ExitCode::kDiverged) throw;
    run.logger.line("WARNING: {}. Training goes on; the exit code will be 1.", e.what());
    return false;
  }
  return true;
}

}  // namespace hebm::cli
