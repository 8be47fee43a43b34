#include "comm/placement.h"
#include <fmt/ranges.h>
#include <sched.h>
#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <iterator>
#include <memory>
#include <set>
#include <sstream>
#include "base/host.h"
#include "comm/cuda_event.h"

namespace hebm::comm {
namespace {

std::vector<int> own_cpus() {
  constexpr int kMaxCpus = 1 << 16;  // more than any kernel has: it refuses a mask shorter than its own
  const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> mask(CPU_ALLOC(kMaxCpus), [](cpu_set_t* m) { CPU_FREE(m); });
  check(mask != nullptr, ExitCode::kRuntime, "no memory for an affinity mask of {} cores", kMaxCpus);
  const std::size_t bytes = CPU_ALLOC_SIZE(kMaxCpus);
  CPU_ZERO_S(bytes, mask.get());
  check(sched_getaffinity(0, bytes, mask.get()) == 0, ExitCode::kEnvironment, "sched_getaffinity failed: {}",
      std::strerror(errno));
  std::vector<int> cpus;
  for (int cpu = 0; cpu < kMaxCpus; ++cpu) {
    if (CPU_ISSET_S(cpu, bytes, mask.get())) cpus.push_back(cpu);
  }
  return cpus;
}

// Hardware threads of one core count once: they share its arithmetic units.
int physical_cores(const std::vector<int>& cpus) {
  std::set<std::string> cores;
  for (const int cpu : cpus) {
    std::ifstream file(fmt::format("/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list", cpu));
    std::string siblings;
    cores.insert(std::getline(file, siblings) ? siblings : fmt::format("cpu {}", cpu));
  }
  return std::max(1, static_cast<int>(cores.size()));
}

std::vector<int> numbers_in(const std::string& text) {
  std::istringstream in(text);
  return {std::istream_iterator<int>(in), {}};
}

std::string ranges(const std::vector<int>& cpus) {
  std::string text;
  for (std::size_t i = 0; i < cpus.size();) {
    std::size_t j = i;
    while (j + 1 < cpus.size() && cpus[j + 1] == cpus[j] + 1) ++j;
    text += text.empty() ? "" : ",";
    text += i == j ? fmt::format("{}", cpus[i]) : fmt::format("{}-{}", cpus[i], cpus[j]);
    i = j + 1;
  }
  return text;
}

}  // namespace

int share_threads(const std::vector<std::vector<int>>& masks, std::size_t own, bool* disjoint) {
  std::set<int> together;
  std::size_t total = 0;
  for (const std::vector<int>& mask : masks) {
    together.insert(mask.begin(), mask.end());
    total += mask.size();
  }
  *disjoint = total == together.size();
  if (*disjoint) return physical_cores(masks.at(own));
  const int cores = physical_cores({together.begin(), together.end()});
  return std::max(1, cores / static_cast<int>(masks.size()));
}

std::string Placement::describe() const {
  return fmt::format("{}: local rank {} of {}, {} thread{} on cpu {}{}{}", host, local_rank, local_size, threads,
      threads == 1 ? "" : "s", ranges(cpus),
      masks_disjoint ? "" : " (shared with other ranks: the launcher does not bind)",
      gpu < 0 ? "" : fmt::format(", computes on GPU {}", gpu));
}

int gpu_of_rank(Device device, int local_rank, int gpus, bool everywhere, const std::string& host) {
  if (device == Device::kCpu || (device == Device::kAuto && !everywhere)) return -1;
#ifdef HEBM_CUDA
  constexpr const char* kAdvice = "repair the driver, or take --compute.device cpu";
#else
  constexpr const char* kAdvice =
      "this program is built without CUDA: build the preset `cuda`, or take --compute.device cpu";
#endif
  check(gpus > 0, ExitCode::kEnvironment, "compute.device = {}, but no GPU is seen on {}: {}", name_of(device), host,
      kAdvice);
  return local_rank % gpus;
}

#ifdef HEBM_CUDA
int num_gpus() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

std::string take_gpu(int gpu) {
  if (gpu < 0) return "";
  std::array<char, 32> address{};
  check_cuda(cudaSetDevice(gpu), "cudaSetDevice");
  check_cuda(cudaDeviceGetPCIBusId(address.data(), static_cast<int>(address.size()), gpu), "cudaDeviceGetPCIBusId");
  return address.data();
}
#else
int num_gpus() { return 0; }

std::string take_gpu(int gpu) {
  check(gpu < 0, ExitCode::kEnvironment, "GPU {}: this program is built without CUDA", gpu);
  return "";
}
#endif

void check_gpus_apart(Communicator& comm, const std::string& address) {
  const std::vector<std::string> places =
      comm.all_gather(address.empty() ? "" : fmt::format("node {} {}", comm.node(), address));
  for (std::size_t a = 0; a < places.size(); ++a) {
    for (std::size_t b = a + 1; b < places.size(); ++b) {
      check(places[a].empty() || places[a] != places[b], ExitCode::kEnvironment,
          "ranks {} and {} would share one GPU ({}): start as many ranks on a machine as it has GPUs", a, b, places[a]);
    }
  }
}

Placement place(Communicator& comm, const CommOptions& options) {
  Placement placement;
  agree(comm, [&] {
    placement.host = host_name();
    placement.cpus = own_cpus();
  });
  // Of each rank, its node and its cores.
  const std::vector<std::string> ranks =
      comm.all_gather(fmt::format("{} {}", comm.node(), fmt::join(placement.cpus, " ")));
  std::vector<std::vector<int>> local;
  for (std::size_t r = 0; r < ranks.size(); ++r) {
    std::vector<int> cpus = numbers_in(ranks[r]);
    if (cpus.front() != comm.node()) continue;
    if (static_cast<int>(r) == comm.rank()) placement.local_rank = static_cast<int>(local.size());
    local.emplace_back(cpus.begin() + 1, cpus.end());
  }
  placement.local_size = static_cast<int>(local.size());
  const int share = share_threads(local, static_cast<std::size_t>(placement.local_rank), &placement.masks_disjoint);
  placement.threads = options.threads > 0 ? static_cast<int>(options.threads) : share;
  const int gpus = options.device == Device::kCpu ? 0 : num_gpus();
  const bool everywhere = !any(comm, gpus == 0);
  std::string address;
  agree(comm, [&] {
    placement.gpu = gpu_of_rank(options.device, placement.local_rank, gpus, everywhere, placement.host);
    address = take_gpu(placement.gpu);
  });
  if (!options.share_gpu) check_gpus_apart(comm, address);
  return placement;
}

}  // namespace hebm::comm
