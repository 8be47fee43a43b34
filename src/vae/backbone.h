// A hierarchical VAE as the prior sees it: posterior, transport u <-> z (Eq. 15), decoder (Sec.
// 2.1, A.1). A backbone gives what one layer does (top_down.h). Layers top first (i = 0 is the
// paper's z_L); u [B, D] is all layers flat in that order.
#pragma once
#include <ATen/core/Tensor.h>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>
#include "base/types.h"
#include "nets/batch_norm.h"
#include "nets/parameters.h"
#include "nets/precision.h"
#include "vae/frozen_path.h"
#include "vae/likelihood.h"
#include "vae/top_down.h"

namespace hebm::vae {

struct Posterior {
  std::vector<at::Tensor> z;   // [L] of [B, c, h, w]
  at::Tensor u;                // [B, D] z in standard coordinates: T_beta^-1(z)
  std::vector<at::Tensor> kl;  // [L] of [B], nats
  at::Tensor state;            // what decode_posterior() reads
};

struct Transported {
  std::vector<at::Tensor> z;  // [L] of [B, c, h, w]
  at::Tensor log_sigma_sum;   // [B] sum of log sigma over all elements (Eq. 16)
};

// u [B, D] -> [L] of [B, c, h, w] views, and back.
std::vector<at::Tensor> split_layers(const at::Tensor& u, const std::vector<LatentShape>& groups);
at::Tensor join_layers(const std::vector<at::Tensor>& layers);

// Training of a backbone whose layers see the whole batch (batch norm, NVAE's regularisers). Every
// rank calls the same functions in the same order.
class BatchStatistics {
 public:
  virtual ~BatchStatistics() = default;
  // Cells keep their inputs alone and run again in the backward pass: the same bits, less memory, a
  // third more time.
  virtual void recompute(bool on) = 0;
  // Data-dependent starting weights from x [B, C, H, W], noise [B, D]; running statistics stay.
  virtual void initialise(const at::Tensor& x, const at::Tensor& noise) = 0;
  // Once, on the starting weights: the first power iterations.
  virtual void warm_up() = 0;
  // Before an update's forward passes; with `penalised` also what penalty() needs.
  virtual void begin_update(bool penalised) = 0;
  // Behind their backward pass, whose gradients are not whole before: of_penalty, a scalar, is the
  // loss's gradient by penalty() (undefined: 0).
  virtual void end_update(const at::Tensor& of_penalty) = 0;
  // As the backbone's, with the batch's statistics; the running ones move.
  virtual Posterior posterior(const at::Tensor& x, const at::Tensor& noise) const = 0;
  virtual at::Tensor decode(const Posterior& posterior) const = 0;
  // The regulariser of all layers, a scalar without history; the same on every rank.
  virtual at::Tensor penalty() const = 0;
  // What a checkpoint keeps besides the net; live.
  virtual std::vector<nets::NamedTensor> state() const = 0;

  // The running statistics that a forward of the decoder moves, in a fixed order; live.
  virtual std::vector<nets::NamedTensor> decoder_statistics() const = 0;
  // One forward of the decoder from u [B, D]: they move by `momentum` towards those of this batch
  // alone. Of one rank.
  virtual void update_decoder_statistics(const at::Tensor& u, double momentum) const = 0;
};

class Backbone {
 public:
  struct Shape {
    ImageShape image;
    Likelihood likelihood;
    std::vector<LatentShape> groups;
    double top_sigma = 1.0;
  };
  Backbone(Shape shape, nets::Parameters params) : shape_(std::move(shape)), params_(std::move(params)) {}
  virtual ~Backbone() = default;

  const std::vector<LatentShape>& groups() const { return shape_.groups; }
  const ImageShape& image_shape() const { return shape_.image; }
  const Likelihood& likelihood() const { return shape_.likelihood; }
  std::int64_t dim() const;
  nets::Parameters& params() { return params_; }
  const nets::Parameters& params() const { return params_; }
  // Multiply-adds times two of transport() for one image.
  double transport_flop() const { return transport_flop_; }
  // Weights that transport() reads, and values an image that a frozen backbone keeps between it and
  // its gradient (0: not known).
  std::int64_t transport_weights() const { return transport_weights_; }
  virtual std::int64_t kept_in_transport() const { return 0; }
  // Architecture as JSON text: written into the weights file's metadata, checked when it is read.
  virtual std::string architecture() const = 0;

