// A Langevin step of a GPU, recorded once as a CUDA graph and repeated: small nets are a few
// hundred kernels of microseconds, and to queue them one by one takes the host several times longer
// than the GPU needs for them. The same kernels on the same data, so the same bits.
#pragma once
#include <c10/core/Device.h>

#include <functional>
#include <memory>

namespace hebm::prior {

class StepGraph {
 public:
  // Null where steps are not recorded: on the CPU, and with nets::set_graphs(false). Else records
  // what `step` queues, without running it. `step` must have run before (libraries set themselves
  // up then), change its tensors in place, wait for nothing and always queue the same.
  // Error(kEnvironment): it cannot be recorded.
  static std::unique_ptr<StepGraph> record(at::Device device, const std::function<void()>& step);
  virtual ~StepGraph() = default;
  // Queues the step once more.
  virtual void run() = 0;
};

}  // namespace hebm::prior
