#include <ATen/Context.h>
#include <ATen/Version.h>
#include <fmt/format.h>
#include <fstream>
#include <iostream>
#include <set>
#include "base/error.h"
#include "base/status.h"
#include "base/version.h"
#include "cli/command.h"
#include "comm/placement.h"
#include "comm/report.h"
#include "nets/gemm.h"
#include "nets/gemm_choice.h"

namespace hebm::cli {
namespace {

// OpenMP runtimes that are mapped into this process: two of them fight for the cores.
std::set<std::string> openmp_runtimes() {
  std::set<std::string> out;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    const auto slash = line.rfind('/');
    if (slash == std::string::npos) continue;
    const std::string name = line.substr(slash + 1);
    if (name.starts_with("libgomp") || name.starts_with("libomp") || name.starts_with("libiomp"))
      out.insert(line.substr(line.find('/')));
  }
  return out;
}

// compute.gemm's rule, if this libtorch's MKL asks for it.
std::string products() {
  const float one = 1.0f;
  float product = 0.0f;
  nets::multiply(nets::Matrix{&one, 1}, {&one, 1}, {&product, 1}, {1, 1, 1});
  const std::string rule(name_of(nets::gemm()));
  return nets::gemm_is_fixed() ? rule : fmt::format("mkl (this libtorch's MKL does not ask us, else {})", rule);
}

class Doctor : public Command {
 public:
  Doctor()
      : Command("hebm_dist doctor [--comm.kind single|mpi|nccl]",
            "Checks this machine and launcher: versions, ranks and placement, one OpenMP runtime, a sum over ranks "
            "against its closed form. Exit code 5 says what is wrong.") {}

  void declare(Options& options) override { comm_options_.describe(options); }

  int execute(const Invocation&) override {
    const auto comm = comm::make_communicator(comm_options_);
    const auto placement = comm::place(*comm, comm_options_);
    const auto placements = comm->all_gather(placement.describe());
    const auto runtimes = openmp_runtimes();
    const auto rates = comm::all_reduce_check(*comm);
    comm::agree(*comm, [&] {
      check(runtimes.size() <= 1, ExitCode::kEnvironment,
          "{} OpenMP runtimes are loaded ({} and others): one must be enough", runtimes.size(),
          runtimes.empty() ? "" : *runtimes.begin());
    });
    if (!comm->is_root()) return 0;
    std::cout << fmt::format("hebm_dist {}\n", kVersion);
    for (const auto& [name, version] : comm::versions()) std::cout << fmt::format("{}: {}\n", name, version);
    std::cout << fmt::format("communicator: {}, {} rank(s)\n", hebm::name_of(comm->kind()), comm->size());
    for (std::size_t r = 0; r < placements.size(); ++r) std::cout << fmt::format("rank {}: {}\n", r, placements[r]);
    std::cout << "OpenMP runtime: " << (runtimes.empty() ? "none" : *runtimes.begin()) << "\n";
    std::cout << "matrix products: " << products() << "\n";
    std::cout << (comm->size() == 1 ? "sum over ranks: n/a, there is one rank\n" : "sum over ranks: as expected\n");
    for (const auto& rate : rates) {
      if (comm->size() == 1) break;  // nothing is moved
      std::cout << fmt::format("  {:>9}: {:9.1f} us, algbw {:7.3f} GB/s, busbw {:7.3f} GB/s\n",
          format_bytes(static_cast<double>(rate.bytes)), rate.seconds * 1e6, rate.algbw_gb_s, rate.busbw_gb_s);
    }
    std::cout << "all is well\n";
    return 0;
  }
 private:
  comm::CommOptions comm_options_;
};

}  // namespace

template <> std::unique_ptr<Command> make_command<"doctor">() { return std::make_unique<Doctor>(); }

}  // namespace hebm::cli
