// The architecture of a backbone as JSON text, out of a weights file's metadata: hostile until
// checked.
#pragma once
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace hebm::vae {

// Hands the object to `build` when `text` is JSON of this backbone, at most 64 KiB. Whatever is
// wrong, in `build` too, is Error(kCorrupt) with the beginning of the text.
void read_architecture(const std::string& text, const std::string& backbone,
                       const std::function<void(const nlohmann::json&)>& build);

}  // namespace hebm::vae
