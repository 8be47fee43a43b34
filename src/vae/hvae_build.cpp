// Construction of the HVAE: option parsing, layer shapes, architecture as JSON.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/error.h"
#include "base/options.h"
#include "vae/hvae.h"

namespace hebm::vae {
namespace {

constexpr std::int64_t kMaxChannels = 4096, kMaxSide = 256, kMaxLayers = 64;

double conv_flop(const nets::Conv& conv, std::int64_t side) {
  return conv.weight.defined() ? 2.0 * static_cast<double>(conv.weight.numel() * side * side) : 0.0;
}

ResBlock make_block(nets::Parameters& params, const std::string& name, std::int64_t width) {
  return {nets::make_conv(params, name + ".first", width, width, 3, 1, 1.4),
          nets::make_conv(params, name + ".second", width, width, 3, 1, 0.5)};
}

}  // namespace

void HvaeOptions::describe(Options& o) {
  o.add("vae.latents", &latents, "latent layers as channels x side, top first: 16x2,8x4,8x8", Show::kCommon);
  o.add("vae.width", &width, "channels at the latents' resolutions", {4, kMaxChannels}, Show::kCommon);
  o.add("vae.pixel_width", &pixel_width, "channels at resolutions above the last latent's", {4, kMaxChannels});
  o.add_choice("vae.likelihood", &likelihood, {"bernoulli", "logistic"}, "p(x|z) of a pixel");
}

std::vector<LatentShape> parse_latents(const std::string& text) {
  std::vector<LatentShape> out;
  std::stringstream stream(text);
  for (std::string item; std::getline(stream, item, ',');) {
    LatentShape g;
    char x = 0;
    std::stringstream part(item);
    check(static_cast<bool>(part >> g.channels >> x >> g.height) && x == 'x' && (part >> std::ws).eof(), ExitCode::kUsage,
          "vae.latents = '{}': '{}' is not CHANNELSxSIDE", text, item);
    g.width = g.height;
    check(g.channels >= 1 && g.channels <= kMaxChannels && g.height >= 1 && g.height <= kMaxSide, ExitCode::kUsage,
          "vae.latents = '{}': '{}' is out of range (channels 1..{}, side 1..{})", text, item, kMaxChannels, kMaxSide);
    check(out.empty() || g.height == out.back().height || g.height == 2 * out.back().height, ExitCode::kUsage,
          "vae.latents = '{}': side {} after {}; from top to bottom sides stay or double", text, g.height,
          out.empty() ? 0 : out.back().height);
    out.push_back(g);
  }
  check(!out.empty() && static_cast<std::int64_t>(out.size()) <= kMaxLayers, ExitCode::kUsage,
        "vae.latents = '{}': expected 1 to {} layers", text, kMaxLayers);
  return out;
}

Hvae::Hvae(const HvaeOptions& options, const ImageShape& image, std::uint64_t seed, at::ScalarType dtype)
    : options_(options), image_(image), likelihood_(parse_likelihood(options.likelihood)),
      groups_(parse_latents(options.latents)), params_(seed, 1, dtype) {
  check(image.height == image.width, ExitCode::kUsage, "the HVAE takes square images, got {} x {}", image.height,
        image.width);
  std::int64_t side = groups_.back().height;
  while (side < image.height / 2) side *= 2;
  check(image.height % 2 == 0 && side == image.height / 2, ExitCode::kUsage,
        "vae.latents = '{}': the last side must be the image side {} divided by 2, 4, 8, ...", options.latents,
        image.height);
  build_encoder();
  build_decoder();
  build_tail();
  params_.flatten();
}

void Hvae::build_encoder() {
  const std::int64_t smallest = groups_.front().height, finest_latent = groups_.back().height;
  const auto width_at = [&](std::int64_t side) { return side > finest_latent ? options_.pixel_width : options_.width; };
  std::int64_t side = image_.height / 2;
  stem_ = nets::make_conv(params_, "stem", 4 * image_.channels, width_at(side), 3);
  for (;; side /= 2) {
    const std::string name = "encoder" + std::to_string(side);
    encoder_blocks_.push_back(make_block(params_, name, width_at(side)));
    if (side == smallest) break;
    encoder_downs_.push_back(nets::make_conv(params_, name + ".down", width_at(side), width_at(side / 2), 4, 2, 1.4));
  }
}

void Hvae::build_decoder() {
  const std::int64_t w = options_.width;
  start_ = params_.add("start", {1, w, groups_[0].height, groups_[0].width}, nets::Init::kNormal, 0.1);
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    const std::string name = "layer" + std::to_string(i);
    const std::int64_t c = groups_[i].channels, side = groups_[i].height;
    Layer layer;
    layer.doubles = i > 0 && side != groups_[i - 1].height;
    if (layer.doubles) layer.up = nets::make_conv(params_, name + ".up", w, w, 3);
    if (i > 0) {
      layer.block = make_block(params_, name + ".block", w);
      layer.prior_head = nets::make_conv(params_, name + ".prior", w, 2 * c, 1, 1, 0.5);
    }
    layer.posterior_head = nets::make_conv(params_, name + ".posterior", 2 * w, 2 * c, 3, 1, 0.5);
    layer.from_z = nets::make_conv(params_, name + ".from_z", c, w, 3);
    transport_flop_ += conv_flop(layer.up, side) + conv_flop(layer.block.first, side) +
                       conv_flop(layer.block.second, side) + conv_flop(layer.prior_head, side);
    if (i + 1 < groups_.size()) transport_flop_ += conv_flop(layer.from_z, side);
    layers_.push_back(layer);
  }
}

