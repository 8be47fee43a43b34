#include "nets/passes.h"
#include <ATen/Parallel.h>
#include <ATen/core/LegacyTypeDispatch.h>
#include <c10/core/GradMode.h>
#include "base/error.h"

namespace hebm::nets {

Chunks Chunks::of(std::int64_t count, std::int64_t largest) {
  const std::int64_t threads = at::in_parallel_region() ? 1 : at::get_num_threads();
  return {count, std::clamp((count + threads - 1) / threads, std::int64_t{1}, largest)};
}

void Chunks::each(const std::function<void(std::int64_t k)>& work) const {
  const auto run = [&](std::int64_t begin, std::int64_t end) {
    const at::AutoDispatchBelowADInplaceOrView below;  // plain kernels: nothing here is recorded
    for (std::int64_t k = begin; k < end; ++k) work(k);
  };
  if (number() == 1) return run(0, 1);
  at::parallel_for(0, number(), 1, run);
}

void check_reverse(bool released, const char* who, const char* what, const char* hint) {
  check(!released, ExitCode::kRuntime, "{}: a second backward through the same {}", who, what);
  check(!c10::GradMode::is_enabled(), ExitCode::kRuntime,
      "{}: a gradient of its gradient (create_graph) is not available{}", who, hint);
}

}  // namespace hebm::nets