  // T_beta(u), only what z needs; differentiable in u, once where it is frozen. u [B, D].
  // precision: of a frozen backbone on the host.
  virtual std::vector<at::Tensor> transport(
      const at::Tensor& u, nets::Precision precision = nets::Precision::kFloat32) const;
  // The same with sum log sigma, for log p(z) = log N(u; 0, I) - sum log sigma.
  Transported transport_with_scale(const at::Tensor& u) const;
  // T_beta^-1(z) -> u [B, D].
  at::Tensor inverse(const std::vector<at::Tensor>& z) const;
  // x [B, C, H, W] in [0, 1], noise [B, D] ~ N(0, I): z and u of one draw of q(z|x), in one pass.
  Posterior posterior(const at::Tensor& x, const at::Tensor& noise) const { return posterior(layers(), x, noise); }
  // Likelihood parameters of x given u [B, D]; temperature scales every sigma (z of the top layer
  // too).
  virtual at::Tensor decode(const at::Tensor& u, double temperature = 1.0) const {
    return decode(layers(), u, temperature);
  }
  // Parameters of the likelihood for a posterior just drawn (reconstruction, ELBO).
  at::Tensor decode_posterior(const Posterior& posterior) const { return layers().image(posterior.state); }
  // Of likelihood(): log p(x | parameters) [B] in nats; mean and sample [B, C, H, W] in [0, 1].
  at::Tensor log_likelihood(const at::Tensor& parameters, const at::Tensor& x) const {
    return vae::log_likelihood(likelihood(), parameters, x);
  }
  at::Tensor mean_image(const at::Tensor& parameters) const { return vae::mean_image(likelihood(), parameters); }
  at::Tensor sample_image(const at::Tensor& parameters, const at::Tensor& uniform) const {
    return vae::sample_image(likelihood(), parameters, uniform);
  }

  // posterior() and decode() over layers that run in another way: training.
  Posterior posterior(const TopDownLayers& layers, const at::Tensor& x, const at::Tensor& noise) const;
  at::Tensor decode(const TopDownLayers& layers, const at::Tensor& u, double temperature) const;
  // Null: no layer sees the whole batch. `sum` adds over ranks, in the same order on all of them.
  // The backbone stays where it is.
  virtual std::unique_ptr<BatchStatistics> batch_statistics(const nets::SumOverRanks& sum, std::uint64_t seed) const;
  // The parameters stay as they are from here on: transport() prepares what it needs of them once,
  // where the backbone has a path for that (frozen_path.h). A later change is seen.
  void freeze(bool on = true) { wants_frozen_ = on; }
 protected:
  virtual const TopDownLayers& layers() const = 0;
  // Of the parameters as they are, float32 on the host.
  // products: kFloat, or kBFloat16 for its matrix products, summed in float32.
  virtual std::shared_ptr<const FrozenPath> frozen_path(at::ScalarType /*products*/) const { return nullptr; }
  // Counts a convolution or matrix that transport() runs at this side.
  void count_transport(const at::Tensor& weight, std::int64_t side);
 private:
  std::shared_ptr<const FrozenPath> frozen(nets::Precision precision) const;  // null: the plain path is to run

  Shape shape_;
  nets::Parameters params_;
  double transport_flop_ = 0;
  std::int64_t transport_weights_ = 0;
  bool wants_frozen_ = false;
  mutable std::mutex frozen_mutex_;
  struct Frozen {
    std::shared_ptr<const FrozenPath> path;
    std::uint64_t version = 0;  // of the parameters
  };
  mutable std::map<at::ScalarType, Frozen> frozen_;  // by the type of its products
};

}  // namespace hebm::vae
