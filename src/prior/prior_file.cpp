#include "prior/prior_file.h"

#include "base/error.h"
#include "nets/tensor_io.h"

namespace hebm::prior {
namespace {

constexpr std::int64_t kMaxWidth = 16384, kMaxLevels = 501;

nlohmann::json groups_json(const std::vector<LatentShape>& groups) {
  auto out = nlohmann::json::array();
  for (const auto& g : groups) out.push_back({g.channels, g.height, g.width});
  return out;
}

std::string prior_hash(const std::string& architecture, const EnergyPrior& prior) {
  return storage::hash_text(architecture + "\n" + nets::hash_tensors(prior.named_tensors()));
}

}  // namespace

std::string save_prior(const std::filesystem::path& path, const EnergyPrior& prior, const EnergyOptions& energy,
                       const std::vector<LatentShape>& groups, const std::string& vae_hash, const nlohmann::json& identity) {
  const std::string architecture = nlohmann::json{{"nets", "small"},
                                                  {"width", energy.width},
                                                  {"embedding", energy.embedding},
                                                  {"per_level", energy.per_level},
                                                  {"gain", energy.gain},
                                                  {"spectral_norm", energy.spectral_norm},
                                                  {"alpha_cum", prior.schedule().alpha_cum},
                                                  {"groups", groups_json(groups)}}
                                       .dump();
  const std::string hash = prior_hash(architecture, prior);
  nets::publish_tensors(path, prior.named_tensors(),
                        {{"format", kPriorFormat},
                         {"version", kPriorVersion},
                         {"architecture", architecture},
                         {"identity", identity.dump()},
                         {"vae_hash", vae_hash},
                         {"prior_hash", hash}});
  return hash;
}

LoadedPrior load_prior(const std::filesystem::path& path, const std::vector<LatentShape>& groups,
                       const std::string& expected_vae_hash) {
  const storage::SafetensorsFile file(path);
  nets::check_format(file, kPriorFormat, kPriorVersion);
  LoadedPrior out;
  out.vae_hash = nets::metadata_text(file, "vae_hash");
  out.identity = nets::metadata_json(file, "identity");
  check(out.vae_hash == expected_vae_hash, ExitCode::kUsage,
        "{}: this prior was trained on the VAE {}, here is the VAE {}; give the VAE it belongs to, or train it again", path.string(),
        out.vae_hash, expected_vae_hash);
  const std::string& architecture = nets::metadata_text(file, "architecture");
  try {
    const auto json = nets::metadata_json(file, "architecture");
    check(json.at("groups") == groups_json(groups), ExitCode::kCorrupt, "{}: made for latent groups {}, the VAE has {}", path.string(),
          json.at("groups").dump(), groups_json(groups).dump());
    EnergyOptions energy;
    energy.width = nets::integer_field(json, "width", kMaxWidth);
    energy.embedding = nets::integer_field(json, "embedding", kMaxWidth);
    energy.per_level = json.at("per_level").get<bool>();
    energy.gain = json.at("gain").get<double>();
    energy.spectral_norm = json.at("spectral_norm").get<bool>();
    energy.warm_iterations = 0;
    const auto alpha_cum = json.at("alpha_cum").get<std::vector<double>>();
    check(alpha_cum.size() <= static_cast<std::size_t>(kMaxLevels) + 1, ExitCode::kCorrupt, "{}: {} levels", path.string(), alpha_cum.size());
    check(energy.width * energy.width <= nets::num_values(file), ExitCode::kCorrupt, "{}: width {} does not fit the file's size",
          path.string(), energy.width);
    out.prior = std::make_unique<EnergyPrior>(energy, groups, make_schedule(alpha_cum), 0);
  } catch (const nlohmann::json::exception& e) {
    fail(ExitCode::kCorrupt, "{}: architecture: {}", path.string(), e.what());
  }
  nets::load_tensors(file, out.prior->named_tensors());
  out.prior_hash = nets::metadata_text(file, "prior_hash");
  const std::string got = prior_hash(architecture, *out.prior);
  check(got == out.prior_hash, ExitCode::kCorrupt, "{}: the weights have hash {}, expected {}: the file is damaged", path.string(), got,
        out.prior_hash);
  return out;
}

}  // namespace hebm::prior