void Hvae::build_tail() {
  std::int64_t width = options_.width;
  tail_blocks_.push_back(make_block(params_, "tail0", width));
  for (std::int64_t side = 2 * groups_.back().height; side <= image_.height / 2; side *= 2) {
    const std::string name = "tail" + std::to_string(side);
    tail_ups_.push_back(nets::make_conv(params_, name + ".up", width, options_.pixel_width, 3));
    width = options_.pixel_width;
    tail_blocks_.push_back(make_block(params_, name, width));
  }
  out_ = nets::make_conv(params_, "out", width, 4 * likelihood_channels(likelihood_, image_.channels), 3, 1, 0.5);
}

std::string Hvae::architecture() const {
  return nlohmann::json{{"backbone", "hvae"},
                        {"latents", options_.latents},
                        {"width", options_.width},
                        {"pixel_width", options_.pixel_width},
                        {"likelihood", options_.likelihood},
                        {"channels", image_.channels},
                        {"side", image_.height}}
      .dump();
}

std::unique_ptr<Hvae> Hvae::from_architecture(const std::string& text) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  check(json.is_object() && json.value("backbone", "") == "hvae", ExitCode::kCorrupt,
        "architecture of the VAE: expected a JSON object with backbone = hvae, got '{}'", text.substr(0, 200));
  try {
    HvaeOptions options;
    options.latents = json.at("latents").get<std::string>();
    options.width = json.at("width").get<std::int64_t>();
    options.pixel_width = json.at("pixel_width").get<std::int64_t>();
    options.likelihood = json.at("likelihood").get<std::string>();
    const ImageShape image{json.at("channels").get<std::int64_t>(), json.at("side").get<std::int64_t>(),
                           json.at("side").get<std::int64_t>()};
    const auto in_range = [](std::int64_t v, std::int64_t max) { return v >= 1 && v <= max; };
    check(in_range(options.width, kMaxChannels) && in_range(options.pixel_width, kMaxChannels) &&
              (image.channels == 1 || image.channels == 3) && in_range(image.height, 4 * kMaxSide),
          ExitCode::kCorrupt, "architecture of the VAE is out of range: {}", text.substr(0, 200));
    return std::make_unique<Hvae>(options, image, 0);
  } catch (const nlohmann::json::exception& e) {
    fail(ExitCode::kCorrupt, "architecture of the VAE: {} in '{}'", e.what(), text.substr(0, 200));
  } catch (const Error& e) {
    fail(ExitCode::kCorrupt, "architecture of the VAE: {}", e.what());
  }
}

}  // namespace hebm::vae
