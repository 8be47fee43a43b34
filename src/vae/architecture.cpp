#include "vae/architecture.h"

#include <nlohmann/json.hpp>

#include "base/error.h"

namespace hebm::vae {

constexpr std::size_t kMaxArchitecture = 64 << 10;  // bytes of JSON

void read_architecture(const std::string& text, const std::string& backbone,
                       const std::function<void(const nlohmann::json&)>& build) {
  const std::string shown = text.substr(0, 200);
  check(text.size() <= kMaxArchitecture, ExitCode::kCorrupt, "architecture of the VAE: {} bytes, expected at most {}",
        text.size(), kMaxArchitecture);
  const auto json = nlohmann::json::parse(text, nullptr, false);
  check(json.is_object(), ExitCode::kCorrupt, "architecture of the VAE: expected a JSON object, got '{}'", shown);
  try {
    const auto got = json.at("backbone").get<std::string>();
    check(got == backbone, ExitCode::kCorrupt, "expected backbone {}, got '{}'", backbone, got.substr(0, 100));
    build(json);
  } catch (const nlohmann::json::exception& e) {
    fail(ExitCode::kCorrupt, "architecture of the VAE: {} in '{}'", e.what(), shown);
  } catch (const Error& e) {
    fail(ExitCode::kCorrupt, "architecture of the VAE: {} in '{}'", e.what(), shown);
  }
}

}  // namespace hebm::vae
