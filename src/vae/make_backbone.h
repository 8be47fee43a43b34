// The kinds of backbone, one row each in make_backbone.cpp: the settings that the command line has
// (`vae.kind` and the kind's own section), and the backbone made of them or of the architecture in
// a weights file.
#pragma once
#include <cstdint>
#include <limits>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>
#include "vae/backbone.h"

namespace hebm {
class Options;
}

namespace hebm::vae {

struct BackboneBuild {
  std::uint64_t seed = 0;
  at::ScalarType dtype = at::kFloat;
  at::Device device = at::kCPU;                                        // kMeta: counts and shapes alone, NVAE only
  std::int64_t max_values = std::numeric_limits<std::int64_t>::max();  // see nets::Parameters
};

// The settings of one kind of backbone.
class BackboneSettings {
 public:
  virtual ~BackboneSettings() = default;
  virtual void describe(Options& options) = 0;
  virtual std::unique_ptr<Backbone> make(const ImageShape& image, const BackboneBuild& build) const = 0;
  // Takes the settings of Backbone::architecture(), hostile until checked, and returns the image's
  // shape. Throws Error or a JSON exception.
  virtual ImageShape read(const nlohmann::json& architecture) = 0;
  // The image's shape where there is no data set; nothing: these settings do not say.
  virtual std::optional<ImageShape> planned_shape() const { return {}; }
};

class BackboneOptions {
 public:
  BackboneOptions();
  void describe(Options& options);
  const BackboneSettings& chosen() const;
  // The keys that the chosen backbone depends on begin with one of these.
  std::vector<std::string> prefixes() const;
 private:
  std::string kind_;
  std::vector<std::unique_ptr<BackboneSettings>> settings_;  // by kind
};

// With new weights from the seed.
std::unique_ptr<Backbone> make_backbone(
    const BackboneOptions& options, const ImageShape& image, std::uint64_t seed, at::Device device = at::kCPU);

// From the metadata of a weights file of max_values numbers: hostile until checked,
// Error(kCorrupt).
std::unique_ptr<Backbone> backbone_from_architecture(const std::string& text, const BackboneBuild& build = {});

// "vae.* and nvae.*": the options that say what a backbone is.
std::string backbone_sections();

}  // namespace hebm::vae
