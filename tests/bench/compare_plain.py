"""Times the program against the plain PyTorch form (plain_pytorch.py) at the same work, in turn, on one thread, and
prints the table of docs/performance.md.

  compare_plain.py HEBM_DIST RUN [--rounds N] [--seconds N]

RUN: a run directory of configs/quickstart.ini's nets with data set, VAE and cache; nothing in it changes. A gradient is
that of one image in one Langevin step; `train` is a whole update over its gradients. Needs torch."""
import argparse
import json
import os
import subprocess
import sys
import tempfile

SCHEDULE = ["--prior.T", "2", "--prior.alpha_cum", "0.99995,0.7,0.0228"]
BATCH, STEPS = 192, 30


def plain(work, micro_batch, seconds):
    """Milliseconds a gradient of the plain form."""
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "run_plain.py")
    out = subprocess.run([sys.executable, script, "time", work, "--batch", str(BATCH), "--micro-batch",
                          str(micro_batch), "--steps", str(STEPS), "--threads", "1", "--seconds", str(seconds)],
                         check=True, capture_output=True, text=True)
    return json.loads(out.stdout)["ms"]


def ours(program, run, work, micro_batch):
    """The same of the program: `bench langevin`, or the fastest of some updates of a training in a scratch folder."""
    if work == "langevin":
        out = subprocess.run([program, "bench", "langevin", "--batch", str(micro_batch), "--comm.threads", "1", "--json",
                              *SCHEDULE], check=True, capture_output=True, text=True)
        return json.loads(out.stdout.splitlines()[-1])["ms_per_step_image"]
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run([program, "train", "--run.directory", scratch, "--run.vae", f"{run}/vae/vae.safetensors",
                        "--run.cache", f"{run}/cache", "--data.path", f"{run}/dataset.h5", "--train.updates", "12",
                        "--train.batch", str(BATCH), "--train.micro_batch", str(micro_batch), "--langevin.steps",
                        str(STEPS), "--train.log_every", "1", "--train.preview_every", "0", "--comm.threads", "1",
                        *SCHEDULE], check=True, capture_output=True, text=True)
        with open(f"{scratch}/prior/metrics.jsonl", encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
    return 1e3 * min(row["seconds/update"] for row in rows) / (BATCH * STEPS)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("run")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5.0, help="of a timing of the plain form (default 5)")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    print("| work | micro-batch | plain PyTorch, ms a gradient | ours, ms a gradient | times as fast |\n|---|---|---|---|---|")
    for work in ("langevin", "train"):
        for micro_batch in (24, 96):
            pairs = [(plain(work, micro_batch, args.seconds), ours(args.program, args.run, work, micro_batch))
                     for _ in range(args.rounds)]
            reference, own = min(p[0] for p in pairs), min(p[1] for p in pairs)
            print(f"| {work} | {micro_batch} | {reference:.3f} | {own:.3f} | {reference / own:.1f} |", flush=True)


if __name__ == "__main__":
    main()
