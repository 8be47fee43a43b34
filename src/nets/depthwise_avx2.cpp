// Compiled with this instruction set's flags (CMakeLists.txt); without them there is no kernel.
#include "nets/depthwise_kernels.h"

#if defined(__AVX2__) && defined(__FMA__)
#include "nets/depthwise_body.h"
#else
namespace hebm::nets::detail {
constexpr DepthwiseKernel depthwise_image = nullptr;
}
#endif

hebm::nets::detail::DepthwiseKernel hebm::nets::detail::depthwise_avx2_kernel() { return depthwise_image; }
