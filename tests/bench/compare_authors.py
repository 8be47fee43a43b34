"""Times the program against the authors' released code at the same work, in turn, in one call, and prints the table of
docs/performance.md.

  compare_authors.py HEBM_DIST CODE [--sizes small,cifar10] [--precisions float32,bfloat16] [--threads N] [--rounds N]

CODE: a checkout of jcui1224/diffusion-hierarchical-ebm. A step is one Langevin step of the paper's energy nets through
NVAE; an update is Algorithm 1's iteration with so many of them, posterior, loss and optimiser included. Needs what
run_authors.py needs."""
import argparse
import json
import os
import subprocess
import sys

PRESETS = {"small": "nvae-small-bench", "cifar10": "nvae-cifar10"}
BATCHES = {"small": 64, "cifar10": 4}
STEPS = 4


def run(command):
    out = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
    return json.loads(out.stdout.splitlines()[-1])


def theirs(args, size):
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "run_authors.py")
    return run([sys.executable, script, args.code, "--size", size, "--batch", BATCHES[size], "--steps", STEPS,
                "--threads", args.threads, "--update"])


def ours(args, size, precision):
    common = ["--preset", PRESETS[size], "--batch", BATCHES[size], "--comm.threads", args.threads,
              "--compute.chain_precision", precision, "--energy.power_iterations_in_chain", "false", "--json"]
    step = run([args.program, "bench", "langevin", *common])
    update = run([args.program, "bench", "update", *common, "--langevin.steps", STEPS])
    return {"s_per_step_image": step["s_per_step"] / step["batch"], "s_per_update": update["s_per_update"]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("code")
    parser.add_argument("--sizes", default="small,cifar10")
    parser.add_argument("--precisions", default="float32,bfloat16")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    print("| work | batch | precision | authors' code, ms | ours, ms | times as fast |\n|---|---|---|---|---|---|")
    for size in args.sizes.split(","):
        rounds = [(theirs(args, size), {p: ours(args, size, p) for p in args.precisions.split(",")})
                  for _ in range(args.rounds)]
        for work, key, per in (("Langevin step and image", "s_per_step_image", 1),
                               (f"update of {STEPS} steps and image", "s_per_update", BATCHES[size])):
            reference = min(r[0][key] for r in rounds) / per
            for precision in args.precisions.split(","):
                own = min(r[1][precision][key] for r in rounds) / per
                print(f"| {work}, {PRESETS[size]} | {BATCHES[size]} | {precision} | {1e3 * reference:.4g} | "
                      f"{1e3 * own:.4g} | {reference / own:.2f} |", flush=True)


if __name__ == "__main__":
    main()
