// `bench gemm`: matrix products of the shapes that occur, by every choice of compute.gemm.
#pragma once
#include <nlohmann/json.hpp>

namespace hebm::cli {

// Each choice in a process of its own (MKL looks once). Rates in GFLOP/s, the rule for this
// processor, and the shapes where another choice is more than a tenth faster.
nlohmann::json bench_gemm(int threads);

}  // namespace hebm::cli
