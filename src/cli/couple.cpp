#include <fmt/format.h>
#include <fmt/ranges.h>
#include <array>
#include <charconv>
#include <limits>
#include <numeric>
#include "base/error.h"
#include "base/text.h"
#include "cli/drawing.h"
#include "cli/estimate.h"
#include "cli/prior_kind.h"
#include "cli/prior_training.h"
#include "data/dataset.h"
#include "prior/prior_file.h"
#include "storage/hash.h"
#include "train/coupling.h"

namespace hebm::cli {
namespace {

enum class Start { kPrior, kNothing };
constexpr std::array<Choice<Start>, 2> choices_of(Start) {
  return {{{"prior", Start::kPrior}, {"nothing", Start::kNothing}}};
}
enum class Levels { kAuto, kZero, kAll };
constexpr std::array<Choice<Levels>, 3> choices_of(Levels) {
  return {{{"auto", Levels::kAuto}, {"zero", Levels::kZero}, {"all", Levels::kAll}}};
}

std::vector<std::int64_t> layer_list(const std::string& text) {
  std::vector<std::int64_t> out;
  for (const std::string& part : split(text, ',')) {
    std::int64_t layer = -1;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), layer);
    check(error == std::errc() && end == part.data() + part.size(), ExitCode::kUsage,
        "--layers: '{}' is no layer; expected numbers like 0,1 (0: the top), for several labels with '/' between them",
        part);
    out.push_back(layer);
  }
  return out;
}

nlohmann::json heads_json(const std::vector<data::LabelColumn>& columns, const prior::LabelHeads& heads) {
  auto out = nlohmann::json::array();
  for (std::size_t h = 0; h < heads.size(); ++h) {
    out.push_back({{"name", heads[h].name}, {"categories", heads[h].categories}, {"layers", heads[h].layers},
        {"values_hash", storage::hash_bytes(storage::as_bytes(columns[h].values.data(), columns[h].values.size()))}});
  }
  return out;
}

class Couple : public PriorTraining {
 public:
  Couple()
      : PriorTraining(
            "hebm_dist couple [--labels NAMES] [--layers LISTS] [--name NAME] [--config FILE.ini] [--section.key VALUE "
            "...]",
            "Couples the prior with labels at t = 0 (Eq. 14, 18-21) on all ranks, from a trained prior or from "
            "nothing. Result: RUN/prior-NAME/prior.safetensors (averaged weights), for `labels`, `compose` and `sample "
            "--label`.") {}
 private:
  void describe(Options& o) override {
    options_ = &o;
    o.add("labels", &column_names_,
        "what is coupled: labels (of the data set), or names of its attributes; several with commas", Show::kCommon);
    o.add("layers", &layers_,
        "layers that know the label, 0: the top, with commas; of several labels in their order, with '/'; default: all",
        Show::kCommon);
    labels_.describe(o);
    o.add_choice("couple.from", &from_, "start: the run's trained prior (run.prior), or nets that have learnt nothing",
        Show::kCommon);
    o.add_choice("couple.levels", &levels_,
        "levels that learn: t = 0 alone, the others kept as they are, or all (Eq. 21); auto: zero from a prior with "
        "nets for every t",
        Show::kCommon);
    o.add("couple.updates", &updates_, "updates, in place of train.updates", {1, 1000000000}, Show::kCommon);
    o.add("couple.learning_rate", &learning_rate_, "in place of train.learning_rate; 0: that", {0.0, 10.0});
    o.add("couple.weight", &weight_, "factor of the cross-entropy beside log p-hat (paper: 1)", {0.0, 1e6});
    schedule_.describe(o);
    energy_.describe(o);
    langevin_.describe(o);
    training_.describe(o);
    o.outside_fingerprint([&] { encoding_.describe(o); });
  }

  void resolve() override { static_cast<void>(directory()); }  // --name

  Lines plan() override {
    auto files = vae_files(run_);
    if (from_ == Start::kPrior) files.push_back(RunPaths(run_).prior);
    if (const Lines missing = missing_lines(files); !missing.empty()) return missing;
    open();
    training_.expect_possible(prior_->per_level(), planned_ranks());
    Lines lines = describe_backbone(*vae_.backbone);
    lines.push_back(energy_nets_line(*prior_));
    for (const auto& head : prior_->heads()) {
      lines.push_back(fmt::format("label {}: {} categories, known to layers {}", head.name, head.categories.size(),
          fmt::join(head.layers, ",")));
    }
    describe_training(lines, chains_note());
    if (const std::string note = relaxation_note(); !note.empty()) lines.push_back(note);
    return lines;
  }

