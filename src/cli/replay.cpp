#include "evaluate/replay.h"
#include <array>
#include <iostream>
#include "base/choice.h"
#include "base/error.h"
#include "cli/context.h"
#include "comm/placement.h"
#include "nets/device.h"
#include "prior/prior_file.h"
#include "storage/json.h"
#include "vae/weights_file.h"

namespace hebm::cli {

namespace {

enum class Device { kCpu, kCuda };
constexpr std::array<Choice<Device>, 2> choices_of(Device) {
  return {{{"cpu", Device::kCpu}, {"cuda", Device::kCuda}}};
}

class Replay : public Command {
 public:
  Replay()
      : Command(
            "hebm_dist replay --vae V.safetensors --prior P.safetensors --case case.h5 --out result.h5 [--float64] "
            "[--json]",
            "Runs a recorded case through posterior, transport, decoder, energy nets, Langevin chain, loss and "
            "gradients, writes its results under the case's names and prints the largest errors. Exit code 1: one is "
            "over its bar.") {}

  void declare(Options& options) override {
    options.add("vae", &vae_file_, "weights of the VAE", Show::kCommon);
    options.add("prior", &prior_file_, "weights of the energy nets", Show::kCommon);
    options.add("case", &case_file_, "the recorded case", Show::kCommon);
    options.add("out", &out_file_, "file to write; it must not exist", Show::kCommon);
    options.add("float64", &float64_, "compute in float64 (the case is float32)", Show::kCommon);
    options.add("eta", &eta_, "eta of the case's Langevin steps", {1e-12, 1e3}, Show::kCommon);
    options.add_choice(
        "compute.device", &device_, "where all stages are computed; the bars are those of a CPU", Show::kCommon);
    options.add("json", &json_, "errors of all datasets, for machines", Show::kCommon);
  }

  int execute(const Invocation&) override {
    for (const auto& [name, value] :
        {std::pair{"vae", vae_file_}, {"prior", prior_file_}, {"case", case_file_}, {"out", out_file_}}) {
      check(!value.empty(), ExitCode::kUsage, "replay: --{} is missing; `hebm_dist replay --help`", name);
    }
    check(
        !std::filesystem::exists(out_file_), ExitCode::kUsage, "{} exists; remove it or give another --out", out_file_);
    require(vae_file_, "data_tools/import_pytorch.py nvae");
    require(prior_file_, "data_tools/import_pytorch.py ebm");

    const int gpu = device_ == Device::kCpu
                        ? -1
                        : comm::gpu_of_rank(comm::Device::kCuda, 0, comm::num_gpus(), true, "this machine");
    comm::take_gpu(gpu);
    nets::use_exact_arithmetic();
    const at::ScalarType dtype = float64_ ? at::kDouble : at::kFloat;
    const auto backbone = vae::load_backbone(vae_file_, dtype);
    const auto loaded = prior::load_prior(prior_file_, backbone->groups(), vae::backbone_hash(*backbone), dtype);
    const auto recorded = storage::H5File::open(case_file_);
    backbone->params().to(device_of(gpu));
    loaded.prior->to(device_of(gpu));
    const auto inputs = evaluate::read_replay_inputs(recorded, *backbone, loaded.prior->num_levels(), dtype);
    const auto results = evaluate::run_stages(inputs, *backbone, *loaded.prior, eta_);
    const auto comparisons = evaluate::compare_with_case(recorded, results);
    evaluate::write_results(out_file_, results);
    std::cout << (json_ ? storage::json_text(evaluate::comparison_json(comparisons), 2) + "\n"
                        : evaluate::comparison_table(comparisons))
              << std::flush;
    return static_cast<int>(evaluate::all_ok(comparisons) ? ExitCode::kDone : ExitCode::kRuntime);
  }
 private:
  std::string vae_file_, prior_file_, case_file_, out_file_;
  bool float64_ = false, json_ = false;
  double eta_ = 3e-5;
  Device device_ = Device::kCpu;
};

}  // namespace

template <> std::unique_ptr<Command> make_command<"replay">() { return std::make_unique<Replay>(); }

}  // namespace hebm::cli
