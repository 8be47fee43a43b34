// What commands read: data set, products of earlier commands; and how an outcome becomes an exit code.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/command.h"
#include "data/dataset.h"
#include "train/net_loop.h"

namespace hebm::cli {

std::filesystem::path dataset_path(const RunOptions& run);
data::Dataset open_dataset(const RunOptions& run);

// The settings a product depends on: options under the prefixes (but for intervals of checkpoints and logs), seed, images.
nlohmann::json product_identity(const Options& options, const std::vector<std::string>& prefixes, std::int64_t seed,
                                const data::Dataset& dataset);

int exit_code(train::Outcome outcome, bool save_failed);

}  // namespace hebm::cli
