#include "vae/make_backbone.h"
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include "base/error.h"
#include "base/options.h"
#include "storage/json.h"
#include "vae/hvae.h"
#include "vae/nvae.h"

namespace hebm::vae {
namespace {

constexpr std::size_t kMaxArchitecture = 64 << 10;  // bytes of JSON

struct Kind {
  const char* name;     // vae.kind; "backbone" of the architecture
  const char* title;    // in the help
  const char* section;  // of its options: ends with "vae" (sweep/plan.cpp)
  std::unique_ptr<BackboneSettings> (*settings)();
};

template <class Settings> constexpr Kind kind_of(const char* title, const char* section) {
  return {Settings::kName, title, section,
      []() -> std::unique_ptr<BackboneSettings> { return std::make_unique<Settings>(); }};
}

// The first is the default.
constexpr std::array kKinds = {
    kind_of<HvaeOptions>("the convolutional HVAE", "vae"),
    kind_of<NvaeOptions>("NVAE", "nvae"),
};

// By name; kKinds.size(): there is none.
std::size_t index_of(const std::string& name) {
  return static_cast<std::size_t>(std::ranges::find(kKinds, name, &Kind::name) - kKinds.begin());
}

// What `text_of` gives of every kind, with `between` between them.
template <class Text> std::string joined(const Text& text_of, const char* between) {
  std::vector<std::string> out;
  for (const Kind& kind : kKinds) out.push_back(text_of(kind));
  return fmt::format("{}", fmt::join(out, between));
}

}  // namespace

BackboneOptions::BackboneOptions() : kind_(kKinds.front().name) {
  for (const Kind& kind : kKinds) settings_.push_back(kind.settings());
}

void BackboneOptions::describe(Options& o) {
  std::vector<std::string> names;
  for (const Kind& kind : kKinds) names.emplace_back(kind.name);
  const auto help = [](const Kind& kind) { return fmt::format("{} ({}.*)", kind.title, kind.section); };
  o.add_choice("vae.kind", &kind_, names, "backbone: " + joined(help, " or "), Show::kCommon);
  for (const auto& settings : settings_) settings->describe(o);
}

const BackboneSettings& BackboneOptions::chosen() const { return *settings_.at(index_of(kind_)); }

std::vector<std::string> BackboneOptions::prefixes() const {
  const std::size_t kind = index_of(kind_);
  std::vector<std::string> out;
  if (kind > 0) out.emplace_back("vae.kind");
  Options own("", "");
  settings_.at(kind)->describe(own);
  for (const auto& [key, value] : own.values()) out.push_back(key);
  return out;
}

std::unique_ptr<Backbone> make_backbone(
    const BackboneOptions& options, const ImageShape& image, std::uint64_t seed, at::Device device) {
  return options.chosen().make(image, {.seed = seed, .device = device});
}

std::unique_ptr<Backbone> backbone_from_architecture(const std::string& text, const BackboneBuild& build) {
  const std::string shown = text.substr(0, 200);
  const auto json = storage::lenient_json(text);
  check(json.is_object() && json.contains("backbone") && json["backbone"].is_string(), ExitCode::kCorrupt,
      "architecture of the VAE: expected a JSON object with a 'backbone', got '{}'", shown);
  const auto name = json["backbone"].get<std::string>();
  const std::size_t kind = index_of(name);
  check(kind < kKinds.size(), ExitCode::kCorrupt, "expected backbone {}, got '{}'",
      joined([](const Kind& k) { return std::string(k.name); }, " or "), name.substr(0, 100));
  check(text.size() <= kMaxArchitecture, ExitCode::kCorrupt, "architecture of the VAE: {} bytes, expected at most {}",
      text.size(), kMaxArchitecture);
  try {
    const auto settings = kKinds.at(kind).settings();
    const ImageShape image = settings->read(json);
    return settings->make(image, build);
  } catch (const nlohmann::json::exception& e) {
    fail(ExitCode::kCorrupt, "architecture of the VAE: {} in '{}'", e.what(), shown);
  } catch (const Error& e) {
    fail(ExitCode::kCorrupt, "architecture of the VAE: {} in '{}'", e.what(), shown);
  }
}

std::string backbone_sections() {
  return joined([](const Kind& kind) { return fmt::format("{}.*", kind.section); }, " and ");
}

}  // namespace hebm::vae
