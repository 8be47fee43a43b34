// The paper's energy nets, as the authors' released code has them, with their parameter names. No
// biases, SiLU throughout, every weight spectrally normalised; e(t) is sinusoidal, 128 long, te =
// W2 SiLU(W1 e). Latents are c x h x h, h = 4, 8, ... 128 (theirs start at 8).
//   dense blocks, F -> F/2 -> F/4:  x = A SiLU(h) + B SiLU(te);  h = C SiLU(x) + D SiLU(h)
//   f = gain * w SiLU(h)
#pragma once
#include "prior/energy_net.h"

namespace hebm::prior {

inline constexpr std::int64_t kPaperEmbedding = 128;

// What both share: embeddings of t and the dense end.
class PaperEnergyNet : public EnergyNet {
 protected:
  // te = W2 SiLU(W1 e), e 128 -> out -> out.
  struct Embedding {
    std::size_t first, second;  // numbers of weights
  };
  struct DenseBlock {
    std::size_t x, t, all, shortcut;
  };
  PaperEnergyNet(const EnergyOptions& options, const LatentShape& shape, const NetSetting& setting);
  Embedding add_embedding(const std::string& name, std::int64_t out);
  void add_dense_end(std::int64_t features);
  // te of every t, [T, out].
  at::Tensor embed(const Embedding& embedding, const std::vector<at::Tensor>& effective) const;
  // Appends the dense end's stages (A over D [F, F'], C, twice; w) and biases (B SiLU(te), twice).
  // active: SiLU(te).
  void build_dense_end(const std::vector<at::Tensor>& effective, const at::Tensor& active, Weights& out) const;
  // h [B, F] -> [B, F/4] SiLU(h) of the last block: the last five stages but the output, and two
  // biases.
  at::Tensor dense_end(const Weights& weights, const std::vector<at::Tensor>& biases, at::Tensor h) const;

  std::int64_t side_;  // h
 private:
  at::Tensor sinusoid_;  // [T, 128]
  std::vector<DenseBlock> dense_;
  std::size_t out_ = 0;
};

// CIFAR-10: two embeddings, te1 as long as z has channels and te2 of 128.
//   x = z + te1;  h = conv3x3(SiLU(conv4x4/2(x) + V SiLU(te2))) + conv4x4/2(x);
//   until h is 2 x 2 (h = 4: no block):  h = conv3x3(SiLU(conv4x4/2(SiLU(h)) + V SiLU(te2))) +
//   conv4x4/2(SiLU(h));   F
//   = 4 W.
class Cifar10EnergyNet : public PaperEnergyNet {
 public:
  Cifar10EnergyNet(const EnergyOptions& options, const LatentShape& shape, const NetSetting& setting);
 protected:
  at::Tensor features(
      const Weights& weights, const std::vector<at::Tensor>& biases, const at::Tensor& z) const override;
  // stages: for each halving the two strided convolutions as one of [in, 4, 4] -> 2 W and the 3x3
  // one, as nets::conv_matrix has them; the dense end. biases: te1, V SiLU(te2) of each halving,
  // the dense end's.
  Weights build(const std::vector<at::Tensor>& effective) const override;
 private:
  struct Halving {
    std::size_t down, linear, all, shortcut;
  };
  Embedding embed_z_{}, embed_{};
  std::vector<Halving> halvings_;
};

// CelebA-HQ-256: conv4x4/2 with SiLU between, not after the last, until h is 4 x 4; F = 16 W; t
// enters the dense end alone. z of 4 x 4, which the authors' net does not take: one conv3x3 in
// place of the last conv4x4/2.
class CelebaEnergyNet : public PaperEnergyNet {
 public:
  CelebaEnergyNet(const EnergyOptions& options, const LatentShape& shape, const NetSetting& setting);
 protected:
  at::Tensor features(
      const Weights& weights, const std::vector<at::Tensor>& biases, const at::Tensor& z) const override;
  // stages: the convolutions as nets::conv_matrix has them, the dense end. biases: the dense end's.
  Weights build(const std::vector<at::Tensor>& effective) const override;
 private:
  Embedding embed_{};
  std::vector<std::size_t> convs_;
};

}  // namespace hebm::prior
