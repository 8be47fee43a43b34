"""Disks that are full or broken: the n-th call that changes a file fails once, or all do from there on. Earlier checkpoints stay whole,
training goes on, the exit code says it (1), nothing hangs, and the same command then ends with the bits of the undisturbed run."""
import collections
import os
import re
import shutil
import subprocess
import threading
import time

from harness import PRODUCT, Harness, checkpoints, nothing_left_over, read_log, require, run_main, same_product, spread

Trial = collections.namedtuple("Trial", "command do at count ops")


class Disk:
    def __init__(self, harness):
        self.harness = harness
        self.logs, self.went_on = {}, 0

    def count_calls(self, command):
        run, log = self.harness.fresh(f"count-{command}"), self.harness.scratch / f"count-{command}.log"
        result = self.harness.run(command, run, fault={"LOG": log})
        require(result.code == 0, f"{command} with the shim: exit code {result.code}: {result.tail()}")
        self.logs[command] = read_log(log)

    def published_before(self, trial):
        """Checkpoints that the undisturbed run had published (and not yet removed) before that call."""
        steps = set()
        for _, call, _, path, new in self.logs[trial.command][:trial.at - 1]:
            name = re.search(r"/checkpoints/(step-\d+)$", new if call == "rename" else "")
            if name:
                steps.add(name[1])
            if call == "rename" and re.search(r"/checkpoints/step-\d+$", path):
                steps.discard(path.rsplit("/", 1)[1])
        return steps

    def check(self, trial):
        run = self.harness.fresh("disk-" + "-".join(str(part) for part in trial))
        fault = {"DO": trial.do, "AT": trial.at, "COUNT": trial.count} | ({"OPS": trial.ops} if trial.ops else {})
        result = self.harness.run(trial.command, run, fault=fault)
        allowed = (0,) if trial.do == "short" else (0, 1)
        require(result.code in allowed, f"exit code {result.code}: {result.tail()}")
        if trial.ops is None and trial.count == 1:
            left = self.published_before(trial) - set(checkpoints(run, trial.command))
            require(not left or result.code == 0 or (run / PRODUCT[trial.command]).exists(), f"{left} were lost: {result.tail()}")
        if result.code == 0:
            same_product(run, self.harness.base, trial.command)
        if result.code == 1 and "WARNING: the checkpoint of update" in result.log and trial.count == 1:
            same_product(run, self.harness.base, trial.command)
            self.went_on += 1
        again = self.harness.run(trial.command, run)
        require(again.code == 0, f"run again: exit code {again.code}: {again.tail()}")
        require("does not verify" not in again.log, f"run again: {again.tail()}")
        same_product(run, self.harness.base, trial.command)
        nothing_left_over(run)
        shutil.rmtree(run)
        return result.code

    def full_from_here_on(self, trial):
        """Every call fails from the n-th on: the newest checkpoint that was whole by then is where the next run goes on."""
        run = self.harness.fresh("full-" + "-".join(str(part) for part in trial))
        result = self.harness.run(trial.command, run, fault={"DO": trial.do, "AT": trial.at, "COUNT": 0})
        require(result.code == 1, f"exit code {result.code}: {result.tail()}")
        lost = self.published_before(trial) - set(checkpoints(run, trial.command))
        require(not lost, f"{lost} were lost: {result.tail()}")
        again = self.harness.run(trial.command, run)
        require(again.code == 0 and "does not verify" not in again.log, f"run again: exit code {again.code}: {again.tail()}")
        same_product(run, self.harness.base, trial.command)
        nothing_left_over(run)
        shutil.rmtree(run)
        return trial


