#include "comm/gpus.h"
#include <array>
#include <vector>
#include "comm/cuda_event.h"

namespace hebm::comm {

int gpu_of_rank(const std::string& device, int local_rank, int gpus, bool everywhere, const std::string& host) {
  if (device == "cpu" || (device == "auto" && !everywhere)) return -1;
#ifdef HEBM_CUDA
  constexpr const char* kAdvice = "repair the driver, or take --compute.device cpu";
#else
  constexpr const char* kAdvice =
      "this program is built without CUDA: build the preset `cuda`, or take --compute.device cpu";
#endif
  check(gpus > 0, ExitCode::kEnvironment, "compute.device = {}, but no GPU is seen on {}: {}", device, host, kAdvice);
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

}  // namespace hebm::comm
