// The HVAE's options, architecture as JSON, and parameters.
#include <c10/core/GradMode.h>
#include <nlohmann/json.hpp>
#include <sstream>
#include "base/error.h"
#include "vae/hvae.h"
#include "vae/settings.h"

namespace hebm::vae {
namespace {

constexpr std::int64_t kMaxChannels = 4096, kMaxSide = 256, kMaxLayers = 64, kMaxImageSide = 1024,
                       kMaxImageChannels = 3;
constexpr Integer kChannels{4, 4, kMaxChannels};

constexpr double kFirstLogScale = -2.5;  // of kOneScale, on [-1, 1]

LikelihoodKind kind_of(HvaeLikelihood likelihood) {
  return likelihood == HvaeLikelihood::kBernoulli ? LikelihoodKind::kBernoulli : LikelihoodKind::kLogistic;
}

ResBlock make_block(nets::Parameters& params, const std::string& name, std::int64_t width) {
  return {nets::make_conv(params, name + ".first", width, width, 3, 1, 1.4),
      nets::make_conv(params, name + ".second", width, width, 3, 1, 0.5)};
}

}  // namespace

// Keys of the section `vae` and fields of the architecture.
void HvaeOptions::fields(auto& s, auto& visit) {
  visit("latents", s.latents, "latent layers as channels x side, top first: 16x2,8x4,8x8", Show::kCommon);
  visit("width", s.width, kChannels, "channels of the path from layer to layer (what a Langevin step runs)",
      Show::kCommon);
  visit("image_width", s.image_width, kChannels,
      "channels of encoder and image decoder at a quarter of the image's side, of the decoder below it too");
  visit("pixel_width", s.pixel_width, kChannels, "their channels at half the image's side");
  visit("image_from", s.image_from,
      "what the image decoder sees: the bottom z alone, or the state to which all layers added their z");
  visit("likelihood", s.likelihood, "p(x|z) of a pixel; logistic_one_scale: its width is the same for all pixels");
  // Fields that a file may lack: those of a net from before them follow.
  visit.later("top_width", s.top_width, std::int64_t{0}, Integer{0, 1, kMaxChannels},
      "channels of the encoder below a quarter of the image's side; 0: vae.image_width");
  visit.later("image_sees_z", s.image_sees_z, false, "the image decoder sees the bottom z as it is, beside the state");
}

void HvaeOptions::describe(Options& o) {
  SettingsAsOptions visit(o, "vae");
  fields(*this, visit);
}

std::vector<LatentShape> parse_latents(const std::string& text) {
  check(!text.ends_with(','), ExitCode::kUsage, "vae.latents = '{}': nothing after the last comma", text);
  std::vector<LatentShape> out;
  std::stringstream stream(text);
  for (std::string item; std::getline(stream, item, ',');) {
    LatentShape g;
    char x = 0;
    std::stringstream part(item);
    check(static_cast<bool>(part >> g.channels >> x >> g.height) && x == 'x' && (part >> std::ws).eof(),
        ExitCode::kUsage, "vae.latents = '{}': '{}' is not CHANNELSxSIDE", text, item);
    g.width = g.height;
    check(g.channels >= 1 && g.channels <= kMaxChannels && g.height >= 1 && g.height <= kMaxSide, ExitCode::kUsage,
        "vae.latents = '{}': '{}' is out of range (channels 1..{}, side 1..{})", text, item, kMaxChannels, kMaxSide);
    check(out.empty() || g.height == out.back().height || g.height == 2 * out.back().height, ExitCode::kUsage,
        "vae.latents = '{}': side {} after {}; from top to bottom sides stay or double", text, g.height,
        out.empty() ? 0 : out.back().height);
    out.push_back(g);
    if (static_cast<std::int64_t>(out.size()) > kMaxLayers) break;
  }
  check(!out.empty() && static_cast<std::int64_t>(out.size()) <= kMaxLayers, ExitCode::kUsage,
      "vae.latents = '{}': expected 1 to {} layers", text, kMaxLayers);
  return out;
}

std::unique_ptr<Backbone> HvaeOptions::make(const ImageShape& image, const BackboneBuild& build) const {
  return std::make_unique<Hvae>(*this, image, build);
}

// Without image_sees_z, the state has the name that files from before the choice give it.
constexpr const char* kAll = "all";

ImageShape HvaeOptions::read(const nlohmann::json& given) {
  nlohmann::json json = given;
  const bool is_old = !json.contains("image_sees_z");
  if (is_old && json.value("image_from", nlohmann::json()) == kAll) json["image_from"] = name_of(ImageFrom::kState);
  SettingsFromJson visit{json, "vae", kMaxChannels};
  fields(*this, visit);
  const std::int64_t side = nets::integer_field(json, "side", kMaxImageSide);
  return {nets::integer_field(json, "channels", kMaxImageChannels), side, side};
}

std::string Hvae::architecture() const {
  SettingsAsJson visit{
      {{"backbone", HvaeOptions::kName}, {"channels", image_shape().channels}, {"side", image_shape().height}}};
  HvaeOptions::fields(options_, visit);
  if (!options_.image_sees_z && options_.image_from == ImageFrom::kState) visit.out["image_from"] = kAll;
  return visit.out.dump();
}

Hvae::Hvae(const HvaeOptions& options, const ImageShape& image, const BackboneBuild& build)
    : Backbone({image, {kind_of(options.likelihood), image.channels}, parse_latents(options.latents)},
          nets::Parameters(build.seed, 1, build.dtype, build.device, build.max_values)),
      options_(options) {
  check(image.height == image.width, ExitCode::kUsage, "the HVAE takes square images, got {} x {}", image.height,
      image.width);
  std::int64_t side = groups().back().height;
  while (side < image.height / 4) side *= 2;
  check(image.height % 4 == 0 && side == image.height / 4, ExitCode::kUsage,
      "vae.latents = '{}': the last side must be the image side {} divided by 4, 8, 16, ...", options.latents,
      image.height);
  build_encoder();
  build_decoder();
  build_tail();
  params().flatten();
}

std::int64_t Hvae::encoder_width(std::int64_t side) const {
  const bool is_top = options_.top_width > 0 && side < image_shape().height / 4;
  return is_top ? options_.top_width : options_.image_width;
}

void Hvae::build_encoder() {
  const std::int64_t smallest = groups().front().height;
  std::int64_t side = image_shape().height / 2, channels = options_.pixel_width;
  stem_ = nets::make_conv(params(), "stem", 4 * image_shape().channels, channels, 3);
  while (side > smallest || encoder_blocks_.empty()) {
    side /= 2;
    const std::string name = "encoder" + std::to_string(side);
    const std::int64_t out = encoder_width(side);
    encoder_downs_.push_back(nets::make_conv(params(), name + ".down", channels, out, 4, 2, 1.4));
    encoder_blocks_.push_back(make_block(params(), name, out));
    channels = out;
  }
}

void Hvae::build_decoder() {
  const std::int64_t w = options_.width;
  start_ = params().add("start", {1, w, groups()[0].height, groups()[0].width}, nets::Init::kNormal, 0.1);
  for (std::size_t i = 0; i < groups().size(); ++i) {
    const std::string name = "layer" + std::to_string(i);
    const std::int64_t c = groups()[i].channels, side = groups()[i].height;
    Layer layer;
    layer.doubles = i > 0 && side != groups()[i - 1].height;
    if (i > 0) {
      layer.block = make_block(params(), name + ".block", w);
      layer.prior_head = nets::make_conv(params(), name + ".prior", w, 2 * c, 1, 1, 0.5);
    }
    layer.posterior_head = nets::make_conv(params(), name + ".posterior", encoder_width(side) + w, 2 * c, 3, 1, 0.5);
    layer.from_z = nets::make_conv(params(), name + ".from_z", c, w, 1);
    for (const auto* conv : {&layer.block.first, &layer.block.second, &layer.prior_head}) {
      count_transport(conv->weight, side);
    }
    if (i + 1 < groups().size()) count_transport(layer.from_z.weight, side);
    layers_.push_back(layer);
  }
}

void Hvae::build_tail() {
  std::int64_t channels = options_.image_width;
  const std::int64_t seen = options_.width + (options_.image_sees_z ? groups().back().channels : 0);
  to_image_ = nets::make_conv(params(), "to_image", seen, channels, 3, 1, 1.4);
  tail_blocks_.push_back(make_block(params(), "tail" + std::to_string(groups().back().height), channels));
  for (std::int64_t side = 2 * groups().back().height; side <= image_shape().height / 2; side *= 2) {
    const std::string name = "tail" + std::to_string(side);
    const std::int64_t out = side == image_shape().height / 2 ? options_.pixel_width : options_.image_width;
    nets::Conv up;  // a transposed convolution: weight [in, out, 4, 4]
    up.weight = params().add(name + ".up.weight", {channels, out, 4, 4}, nets::Init::kUniformFanIn, 2.0);
    up.bias = params().add(name + ".up.bias", {out}, nets::Init::kZero);
    tail_ups_.push_back(up);
    tail_blocks_.push_back(make_block(params(), name, out));
    channels = out;
  }
  const bool one_scale = options_.likelihood == HvaeLikelihood::kOneScale;
  const std::int64_t made = one_scale ? image_shape().channels : likelihood().channels();
  out_ = nets::make_conv(params(), "out", channels, 4 * made, 3, 1, 0.5);
  if (!one_scale) return;
  log_scale_ = params().add("log_scale", {1, 1, 1, 1}, nets::Init::kZero);
  const c10::NoGradGuard no_grad;
  log_scale_.fill_(kFirstLogScale);
}

}  // namespace hebm::vae
