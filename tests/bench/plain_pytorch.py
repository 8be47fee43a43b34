"""The HVAE, its energy nets and the schedule in plain PyTorch, written for clarity: what `hebm_dist` computes, in the
fewest lines. Of the HVAE one form: vae.likelihood = bernoulli, image_from = bottom, image_sees_z = false, top_width = 0;
energy.net = small. plain_training.py trains them. tests/bench/run_plain.py times both and records cases for
`hebm_dist replay`."""
import math

if __name__ == "__main__":
    print("The HVAE and its energy nets in plain PyTorch, for reading and as a module: no command.\n"
          "tests/bench/run_plain.py runs it; compare_plain.py and run_all.py time it against the program.")
    raise SystemExit

import torch
import torch.nn.functional as F
from torch import nn


def soft_clamp(x, bound):
    return bound * torch.tanh(x / bound)


class Block(nn.Module):
    """x + conv3x3(SiLU(conv3x3(SiLU(x))))"""

    def __init__(self, width):
        super().__init__()
        self.first, self.second = nn.Conv2d(width, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x):
        return x + self.second(F.silu(self.first(F.silu(x))))


class Down(Block):
    """A 4x4 convolution of stride 2, then a block."""

    def __init__(self, channels, width):
        super().__init__(width)
        self.down = nn.Conv2d(channels, width, 4, stride=2, padding=1)

    def forward(self, x):
        return super().forward(self.down(F.silu(x)))


class Up(Block):
    """A transposed 4x4 convolution of stride 2 where there is one, then a block."""

    def __init__(self, channels, width, doubles):
        super().__init__(width)
        self.up = nn.ConvTranspose2d(channels, width, 4, stride=2, padding=1) if doubles else None

    def forward(self, x):
        return super().forward(self.up(F.silu(x)) if self.up else x)


class Layer(nn.Module):
    """Of latent i: p(z_i | z_<i), q(z_i | x, z_<i) and what z_i adds to the state s."""

    def __init__(self, channels, width, image_width, top):
        super().__init__()
        if not top:
            self.block = Block(width)
            self.prior = nn.Conv2d(width, 2 * channels, 1)
        self.posterior = nn.Conv2d(image_width + width, 2 * channels, 3, padding=1)
        self.from_z = nn.Conv2d(channels, width, 1)


