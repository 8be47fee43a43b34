// f_i(z_i, t): the energy net of one latent layer (minus the energy, times s_t^2). What all nets
// share: weights W are used as W / sigma (spectral norm, Miyato et al. 2018, with stored u and v),
// t enters a net of several levels through vectors made once for all t, and what does not depend on
// z is prepared before a chain. Nets: small_energy_net.cpp, paper_energy_net.cpp.
#pragma once
#include <ATen/TensorOperators.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/linear.h>
#include <c10/core/GradMode.h>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>
#include "base/types.h"
#include "nets/parameters.h"
#include "nets/precision.h"
#include "nets/spectral.h"
#include "prior/options.h"

namespace hebm::prior {

class EnergyNet {
 public:
  virtual ~EnergyNet() = default;
  EnergyNet(const EnergyNet&) = delete;
  EnergyNet& operator=(const EnergyNet&) = delete;

  using Spectral = std::vector<nets::SpectralWeight>;  // all weights of the net
  // A pass of its own over weights that stay, where a net has one: float32 on the host.
  class Frozen {
   public:
    virtual ~Frozen() = default;
    // d sum_b f_b / dz, [B, c, h, w]; biases from select().
    virtual at::Tensor input_gradient(const std::vector<at::Tensor>& biases, const at::Tensor& z) const = 0;
  };
  // What outputs() needs, in the net's own order: effective weights ([out, in, k, k], [out, in] or
  // as nets::conv_matrix has them) and vectors of t [num_levels, out].
  struct Weights {
    std::vector<at::Tensor> stages, biases;
    at::Tensor labels;                     // [label_rows, F], undefined without labels
    std::shared_ptr<const Frozen> frozen;  // of these values; null: none
    // What a chain takes in its place: `frozen`, or in its precision.
    nets::Precision precision = nets::Precision::kFloat32;
    std::shared_ptr<const Frozen> chain;
  };
  struct Outputs {
    at::Tensor f;       // [B]
    at::Tensor labels;  // [B, label_rows] g, undefined without labels
  };
  // By the stored u and v, or by those of `normed`. With grad: differentiable in the parameters,
  // sigma included (loss). Without: detached (chains).
  Weights weights(bool with_grad, nets::Precision of_chains = nets::Precision::kFloat32) const {
    return weights(with_grad, weights_, of_chains);
  }
  Weights weights(bool with_grad, const Spectral& normed, nets::Precision of_chains = nets::Precision::kFloat32) const;
  // Rows of the vectors of t for these levels, [B, out] each; with one level [out]. Once a chain. t
  // [B] int64.
  std::vector<at::Tensor> select(const Weights& weights, const at::Tensor& t) const;
  // z [B, c, h, w], biases from select() -> f, and what the label heads read off the same features.
  Outputs outputs(const Weights& weights, const std::vector<at::Tensor>& biases, const at::Tensor& z) const;

  // Of the stored u and v; nothing without spectral norm.
  void power_iterate(std::int64_t times) const;
  // The weights with u and v after 1, 2, ... fixed + learning more, apart from the stored ones. The
  // first `fixed` keep their sigma: for chains, which take no gradient through it.
  std::vector<Spectral> iterated(std::int64_t fixed, std::int64_t learning) const;
  void adopt(const Spectral& normed) const;  // its u and v are stored

  nets::Parameters& params() { return params_; }
  const nets::Parameters& params() const { return params_; }
  // Multiply-adds times two of one forward of one image.
  double forward_flop() const { return forward_flop_; }
 protected:
  using Effective = std::map<std::string, at::Tensor>;  // weights by name, with spectral norm

  EnergyNet(const EnergyOptions& options, const NetSetting& setting);
  // `positions`: how often it is applied in a forward of one image.
  void add_weight(const std::string& name, const std::vector<std::int64_t>& shape, std::int64_t positions = 0);
  // te = W2 SiLU(W1 e) of size `out`, with e the sinusoidal embedding of t.
  void add_embedding(const std::string& first, const std::string& second, std::int64_t out);
  at::Tensor embed(const Effective& effective, const std::string& first, const std::string& second) const;  // [T, out]
  // The last of a constructor: adds the label rows, [label_rows, features], zero and without
  // spectral norm, and flattens the parameters.
  void finish(std::int64_t features);
  virtual Weights build(const Effective& effective) const = 0;
  // products: kFloat, or kBFloat16 for the matrix products. The net must outlive the result.
  virtual std::shared_ptr<const Frozen> freeze(const Weights& /*weights*/, at::ScalarType /*products*/) const {
    return nullptr;
  }
  // [B, F]: what the output, the last stage [1, F], reads.
  virtual at::Tensor features(
      const Weights& weights, const std::vector<at::Tensor>& biases, const at::Tensor& z) const = 0;

  EnergyOptions options_;
  std::int64_t num_levels_;
  nets::Parameters params_;
 private:
  std::int64_t label_rows_;
  at::Tensor labels_;    // [label_rows, F]
  at::Tensor sinusoid_;  // [T, embedding] e
  Spectral weights_;
  std::vector<std::string> names_;  // of weights_
  double forward_flop_ = 0;
};

inline EnergyNet::Weights EnergyNet::weights(bool with_grad, const Spectral& normed, nets::Precision of_chains) const {
  const c10::AutoGradMode mode(with_grad);
  Effective effective;
  for (std::size_t i = 0; i < normed.size(); ++i)
    effective.emplace(names_[i], options_.spectral_norm ? normed[i].effective() : normed[i].weight);
  Weights out = build(effective);
  out.precision = of_chains;
  if (!with_grad && params_.dtype() == at::kFloat && params_.device().is_cpu()) {
    const at::ScalarType products = nets::type_of_products(of_chains);
    out.frozen = freeze(out, at::kFloat);
    out.chain = products == at::kFloat ? out.frozen : freeze(out, products);
  }
  if (labels_.defined()) out.labels = with_grad ? labels_ : labels_.detach().clone();
  return out;
}

inline EnergyNet::Outputs EnergyNet::outputs(
    const Weights& weights, const std::vector<at::Tensor>& biases, const at::Tensor& z) const {
  const at::Tensor h = features(weights, biases, z);
  Outputs out{at::linear(h, weights.stages.back()).squeeze(1) * options_.gain, {}};
  if (weights.labels.defined()) out.labels = at::linear(h, weights.labels) * options_.gain;
  return out;
}

inline std::vector<at::Tensor> EnergyNet::select(const Weights& weights, const at::Tensor& t) const {
  std::vector<at::Tensor> out;
  for (const auto& bias : weights.biases) out.push_back(num_levels_ > 1 ? bias.index_select(0, t) : bias[0]);
  return out;
}

// The net that options.net names. A latent size that it cannot take is Error(kUsage).
std::unique_ptr<EnergyNet> make_energy_net(
    const EnergyOptions& options, const LatentShape& shape, const NetSetting& setting);
std::unique_ptr<EnergyNet> make_small_net(
    const EnergyOptions& options, const LatentShape& shape, const NetSetting& setting);
std::unique_ptr<EnergyNet> make_paper_net(
    const EnergyOptions& options, const LatentShape& shape, const NetSetting& setting);

}  // namespace hebm::prior
