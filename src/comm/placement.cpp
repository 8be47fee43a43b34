#include "comm/placement.h"
#include <sched.h>
#include <algorithm>
#include <charconv>
#include <cstring>
#include <fstream>
#include <memory>
#include <set>
#include "base/host.h"
#include "comm/gpus.h"

namespace hebm::comm {
namespace {

std::vector<int> own_cpus() {
  // The kernel's mask may be longer than cpu_set_t: EINVAL asks for a larger one.
  for (int num_cpus = 1024; num_cpus <= 1 << 20; num_cpus *= 2) {
    const std::unique_ptr<cpu_set_t, void (*)(cpu_set_t*)> mask(CPU_ALLOC(num_cpus), [](cpu_set_t* m) { CPU_FREE(m); });
    check(mask != nullptr, ExitCode::kRuntime, "no memory for an affinity mask of {} cores", num_cpus);
    const std::size_t bytes = CPU_ALLOC_SIZE(num_cpus);
    CPU_ZERO_S(bytes, mask.get());
    if (sched_getaffinity(0, bytes, mask.get()) != 0) {
      check(errno == EINVAL, ExitCode::kEnvironment, "sched_getaffinity failed: {}", std::strerror(errno));
      continue;
    }
    std::vector<int> cpus;
    for (int cpu = 0; cpu < num_cpus; ++cpu) {
      if (CPU_ISSET_S(cpu, bytes, mask.get())) cpus.push_back(cpu);
    }
    return cpus;
  }
  fail(ExitCode::kEnvironment, "sched_getaffinity: no mask length suits the kernel");
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

std::string join(const std::vector<int>& numbers) {
  std::string text;
  for (const int n : numbers) text += fmt::format("{} ", n);
  return text;
}

std::vector<int> split(const std::string& text) {
  std::vector<int> numbers;
  const char* at = text.data();
  const char* end = at + text.size();
  while (at < end) {
    int n = 0;
    const auto [stop, error] = std::from_chars(at, end, n);
    check(error == std::errc(), ExitCode::kRuntime, "'{}' is not a list of numbers", text);
    numbers.push_back(n);
    at = stop + 1;
  }
  return numbers;
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

Placement place(Communicator& comm, const CommOptions& options) {
  Placement placement;
  agree(comm, [&] {
    placement.host = host_name();
    placement.cpus = own_cpus();
  });
  const std::vector<std::string> nodes = comm.all_gather(fmt::format("{}", comm.node()));
  const std::vector<std::string> masks = comm.all_gather(join(placement.cpus));
  const auto rank = static_cast<std::size_t>(comm.rank());
  std::vector<std::vector<int>> local;
  for (std::size_t r = 0; r < nodes.size(); ++r) {
    if (nodes[r] != nodes[rank]) continue;
    if (r == rank) placement.local_rank = static_cast<int>(local.size());
    local.push_back(split(masks[r]));
  }
  placement.local_size = static_cast<int>(local.size());
  const int share = share_threads(local, static_cast<std::size_t>(placement.local_rank), &placement.masks_disjoint);
  placement.threads = options.threads > 0 ? static_cast<int>(options.threads) : share;
  const int gpus = options.device == "cpu" ? 0 : num_gpus();
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