class Hvae(nn.Module):
    def __init__(self, latents="8x2,8x4,16x4", width=32, image_width=64, pixel_width=32, side=32, channels=1):
        super().__init__()
        self.latents = [tuple(int(n) for n in part.split("x")) for part in latents.split(",")]
        self.stem = nn.Conv2d(4 * channels, pixel_width, 3, padding=1)
        self.start = nn.Parameter(0.1 * torch.randn(1, width, self.latents[0][1], self.latents[0][1]))
        self.downs, self.tails, self.layers = [], [], []  # names of modules
        at, inner = side // 2, pixel_width
        while at > self.latents[0][1] or not self.downs:
            at //= 2
            self.downs.append(f"encoder{at}")
            self.add_module(self.downs[-1], Down(inner, image_width))
            inner = image_width
        for i, (c, _) in enumerate(self.latents):
            self.layers.append(f"layer{i}")
            self.add_module(self.layers[-1], Layer(c, width, image_width, i == 0))
        self.to_image = nn.Conv2d(width, image_width, 3, padding=1)
        at, inner = self.latents[-1][1], image_width
        while at <= side // 2:
            out = pixel_width if at == side // 2 else image_width
            self.tails.append(f"tail{at}")
            self.add_module(self.tails[-1], Up(inner, out, bool(self.tails[:-1])))
            at, inner = 2 * at, out
        self.out = nn.Conv2d(inner, 4 * channels, 3, padding=1)

    def sizes(self):
        return [c * s * s for c, s in self.latents]

    def split(self, u):
        return [part.view(-1, c, s, s) for part, (c, s) in zip(u.split(self.sizes(), 1), self.latents)]

    def state(self, i, s):
        """s as layer i reads it."""
        if i == 0:
            return s
        if s.shape[2] != self.latents[i][1]:
            s = F.interpolate(s, scale_factor=2, mode="nearest")
        return self.get_submodule(self.layers[i]).block(s)

    def prior(self, i, s):
        if i == 0:  # the top layer's is N(0, 1)
            zero = torch.zeros(s.shape[0], *[self.latents[0][k] for k in (0, 1, 1)], dtype=s.dtype)
            return zero, torch.ones_like(zero)
        mu, raw = self.get_submodule(self.layers[i]).prior(F.silu(s)).chunk(2, 1)
        return mu, soft_clamp(raw, 2.0).exp()

    def absorb(self, i, s, z):
        injected = self.get_submodule(self.layers[i]).from_z(z)
        return injected if i + 1 == len(self.layers) else s + injected

    def transport(self, u):
        """z = T_beta(u), Eq. 15, and the state behind the last layer."""
        s, out = self.start.expand(u.shape[0], -1, -1, -1), []
        for i, u_i in enumerate(self.split(u)):
            s = self.state(i, s)
            mu, sigma = self.prior(i, s)
            out.append(mu + sigma * u_i)
            s = self.absorb(i, s, out[-1])
        return out, s

    def features(self, x):
        """By side."""
        h, out = self.stem(F.pixel_unshuffle(2 * x - 1, 2)), {}
        for name in self.downs:
            h = self.get_submodule(name)(h)
            out[h.shape[2]] = h
        return out

    def posterior(self, x, noise):
        """u_0 ~ q(u_0 | x) [B, D], z by layer, the state, KL by layer [L][B]"""
        features, s = self.features(x), self.start.expand(x.shape[0], -1, -1, -1)
        us, zs, kls = [], [], []
        for i, eps in enumerate(self.split(noise)):
            s = self.state(i, s)
            seen = torch.cat([features[s.shape[2]], s], 1)
            mean, raw = self.get_submodule(self.layers[i]).posterior(F.silu(seen)).chunk(2, 1)
            log_scale = soft_clamp(raw, 4.0)
            us.append(mean + log_scale.exp() * eps)
            kls.append((0.5 * (mean**2 + (2 * log_scale).exp() - 1) - log_scale).flatten(1).sum(1))
            mu, sigma = self.prior(i, s)
            zs.append(mu + sigma * us[-1])
            s = self.absorb(i, s, zs[-1])
        return torch.cat([u.flatten(1) for u in us], 1), zs, s, kls

    def image(self, s):
        """Logits of the pixels."""
        h = self.to_image(F.silu(s))
        for name in self.tails:
            h = self.get_submodule(name)(h)
        return F.pixel_shuffle(self.out(F.silu(h)), 2)


class SpectralWeight(nn.Module):
    """W / sigma, sigma = u^T W v of a stored pair (Miyato et al. 2018)."""

    def __init__(self, *shape):
        super().__init__()
        fan_in = math.prod(shape[1:])
        self.weight_orig = nn.Parameter((2 * torch.rand(shape) - 1) / math.sqrt(fan_in))
        self.register_buffer("weight_u", F.normalize(torch.randn(shape[0]), dim=0))
        self.register_buffer("weight_v", F.normalize(torch.randn(fan_in), dim=0))

    @torch.no_grad()
    def iterate(self, times=1):
        matrix = self.weight_orig.flatten(1)
        for _ in range(times):
            self.weight_v.copy_(F.normalize(matrix.T @ self.weight_u, dim=0))
            self.weight_u.copy_(F.normalize(matrix @ self.weight_v, dim=0))

    def forward(self):
        return self.weight_orig / (self.weight_u @ self.weight_orig.flatten(1) @ self.weight_v)


class Stage(SpectralWeight):
    """One layer of an energy net; its bias is told t where a net serves several levels."""

    def __init__(self, shape, embedding):
        super().__init__(*shape)
        self.bias = nn.Parameter(torch.zeros(shape[0]))
        self.embed = SpectralWeight(shape[0], embedding) if embedding else None

    def biases(self, t_features):
        return self.bias if self.embed is None else F.linear(t_features, self.embed(), self.bias)


