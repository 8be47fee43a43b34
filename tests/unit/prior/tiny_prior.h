// A tiny HVAE of three layers, nets for it, and a prior with label heads on it.
#pragma once
#include <c10/core/GradMode.h>
#include <utility>
#include "noise.h"
#include "prior/forward_pair.h"
#include "prior/label_heads.h"
#include "prior/potential.h"
#include "vae/hvae.h"

namespace hebm::test {

inline vae::HvaeOptions tiny_vae() {
  vae::HvaeOptions o;
  o.latents = "2x2,3x4,2x8";
  o.width = o.image_width = o.pixel_width = o.top_width = 4;
  return o;
}

inline prior::EnergyOptions tiny_energy(bool per_level) {
  prior::EnergyOptions o;
  o.width = 6;
  o.embedding = 8;
  o.per_level = per_level;
  return o;
}

struct LabelledPrior {
  explicit LabelledPrior(bool per_level, prior::LabelHeads heads, at::ScalarType dtype = at::kDouble)
      : backbone(tiny_vae(), ImageShape{}, {.seed = 1, .dtype = dtype}),
        energy(tiny_energy(per_level)),
        prior(energy, backbone.groups(), prior::make_schedule(2), 5, dtype, 1 << 30, std::move(heads)) {}
  // Label weights of order 0.1, which are zero at first.
  void draw_labels() {
    const c10::NoGradGuard no_grad;
    for (const auto& t : prior.named_tensors()) {
      if (!t.name.ends_with("labels.weight")) continue;
      const auto values =
          prior::Chains(prior::chain_ids(9, 0, 1), 0, at::kCPU).normals(Purpose::kTest, t.tensor.numel());
      t.tensor.copy_(values.view(t.tensor.sizes()) * 0.1);
    }
  }
  at::Tensor u(std::int64_t count) const {
    return prior::Chains(prior::chain_ids(3, 0, count), 0, at::kCPU)
        .normals(Purpose::kTest, backbone.dim())
        .to(prior.net(0, 0).params().dtype());
  }
  vae::Hvae backbone;
  prior::EnergyOptions energy;
  prior::EnergyPrior prior;
};

}  // namespace hebm::test
