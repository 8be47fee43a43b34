// A Langevin step of a GPU, recorded once as a CUDA graph and repeated: small nets are a few
// hundred kernels of microseconds, and to queue them one by one takes the host several times longer
// than the GPU needs for them. The same kernels on the same data, so the same bits.
#pragma once
#include <c10/core/Device.h>
#include <functional>

namespace hebm::prior {

// Records what `step` queues, without running it; the result queues it once more. Null where steps
// are not recorded: on the CPU, and with nets::set_graphs(false). `step` must have run before
// (libraries set themselves up then), change its tensors in place, wait for nothing and always
// queue the same. Error(kEnvironment): it cannot be recorded.
std::function<void()> record_step(at::Device device, const std::function<void()>& step);

}  // namespace hebm::prior
