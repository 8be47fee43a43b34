#include "nets/depthwise_body.h"

namespace hebm::nets::detail {

DepthwiseKernel depthwise_plain_kernel() { return depthwise_image; }

}  // namespace hebm::nets::detail
