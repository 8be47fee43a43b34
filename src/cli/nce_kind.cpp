#include <fmt/format.h>
#include "cli/prior_kind.h"
#include "prior/nce.h"
#include "storage/lenient_json.h"
#include "train/nce.h"

namespace hebm::cli {
namespace {

using Json = nlohmann::json;
using prior::EnergyPrior, prior::NceOptions, vae::Backbone;

struct NceSettings : KindOptions {
  NceOptions nce;
  void describe_training(Options& o) override { nce.describe_training(o); }
  void describe_sampling(Options& o) override { nce.describe_sampling(o); }
};
const NceOptions& nce_of(const KindOptions& own) { return dynamic_cast<const NceSettings&>(own).nce; }
bool resamples(const NceOptions& nce) { return nce.sampler == prior::NceSampling::kResampling; }

// By importance resampling, or Langevin steps on p(u) prod_i r_i, where the layers below have a say
// in those above by the conditionals' normalisers.
sample::DrawLatents nce_draws(const EnergyPrior* prior, const Backbone& vae, const DrawSettings& s) {
  const NceOptions& nce = nce_of(s.own);
  if (!resamples(nce)) return chain_draws<prior::NetOutput::kLogit>(prior, vae, s);
  return [sampler = prior::NceSampler(*prior, vae, nce.proposals, s.langevin.between_steps)](
             const prior::ChainIds& ids) { return sampler.resample(ids); };
}

}  // namespace

// Classifiers between posterior and Gaussian prior (Sec. 2.2).
template <> PriorKind make_kind<"nce">() {
  return {.name = "nce",
      .about = "a classifier a layer, NCP-VAE",
      .part = "NCE prior: classifiers by layer",
      .section = "nce.",
      .own = []() -> std::unique_ptr<KindOptions> { return std::make_unique<NceSettings>(); },
      .without = {"langevin.", "compute.chain_precision", "train.levels", "train.level_weight", "train.l2",
          "train.divergence_factor", "energy.power_iterations_in_chain"},
      .gain = [](const KindOptions& own) { return nce_of(own).gain; },
      .objective = train::make_nce,
      .learns_by_chains = false,
      .draw = nce_draws,
      .draw_cost =
          [](const EnergyPrior& prior, const DrawSettings& s) {
            const NceOptions& nce = nce_of(s.own);
            return resamples(nce)
                       ? fmt::format(", {} proposals for each of {} layers", nce.proposals, prior.num_layers())
                       : chains_cost(prior, s);
          },
      .draw_fingerprint =
          [](Json& out, const DrawSettings& s) {
            const NceOptions& nce = nce_of(s.own);
            out["nce.sampler"] = name_of(nce.sampler);
            if (resamples(nce)) {
              out["nce.proposals"] = nce.proposals;
            } else {
              marginal_fingerprint(out, s);
            }
          },
      .file = [](const PriorKind& kind,
                  const KindOptions& own) { return fmt::format("{}-{}", kind.name, name_of(nce_of(own).sampler)); },
      .samples = {{"nce-resampling", "NCE, resampling"}, {"nce-langevin", "NCE, Langevin"}},
      .sampling_cost = [](std::optional<std::int64_t> num_levels, const Json& samples) -> evaluate::SamplingCost {
        if (storage::text_in(samples, "nce.sampler") != name_of(prior::NceSampling::kResampling))
          return evaluate::chain_cost(num_levels, samples);
        return {0, storage::integer_in(samples, "nce.proposals")};
      }};
}

}  // namespace hebm::cli
