#include "evaluate/hierarchy.h"
#include <fmt/format.h>
#include "cli/experiment.h"

namespace hebm::cli {
namespace {

class Hierarchy : public ResultCommand {
 public:
  Hierarchy()
      : ResultCommand("hebm_dist hierarchy [--config FILE.ini] [--section.key VALUE ...]",
            "What each latent layer of the VAE carries, on all ranks, without a trained prior: KL, a probe for the "
            "labels, layers exchanged between images or drawn anew; reconstructions beside the Gaussian prior. Result: "
            "RUN/results/hierarchy.json; prints a table.") {}
 private:
  void declare_result(Options& options) override { hierarchy_.describe(options); }

  std::vector<std::filesystem::path> inputs() const override {
    const RunPaths paths(run_);
    auto out = vae_files(run_);
    for (const auto& file : {paths.dataset, paths.features}) out.push_back(file);
    return out;
  }

  void open() override { open_scoring(); }

  Lines sizes() const override {
    const auto& backbone = *vae_.backbone;
    const std::int64_t passes = 2 * std::ssize(backbone.groups()) + 1;
    const std::int64_t images = hierarchy_.num_images + hierarchy_.probe_images;
    Lines lines = describe_backbone(backbone);
    lines.push_back(disk_line("result", 1, 64 << 10, file().parent_path()));
    lines.push_back(steps_line("chunks", passes * chunks_of(hierarchy_.num_images, hierarchy_.chunk),
        fmt::format("{} images, exchanged or drawn", hierarchy_.chunk)));
    lines.push_back(memory_line({.used = backbone.params().size() + features_.net->params().size() +
                                         images * (backbone.dim() + nets::FeatureNet::kFeatures),
        .values = vae_values(backbone),
        .images = hierarchy_.chunk,
        .data_bytes = kept_bytes(*dataset_)}));
    return lines;
  }

  std::string result_name() const override { return "hierarchy"; }
  nlohmann::json make_json(const comm::Crew& crew) const override {
    return results::to_json(evaluate::hierarchy(hierarchy_, {*dataset_, *vae_.backbone, features_}, crew));
  }
  std::string table(const nlohmann::json& result) const override {
    return results::text_of(results::from_json<results::Hierarchy>(result));
  }

  evaluate::HierarchyOptions hierarchy_;
};

}  // namespace

template <> std::unique_ptr<Command> make_command<"hierarchy">() { return std::make_unique<Hierarchy>(); }

}  // namespace hebm::cli
