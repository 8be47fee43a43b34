#include "evaluate/evaluate.h"
#include <fmt/format.h>
#include <algorithm>
#include <map>
#include <sstream>
#include "base/error.h"
#include "base/printable.h"
#include "cli/experiment.h"
#include "prior/prior_file.h"
#include "results/summary.h"
#include "storage/files.h"
#include "storage/lenient_json.h"

namespace hebm::cli {
namespace {

namespace fs = std::filesystem;

// And its number of levels, 0: unknown.
std::pair<std::int64_t, evaluate::PriorSamples> row_of(const PriorKind& kind, std::string_view title,
    const fs::path& run, const fs::path& prior_file, const fs::path& file, const std::string& vae_hash) {
  const auto stored = evaluate::read_stored_samples(file);
  const std::string vae = storage::text_in(stored.fingerprint, "vae_hash"),
                    hash = storage::text_in(stored.fingerprint, "prior_hash");
  check(vae == vae_hash, ExitCode::kUsage,
      "{}: drawn with the VAE {}, this table is of the VAE {}; its rows must share one VAE (run.vae)", file.string(),
      printable(vae, 64), vae_hash);
  std::optional<std::int64_t> num_levels, gradients;
  if (fs::exists(prior_file)) {
    const prior::PriorInfo info = prior::read_prior_info(prior_file);
    check(info.prior_hash.empty() || info.prior_hash == hash, ExitCode::kUsage,
        "{}: drawn from another prior than {}; remove it and run `hebm_dist sample` again", file.string(),
        prior_file.string());
    check(info.kind == kind.name, ExitCode::kUsage, "{}: a prior of the kind '{}' beside samples of the kind '{}'",
        prior_file.string(), printable(info.kind), kind.name);
    num_levels = info.num_levels;
    gradients = evaluate::training_gradients(kind.learns_by_chains, info.fingerprint);
  }
  const auto cost = kind.sampling_cost(num_levels, stored.fingerprint);
  results::PriorAbout about{std::string(kind.name), storage::resolved(run).filename().string(),
      kind.has_levels ? std::optional<results::Count>(num_levels) : std::nullopt, gradients, cost.gradients,
      cost.evaluations, stored.fingerprint, stored.images_hash};
  const std::string name = std::string(title) + kind.variant(num_levels, stored.fingerprint);
  return {num_levels.value_or(0), {name, file, std::move(about)}};
}

// What `evaluate --all` compares: every samples file of PriorKind::samples in the run itself and in
// `others` ("DIR,DIR"), the paper's prior last and by T. What a prior was trained with comes from
// its file beside them; without it (drawn with run.prior) T and gradients stay unknown.
std::vector<evaluate::PriorSamples> find_prior_samples(
    const RunOptions& run, const std::string& others, const std::string& vae_hash) {
  const fs::path own = run.directory;
  std::vector<fs::path> runs = {own};
  std::istringstream words(others);
  for (std::string other; std::getline(words, other, ',');) {
    check(fs::is_directory(other), ExitCode::kUsage,
        "--runs: '{}' is not a folder; give run directories, separated by commas", other);
    if (std::none_of(
            runs.begin(), runs.end(), [&](const fs::path& r) { return fs::exists(r) && fs::equivalent(r, other); }))
      runs.emplace_back(other);
  }
  std::multimap<std::pair<std::int64_t, std::int64_t>, evaluate::PriorSamples> rows;  // by place and levels
  for (const fs::path& folder : runs) {
    const std::size_t before = rows.size();
    std::int64_t place = 0;
    const auto kinds = prior_kinds();
    for (auto next = kinds.rbegin(); next != kinds.rend(); ++next) {  // the paper's after those beside it
      const PriorKind& kind = *next;
      const bool given = folder == own && !run.prior.empty() && kind.is_default();
      const auto prior = given ? fs::path(run.prior) : RunPaths({.directory = folder}, kind).prior;
      for (const auto& [name, title] : kind.samples) {
        const fs::path file = folder / "samples" / fmt::format("{}.h5", name);
        ++place;
        if (!fs::exists(file)) continue;
        auto [levels, row] = row_of(kind, title, folder, prior, file, vae_hash);
        rows.emplace(std::pair(place, levels), std::move(row));
      }
    }
    check(rows.size() > before || folder == own, ExitCode::kUsage,
        "{}: no samples of a prior there; run `hebm_dist sample` with that run.directory", folder.string());
  }
  check(!rows.empty(), ExitCode::kUsage,
      "{}: no samples of a prior; run `hebm_dist sample` (prior.kind) first, or name runs that have them (--runs)",
      own.string());
  std::map<std::string, int> times;
  for (const auto& [place, row] : rows) ++times[row.name];
  std::vector<evaluate::PriorSamples> out;
  for (auto& [place, row] : rows) {
    if (times[row.name] > 1) row.name += fmt::format(" ({})", row.about.run);  // told apart by the run
    out.push_back(std::move(row));
  }
  return out;
}

class Evaluate : public ResultCommand {
 public:
  Evaluate()
      : ResultCommand(
            "hebm_dist evaluate [--prior.kind KIND | --all [--runs DIR,DIR]] [--config FILE.ini] [--section.key VALUE "
            "...]",
            "Scores the Gaussian prior, reconstructions and the samples of `sample` on all ranks. Result: "
            "RUN/results/summary.json (summary-KIND.json); prints a table. With --all the samples of every prior, "
            "beside each other (Table 1): RUN/results/priors.json.") {}
 private:
  void declare_result(Options& options) override {
    options.add("all", &all_,
        "one table of every prior.kind whose samples there are, with seconds and gradient evaluations", Show::kCommon);
    options.add("runs", &runs_,
        "with --all: the samples of these run directories too, on the same VAE (T = 3 and T = 6, say): DIR,DIR",
        Show::kCommon);
    add_prior_kind(options, &kind_name_, "the prior whose samples are scored");
    evaluation_.describe(options);
    drawing_.describe(options);
    own_.describe_sampling(options);
  }

