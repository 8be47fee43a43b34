#include "evaluate/ood.h"

#include <fmt/format.h>

#include <iostream>

#include "base/error.h"
#include "cli/command.h"
#include "cli/estimate.h"
#include "cli/inputs.h"
#include "cli/label_options.h"
#include "prior/prior_file.h"

namespace hebm::cli {
namespace {

namespace fs = std::filesystem;

// RUN/results/ood-NAME.json
std::string result_name(const std::string& given, const fs::path& out) {
  const std::string name = given.empty() ? out.stem().string() : given;
  check_plain_name(name, "--name");
  return name;
}

Lines dry_run_lines(const evaluate::OodOptions& ood, const std::vector<std::int64_t>& ks,
                    const evaluate::OodInputs& inputs, const fs::path& result) {
  const std::int64_t chains = static_cast<std::int64_t>(ks.size()) + inputs.prior.num_levels() - 1;
  Lines lines = describe_backbone(inputs.backbone);
  lines.push_back(energy_nets_line(inputs.prior));
  lines.push_back(disk_line("result", 1, 1 << 20, result.parent_path()));
  lines.push_back(
      steps_line("chunks", 2 * ((ood.num_images + ood.chunk - 1) / ood.chunk),
                 fmt::format("{} images, {} chains of {} Langevin steps", ood.chunk, chains, inputs.langevin.steps)));
  lines.push_back(
      memory_line({.used = static_cast<double>(inputs.prior.num_parameters() + inputs.backbone.params().size()),
                   .values = chain_values(inputs.prior, inputs.backbone),
                   .images = static_cast<double>(ood.chunk),
                   .data_bytes = kept_bytes(inputs.in.dataset) + kept_bytes(inputs.out.dataset)}));
  return lines;
}

}  // namespace

int ood_command(Arguments args) {
  Options options("hebm_dist ood [--in D1.h5] --out D2.h5 [--config FILE.ini] [--section.key VALUE ...]",
                  "Out-of-distribution detection (Sec. 5.2): how well the energy of the upper latent layers tells test "
                  "images of D2 from "
                  "those of D1, on all ranks. Result: RUN/results/ood-D2.json; prints a table.");
  RunOptions run;
  evaluate::OodOptions ood;
  prior::LangevinOptions langevin;
  std::string in_path, out_path, name;
  bool json = false;
  run.describe(options);
  ood.describe(options);
  langevin.describe_drawing(options);
  options.add("in", &in_path, "in-distribution data set; default: the run's own", Show::kCommon);
  options.add("out", &out_path, "out-of-distribution data set (hebm_data import-mnist5k, hebm_data derive)",
              Show::kCommon);
  options.add("name", &name, "the result is RUN/results/ood-NAME.json; default: the name of --out");
  options.add("json", &json, "print the result as JSON instead of the table");
  allow_pipeline_keys(options);
  const auto action = options.parse(args);
  if (action == Options::Action::kHelpShown) return 0;
  langevin = langevin.drawing();
  check(!out_path.empty(), ExitCode::kUsage,
        "--out is missing: a data set of other images (hebm_data import-mnist5k or derive makes one)");
  const fs::path in_file = in_path.empty() ? dataset_path(run) : fs::path(in_path);
  const RunPaths paths(run);
  const fs::path file = paths.results() / fmt::format("ood-{}.json", result_name(name, out_path));
  if (action == Options::Action::kDryRun &&
      !(vae_is_there(run) && fs::exists(paths.prior) && fs::exists(in_file) && fs::exists(out_path))) {
    print_dry_run(options, missing_lines({paths.vae, paths.prior, in_file, out_path}));
    return 0;
  }
  require(in_file, "hebm_data import-idx --out " + in_file.string() + " ...");
  require(out_path, "hebm_data import-mnist5k --out " + out_path + " ...");
  const data::Dataset in_set = data::Dataset::open(in_file), out_set = data::Dataset::open(out_path);
  const RunVae vae = open_vae(run);
  require(paths.prior, "hebm_dist train");
  const auto loaded = prior::load_prior(paths.prior, vae.backbone->groups(), vae.hash);
  const evaluate::OodInputs inputs{{in_file.stem().string(), in_set},
                                   {fs::path(out_path).stem().string(), out_set},
                                   *vae.backbone,
                                   *loaded.prior,
                                   langevin};
  const auto ks = evaluate::check_ood(ood, inputs);
  if (action == Options::Action::kDryRun) {
    print_dry_run(options, dry_run_lines(ood, ks, inputs, file));
    return 0;
  }
  Context context(run, options, "ood");
  vae.backbone->params().to(context.device());
  loaded.prior->to(context.device());

  auto identity = identity_of(options, {"ood.", "langevin."});
  identity["langevin.steps"] = fmt::to_string(langevin.steps);
  identity["vae_hash"] = vae.hash;
  identity["prior_hash"] = loaded.prior_hash;
  identity["in_hash"] = in_set.images_hash();
  identity["out_hash"] = out_set.images_hash();
  const auto result = kept_result(file, identity, context, [&] {
    return results::to_json(evaluate::ood(ood, inputs, context.comm(), context.logger()));
  });
  if (context.comm().is_root())
    std::cout << (json ? result.dump(2) + "\n" : results::text_of(results::from_json<results::Ood>(result)))
              << std::flush;
  return 0;
}

}  // namespace hebm::cli
