#include "prior/step_graph.h"

#ifdef HEBM_CUDA
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <deque>
#include <memory>
#endif

#include "base/error.h"
#include "nets/device.h"

namespace hebm::prior {

#ifdef HEBM_CUDA
namespace {

constexpr std::size_t kMaxRetired = 4;

// Graphs that nobody will run again but the GPU may still be running. They share a pool of memory,
// which lives as long as one of them. Never destroyed: at the program's end CUDA may be gone first.
struct Retired {
  std::unique_ptr<at::cuda::CUDAGraph> graph;
  at::cuda::CUDAEvent done;
};
std::deque<Retired>& retired() {
  static auto* const all = new std::deque<Retired>();
  return *all;
}

void retire(std::unique_ptr<at::cuda::CUDAGraph> graph) {
  retired().push_back({std::move(graph), at::cuda::CUDAEvent()});
  retired().back().done.record();
  while (retired().size() > kMaxRetired) {
    retired().front().done.synchronize();
    retired().pop_front();
  }
}

using Graph = std::shared_ptr<at::cuda::CUDAGraph>;

Graph record(const std::function<void()>& step) {
  static const at::cuda::MempoolId_t pool = at::cuda::graph_pool_handle();
  static const c10::cuda::CUDAStream inner =
      c10::cuda::getStreamFromPool();  // always the same: memory that one recording frees serves the next
  at::cuda::CUDAEvent before;
  before.record(c10::cuda::getCurrentCUDAStream());
  before.block(inner);
  const c10::cuda::CUDAStreamGuard guard(inner);
  auto graph = std::make_unique<at::cuda::CUDAGraph>();
  graph->capture_begin(pool);
  try {
    step();
  } catch (...) {
    try {
      graph->capture_end();  // an open capture would fail all that comes after
    } catch (const c10::Error&) {
    }
    throw;
  }
  graph->capture_end();
  return {graph.release(), [](at::cuda::CUDAGraph* done) { retire(std::unique_ptr<at::cuda::CUDAGraph>(done)); }};
}

}  // namespace

std::function<void()> record_step(at::Device device, const std::function<void()>& step) {
  if (!device.is_cuda() || !nets::graphs()) return nullptr;
  try {
    const c10::cuda::CUDAGuard guard(device);
    return [graph = record(step)] { graph->replay(); };
  } catch (const c10::Error& error) {
    fail(ExitCode::kEnvironment,
        "a Langevin step cannot be recorded as a CUDA graph: {}; --compute.graphs false does without",
        error.what_without_backtrace());
  }
}
#else
std::function<void()> record_step(at::Device, const std::function<void()>&) { return nullptr; }
#endif

}  // namespace hebm::prior