  void resolve() override {
    ResultCommand::resolve();
    check(all_ || runs_.empty(), ExitCode::kUsage, "--runs = {} belongs to --all", runs_);
    check(all_ || kind().objective != nullptr, ExitCode::kUsage,
        "prior.kind = {}: the VAE's own prior has its row in every result; name one that is trained", kind_name_);
    check(kind().has_levels || (!evaluation_.by_level && evaluation_.temperatures.empty()), ExitCode::kUsage,
        "prior.kind = {}: evaluate.by_level and evaluate.temperatures are of the diffusion prior", kind_name_);
    dataset_.emplace(open_dataset(run_));
  }

  std::vector<fs::path> inputs() const override {
    if (all_) return {};
    auto out = vae_files(run_);
    out.push_back(RunPaths(run_).features);
    return out;
  }

  void open() override {
    open_scoring();
    const auto prior = RunPaths(run_, kind()).prior;
    if (all_) {
      priors_ = find_prior_samples(run_, runs_, vae_.hash);
    } else if (fs::exists(prior)) {
      prior_ = prior::load_prior(prior, vae_.backbone->groups(), vae_.hash, at::kFloat, kind_name_);
      if (evaluation_.by_level || !evaluation_.temperatures.empty()) drawing_.expect_trained(prior_);  // it draws
    }
  }

