// NVAE, the paper's first backbone: a deep hierarchical VAE with residual cells, several spatial
// scales, residual posteriors and autoregressive flows in the posterior. Parameters have the names
// of the authors' checkpoints. Every layer, the top one too, is z_i = mu_i + sigma_i u_i, mu = 5
// tanh(mu_raw / 5), sigma = exp(5 tanh(raw / 5)) + 0.01; raw values of the top layer are 0, so z_0
// = 1.01 u_0 (the paper: u_0).
#pragma once
#include <optional>
#include "vae/nvae_cells.h"
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

struct NvaeParts {
  at::Tensor start;            // [C, h, w] of the coarsest scale: s above layer 0
  NvaeConv stem, top_feature;  // top_feature: the 1x1 that only layer 0's posterior has
  std::vector<ResCell> preprocess;
  std::vector<NvaeEncoderGroup> encoder;
  std::vector<NvaeLayer> layers;
  std::vector<MbCell> postprocess;
  NvaeConv out;
  bool res_dist = true;  // the posterior is a residual of the prior
};

// The layers as a pass runs them: evaluation, training.
class NvaeRun final : public TopDownLayers {
 public:
  NvaeRun(const NvaeParts& parts, const Pass& pass) : parts_(parts), pass_(pass) {}
  at::Tensor start(std::int64_t count) const override { return parts_.start.unsqueeze(0).expand({count, -1, -1, -1}); }
  at::Tensor enter(std::size_t i, const at::Tensor& s) const override;
  LayerNormal prior(std::size_t i, const at::Tensor& s) const override;
  at::Tensor absorb(std::size_t i, const at::Tensor& s, const at::Tensor& z) const override;
  std::vector<at::Tensor> encode(const at::Tensor& x) const override;
  LayerDraw draw(std::size_t i, const at::Tensor& feature, const at::Tensor& s, const at::Tensor& eps) const override;
  at::Tensor image(const at::Tensor& s) const override;
 private:
  struct Raw {
    at::Tensor mu, log_sigma;  // before the soft clamp
  };
  static LayerNormal normal_of(const Raw& raw);
  Raw raw_prior(std::size_t i, const at::Tensor& s) const;
  LayerDraw drawn(std::size_t i, const at::Tensor& feature, const at::Tensor& s, const at::Tensor& eps) const;

  const NvaeParts& parts_;
  const Pass& pass_;
};

class Nvae final : public Backbone {
 public:
  Nvae(const NvaeOptions& options, const ImageShape& image, const BackboneBuild& build = {});

  std::string architecture() const override;
  std::unique_ptr<BatchStatistics> batch_statistics(const nets::SumOverRanks& sum, std::uint64_t seed) const override;

  std::int64_t kept_in_transport() const override;

  const NvaeParts& parts() const { return parts_; }
  const NvaeLayers& modules() const { return modules_; }
 private:
  const TopDownLayers& layers() const override { return evaluation_; }
  void build_encoder();
  void build_samplers();
  void build_decoder();
  void count_flop();
  std::shared_ptr<const FrozenPath> frozen_path(at::ScalarType products) const override;

  NvaeOptions options_;  // resolved
  std::vector<NvaeScale> scales_;
  NvaeLayers modules_;
  NvaeParts parts_;
  Pass evaluating_;
  NvaeRun evaluation_{parts_, evaluating_};
};

}  // namespace hebm::vae