  // Of columns_ and --layers.
  prior::LabelHeads heads_of(std::int64_t num_layers) const {
    std::vector<std::int64_t> all(static_cast<std::size_t>(num_layers));
    std::iota(all.begin(), all.end(), 0);
    const auto parts = split(layers_, '/');
    check(layers_.empty() || parts.size() == columns_.size(), ExitCode::kUsage,
        "--layers {}: layers of {} labels, --labels names {}", layers_, parts.size(), column_names_);
    prior::LabelHeads out;
    for (std::size_t h = 0; h < columns_.size(); ++h)
      out.push_back({columns_[h].name, columns_[h].categories, layers_.empty() ? all : layer_list(parts[h])});
    prior::check_heads(out, num_layers);
    return out;
  }

  // All of the unlabelled prior; the label heads stay 0, so that F-hat is its F but for a constant.
  void start_from_prior() {
    const auto file = RunPaths(run_).prior;
    require(file, kind().train_command());
    const auto loaded = prior::load_prior(file, vae_.backbone->groups(), vae_.hash);
    check(loaded.prior->heads().empty(), ExitCode::kUsage,
        "{}: this prior has label heads already; couple starts from one without, or couple.from = nothing",
        file.string());
    expect_same_chains(*options_, loaded, {.steps = true});
    nets_ = loaded.energy;
    nets_.power_iterations = energy_.power_iterations;
    nets_.power_iterations_in_chain = energy_.power_iterations_in_chain;
    from_hash_ = loaded.prior_hash;
    make_prior(loaded.prior->schedule());
    prior_->copy_from(*loaded.prior);
  }

  void make_prior(const prior::Schedule& schedule) {
    prior_ = std::make_unique<prior::EnergyPrior>(
        nets_, vae_.backbone->groups(), schedule, seed(), at::kFloat, std::numeric_limits<std::int64_t>::max(), heads_);
  }

  void open() override {
    dataset_.emplace(open_dataset(run_));
    for (const std::string& name : split(column_names_, ',')) columns_.push_back(data::label_column(*dataset_, name));
    vae_ = open_vae(run_);
    dataset_->expect_shape(vae_.backbone->image_shape(), "VAE");
    heads_ = heads_of(std::ssize(vae_.backbone->groups()));
    const bool from_prior = from_ == Start::kPrior;
    if (from_prior) {
      start_from_prior();
    } else {
      nets_ = energy_;
      make_prior(schedule_.make());
    }
    langevin_.zero_steps = labels_.steps;
    training_.updates = updates_;
    if (learning_rate_ > 0.0) training_.rate.base = learning_rate_;
    training_.only_zero = levels_ == Levels::kZero || (levels_ == Levels::kAuto && from_prior && prior_->per_level());
  }

  std::filesystem::path directory() const override { return labelled_directory(run_, labels_.name); }

  nlohmann::json fingerprint(const Context& context) const override {
    auto out = fingerprint_of(context.options(), run_, *dataset_);
    out.erase("train.updates");  // couple.updates
    out["from_hash"] = from_hash_;
    out["heads"] = heads_json(columns_, heads_);
    return out;
  }

  std::unique_ptr<train::Objective> objective(const train::PriorInputs& in, const train::TrainingRun& run) override {
    std::vector<std::vector<std::int64_t>> categories;
    for (const auto& column : columns_) categories.push_back(column.values);
    term_.emplace(heads_, std::move(categories), weight_);
    return std::make_unique<train::CouplingObjective>(training_, in, run, *term_);
  }

  const Options* options_ = nullptr;
  std::string column_names_ = data::kLabels, layers_;
  LabelOptions labels_;
  // couple.*: how it learns, beside train.*
  Start from_ = Start::kPrior;
  Levels levels_ = Levels::kAuto;
  std::int64_t updates_ = 300;
  double learning_rate_ = 0.0;  // 0: train.learning_rate
  double weight_ = 1.0;
  std::vector<data::LabelColumn> columns_;
  prior::LabelHeads heads_;
  std::optional<train::LabelTerm> term_;
  std::string from_hash_;  // of the unlabelled prior; "" from nothing
};

}  // namespace

template <> std::unique_ptr<Command> make_command<"couple">() { return std::make_unique<Couple>(); }

}  // namespace hebm::cli
