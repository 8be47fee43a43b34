#include "comm/report.h"
#include <algorithm>
#include <array>
#include <string_view>
#include "base/status.h"
#include "comm/mpi_communicator.h"
#ifdef HEBM_CUDA
#include <cuda_runtime_api.h>
#include <nccl.h>
#include <cstdio>
#include "comm/cuda_event.h"
#endif

namespace hebm::comm {
namespace {

std::string loaded_mpi() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text{};
  int length = 0;
  if (MPI_Get_library_version(text.data(), &length) != MPI_SUCCESS) return "unknown";
  const std::string_view all(text.data(), static_cast<std::size_t>(length));
  return std::string(all.substr(0, all.find(',')));  // Open MPI goes on with who built it
}

// Element i of rank r is (r + 1) (1 + i mod 5): sums are small integers, exact in float.
template <class T> void check_sum(Communicator& comm, std::size_t count) {
  std::vector<T> values(count);
  const auto factor = [](std::size_t i) { return static_cast<std::int64_t>(1 + i % 5); };
  for (std::size_t i = 0; i < count; ++i) values[i] = static_cast<T>((comm.rank() + 1) * factor(i));
  comm.all_reduce(std::span(values), Op::kSum);
  const std::int64_t ranks = comm.size(), rank_sum = ranks * (ranks + 1) / 2;
  agree(comm, [&] {
    for (std::size_t i = 0; i < count; ++i) {
      const T expected = static_cast<T>(rank_sum * factor(i));
      if (values[i] == expected) continue;
      fail(ExitCode::kEnvironment,
          "an all-reduce over {} ranks gives {} where the sum is {} (element {} of {}): do not trust this MPI set-up",
          ranks, values[i], expected, i, count);
    }
  });
}

// Zeros where the communicator sums gradients: in the host's memory, under NCCL in the GPU's.
class Gradient {
 public:
  Gradient(const Communicator& comm, std::size_t count) : host_(count, 0.0F), values_(host_) {
#ifdef HEBM_CUDA
    if (comm.kind() != Kind::kNccl) return;
    void* memory = nullptr;
    check_cuda(cudaMalloc(&memory, values_.size_bytes()), "cudaMalloc");
    values_ = {static_cast<float*>(memory), count};
    check_cuda(cudaMemset(memory, 0, values_.size_bytes()), "cudaMemset");
#else
    check(comm.kind() != Kind::kNccl, ExitCode::kRuntime, "NCCL without CUDA");
#endif
  }
  ~Gradient() {
#ifdef HEBM_CUDA
    if (values_.data() != host_.data() && cudaFree(values_.data()) != cudaSuccess)
      std::fputs("cudaFree failed\n", stderr);
#endif
  }
  Gradient(const Gradient&) = delete;
  Gradient& operator=(const Gradient&) = delete;
  std::span<float> values() const { return values_; }
 private:
  std::vector<float> host_;
  std::span<float> values_;
};

AllReduceRate time_sum(Communicator& comm, std::int64_t bytes) {
  constexpr double kBudget_s = 0.2;
  const Gradient gradient(comm, static_cast<std::size_t>(std::max<std::int64_t>(1, bytes / 4)));
  std::vector<double> times;
  double spent_s = 0;
  while (times.size() < 3 || (spent_s < kBudget_s && times.size() < 1000)) {
    comm.barrier();
    const Timer timer;
    comm.start_sum(gradient.values(), "bench")->wait();
    std::array<double, 1> slowest = {timer.seconds()};
    comm.all_reduce(slowest, Op::kMax);  // also: all ranks stop at the same repetition
    times.push_back(slowest[0]);
    spent_s += slowest[0];
  }
  std::nth_element(times.begin(), times.begin() + std::ssize(times) / 2, times.end());
  AllReduceRate rate{.bytes = std::ssize(gradient.values()) * 4, .seconds = times[times.size() / 2]};
  rate.algbw_gb_s = static_cast<double>(rate.bytes) / rate.seconds / 1e9;
  rate.busbw_gb_s = rate.algbw_gb_s * 2.0 * (comm.size() - 1) / comm.size();
  return rate;
}

}  // namespace

std::vector<std::pair<std::string, std::string>> versions() {
  std::vector<std::pair<std::string, std::string>> all;
#ifdef OPEN_MPI
  all.emplace_back(
      "mpi_header", fmt::format("Open MPI {}.{}.{}", OMPI_MAJOR_VERSION, OMPI_MINOR_VERSION, OMPI_RELEASE_VERSION));
#else
  all.emplace_back("mpi_header", fmt::format("MPI {}.{}", MPI_VERSION, MPI_SUBVERSION));
#endif
  all.emplace_back("mpi_library", loaded_mpi());
#ifdef HEBM_CUDA
  int nccl = 0, cuda = 0;
  const bool known = ncclGetVersion(&nccl) == ncclSuccess;
  all.emplace_back("nccl_header", fmt::format("{}", NCCL_VERSION_CODE));
  all.emplace_back("nccl_library", known ? fmt::format("{}", nccl) : "unknown");
  all.emplace_back("cuda_runtime", cudaRuntimeGetVersion(&cuda) == cudaSuccess ? fmt::format("{}", cuda) : "unknown");
#endif
  return all;
}

std::vector<AllReduceRate> all_reduce_check(Communicator& comm, const std::vector<std::int64_t>& sizes_bytes) {
  check_sum<float>(comm, 10007);
  check_sum<std::int64_t>(comm, 1009);
  std::vector<AllReduceRate> rates;
  for (const std::int64_t bytes : sizes_bytes) rates.push_back(time_sum(comm, bytes));
  return rates;
}

}  // namespace hebm::comm
