// Instruction sets that the vector loops are compiled for (kernels_*.cpp).
#pragma once

namespace hebm::nets {

enum class Isa { kPlain, kAvx2, kAvx512 };
bool isa_supported(Isa isa);  // by this processor and this build
Isa best_isa();

}  // namespace hebm::nets
