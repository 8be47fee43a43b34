"""A rank whose reads take long: it is named in the log with its host, and nothing else changes."""
import os

from harness import Harness, require, run_main, same_product

RANKS = 3
LONG = ("--train.updates", "30", "--train.preview_every", "0", "--train.export_every", "0", "--train.checkpoint_every", "30")


def main():
    harness = Harness()
    harness.prepare("train-vae", "encode")
    runs = {"fast": None, "slow": {"ROOT": harness.base / "cache", "RANK": 1, "OPS": "read", "DO": "slow", "AT": 1, "COUNT": 0}}
    for name, fault in runs.items():
        result = harness.run("train", harness.fresh(name), *LONG, ranks=RANKS, fault=fault)
        require(result.code == 0, f"{name}: exit code {result.code}: {result.tail()}")
        named = [line for line in result.log.splitlines() if "is slow" in line]
        print(name, named)
        if fault:  # without it one of three ranks on two cores may be slow indeed
            require(len(named) == 1 and f"rank 1 on {os.uname().nodename} is slow" in named[0], f"{name}: {named}: {result.tail()}")
    same_product(harness.scratch / "slow", harness.scratch / "fast", "train")
    harness.finish()


if __name__ == "__main__":
    run_main(main)
