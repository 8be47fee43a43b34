"""Times the program against the authors' released code at the same work, in turn, in one call, and prints the table of
docs/performance.md.

  compare_authors.py HEBM_DIST CODE [--sizes small,cifar10] [--device cuda] [--threads N] [--rounds N]

CODE: a checkout of jcui1224/diffusion-hierarchical-ebm. A step is one Langevin step of the paper's energy nets through
NVAE; an update is Algorithm 1's iteration with so many of them, posterior, loss and optimiser included. The Python
that runs the authors' code needs torch, numpy, scipy, matplotlib, pillow and lmdb. --device cuda: on a GPU with a
program of the preset cuda, in batches of 25 and 100, each in its best precision; it has not run yet."""
import peers

PRECISIONS = ("float32", "tf32", "bfloat16")
PRESETS = {"small": "nvae-small-bench", "cifar10": "nvae-cifar10"}
BATCHES = {"cpu": {"small": [64], "cifar10": [4]}, "cuda": {"small": [25, 100], "cifar10": [25, 100]}}
STEPS = 4
STEP, UPDATE = "Langevin step and image", f"update of {STEPS} steps and image"
# Ratios to reach: (size, work) -> precision -> at least; on a GPU batch -> at least
AT_LEAST = {("cifar10", STEP): {"float32": 1.7, "bfloat16": 3}, ("small", STEP): {"float32": 3.5, "bfloat16": 5},
            ("cifar10", UPDATE): {"float32": 1.7}, ("small", UPDATE): {"float32": 2.5}}
AT_LEAST_ON_GPU = {25: 3, 100: 2}


def theirs(args, size, batch, precision):
    return peers.script(args, "run_authors.py", args.code, "--size", size, "--batch", batch, "--steps", STEPS,
                        "--threads", args.threads, "--update", "--device", args.device, "--precision", precision)


def ours(args, size, batch, precision):
    common = ["--preset", PRESETS[size], "--batch", batch, "--comm.threads", args.threads, "--compute.device",
              args.device, "--compute.chain_precision", precision, "--energy.power_iterations_in_chain", "false",
              "--json"]
    step = peers.answer([args.program, "bench", "langevin", *common])
    update = peers.answer([args.program, "bench", "update", *common, "--langevin.steps", STEPS])
    return {"s_per_step_image": step["s_per_step"] / step["batch"], "s_per_update": update["s_per_update"]}


def rows(args):
    """The rows of each size and batch, as they are measured. On a GPU the reference has its best precision too."""
    on_cpu = args.device == "cpu"
    for size, batch in ((s, b) for s in args.sizes for b in BATCHES[args.device][s]):
        rounds = [([theirs(args, size, batch, p) for p in (["float32"] if on_cpu else args.precisions)],
                   {p: ours(args, size, batch, p) for p in args.precisions}) for _ in range(args.rounds)]
        for work, key, per in ((STEP, "s_per_step_image", 1), (UPDATE, "s_per_update", batch)):
            reference = min(their[key] for r in rounds for their in r[0]) / per
            for precision in args.precisions:
                own = min(r[1][precision][key] for r in rounds) / per
                at_least = AT_LEAST[size, work].get(precision) if on_cpu else AT_LEAST_ON_GPU[batch]
                yield peers.Row(f"{work}, {PRESETS[size]}", batch, precision, "authors' code", 1e3 * reference,
                                1e3 * own, at_least if on_cpu or work == STEP else None)


def precisions_here(wanted, device="cpu"):
    """Those of them that the device computes in; a GPU is not asked."""
    here = {"float32"} | ({"bfloat16"} if peers.has_bfloat16() else set()) if device == "cpu" else set(PRECISIONS)
    return [p for p in wanted if p in here]


def main():
    parser = peers.parser(__doc__)
    parser.add_argument("code", metavar="CODE", help="a checkout of the authors' repository")
    parser.add_argument("--sizes", type=peers.some_of(PRESETS), default="small,cifar10", help="default small,cifar10")
    parser.add_argument("--device", choices=list(BATCHES), default="cpu")
    parser.add_argument("--precisions", type=peers.some_of(PRECISIONS), default=",".join(PRECISIONS),
                        help="default: all that the device has")
    args = parser.parse_args()
    args.precisions = precisions_here(args.precisions, args.device)
    if not args.precisions:
        parser.error(f"--precisions: this processor computes in {', '.join(precisions_here(PRECISIONS))}")
    peers.check_program(args.program)
    peers.check_checkout(args.code)
    versions = peers.check_python(args.python, peers.AUTHORS_PACKAGES)
    peers.set_threads(args.threads)
    peers.print_machine(args, args.precisions, versions["torch"])
    peers.print_rows(rows(args))


if __name__ == "__main__":
    main()
