// A trained net's final file (vae.safetensors, features.safetensors): made once for one set of
// settings.
#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include "base/status.h"
#include "comm/communicator.h"

namespace hebm::train {

// "\n  key: the `what` has A, you ask for B" for every key of `wanted` that differs; "" when none
// does.
std::string identity_difference(const nlohmann::json& wanted, const nlohmann::json& stored, const char* what = "file");

// Collective. True when `file` is there and was made with this identity (which is logged); false
// when it is not there. Another identity: Error(kUsage) naming the keys; a damaged file:
// Error(kCorrupt).
bool product_done(const std::filesystem::path& file, const std::string& format, const std::string& version,
    const nlohmann::json& identity, comm::Communicator& comm, Logger& logger);

}  // namespace hebm::train
