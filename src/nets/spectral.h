// Spectral normalisation as torch's legacy spectral_norm does it (Miyato et al. 2018): W as [out,
// rest], one stored pair u, v, effective weight W / sigma with sigma = u^T W v and a gradient
// through sigma. u and v are state, not converged: never recomputed by SVD. Here power iterations
// run once an optimiser step, not at every forward (weights are frozen in between).
#pragma once
#include <ATen/core/Tensor.h>
#include <string>
#include <vector>
#include "nets/parameters.h"

namespace hebm::nets {

struct SpectralWeight {
  at::Tensor weight;  // [out, ...], the raw parameter ("weight_orig")
  at::Tensor u;       // [out]
  at::Tensor v;       // [rest]

  // v = W^T u / max(|W^T u|, eps), u = W v / max(|W v|, eps), eps = 1e-12; in place, without
  // gradient.
  void iterate(int times) const;
  // u^T W v, a scalar; differentiable in W.
  at::Tensor sigma() const;
  // W / sigma, same shape; differentiable in W.
  at::Tensor effective() const;
};

// Registers name.weight_orig and the states name.weight_u, name.weight_v; u and v start random and
// take `warm` iterations when warm_up() is called after flatten().
SpectralWeight make_spectral(
    Parameters& params, const std::string& name, std::vector<std::int64_t> shape, double scale = 1.0);

}  // namespace hebm::nets
