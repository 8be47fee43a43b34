// NVAE's balancing of the KL terms while they are annealed in (Vahdat & Kautz 2020, App. A): layers
// that carry more, or that stand for fewer numbers, are held more firmly, so that none collapses.
#pragma once
#include <span>
#include <vector>
#include "base/types.h"

namespace hebm::vae {

// a_i = 4^s / (layers of its scale), s = 0 for the coarsest, divided by the smallest. One a layer,
// top first.
std::vector<double> kl_shares(const std::vector<LatentShape>& groups);

// g_i ~ (mean_abs_kl[i] + 0.01) / shares[i], scaled to mean 1; mean_abs_kl[i] = mean over the
// global batch of |KL_i|, nats.
std::vector<double> kl_balance(std::span<const double> mean_abs_kl, std::span<const double> shares);

// clamp((update - delay total) / (anneal total), minimum, 1): what the KL terms are multiplied by;
// updates count from 0.
double kl_annealed(double update, double total, double delay, double anneal, double minimum);

}  // namespace hebm::vae