class EnergyNet(nn.Module):
    """f_i(z_i, t) of one layer. num_levels > 1: one net for all t, which enters by the biases."""

    def __init__(self, channels, side, width=64, gain=1.0, num_levels=1, embedding=64):
        super().__init__()
        self.stages, self.gain, self.embedding = [], gain, embedding if num_levels > 1 else 0
        if num_levels > 1:
            half = embedding // 2
            angle = torch.arange(num_levels)[:, None] * 10000.0 ** (-torch.arange(half) / half)
            self.sinusoid = torch.cat([angle.cos(), angle.sin()], 1)  # [T, embedding]
            self.embed1, self.embed2 = (SpectralWeight(embedding, embedding) for _ in range(2))
        inner, at = channels, side
        if side > 2:
            self.add(width, inner, 3, 3)
            inner = width
            while at > 2:
                at //= 2
                self.add(width, width, 4, 4)
        convolves = bool(self.stages)
        self.add(2 * width, inner * at * at)
        self.residual = None if convolves else self.add(2 * width, 2 * width)
        self.add(width, 2 * width)
        self.out = SpectralWeight(1, width)

    def add(self, *shape):
        name = ("conv" if len(shape) == 4 else "dense") + str(len(self.stages))
        self.add_module(name, Stage(shape, self.embedding))
        self.stages.append(name)
        return name

    def weights(self):
        """Effective weights and biases of every stage, the output's weight last: frozen in a chain."""
        t = None
        if self.embedding:
            sinusoid = self.sinusoid.to(self.embed1.weight_orig.dtype)
            t = F.silu(F.linear(F.silu(F.linear(sinusoid, self.embed1())), self.embed2()))
        stages = [self.get_submodule(name) for name in self.stages]
        return [(stage(), stage.biases(t)) for stage in stages] + [(self.out(), None)]

    def forward(self, z, t, weights):
        h = z
        for name, (weight, bias) in zip(self.stages, weights):
            if self.embedding:
                bias = bias[t]  # [B, out]
                bias = bias[:, :, None, None] if weight.dim() == 4 else bias
            else:
                bias = bias[None, :, None, None] if weight.dim() == 4 else bias
            if weight.dim() == 4:
                h = F.silu(F.conv2d(h, weight, stride=2 if weight.shape[3] == 4 else 1, padding=1) + bias)
            else:
                y = F.silu(F.linear(h.flatten(1), weight) + bias)
                h = h + y if name == self.residual else y
        return self.gain * F.linear(h, weights[-1][0]).squeeze(1)


class Prior(nn.Module):
    """A net for every layer; per_level: for every layer and level t."""

    def __init__(self, vae, num_levels, width=64, gain=1.0, per_level=True):
        super().__init__()
        self.per_level = per_level
        for t in range(num_levels if per_level else 1):
            nets = {f"layer{i}": EnergyNet(c, s, width, gain, 1 if per_level else num_levels)
                    for i, (c, s) in enumerate(vae.latents)}
            for name, net in nets.items():
                self.add_module(f"level{t}_{name}" if per_level else name, net)
        self.num_layers = len(vae.latents)

    def nets(self, t):
        nets = list(self.children())
        return nets[t * self.num_layers:(t + 1) * self.num_layers] if self.per_level else nets


class Schedule:
    """The kernels of Eq. 5 and 6 by alpha_cum of t = 0 .. T."""

    def __init__(self, alpha_cum):
        self.num_levels, self.alpha_cum = len(alpha_cum) - 1, list(alpha_cum)
        self.alpha = [a / before for a, before in zip(alpha_cum, [1.0] + list(alpha_cum))]
        self.sigma = [math.sqrt(1 - a * a) for a in self.alpha]
        self.sigma_cum = [math.sqrt(1 - a * a) for a in alpha_cum]

    def kernel_weight(self, t):
        return 0.0 if t == self.num_levels - 1 else 1.0  # at T - 1 the model is marginal
