// Training of a backbone whose layers see the whole batch (batch norm, NVAE's regularisers); from
// Backbone::batch_statistics(). Every rank calls the same functions in the same order.
#pragma once
#include "vae/backbone.h"

namespace hebm::vae {

class BatchStatistics {
 public:
  virtual ~BatchStatistics() = default;
  // Data-dependent starting weights from x [B, C, H, W], noise [B, D]; running statistics stay.
  virtual void initialise(const at::Tensor& x, const at::Tensor& noise) = 0;
  // Once, on the starting weights: the first power iterations.
  virtual void warm_up() = 0;
  // Before an update's forward passes; with `penalised` also what penalty() needs.
  virtual void begin_update(bool penalised) = 0;
  // As the backbone's, with the batch's statistics; the running ones move.
  virtual Posterior posterior(const at::Tensor& x, const at::Tensor& noise) const = 0;
  virtual at::Tensor decode(const Posterior& posterior) const = 0;
  // The regulariser of all layers, a scalar; the same on every rank.
  virtual at::Tensor penalty() const = 0;
  // What a checkpoint keeps besides the net; live.
  virtual std::vector<nets::NamedTensor> state() const = 0;

  // The running statistics that a forward of the decoder moves, in a fixed order; live.
  virtual std::vector<nets::NamedTensor> decoder_statistics() const = 0;
  // One forward of the decoder from u [B, D]: they move by `momentum` towards those of this batch
  // alone. Of one rank.
  virtual void update_decoder_statistics(const at::Tensor& u, double momentum) const = 0;
};

}  // namespace hebm::vae