def shim_campaign(harness, disk, command, count):
    disk.count_calls(command)
    total = len(disk.logs[command])
    ways = [("enospc", None), ("eio", None), ("short", "write")]
    trials = [Trial(command, *ways[i % 3][:1], at, 1, ways[i % 3][1]) for i, at in enumerate(spread(count, total))]
    codes = collections.Counter(harness.each(trials, disk.check))
    print(f"{command}: {len(trials)} of {total} calls failed once (ENOSPC, EIO, short write): {codes[0]} runs ended with 0, {codes[1]} with 1, "
          f"{codes[0] + codes[1]} bit-equal after the same command")
    lasting = [Trial(command, "enospc" if i % 2 else "eio", at, 0, None) for i, at in enumerate(spread(max(2, count // 4), total - 8))]
    done = harness.each(lasting, disk.full_from_here_on)
    print(f"{command}: {len(lasting)} disks that stayed full or broken: {len(done)} ended with 1 and kept what was saved", flush=True)


def one_rank_fails(harness, rank):
    run = harness.fresh(f"rank-{rank}")
    result = harness.run("train", run, ranks=2, fault={"RANK": rank, "MATCH": "step-0000003.tmp-", "OPS": "write", "AT": 1, "COUNT": 0,
                                                       "DO": "enospc"})
    require(result.code == 1, f"rank {rank} cannot write: exit code {result.code}: {result.tail()}")
    said = re.search(r"WARNING: the checkpoint of update 3 was not saved.*", result.log)
    require(said and f"rank {rank}: " in said[0] and "No space left" in said[0], f"the log does not name rank {rank}: {result.tail()}")
    require(not any("0000003" in entry.name for entry in (run / "prior/checkpoints").iterdir()), "something of update 3 was left")
    same_product(run, harness.base, "train")
    print(f"rank {rank} of 2 could not write one checkpoint: told by name, no manifest, training went on, exit code 1, bit-equal", flush=True)


def real_small_disk(harness):
    """A tmpfs that is too small, where this may be mounted."""
    place = harness.fresh("tmpfs")
    needed = sum(file.stat().st_size for file in (harness.base / "prior").rglob("*") if file.is_file())
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={needed // 2 // 4096 * 4}k", "none", place],
                                           stderr=subprocess.DEVNULL, check=False).returncode != 0:
        print("no tmpfs: mounting is not allowed here")
        return
    try:
        result = harness.run("train", place / "run")
        require(result.code == 1 and "No space left" in result.log, f"exit code {result.code}: {result.tail()}")
        require(not (place / "run" / PRODUCT["train"]).exists() or checkpoints(place / "run", "train"), "nothing was saved at all")
        require(subprocess.run(["mount", "-o", "remount,size=64m", place], check=False).returncode == 0, "remount failed")
        again = harness.run("train", place / "run")
        require(again.code == 0 and "does not verify" not in again.log, f"with room again: exit code {again.code}: {again.tail()}")
        same_product(place / "run", harness.base, "train")
        print("a tmpfs that is too small: exit code 1; with room again the same command ends bit-equal", flush=True)
    finally:
        subprocess.run(["umount", place], check=False)


def two_jobs(harness, command):
    """The second of two on one folder is refused by name, the first is not disturbed; after kill -9 the next takes over at once."""
    run, log = harness.fresh(f"two-{command}"), harness.scratch / f"two-{command}.log"
    outcome = {}
    fault = {"DO": "sleep", "AT": 3, "LOG": log, "MATCH": "cache/shard" if command == "encode" else "checkpoints/"}
    first = threading.Thread(target=lambda: outcome.update(first=harness.run(command, run, fault=fault)))
    first.start()
    lease = (run / PRODUCT[command] if command == "encode" else (run / PRODUCT[command]).parent) / "lease.json"
    begin = time.monotonic()
    while not (lease.exists() and log.exists()) and time.monotonic() - begin < 60:
        time.sleep(0.02)
    second = harness.run(command, run)
    first.join()
    require(second.code == 1, f"the second {command}: exit code {second.code}: {second.tail()}")
    require(re.search(rf"is in use by another job: hebm_dist {command}, process \d+ on {re.escape(os.uname().nodename)}, job none, since",
                      second.log), f"the second {command} says: {second.tail()}")
    require(outcome["first"].code == 0, f"the first {command}: exit code {outcome['first'].code}: {outcome['first'].tail()}")
    same_product(run, harness.base, command)
    nothing_left_over(run)
    print(f"two {command} on one folder: the second was refused by name, the first was not disturbed", flush=True)


def main():
    harness = Harness()
    harness.prepare("train-vae", "encode", "train")
    disk = Disk(harness)
    short, full = {"train": 18, "train-vae": 9, "encode": 9}, {"train": 150, "train-vae": 60, "encode": 60}
    for command, count in (full if harness.full else short).items():
        shim_campaign(harness, disk, command, count)
    require(disk.went_on > 0, "no trial hit a checkpoint's save")
    print(f"in {disk.went_on} of these runs a checkpoint was not saved and training went on to the same bits")
    for rank in (0, 1):
        one_rank_fails(harness, rank)
    real_small_disk(harness)
    for command in ("train", "train-vae", "encode"):
        two_jobs(harness, command)
    harness.finish()


if __name__ == "__main__":
    run_main(main)
