// NVAE, the paper's first backbone: a deep hierarchical VAE with residual cells, several spatial
// scales, residual posteriors and autoregressive flows in the posterior. Parameters have the names
// of the authors' checkpoints. Every layer, the top one too, is z_i = mu_i + sigma_i u_i, mu = 5
// tanh(mu_raw / 5), sigma = exp(5 tanh(raw / 5)) + 0.01; raw values of the top layer are 0, so z_0
// = 1.01 u_0 (the paper: u_0).
#pragma once
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "vae/backbone.h"
#include "vae/nvae_cells.h"
#include "vae/nvae_flow.h"
#include "vae/nvae_options.h"

namespace hebm::vae {

// Encoder of one group, fine to coarse: group g sees the image for latent layer L - 1 - g.
struct NvaeEncoderGroup {
  std::optional<ResCell> down;  // before the first group of a coarser scale
  std::vector<ResCell> cells;
};

// Latent layer i, top first.
struct NvaeLayer {
  std::optional<MbCell> up;   // before the first group of a finer scale
  std::vector<MbCell> cells;  // none for i = 0
  NvaeConv prior;             // 1x1 of ELU(s) -> raw mu, raw log sigma (not for i = 0)
  NvaeConv combine;           // 1x1 of [s, z_i] -> s
  NvaeConv encoder_combine;   // 1x1 of s, added to the encoder's features (not for i = 0)
  NvaeConv posterior;         // 3x3 -> raw mu, raw log sigma
  std::vector<FlowPair> flows;
};

class NvaeFrozen;

class Nvae final : public Backbone {
 public:
  // max_values: see nets::Parameters. device kMeta: shapes and counts without memory.
  Nvae(const NvaeOptions& options, const ImageShape& image, std::uint64_t seed, at::ScalarType dtype = at::kFloat,
       std::int64_t max_values = std::numeric_limits<std::int64_t>::max(), at::Device device = at::kCPU);
  ~Nvae() override;

  const std::vector<LatentShape>& groups() const override { return groups_; }
  ImageShape image_shape() const override { return {options_.image_channels, options_.side, options_.side}; }
  std::vector<at::Tensor> transport(const at::Tensor& u) const override;
  Transported transport_with_scale(const at::Tensor& u) const override { return transport(u, Pass{}); }
  at::Tensor inverse(const std::vector<at::Tensor>& z) const override;
  Posterior posterior(const at::Tensor& x, const at::Tensor& noise) const override {
    return posterior(x, noise, Pass{});
  }
  at::Tensor decode(const at::Tensor& u, double temperature) const override { return decode(u, temperature, Pass{}); }
  at::Tensor decode_posterior(const Posterior& posterior) const override {
    return decode_tail(posterior.state, Pass{});
  }
  at::Tensor log_likelihood(const at::Tensor& parameters, const at::Tensor& x) const override;
  at::Tensor mean_image(const at::Tensor& parameters) const override;
  at::Tensor sample_image(const at::Tensor& parameters, const at::Tensor& noise) const override;
  std::int64_t sample_channels() const override;
  nets::Parameters& params() override { return params_; }
  const nets::Parameters& params() const override { return params_; }
  std::string architecture() const override;
  // From the metadata of a weights file of max_values numbers: hostile until checked,
  // Error(kCorrupt).
  static std::unique_ptr<Nvae> from_architecture(const std::string& json,
                                                 std::int64_t max_values = std::numeric_limits<std::int64_t>::max(),
                                                 at::ScalarType dtype = at::kFloat);
  double transport_flop() const override { return transport_flop_; }
  void freeze() override { wants_frozen_ = true; }

  // The same with another way to run the layers.
  Transported transport(const at::Tensor& u, const Pass& pass) const;
  Posterior posterior(const at::Tensor& x, const at::Tensor& noise, const Pass& pass) const;
  at::Tensor decode(const at::Tensor& u, double temperature, const Pass& pass) const;
  at::Tensor decode_tail(const at::Tensor& state,
                         const Pass& pass) const;  // s behind the last layer -> likelihood parameters

  const NvaeOptions& options() const { return options_; }  // resolved
  const NvaeLayers& layers() const { return layers_; }
  const std::vector<NvaeLayer>& latent_layers() const { return latent_layers_; }
  const at::Tensor& start() const { return start_; }  // [C, h, w] of the coarsest scale: s before layer 0

 private:
  struct Normal {
    at::Tensor mu, sigma;
  };
  struct Raw {
    at::Tensor mu, log_sigma;  // before the soft clamp; undefined in layer 0, where both are 0
  };
  static Normal normal_of(const Raw& raw);
  at::Tensor start_of(std::int64_t count) const;
  at::Tensor before_layer(std::size_t i, const at::Tensor& s, const Pass& pass) const;
  at::Tensor after_layer(std::size_t i, const at::Tensor& s, const at::Tensor& z, const Pass& pass) const;
  Raw prior_of(std::size_t i, const at::Tensor& s, const Pass& pass) const;
  Raw posterior_of(std::size_t i, const at::Tensor& feature, const at::Tensor& s, const Raw& prior,
                   const Pass& pass) const;
  std::vector<at::Tensor> encode(const at::Tensor& x, const Pass& pass) const;  // [L], of layer i
  void build_encoder();
  void build_samplers();
  void build_decoder();
  void count_flop();
  std::shared_ptr<const NvaeFrozen> frozen() const;  // null where the plain path is to run

  NvaeOptions options_;
  Likelihood likelihood_;
  std::vector<NvaeScale> scales_;
  std::vector<LatentShape> groups_;
  nets::Parameters params_;
  NvaeLayers layers_;
  at::Tensor start_;
  NvaeConv stem_, top_feature_;  // top_feature_: the 1x1 that only layer 0's posterior has
  std::vector<ResCell> preprocess_;
  std::vector<NvaeEncoderGroup> encoder_;
  std::vector<NvaeLayer> latent_layers_;
  std::vector<MbCell> postprocess_;
  NvaeConv out_;
  double transport_flop_ = 0;
  bool wants_frozen_ = false;
  mutable std::mutex frozen_mutex_;
  mutable std::shared_ptr<const NvaeFrozen> frozen_;  // of the parameters' version below
  mutable std::uint64_t frozen_version_ = 0;
};

}  // namespace hebm::vae
