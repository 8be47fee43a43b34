"""Times the authors' released code (jcui1224/diffusion-hierarchical-ebm, a checkout of it).

  run_authors.py CODE --size small|cifar10 [--batch N] [--steps K] [--threads N] [--device cuda --precision tf32]

Prints seconds of a Langevin step and image, and of a whole training iteration of K steps. Weights are random. Its
fused CUDA norm is replaced by torch's; on the CPU its calls of CUDA do nothing; nothing else of it is changed.
--device cuda has not run yet. Needs torch, numpy, scipy, matplotlib, pillow and lmdb."""
import argparse
import json
import os
import sys
import time
import types

import peers

# NVAE's settings of the two presets of the program, and the energy nets' width.
NVAE = {"use_se": True, "res_dist": True, "num_x_bits": 8, "ada_groups": True, "min_groups_per_scale": 1,
        "num_mixture_dec": 10, "arch_instance": "res_mbconv", "dataset": "cifar10", "num_latent_scales": 1,
        "num_preprocess_blocks": 1, "num_postprocess_blocks": 1, "num_preprocess_cells": 2, "num_postprocess_cells": 2}
SIZES = {
    "small": ({"num_channels_enc": 32, "num_channels_dec": 32, "num_latent_per_group": 10, "num_groups_per_scale": 6,
               "num_cell_per_cond_enc": 1, "num_cell_per_cond_dec": 1, "num_nf": 0}, 32),
    "cifar10": ({"num_channels_enc": 128, "num_channels_dec": 128, "num_latent_per_group": 20,
                 "num_groups_per_scale": 30, "num_cell_per_cond_enc": 2, "num_cell_per_cond_dec": 2, "num_nf": 1},
                128),
}


def stand_in(device):
    """What the code asks of a machine with GPUs and does not need."""
    import torch
    if device == "cpu":
        torch.Tensor.cuda = lambda self, *args, **kwargs: self
        torch.nn.Module.cuda = lambda self, *args, **kwargs: self
    for name in ("tensorboardX", "torchvision"):
        if name not in sys.modules:
            stub = types.ModuleType(name)
            stub.SummaryWriter = object
            sys.modules[name] = stub
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", "29533")
    torch.distributed.init_process_group("gloo", rank=0, world_size=1)


def build(code, size, num_levels, steps, device):
    """Their VAE, energy nets and trainer."""
    import torch
    sys.path.insert(0, code)
    stand_in(device)
    import Trainer
    from ebm_net import _CIFAR10_netE
    from nvae.model import AutoEncoder
    from nvae.thirdparty.inplaced_sync_batchnorm import SyncBatchNormSwish
    import nvae.utils

    def norm_and_swish(self, x):
        return torch.nn.functional.silu(torch.nn.functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, self.training, self.momentum, self.eps))

    SyncBatchNormSwish.forward = norm_and_swish
    Trainer.gather = lambda tensor, nprocs: [tensor.detach()]
    own, width = SIZES[size]
    args = argparse.Namespace(**NVAE, **own)
    vae = AutoEncoder(args, None, nvae.utils.get_arch_cells(args.arch_instance)).eval().requires_grad_(False).cuda()
    options = types.SimpleNamespace(max_T=num_levels, e_l_steps=steps, e_l_step_size=3e-5, ch=width, e_lr=4e-5,
                                    wd=3e-5, e_gamma=.9, local_rank=0, nprocs=1, distributed=False, add_sn=True)
    with torch.no_grad():
        z = vae.new_sample_z_by_eps(2)[1]
    nets = [_CIFAR10_netE(layer.shape, options).cuda() for layer in z]
    return vae, nets, Trainer._DiffusionJointEBM(z, nets, options, types.SimpleNamespace(info=lambda *_: None))


def best(work, seconds, wait):
    """Seconds a call, the best of those that fit into so many seconds; two at least, and one before them."""
    work()
    wait()
    times, begin = [], time.perf_counter()
    while len(times) < 2 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        work()
        wait()
        times.append(time.perf_counter() - start)
    return min(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("code", metavar="CODE", help="a checkout of their repository")
    parser.add_argument("--size", choices=SIZES, required=True)
    parser.add_argument("--batch", type=peers.positive_int, default=4)
    parser.add_argument("--steps", type=peers.positive_int, default=2, help="K (default 2)")
    parser.add_argument("--levels", type=peers.positive_int, default=3, help="T (default 3)")
    parser.add_argument("--threads", type=peers.positive_int, default=1)
    parser.add_argument("--seconds", type=peers.positive_number, default=5.0, help="to measure for (default 5)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=["float32", "tf32", "bfloat16"], default="float32", help="on a GPU")
    parser.add_argument("--update", action="store_true", help="a whole training iteration too")
    args = parser.parse_args()
    peers.check_checkout(args.code)
    peers.import_here(peers.AUTHORS_PACKAGES)
    import numpy
    import torch
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    numpy.random.seed(0)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = args.precision == "tf32"
    wait = torch.cuda.synchronize if args.device == "cuda" else lambda: None
    vae, nets, trainer = build(args.code, args.size, args.levels, args.steps, args.device)
    x = torch.rand(args.batch, 3, 32, 32, device=args.device)
    with torch.no_grad():
        u = vae.new_sample_eps_by_z(vae.get_posterior_jcui7(x))[1]
    t = torch.randint(0, args.levels, (args.batch,), device=args.device)
    for net in nets:
        net.train().requires_grad_(False)
    with torch.autocast(args.device, torch.bfloat16, enabled=args.precision == "bfloat16"):
        step = best(lambda: trainer._p_sample_langevin(vae, u, t), args.seconds, wait) / (args.steps * args.batch)
        out = {"s_per_step_image": step}
        if args.update:
            out["s_per_update"] = best(lambda: trainer.train_fn(x, vae), args.seconds, wait)
    print(json.dumps(out))


if __name__ == "__main__":
    main()
