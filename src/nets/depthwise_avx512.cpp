// Compiled with this instruction set's flags (CMakeLists.txt); without them there is no kernel.
#include "nets/depthwise_kernels.h"

#if defined(__AVX512F__)
#include "nets/depthwise_body.h"
#else
namespace hebm::nets::detail {
constexpr DepthwiseKernel depthwise_image = nullptr;
}
#endif

hebm::nets::detail::DepthwiseKernel hebm::nets::detail::depthwise_avx512_kernel() { return depthwise_image; }
