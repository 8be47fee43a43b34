#include "sample/sample.h"
#include <fmt/format.h>
#include "base/error.h"
#include "cli/drawing.h"
#include "cli/estimate.h"
#include "cli/inputs.h"
#include "cli/kept_work.h"
#include "nets/device.h"
#include "prior/prior_file.h"
#include "prior/reverse_chain.h"

namespace hebm::cli {
namespace {

class Sample : public RunCommand {
 public:
  Sample()
      : RunCommand(
            "hebm_dist sample [--prior.kind KIND | --label CATEGORY] [--config FILE.ini] [--section.key VALUE ...]",
            "Draws images from the diffusion prior (Alg. 2), one that it is compared with, or one that knows labels "
            "(`couple`), on all ranks. Result: RUN/samples/KIND.h5 and .png (nce-resampling, nce-langevin), of a label "
            "RUN/samples/label-NAME-CATEGORY.h5 and .png.") {}
 private:
  void describe(Options& o) override {
    add_prior_kind(o, &kind_name_, "the prior to draw from");
    o.add("label", &label_,
        "category to draw (Eq. 20), from a prior of `couple`; of several labels LABEL=CATEGORY,LABEL=CATEGORY",
        Show::kCommon);
    labels_.describe(o);
    sampling_.describe(o);
    drawing_.describe(o);
    own_.describe_sampling(o);
  }

  void resolve() override {
    drawing_.resolve();
    if (label_.empty()) return;
    check(kind().has_levels, ExitCode::kUsage,
        "--label: a prior of the kind {} has no labels; `hebm_dist couple` couples the diffusion prior", kind_name_);
    run_.prior = labelled_prior(run_, labels_.name).string();
  }

  Lines plan() override {
    auto files = vae_files(run_);
    if (is_trained()) files.push_back(RunPaths(run_, kind()).prior);
    if (const Lines missing = missing_lines(files); !missing.empty()) return missing;
    open();
    const auto& backbone = *vae_.backbone;
    const auto* prior = prior_.prior.get();
    Lines lines = describe_backbone(backbone);
    if (prior != nullptr) lines.push_back(energy_nets_line(*prior));
    const std::int64_t bytes = sampling_.count * backbone.image_shape().size();
    lines.push_back(disk_line("result, and kept chunks until it is there", 2, bytes, RunPaths(run_).samples));
    const std::string how = prior == nullptr ? "" : kind().draw_cost(*prior, {drawing_.langevin, own_.of(kind())});
    lines.push_back(steps_line(
        "chunks", chunks_of(sampling_.count, sampling_.chunk), fmt::format("{} images{}", sampling_.chunk, how)));
    lines.push_back(memory_line({.used = backbone.params().size() + (prior == nullptr ? 0 : prior->num_parameters()),
        .values = vae_values(backbone),
        .images = sampling_.chunk,
        .work_bytes = prior == nullptr ? 0 : chain_bytes(*prior, backbone, sampling_.chunk)}));
    if (const std::string note = relaxation_note(); !note.empty()) lines.push_back(note);
    return lines;
  }

  void open() override {
    const RunPaths paths(run_, kind());
    vae_ = open_vae(run_);  // before the prior: it is the first to be named where both are missing
    if (!is_trained()) return;
    require(paths.prior, label_.empty() ? kind().train_command() : "hebm_dist couple");
    prior_ = prior::load_prior(paths.prior, vae_.backbone->groups(), vae_.hash, at::kFloat, kind_name_);
    if (!label_.empty()) {
      expect_heads(prior_, paths.prior);
      // Names that are not there: before anything is written.
      static_cast<void>(chosen_categories(label_, prior_.prior->heads()));
    }
    drawing_.expect_trained(prior_);
    if (!prior_.prior->heads().empty()) drawing_.resolve_zero(labels_.steps, prior_);
  }

  Folders folders(const Invocation&) const override { return {RunPaths(run_).samples, {}}; }
  std::filesystem::path product() const override { return RunPaths(run_).samples / (name() + ".h5"); }

  int work(Context& context) override {
    vae_.backbone->params().to(context.device());
    if (prior_.prior) {
      prior_.prior->to(context.device());
      note_other_langevin(context.options(), prior_, context.logger());
      if (const std::string note = relaxation_note(); !note.empty()) context.logger().write(note);
    }
    const sample::SampleFile file{product(), sampling_, fingerprint()};
    if (sample::samples_done(file, context.comm(), context.logger())) {
      forget_kept(context, file.path, file.fingerprint);
      return 0;
    }
    KeptWork kept(context, file.path, file.fingerprint, OtherChunks::kRefuse);
    drawing_.listen(context.stop());
    sample::write_samples(file, *vae_.backbone, draws(), kept.crew(), kept.seconds());
    kept.forget();
    return 0;
  }

  // prior::relaxation_note; "" without chains.
  std::string relaxation_note() const {
    if (prior_.prior == nullptr || !kind().learns_by_chains) return "";
    return prior::relaxation_note(prior_.prior->schedule(), drawing_.langevin);
  }

  const PriorKind& kind() const { return prior_kind(kind_name_); }
  bool is_trained() const { return kind().objective != nullptr; }
  std::string name() const {
    if (!label_.empty()) return label_file_name(labels_.name, label_);
    return kind().file(kind(), own_.of(kind()));
  }

  sample::DrawLatents draws() const {
    const auto& backbone = *vae_.backbone;
    const auto& langevin = drawing_.langevin;
    if (label_.empty()) return kind().draw(prior_.prior.get(), backbone, {langevin, own_.of(kind())});
    // Alg. 2 with the chain of t = 0 for these labels (Eq. 20).
    const prior::EnergyPrior& prior = *prior_.prior;
    const at::Tensor row = nets::on_device(chosen_categories(label_, prior.heads()), prior.device()).unsqueeze(0);
    return [this, row, chain = prior::ReverseChain(prior, backbone, langevin)](const prior::ChainIds& ids) {
      return prior::sample_for_labels(
          chain, {row.expand({ids.count(), -1}), labels_.guidance}, labels_.candidates, ids);
    };
  }

  nlohmann::json fingerprint() const {
    auto out = sample::sample_fingerprint(sampling_, vae_.hash);
    if (!kind().is_default()) out["prior.kind"] = kind().name;
    if (is_trained()) out["prior_hash"] = prior_.prior_hash;
    kind().draw_fingerprint(out, {drawing_.langevin, own_.of(kind())});
    if (prior_.prior && !prior_.prior->heads().empty()) out["couple.steps"] = drawing_.langevin.zero_steps;
    if (!label_.empty()) {
      out["label"] = label_;
      out.update(label_fingerprint(labels_, drawing_.langevin));
    }
    return out;
  }

  std::string kind_name_{default_prior_kind().name};
  sample::SampleOptions sampling_;
  DrawingOptions drawing_;
  OwnOptions own_;
  LabelOptions labels_;
  std::string label_;  // --label; "": without
  RunVae vae_;
  prior::LoadedPrior prior_;
};

}  // namespace

template <> std::unique_ptr<Command> make_command<"sample">() { return std::make_unique<Sample>(); }

}  // namespace hebm::cli
