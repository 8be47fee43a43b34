#include "data/batch_order.h"
#include <limits>
#include "base/error.h"

namespace hebm::data {

BatchOrder::BatchOrder(std::int64_t num_images, std::int64_t batch, std::uint64_t seed)
    : num_images_(num_images), batch_(batch), key_{seed, 0, Purpose::kBatchOrder} {
  check(num_images >= 1, ExitCode::kUsage, "batch order: expected at least 1 image, got {}", num_images);
  check(batch >= 1, ExitCode::kUsage, "batch order: expected a batch of at least 1, got {}", batch);
}

std::vector<BatchPlace> BatchOrder::members(std::int64_t step, std::int64_t first, std::int64_t count) const {
  check(step >= 0 && first >= 0 && count >= 0 && first <= batch_ && count <= batch_ - first, ExitCode::kRuntime,
      "batch order: expected step >= 0 and members within a batch of {}, got step {}, members {} to {} + {}", batch_,
      step, first, first, count);
  std::int64_t start = 0, end = 0;
  const bool overflow = __builtin_mul_overflow(step, batch_, &start) || __builtin_add_overflow(start, batch_, &end);
  check(!overflow && (end - 1) / num_images_ <= std::numeric_limits<std::uint32_t>::max(), ExitCode::kRuntime,
      "batch order: step {} of batch {} over {} images is beyond the last visit, 2^32 - 1", step, batch_, num_images_);
  std::vector<BatchPlace> places;
  places.reserve(static_cast<std::size_t>(count));
  for (std::int64_t p = start + first; p < start + first + count; ++p) {
    const auto epoch = static_cast<std::uint32_t>(p / num_images_);
    const std::uint64_t position =
        permute(static_cast<std::uint64_t>(p % num_images_), static_cast<std::uint64_t>(num_images_), key_, epoch);
    places.push_back({static_cast<std::int64_t>(position), epoch});
  }
  return places;
}

}  // namespace hebm::data
