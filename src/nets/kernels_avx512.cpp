// Compiled with this instruction set's flags (CMakeLists.txt); without them there are no kernels.
#include "nets/depthwise_kernels.h"
#include "nets/pointwise_kernels.h"

#if defined(__AVX512F__)
#include "nets/depthwise_body.h"
#include "nets/pointwise_body.h"
#else
namespace hebm::nets::detail {
constexpr DepthwiseKernel depthwise_image = nullptr;
constexpr PointwiseKernels kPointwise = {};
}  // namespace hebm::nets::detail
#endif

namespace hebm::nets::detail {

DepthwiseKernel depthwise_avx512_kernel() { return depthwise_image; }
PointwiseKernels pointwise_avx512_kernels() { return kPointwise; }

}  // namespace hebm::nets::detail
