"""Times the plain PyTorch form (plain_pytorch.py, plain_training.py), or records a case of a run's weights for
`hebm_dist replay`, which holds every stage of the program against it.

  run_plain.py time langevin|train|train-vae [--batch N] [--micro-batch M] [--steps K] [--threads N]
  run_plain.py case --vae V.safetensors --prior P.safetensors OUT.h5

Needs torch, and for `case` safetensors and h5py."""
import argparse
import json
import math
import re
import time

import peers


# ---- what is timed

def timed(work, seconds):
    """Seconds a call of `work`, the best of those that fit into so many seconds; three at least."""
    work()
    best, calls, begin = math.inf, 0, time.perf_counter()
    while calls < 3 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        work()
        best, calls = min(best, time.perf_counter() - start), calls + 1
    return best


def measure(args):
    """Milliseconds an image: of one gradient of a chain (langevin), of one gradient within a whole update (train),
    of a whole update (train-vae)."""
    import torch
    from plain_pytorch import Hvae, Prior, Schedule
    from plain_training import PriorTraining, VaeTraining, potential_gradient
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    vae = Hvae(args.latents, args.width)
    schedule = Schedule([0.99995, 0.7, 0.0228])
    prior = Prior(vae, schedule.num_levels, args.energy_width)
    latents = torch.randn(max(1000, args.micro_batch), sum(vae.sizes()))
    if args.work == "langevin":
        vae.requires_grad_(False)
        nets = prior.nets(0)
        with torch.no_grad():
            frozen = [net.weights() for net in nets]
        u = latents[:args.micro_batch]
        work, images = lambda: potential_gradient(vae, nets, frozen, u, None), args.micro_batch
    elif args.work == "train":
        training = PriorTraining(vae, prior, schedule, latents, args.batch, args.micro_batch, args.steps)
        work, images = training.update, args.batch * args.steps
    else:
        training = VaeTraining(vae, torch.rand(1000, 1, 32, 32), args.batch, args.micro_batch)
        work, images = training.update, args.batch
    print(json.dumps({"work": args.work, "ms": 1e3 * timed(work, args.seconds) / images, "threads": args.threads,
                      "batch": args.batch, "micro_batch": args.micro_batch, "torch": torch.__version__}))


# ---- a recorded case

def load(args):
    """The VAE and the prior of two files of the program, and its schedule."""
    from plain_pytorch import Hvae, Prior, Schedule
    from safetensors import safe_open

    def read(path):
        with safe_open(path, "pt") as file:
            return json.loads(file.metadata()["architecture"]), {k: file.get_tensor(k) for k in file.keys()}

    shape, tensors = read(args.vae)
    if shape.get("image_sees_z") or shape.get("top_width") or shape["likelihood"] != "bernoulli":
        raise SystemExit(f"{args.vae}: the plain form has vae.likelihood = bernoulli, image_sees_z = false and "
                         "top_width = 0")
    vae = Hvae(shape["latents"], shape["width"], shape["image_width"], shape["pixel_width"], shape["side"],
               shape["channels"])
    vae.load_state_dict(tensors)
    shape, tensors = read(args.prior)
    if shape["per_level"] or shape["nets"] != "small":
        raise SystemExit(f"{args.prior}: a case has one net a layer: train it with --energy.per_level false")
    schedule = Schedule(shape["alpha_cum"])
    prior = Prior(vae, schedule.num_levels, shape["width"], shape["gain"], per_level=False)
    prior.load_state_dict(tensors)
    return vae.requires_grad_(False), prior, schedule


