// The paper's second backbone: a convolutional top-down hierarchical VAE with L latent layers
// (default 3), bidirectional inference and residual posteriors: in standard coordinates q(u_i | x,
// z_<i) = N(d_mu_i, exp(d_log_sigma_i)^2), so z_i = mu_i + sigma_i u_i and KL_i has the closed form
// of two Gaussians, independent of mu_i and sigma_i. The top layer is z_0 = u_0 (Eq. 15).
#pragma once
#include "base/choice.h"
#include "nets/layers.h"
#include "vae/make_backbone.h"

namespace hebm::vae {

// What the bottom layer leaves in s for the image decoder: kBottom: its own z alone; kState: s, to
// which every layer has added its z.
enum class ImageFrom { kBottom, kState };
constexpr std::array<Choice<ImageFrom>, 2> choices_of(ImageFrom) {
  return {{{"bottom", ImageFrom::kBottom}, {"state", ImageFrom::kState}}};
}

// kLogistic: discretised, the decoder gives each pixel a scale. kOneScale: one learnt scale for all
// pixels, so that none is bought off by a wide one: sharper images.
enum class HvaeLikelihood { kBernoulli, kLogistic, kOneScale };
constexpr std::array<Choice<HvaeLikelihood>, 3> choices_of(HvaeLikelihood) {
  return {{{"bernoulli", HvaeLikelihood::kBernoulli}, {"logistic", HvaeLikelihood::kLogistic},
      {"logistic_one_scale", HvaeLikelihood::kOneScale}}};
}

struct HvaeOptions final : BackboneSettings {
  static constexpr const char* kName = "hvae";
  std::string latents = "16x2,16x4,8x8";  // channels x side, top first; sides are equal or double
  std::int64_t width = 32;                // channels of the path from layer to layer: what a Langevin step runs
  std::int64_t image_width = 64;          // channels of encoder and image decoder at a quarter of the image's side
  std::int64_t pixel_width = 32;          // channels at half the image's side
  std::int64_t top_width = 96;            // channels of the encoder below a quarter; 0: image_width
  ImageFrom image_from = ImageFrom::kBottom;
  bool image_sees_z = true;  // the image decoder sees the bottom z as it is, beside s
  HvaeLikelihood likelihood = HvaeLikelihood::kOneScale;

  static void fields(auto& settings, auto& visit);
  void describe(Options& options) override;
  std::unique_ptr<Backbone> make(const ImageShape& image, const BackboneBuild& build) const override;
  ImageShape read(const nlohmann::json& architecture) override;
};

// Residual block: x + conv3x3(SiLU(conv3x3(SiLU(x)))).
struct ResBlock {
  nets::Conv first, second;
  at::Tensor operator()(const at::Tensor& x) const;
};

inline constexpr double kHvaeLogSigmaBound = 2.0;  // soft clamp of the prior's log sigma

class Hvae final : public Backbone, private TopDownLayers {
 public:
  Hvae(const HvaeOptions& options, const ImageShape& image, const BackboneBuild& build = {});
  // Temperature scales u, which is the same.
  at::Tensor decode(const at::Tensor& u, double temperature) const override {
    return Backbone::decode(*this, u.mul(temperature), 1.0);
  }
  std::string architecture() const override;
 private:
  struct Layer {                // of latent i
    bool doubles = false;       // nearest x2 first
    ResBlock block;             // top-down
    nets::Conv prior_head;      // -> mu, raw log sigma (not for i = 0)
    nets::Conv posterior_head;  // [encoder features, s] -> d_mu, d_log_sigma
    nets::Conv from_z;          // z -> s
  };
  const TopDownLayers& layers() const override { return *this; }
  std::shared_ptr<const FrozenPath> frozen_path(at::ScalarType products) const override;
  at::Tensor start(std::int64_t count) const override;
  at::Tensor enter(std::size_t i, const at::Tensor& s) const override;
  LayerNormal prior(std::size_t i, const at::Tensor& s) const override;
  at::Tensor absorb(std::size_t i, const at::Tensor& s, const at::Tensor& z) const override;
  std::vector<at::Tensor> encode(const at::Tensor& x) const override;
  LayerDraw draw(std::size_t i, const at::Tensor& feature, const at::Tensor& s, const at::Tensor& eps) const override;
  at::Tensor image(const at::Tensor& s) const override;
  // Of the encoder at this side of its maps.
  std::int64_t encoder_width(std::int64_t side) const;
  void build_encoder();
  void build_decoder();
  void build_tail();

  HvaeOptions options_;
  at::Tensor start_;  // [1, width, h0, w0]
  nets::Conv stem_;
  std::vector<nets::Conv> encoder_downs_;  // one a resolution below half the image's side, fine to coarse
  std::vector<ResBlock> encoder_blocks_;   // after each
  std::vector<Layer> layers_;
  nets::Conv to_image_;
  std::vector<nets::Conv> tail_ups_;  // transposed 4x4 of stride 2
  std::vector<ResBlock> tail_blocks_;
  nets::Conv out_;
  at::Tensor log_scale_;  // [1, 1, 1, 1] of kOneScale
};

// "16x2,8x4" -> shapes; Error(kUsage) says what is wrong.
std::vector<LatentShape> parse_latents(const std::string& text);

}  // namespace hebm::vae
