// The priors that can be compared on one backbone and cache (Table 1), by prior.kind: gaussian (the
// VAE's own, nothing is trained), diffusion (Eq. 9), joint (the marginal EBM of Eq. 4, 8), nce
// (classifiers between posterior and Gaussian prior, Sec. 2.2). One run directory may hold one of
// each.
#pragma once
#include <string>

#include "base/options.h"

namespace hebm::cli {

void add_prior_kind(Options& options, std::string* kind, const std::string& help);
bool is_prior_kind(const std::string& name);
// Of a run directory: prior (diffusion), prior-joint, prior-nce.
std::string prior_folder(const std::string& kind);
// The command that makes such a prior, for messages.
std::string train_command_of(const std::string& kind);
// Whether a prior of this kind depends on the option: what belongs to other kinds is no part of its
// identity.
bool belongs_to_kind(const std::string& kind, const std::string& key);

}  // namespace hebm::cli
