// The loops for any processor.
#include "nets/depthwise_body.h"
#include "nets/pointwise_body.h"

namespace hebm::nets::detail {

DepthwiseKernel depthwise_plain_kernel() { return depthwise_image; }
PointwiseKernels pointwise_plain_kernels() { return kPointwise; }

}  // namespace hebm::nets::detail
