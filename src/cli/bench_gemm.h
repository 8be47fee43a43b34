// `bench gemm`: matrix products of the shapes that occur, by every choice of compute.gemm.
#pragma once
#include <nlohmann/json.hpp>

namespace hebm::cli {

// Each choice in a process of its own (MKL looks once). Rates in GFLOP/s, the rule for this
// processor, and the shapes where another choice is more than a tenth faster.
nlohmann::json bench_gemm(int threads);

// GFLOP/s of a product of 1024 x 1024 x 1024 in float32 by the fastest choice. To be called before
// this process has threads of its own.
double best_product_rate(int threads);

}  // namespace hebm::cli
