"""Times the program against the authors' released code at the same work, in turn, in one call, and prints the table of
docs/performance.md.

  compare_authors.py HEBM_DIST CODE [--sizes small,cifar10] [--precisions float32,bfloat16] [--threads N] [--rounds N]

CODE: a checkout of jcui1224/diffusion-hierarchical-ebm. A step is one Langevin step of the paper's energy nets through
NVAE; an update is Algorithm 1's iteration with so many of them, posterior, loss and optimiser included. The Python that
runs the authors' code needs torch, numpy, scipy, matplotlib, pillow and lmdb."""
import peers

PRESETS = {"small": "nvae-small-bench", "cifar10": "nvae-cifar10"}
BATCHES = {"small": 64, "cifar10": 4}
STEPS = 4
# Ratios to reach: (size, work) -> precision -> at least
STEP, UPDATE = "Langevin step and image", f"update of {STEPS} steps and image"
AT_LEAST = {("cifar10", STEP): {"float32": 1.7, "bfloat16": 3}, ("small", STEP): {"float32": 3.5, "bfloat16": 5},
            ("cifar10", UPDATE): {"float32": 1.7}, ("small", UPDATE): {"float32": 2.5}}


def theirs(args, size):
    return peers.script(args, "run_authors.py", args.code, "--size", size, "--batch", BATCHES[size], "--steps", STEPS,
                        "--threads", args.threads, "--update")


def ours(args, size, precision):
    common = ["--preset", PRESETS[size], "--batch", BATCHES[size], "--comm.threads", args.threads,
              "--compute.chain_precision", precision, "--energy.power_iterations_in_chain", "false", "--json"]
    step = peers.answer([args.program, "bench", "langevin", *common])
    update = peers.answer([args.program, "bench", "update", *common, "--langevin.steps", STEPS])
    return {"s_per_step_image": step["s_per_step"] / step["batch"], "s_per_update": update["s_per_update"]}


def rows(args):
    """The rows of each size, as they are measured."""
    for size in args.sizes:
        rounds = [(theirs(args, size), {p: ours(args, size, p) for p in args.precisions}) for _ in range(args.rounds)]
        for work, key, per in ((STEP, "s_per_step_image", 1), (UPDATE, "s_per_update", BATCHES[size])):
            reference = min(r[0][key] for r in rounds) / per
            for precision in args.precisions:
                own = min(r[1][precision][key] for r in rounds) / per
                yield peers.Row(f"{work}, {PRESETS[size]}", BATCHES[size], precision, "authors' code",
                                1e3 * reference, 1e3 * own, AT_LEAST[size, work].get(precision))


def precisions_here(wanted):
    """Those of them that this processor computes in."""
    return [p for p in wanted if p != "bfloat16" or peers.has_bfloat16()]


def main():
    parser = peers.parser(__doc__)
    parser.add_argument("code", metavar="CODE", help="a checkout of the authors' repository")
    parser.add_argument("--sizes", default="small,cifar10", help="default small,cifar10")
    parser.add_argument("--precisions", default="float32,bfloat16", help="default float32, and bfloat16 where there is")
    args = parser.parse_args()
    args.sizes, args.precisions = args.sizes.split(","), precisions_here(args.precisions.split(","))
    if not set(args.sizes) <= set(PRESETS):
        parser.error(f"--sizes: expected some of {', '.join(PRESETS)}")
    peers.check_program(args.program)
    peers.check_checkout(args.code)
    peers.check_python(args.python, peers.AUTHORS_PACKAGES)
    peers.set_threads(args.threads)
    peers.print_machine(args, args.precisions)
    peers.print_rows(rows(args))


if __name__ == "__main__":
    main()
