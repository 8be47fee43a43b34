"""The program is killed behind, or in the middle of, its n-th call that changes a file, for n over a whole run; then the same
command is run again. It must go on from the newest published checkpoint (cache: from its missing shards) and end with the
bytes of the uninterrupted run; what was published before the kill is whole. See harness.py for the arguments."""
import collections
import re
import shutil

from harness import PRODUCT, Harness, checkpoints, files_of, nothing_left_over, read_log, require, run_main, same_product, spread

Trial = collections.namedtuple("Trial", "command ranks rank at do")


def published(run, command):
    """What must not change any more: the product where there is one, and the shards of a cache."""
    product = run / PRODUCT[command]
    files = [file for file in files_of(product) if file.exists() and ".tmp-" not in file.name and file.name != "lease.json"]
    return {file: (file.stat().st_ino, file.stat().st_mtime_ns) for file in files}


def check_resume(log, run, command, steps, had_product):
    """A training command says where it went on: at the newest checkpoint that was there."""
    found = re.search(r"goes on from \S+ after (\d+) updates", log)
    if command == "encode" or had_product:
        return
    newest = int(steps[-1].removeprefix("step-")) if steps else None
    require((int(found[1]) if found else None) == newest, f"{run} had {steps}, but the log says {found[0] if found else 'nothing'}")


def kill_and_resume(harness, trial):
    run = harness.fresh("kill-" + "-".join(str(part) for part in trial))
    fault = {"DO": trial.do, "AT": trial.at, "RANK": trial.rank}
    killed = harness.run(trial.command, run, ranks=trial.ranks, fault=fault)
    expected = -9 if trial.ranks == 1 else 6
    require(killed.code == expected, f"exit code {killed.code} instead of {expected}: {killed.tail()}")
    require(killed.seconds < 60, f"{killed.seconds:.0f} s until the others left")
    steps, before = checkpoints(run, trial.command), published(run, trial.command)
    had_product = trial.command != "encode" and bool(before)
    resumed = harness.run(trial.command, run, ranks=trial.ranks)
    require(resumed.code == 0, f"resume: exit code {resumed.code}: {resumed.tail()}")
    require(before.items() <= published(run, trial.command).items(), f"{run}: the resume wrote again what was published")
    check_resume(resumed.log, run, trial.command, steps, had_product)
    same_product(run, harness.base, trial.command)
    require(checkpoints(run, trial.command) == checkpoints(harness.base, trial.command), f"kept {checkpoints(run, trial.command)}")
    nothing_left_over(run)
    shutil.rmtree(run)


def campaign(harness, command, count, ranks=1, rank=0):
    """Kill points over all calls of that rank, behind and within them by turns."""
    run, log = harness.fresh(f"count-{command}-{ranks}"), harness.scratch / f"count-{command}-{ranks}-{rank}.log"
    result = harness.run(command, run, ranks=ranks, fault={"LOG": log, "RANK": rank})
    require(result.code == 0, f"{command} with the shim: exit code {result.code}: {result.tail()}")
    same_product(run, harness.base, command)
    total = len(read_log(log))
    require(total > 0, "no calls were counted: the shim is not loaded")
    trials = [Trial(command, ranks, rank, at, "tear" if i % 2 else "kill") for i, at in enumerate(spread(count, total))]
    done = harness.each(trials, lambda trial: kill_and_resume(harness, trial) or trial, workers=2 if ranks == 1 else 1)
    of = f"{command} on {ranks} rank{'s' if ranks > 1 else ''}" + (f", rank {rank} killed" if ranks > 1 else "")
    print(f"{of}: {len(trials)} kill points of {total}, {len(done)} resumed from a verified state, {len(done)} bit-equal", flush=True)
    return len(trials), len(done)


def main():
    harness = Harness()
    harness.prepare("train-vae", "train-features", "encode", "train")
    short = {"train": 20, "train-vae": 8, "train-features": 4, "encode": 12}
    full = {"train": 120, "train-vae": 60, "train-features": 20, "encode": 100}
    counts = [campaign(harness, command, count) for command, count in (full if harness.full else short).items()]
    for rank in (0, 1):
        counts.append(campaign(harness, "train", 15 if harness.full else 2, ranks=2, rank=rank))
        counts.append(campaign(harness, "encode", 10 if harness.full else 1, ranks=2, rank=rank))
    print(f"{sum(c[0] for c in counts)} kill points, {sum(c[1] for c in counts)} resumed, {sum(c[1] for c in counts)} bit-equal")
    harness.finish()


if __name__ == "__main__":
    run_main(main)