def write_case(args):
    """All stages of a micro-batch by the paper's step rule, in float32, with the random numbers that they took."""
    import h5py
    import torch
    from plain_training import potential_gradient
    torch.manual_seed(1)
    vae, prior, s = load(args)
    nets, t = prior.nets(0), torch.arange(args.batch) % s.num_levels
    out = h5py.File(args.out, "x")

    def put(name, values):
        if isinstance(values, list):
            for i, value in enumerate(values):
                put(f"{name}/{i}", value)
        else:
            out.create_dataset(name, data=values.detach().numpy() if torch.is_tensor(values) else values)

    for name, values in {"a_s": s.alpha, "sigmas": s.sigma, "a_s_cum": s.alpha_cum, "sigmas_cum": s.sigma_cum,
                         "is_recovery": [1.0] + [s.kernel_weight(k) for k in range(s.num_levels)]}.items():
        out.create_dataset(f"schedule/{name}", data=values)
    out["t"] = t.numpy()
    x, noise = torch.rand(args.batch, 1, 32, 32), torch.randn(args.batch, sum(vae.sizes()))
    u = torch.randn_like(noise)
    put("x", x)
    put("posterior_noise", vae.split(noise))
    put("u", vae.split(u))
    u_0, z, _, _ = vae.posterior(x, noise)
    put("posterior_z", z)
    put("u0", vae.split(u_0))
    positive, state = vae.transport(u)
    put("z_of_u", positive)
    put("logits_of_u", vae.image(state))
    frozen = [[(w.detach(), None if b is None else b.detach()) for w, b in net.weights()] for net in nets]
    put("f", torch.stack([net(z_i, t, w) for net, z_i, w in zip(nets, positive, frozen)]).detach())

    of_row = lambda values: torch.tensor([values(k) for k in t.tolist()])[:, None]  # noqa: E731
    s2 = of_row(lambda k: args.eta * s.sigma_cum[k] / s.sigma_cum[0] * s.sigma[k + 1] ** 2)
    pull = of_row(lambda k: s.kernel_weight(k) * s.alpha[k + 1] / s.sigma[k + 1] ** 2)
    precision = of_row(lambda k: 1 + s.kernel_weight(k) * s.alpha[k + 1] ** 2 / s.sigma[k + 1] ** 2)
    y = u
    for k in range(args.steps):  # Eq. 3 with the gradient of Eq. 13; the nets give f = s^2 F
        n = torch.randn_like(u)
        put(f"langevin_noise/{k}", vae.split(n))
        gradient = potential_gradient(vae, nets, frozen, y, t)
        y = y + 0.5 * s2 * (pull * u - precision * y) + 0.5 * gradient + s2.sqrt() * n
    put("langevin_y", vae.split(y))
    negative, _ = vae.transport(y)
    loss = 0
    for net, z_p, z_n in zip(nets, positive, negative):  # Eq. 12, weighted by 1 / s^2
        live = net.weights()
        loss = loss + ((net(z_n, t, live) - net(z_p, t, live)) / s2[:, 0]).sum() / args.batch
    loss.backward()
    put("loss", loss)
    for i, net in enumerate(nets):
        for name, parameter in net.named_parameters():
            put(f"grad/netE{i}/{name}", parameter.grad)
    out.close()


def latents_of(text):
    if not re.fullmatch(r"[1-9]\d*x[1-9]\d*(,[1-9]\d*x[1-9]\d*)*", text):
        raise argparse.ArgumentTypeError(f"expected channels and side of every layer, as 8x2,8x4, not {text!r}")
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    clock = commands.add_parser("time", help="prints one line of JSON")
    clock.add_argument("work", choices=["langevin", "train", "train-vae"])
    clock.add_argument("--batch", type=peers.positive_int, default=192)
    clock.add_argument("--micro-batch", type=peers.positive_int, default=96)
    clock.add_argument("--steps", type=peers.positive_int, default=30, help="K")
    clock.add_argument("--threads", type=peers.positive_int, default=1)
    clock.add_argument("--latents", type=latents_of, default="8x2,8x4,16x4")
    clock.add_argument("--width", type=peers.positive_int, default=32, help="of the path")
    clock.add_argument("--energy-width", type=peers.positive_int, default=64)
    clock.add_argument("--seconds", type=peers.positive_number, default=10, help="to measure for")
    case = commands.add_parser("case", help="writes OUT.h5")
    case.add_argument("--vae", required=True)
    case.add_argument("--prior", required=True)
    case.add_argument("--batch", type=peers.positive_int, default=4)
    case.add_argument("--steps", type=peers.positive_int, default=3, help="K")
    case.add_argument("--eta", type=peers.positive_number, default=3e-5)
    case.add_argument("out")
    args = parser.parse_args()
    if args.command == "time" and args.work != "langevin" and args.batch % args.micro_batch:
        parser.error(f"--micro-batch: {args.micro_batch} does not divide the batch of {args.batch}")
    readers = {"safetensors": "safetensors", "h5py": "h5py"} if args.command == "case" else {}
    peers.import_here({**peers.PLAIN_PACKAGES, **readers})
    measure(args) if args.command == "time" else write_case(args)


if __name__ == "__main__":
    main()
