// Compiled with this instruction set's flags (CMakeLists.txt); without them there is no such
// kernel.
#include "nets/depthwise_kernels.h"

#if defined(__AVX2__) && defined(__FMA__)
#include "nets/depthwise_body.h"

namespace hebm::nets::detail {

DepthwiseKernel depthwise_avx2_kernel() { return depthwise_image; }

}  // namespace hebm::nets::detail
#else
namespace hebm::nets::detail {

DepthwiseKernel depthwise_avx2_kernel() { return nullptr; }

}  // namespace hebm::nets::detail
#endif
