// Result files as the commands write them, for the tests of results/ and report/.
#pragma once

namespace hebm::results::test {

// Of Gaussian: 0 for posterior draws, 0.02 for ours.
inline constexpr const char* kSummary = R"({
  "gaussian": {"fd_fmnist": 37.41, "num_images": 5000, "seconds": 4.2, "kid": 0.0234, "precision": 0.412, "recall": 0.611, "fd_posterior": 190.25, "kid_posterior": 0.6511, "precision_posterior": 0.3125, "recall_posterior": 0.4375},
  "reconstruction": {"fd_fmnist": 7.21, "num_images": 5000, "seconds": 6.1, "kid": 0.0031, "precision": 0.842, "recall": 0.802, "fd_posterior": 1.5},
  "posterior": {"fd_fmnist": 7.12, "num_images": 5000, "seconds": 6.2, "fd_posterior": 1.25, "kid_posterior": 0.0001},
  "diffusion": {"fd_fmnist": 20.63, "num_images": 5000, "seconds": 241.8, "kid": 0.0112, "precision": 0.655, "recall": 0.688, "fd_posterior": 5.03, "kid_posterior": 0.0119, "kid_posterior_error": 0.0002},
  "by_level": [{"t": 1, "decode_true": 21.5, "from_true": 19.4, "num_images": 2000, "decode_true_posterior": 11.5, "from_true_posterior": 9.45}, {"t": 2, "decode_true": 36.5, "from_true": 29.2}],
  "gap_closed": 0.98, "sanity_test_vs_train": {"fd_fmnist": 0.15, "num_images": 10000},
  "features": {"accuracy": 0.9112, "hash": "0123abcd"}})";

// From before fd_posterior was measured: gap_closed is of fd_fmnist.
inline constexpr const char* kOldSummary = R"({
  "gaussian": {"fd_fmnist": 37.41, "num_images": 5000, "seconds": 4.2, "kid": 0.0234, "precision": 0.412, "recall": 0.611},
  "reconstruction": {"fd_fmnist": 7.21, "num_images": 5000, "seconds": 6.1, "kid": 0.0031, "precision": 0.842, "recall": 0.802},
  "diffusion": {"fd_fmnist": 20.63, "num_images": 5000, "seconds": 241.8, "kid": 0.0112, "precision": 0.655, "recall": 0.688},
  "by_level": [{"t": 1, "decode_true": 21.5, "from_true": 19.4, "num_images": 2000}],
  "gap_closed": 0.5556, "sanity_test_vs_train": {"fd_fmnist": 0.15, "num_images": 10000, "of_gaussian": 0.004},
  "features": {"accuracy": 0.9112, "hash": "0123abcd"}})";

inline constexpr const char* kPriors = R"({"rows": [
  {"name": "Gaussian prior", "kind": "gaussian", "fd_fmnist": 40, "kid": 0.02, "fd_posterior": 21, "seconds_per_1000": 0.51, "training_gradients": 0, "sampling_gradients": 0, "sampling_evaluations": 0},
  {"name": "Reconstruction", "kind": "reconstruction", "fd_fmnist": 8, "precision": 0.9, "fd_posterior": 1.5},
  {"name": "Posterior draws", "kind": "posterior", "fd_fmnist": 7.5, "fd_posterior": 1},
  {"name": "NCE, <resampling>", "kind": "nce", "fd_fmnist": 30, "fd_posterior": 16, "training_gradients": 9999, "sampling_gradients": 0, "sampling_evaluations": 100},
  {"name": "Ours, T = 3", "kind": "diffusion", "fd_fmnist": 10, "fd_posterior": 3, "seconds_per_1000": 12.34, "training_gradients": 2457600, "sampling_gradients": 90}]})";

}  // namespace hebm::results::test
