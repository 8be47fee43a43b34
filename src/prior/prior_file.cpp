#include "prior/prior_file.h"
#include "base/error.h"
#include "base/printable.h"
#include "nets/tensor_io.h"
#include "storage/lenient_json.h"

namespace hebm::prior {
namespace {

constexpr std::int64_t kMaxWidth = 16384, kMaxLevels = 501;
constexpr std::size_t kMaxHeads = 64, kMaxCategories = 1000, kMaxNameBytes = 256;

// A marginal EBM's files say this for alpha_cum[1] = 0: a reader of any version takes it for noise.
constexpr double kNothing = 1e-12;

std::vector<double> stored_alpha_cum(const Schedule& schedule) {
  std::vector<double> out = schedule.alpha_cum;
  if (schedule.marginal) out.back() = kNothing;
  return out;
}

Schedule schedule_of(const std::vector<double>& alpha_cum) {
  check(
      alpha_cum.size() <= static_cast<std::size_t>(kMaxLevels) + 1, ExitCode::kCorrupt, "{} levels", alpha_cum.size());
  Schedule marginal = make_marginal_schedule();
  return alpha_cum == stored_alpha_cum(marginal) ? marginal : make_schedule(alpha_cum);
}

nlohmann::json groups_json(const std::vector<LatentShape>& groups) {
  auto out = nlohmann::json::array();
  for (const auto& g : groups) out.push_back({g.channels, g.height, g.width});
  return out;
}

nlohmann::json heads_json(const LabelHeads& heads) {
  auto out = nlohmann::json::array();
  for (const LabelHead& head : heads)
    out.push_back({{"name", head.name}, {"categories", head.categories}, {"layers", head.layers}});
  return out;
}

LabelHeads heads_of(const nlohmann::json& architecture) {
  LabelHeads out;
  const auto heads = architecture.value("heads", nlohmann::json::array());
  check(heads.is_array() && heads.size() <= kMaxHeads, ExitCode::kCorrupt,
      "heads: expected an array of at most {} label heads", kMaxHeads);
  for (const auto& json : heads) {
    out.push_back({json.at("name"), json.at("categories"), json.at("layers")});
    std::vector<std::string> names = out.back().categories;
    check(names.size() <= kMaxCategories, ExitCode::kCorrupt, "heads: {} categories, at most {}", names.size(),
        kMaxCategories);
    names.push_back(out.back().name);
    for (const std::string& name : names)
      check(name.size() <= kMaxNameBytes, ExitCode::kCorrupt, "heads: a name of {} bytes, at most {}", name.size(),
          kMaxNameBytes);
  }
  return out;
}

EnergyOptions energy_of(const nlohmann::json& json) {
  EnergyOptions energy;
  const auto name = json.at("nets").get<std::string>();
  const auto net = value_named<NetKind>(name);
  check(net.has_value(), ExitCode::kCorrupt, "expected nets of small, dense, cifar10, celebahq256, got '{}'",
      name.substr(0, 100));
  energy.net = *net;
  energy.width = nets::integer_field(json, "width", kMaxWidth);
  energy.embedding = nets::integer_field(json, "embedding", kMaxWidth);
  check(energy.embedding == energy.embedding_size(), ExitCode::kCorrupt,
      "nets {} have an embedding of {}, the file says {}", name, energy.embedding_size(), energy.embedding);
  energy.per_level = json.at("per_level").get<bool>();
  energy.gain = json.at("gain").get<double>();
  energy.spectral_norm = json.at("spectral_norm").get<bool>();
  energy.warm_iterations = 0;
  return energy;
}

// The settings of its training, and their prior.kind: diffusion in files from before there were
// kinds, and in imported ones.
void read_training(const storage::SafetensorsFile& file, PriorInfo& out) {
  nets::check_format(file, kPriorFormat, kPriorVersion);
  out.fingerprint = nets::metadata_json(file, "identity");
  out.kind = storage::text_in(out.fingerprint, "prior.kind");
  if (out.kind.empty()) out.kind = storage::run_files::kOwnPrior;
}

}  // namespace

std::string save_prior(const std::filesystem::path& path, const EnergyPrior& prior, const EnergyOptions& energy,
    const std::vector<LatentShape>& groups, const std::string& vae_hash, const nlohmann::json& fingerprint) {
  nlohmann::json json = {{"nets", name_of(energy.net)}, {"width", energy.width}, {"embedding", energy.embedding_size()},
      {"per_level", energy.per_level}, {"gain", energy.gain}, {"spectral_norm", energy.spectral_norm},
      {"alpha_cum", stored_alpha_cum(prior.schedule())}, {"groups", groups_json(groups)}};
  if (!prior.heads().empty()) json["heads"] = heads_json(prior.heads());
  const std::string architecture = json.dump();
  const std::string hash = nets::hash_weights(architecture, prior.named_tensors());
  nets::publish_tensors(path, prior.named_tensors(),
      {{"format", kPriorFormat}, {"version", kPriorVersion}, {"architecture", architecture},
          {"identity", storage::json_text(fingerprint)}, {"vae_hash", vae_hash}, {"prior_hash", hash}});
  return hash;
}

PriorInfo read_prior_info(const std::filesystem::path& path) {
  const storage::SafetensorsFile file(path);
  PriorInfo out;
  read_training(file, out);
  const auto architecture = nets::metadata_json(file, "architecture");
  const auto* alpha_cum = storage::field_in(architecture, "alpha_cum");
  check(alpha_cum != nullptr && alpha_cum->is_array() && alpha_cum->size() >= 2, ExitCode::kCorrupt,
      "{}: architecture: no alpha_cum of two numbers or more", path.string());
  out.prior_hash = nets::metadata_or_empty(file, "prior_hash");
  out.num_levels = static_cast<std::int64_t>(alpha_cum->size()) - 1;
  return out;
}

LoadedPrior load_prior(const std::filesystem::path& path, const std::vector<LatentShape>& groups,
    const std::string& expected_vae_hash, at::ScalarType dtype, const std::string& kind) {
  const storage::SafetensorsFile file(path);
  LoadedPrior out;
  read_training(file, out);
  out.vae_hash = nets::metadata_or_empty(file, "vae_hash");
  check(out.kind == kind, ExitCode::kUsage,
      "{}: a prior of the kind '{}', here one of the kind '{}' is wanted (`hebm_dist sample` takes every kind: "
      "prior.kind)",
      path.string(), printable(out.kind), kind);
  check(!out.vae_hash.empty() || !nets::metadata_or_empty(file, "crc32").empty(), ExitCode::kCorrupt,
      "{}: the metadata has no 'vae_hash' and no 'crc32' of an imported file", path.string());
  check(out.vae_hash.empty() || out.vae_hash == expected_vae_hash, ExitCode::kUsage,
      "{}: this prior was trained on the VAE {}, here is the VAE {}; give the VAE it belongs to, or train it again",
      path.string(), out.vae_hash.substr(0, 64), expected_vae_hash);
  const std::string& architecture = nets::metadata_text(file, "architecture");
  const auto json = nets::metadata_json(file, "architecture");
  try {
    check(json.at("groups") == groups_json(groups), ExitCode::kCorrupt, "made for latent groups {}, the VAE has {}",
        storage::Shown{json.at("groups"), 200}, storage::Shown{groups_json(groups), 200});
    const Schedule schedule = schedule_of(json.at("alpha_cum").get<std::vector<double>>());
    out.energy = energy_of(json);
    out.num_levels = schedule.num_levels;
    out.prior =
        std::make_unique<EnergyPrior>(out.energy, groups, schedule, 0, dtype, nets::num_values(file), heads_of(json));
  } catch (const nlohmann::json::exception& e) {
    fail(ExitCode::kCorrupt, "{}: architecture: {}", path.string(), e.what());
  } catch (const Error& e) {
    fail(ExitCode::kCorrupt, "{}: architecture: {}", path.string(), e.what());
  }
  nets::load_float32(file, out.prior->named_tensors());
  out.prior_hash = nets::hash_weights(architecture, out.prior->named_tensors());
  nets::check_whole(file, "prior_hash", [&] { return out.prior_hash; });
  return out;
}

}  // namespace hebm::prior