  Lines sizes() const override {
    const auto& backbone = *vae_.backbone;
    Lines lines = describe_backbone(backbone);
    if (all_) {
      for (const auto& row : priors_) lines.push_back(fmt::format("{}: {}", row.name, row.file.string()));
      return lines;
    }
    lines.push_back(fmt::format("classifier: {} parameters, {} features, accuracy {:.4f}",
        features_.net->params().size(), nets::FeatureNet::kFeatures, features_.accuracy));
    lines.push_back(prior_.prior ? energy_nets_line(*prior_.prior)
                                 : fmt::format("energy nets: {} is not there", RunPaths(run_, kind()).prior.string()));
    lines.push_back(fmt::format("samples: {} is {}", samples().string(),
        fs::exists(samples()) ? "there" : "not there yet: hebm_dist sample makes it"));
    lines.push_back(disk_line("result", 1, 64 << 10, file().parent_path()));
    constexpr std::int64_t kRows = 5, kFeatures = nets::FeatureNet::kFeatures;
    lines.push_back(steps_line("chunks", kRows * chunks_of(evaluation_.num_images, evaluation_.chunk),
        fmt::format("{} images: Gaussian prior, reconstructions, posterior draws twice, samples", evaluation_.chunk)));
    const std::int64_t looked_at = std::ssize(dataset_->members(data::Split::kTrain)) + 3 * evaluation_.num_images;
    lines.push_back(
        memory_line({.used = backbone.params().size() + features_.net->params().size() + kFeatures * looked_at,
            .values = vae_values(backbone),
            .images = evaluation_.chunk,
            .data_bytes = kept_bytes(*dataset_)}));
    return lines;
  }

  Folders folders(const Invocation&) const override { return {RunPaths(run_).results, {}}; }
  std::string result_name() const override {
    return all_ ? "priors" : fs::path(storage::run_files::summary(kind_name_)).stem().string();
  }
  const PriorKind& kind() const { return prior_kind(kind_name_); }
  fs::path samples() const {
    return RunPaths(run_).samples / fmt::format("{}.h5", kind().file(kind(), own_.of(kind())));
  }

  nlohmann::json fingerprint(const Context& context) const override {
    if (all_) return fingerprint_of_all();
    auto out = ResultCommand::fingerprint(context);
    out["samples_hash"] = fs::exists(samples()) ? evaluate::read_stored_samples(samples()).images_hash : "";
    out["scores"] = results::score_keys();
    return out;
  }

  nlohmann::json make_json(Context& context) const override {
    if (all_)
      return results::to_json(evaluate::evaluate_priors(
          evaluation_, {*dataset_, *vae_.backbone, features_}, priors_, context.comm(), context.logger()));
    const evaluate::EvaluateInputs inputs{{*dataset_, *vae_.backbone, features_}, samples(), prior_.prior.get(),
        drawing_.langevin, prior_.fingerprint, kind_name_, title(), kind().learns_by_chains, kind().sampling_cost};
    return results::to_json(
        evaluate::evaluate(evaluation_, inputs, context.comm(), context.logger(), RunPaths(run_).samples));
  }

  // Of its row; the method's own has one.
  std::string title() const {
    if (kind().is_default()) return "";
    const auto row = std::ranges::find(kind().samples, samples().stem().string(), &PriorKind::Samples::file);
    return row == kind().samples.end() ? kind_name_ : std::string(row->title);
  }

  std::string table(const nlohmann::json& result) const override {
    return all_ ? results::text_of(results::from_json<results::Priors>(result))
                : results::text_of(results::from_json<results::Summary>(result));
  }

  // Of the samples' scores alone: what drew them is in their rows.
  nlohmann::json fingerprint_of_all() const {
    nlohmann::json out = {{"evaluate.num_images", evaluation_.num_images}, {"evaluate.chunk", evaluation_.chunk},
        {"evaluate.neighbours", evaluation_.neighbours}, {"evaluate.seed", evaluation_.seed},
        {"images_hash", dataset_->images_hash()}, {"vae_hash", vae_.hash}, {"features_hash", features_.hash},
        {"scores", results::score_keys()}};
    for (const auto& row : priors_) out["rows"].push_back({{"name", row.name}, {"about", results::to_json(row.about)}});
    return out;
  }

  evaluate::EvaluateOptions evaluation_;
  std::string kind_name_{default_prior_kind().name};
  OwnOptions own_;
  bool all_ = false;
  std::string runs_;
  std::vector<evaluate::PriorSamples> priors_;  // --all
};

}  // namespace

template <> std::unique_ptr<Command> make_command<"evaluate">() { return std::make_unique<Evaluate>(); }

}  // namespace hebm::cli
