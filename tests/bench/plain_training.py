"""The chain of Eq. 3, Algorithm 1 and the VAE's training in plain PyTorch, on the nets of plain_pytorch.py."""
import math

if __name__ == "__main__":
    print("Algorithm 1 and the VAE's training in plain PyTorch, for reading and as a module: no command.\n"
          "tests/bench/run_plain.py runs it; compare_plain.py and run_all.py time it against the program.")
    raise SystemExit

import torch
import torch.nn.functional as F
from torch import nn

from plain_pytorch import SpectralWeight


def potential_gradient(vae, nets, weights, u, t):
    """d/du of F(u) = sum_i f_i(z_i, t), z = T_beta(u)."""
    u = u.detach().requires_grad_(True)
    z, _ = vae.transport(u)
    return torch.autograd.grad(sum(net(z_i, t, w).sum() for net, z_i, w in zip(nets, z, weights)), u)[0]


def langevin(gradient, u_next, schedule, t, steps, step=0.01):
    """K steps of Eq. 3 from u_{t+1}, the Gaussian terms of Eq. 13 exactly (langevin.integrator = exact)."""
    alpha, sigma, w = schedule.alpha[t + 1], schedule.sigma[t + 1], schedule.kernel_weight(t)
    precision = 1 + w * alpha**2 / sigma**2
    s2 = 2 * step / precision
    rho = math.exp(-0.5 * s2 * precision)
    y = u_next
    for _ in range(steps):
        y = (rho * y + (1 - rho) * w * alpha / (sigma**2 * precision) * u_next
             + (1 - rho) / (precision * s2) * gradient(y) + math.sqrt((1 - rho**2) / precision) * torch.randn_like(y))
    return y


class PriorTraining:
    """Algorithm 1."""

    def __init__(self, vae, prior, schedule, latents, batch=192, micro_batch=96, steps=30, rate=1e-3, ema=0.99):
        self.vae, self.prior, self.schedule, self.latents = vae.requires_grad_(False), prior, schedule, latents
        self.batch, self.micro_batch, self.steps, self.ema = batch, micro_batch, steps, ema
        self.optimiser = torch.optim.Adam(prior.parameters(), lr=rate)
        self.averaged = [p.detach().clone() for p in prior.parameters()]

    def update(self):
        self.optimiser.zero_grad(set_to_none=False)
        for k in range(self.batch // self.micro_batch):
            t = k % self.schedule.num_levels
            nets, s = self.prior.nets(t), self.schedule
            with torch.no_grad():
                frozen = [net.weights() for net in nets]
                u_0 = self.latents[torch.randint(len(self.latents), (self.micro_batch,))]
                u_t = s.alpha_cum[t] * u_0 + s.sigma_cum[t] * torch.randn_like(u_0)
                u_next = s.alpha[t + 1] * u_t + s.sigma[t + 1] * torch.randn_like(u_0)
            y = langevin(lambda u: potential_gradient(self.vae, nets, frozen, u, None), u_next, s, t, self.steps)
            with torch.no_grad():
                z, _ = self.vae.transport(torch.cat([u_t, y]))
            for net, z_i in zip(nets, z):
                positive, negative = net(z_i, None, net.weights()).chunk(2)
                ((negative - positive).sum() / self.batch).backward()
        self.optimiser.step()
        with torch.no_grad():
            for averaged, p in zip(self.averaged, self.prior.parameters()):
                averaged.lerp_(p, 1 - self.ema)
        for module in self.prior.modules():
            if isinstance(module, SpectralWeight):
                module.iterate()


class VaeTraining:
    """Maximises the ELBO with weighted KL terms (Sec. 2.1)."""

    def __init__(self, vae, images, batch=128, micro_batch=16, kl_weight=0.06, free_bits=4.0, ema=0.998, clip=200.0):
        self.vae, self.images, self.batch, self.micro_batch = vae, images, batch, micro_batch
        self.kl_weight, self.free_bits, self.ema, self.clip = kl_weight, free_bits, ema, clip
        self.optimiser = torch.optim.Adamax(vae.parameters(), lr=2e-3)
        self.averaged = [p.detach().clone() for p in vae.parameters()]

    def update(self):
        self.optimiser.zero_grad(set_to_none=False)
        for _ in range(self.batch // self.micro_batch):
            x = self.images[torch.randint(len(self.images), (self.micro_batch,))]
            _, _, s, kls = self.vae.posterior(x, torch.randn(len(x), sum(self.vae.sizes())))
            loss = F.binary_cross_entropy_with_logits(self.vae.image(s), x, reduction="sum")
            for kl in kls:
                loss = loss + self.kl_weight * kl.sum().clamp_min(self.free_bits * len(x))
            (loss / self.batch).backward()
        nn.utils.clip_grad_norm_(self.vae.parameters(), self.clip)
        self.optimiser.step()
        with torch.no_grad():
            for averaged, p in zip(self.averaged, self.vae.parameters()):
                averaged.lerp_(p, 1 - self.ema)
