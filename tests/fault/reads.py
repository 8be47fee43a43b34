"""Calls that fail while a file is read say nothing of what it holds: nothing is set aside, the exit code is 1, the message names file
and errno, and the same command then goes on to the same bits. Where no checkpoint can be used, nothing starts from zero in silence."""
import os
import re
import shutil

from harness import Harness, checkpoints, nothing_left_over, read_log, require, run_main, same_product, spread

CHECKPOINTS = ("prior/checkpoints", "prior/metrics.jsonl")


def copy(harness, name, *parts):
    run = harness.fresh(name)
    for part in parts:
        (run / part).parent.mkdir(parents=True, exist_ok=True)
        source = harness.base / part
        shutil.copytree(source, run / part) if source.is_dir() else shutil.copy2(source, run / part)
    return run


def set_aside(run):
    return sorted(str(entry) for entry in run.rglob("*") if ".bad" in entry.name)


def unreadable(harness, command, run, fault, named):
    """One run with the fault, then one without."""
    result = harness.run(command, run, fault={"OPS": "read", "DO": "eio"} | fault)
    require(result.code == 1, f"{command} with EIO: exit code {result.code}: {result.tail()}")
    require(named in result.log and re.search("errno (= )?5", result.log), f"{command}: {named} and the errno are not named: {result.tail()}")
    require(not set_aside(run), f"{command}: a read error set aside {set_aside(run)}")
    again = harness.run(command, run)
    require(again.code == 0, f"{command} again: exit code {again.code}: {again.tail()}")
    same_product(run, harness.base, command)
    nothing_left_over(run)
    return again


def checkpoint(harness):
    for match in ("/model-", "/optimizer-", "/manifest.json"):
        run = copy(harness, "read" + match.replace("/", "-"), *CHECKPOINTS)
        again = unreadable(harness, "train", run, {"MATCH": match, "AT": 1, "COUNT": 2}, match)
        require("after 5 updates" in again.log, f"it did not go on from the newest: {again.tail()}")
        print(f"EIO on {match[1:]} of a checkpoint: exit code 1, nothing set aside, then bit-equal", flush=True)


def shard(harness):
    """Each read of a shard, when encode looks for what is missing and writes the index."""
    name, log = "shard-00003-of-00006.h5", harness.scratch / "shard-count.log"
    result = harness.run("encode", copy_without_index(harness, "shard-count"), fault={"OPS": "read", "MATCH": name, "LOG": log})
    require(result.code == 0, f"encode with the shim: exit code {result.code}: {result.tail()}")
    total = len(read_log(log))
    require(total > 2, f"{total} reads of the shard were counted")
    harness.each(spread(6, total), lambda at: unreadable(
        harness, "encode", copy_without_index(harness, f"shard-{at}"), {"MATCH": name, "AT": at}, name))
    print(f"EIO on reads of a shard ({total} of them): exit code 1, nothing set aside, then bit-equal", flush=True)


def copy_without_index(harness, name):
    run = copy(harness, name, "cache")
    (run / "cache/index.json").unlink()
    return run


def damaged_shards(harness):
    """Ranks share the shards that are there: what each finds is said, and made again."""
    run = copy_without_index(harness, "shards-damaged")
    names = ["shard-00001-of-00006.h5", "shard-00002-of-00006.h5"]
    for name in names:
        content = bytearray((run / "cache" / name).read_bytes())
        for at in range(len(content) // 2, len(content), 97):  # some of them hold records
            content[at] ^= 1
        (run / "cache" / name).write_bytes(content)
    result = harness.run("encode", run, ranks=2)
    require(result.code == 0, f"exit code {result.code}: {result.tail()}")
    for name in names:
        require(f"{name}.bad" in result.log, f"{name} is not said to be damaged: {result.tail()}")
        (run / "cache" / (name + ".bad")).unlink()
    same_product(run, harness.base, "encode")
    print("damaged shards, each found by another rank: both named, bit-equal", flush=True)


def all_damaged(harness):
    run = copy(harness, "all-damaged", *CHECKPOINTS)
    steps = checkpoints(run, "train")
    for step in steps:
        os.truncate(run / "prior/checkpoints" / step / "model-00001-of-00001.safetensors", 7)
    for when in ("where all are damaged", "the next time"):
        result = harness.run("train", run)
        require(result.code == 4, f"{when}: exit code {result.code}: {result.tail()}")
        require(f"{len(steps)} checkpoints are there" in result.log and "--train.start_over true" in result.log,
                f"{when}: {result.tail()}")
        require(not checkpoints(run, "train"), f"{when}: {checkpoints(run, 'train')}")
    result = harness.run("train", run, "--train.start_over", "true")
    require(result.code == 0 and "starts from update 0" in result.log, f"start_over: exit code {result.code}: {result.tail()}")
    same_product(run, harness.base, "train")
    require(len(set_aside(run)) == len(steps), f"set aside: {set_aside(run)}")
    print(f"{len(steps)} checkpoints, all damaged: exit code 4 twice, from update 0 only when asked to, bit-equal", flush=True)


def main():
    harness = Harness()
    harness.prepare("train-vae", "encode", "train")
    checkpoint(harness)
    shard(harness)
    damaged_shards(harness)
    all_damaged(harness)
    harness.finish()


if __name__ == "__main__":
    run_main(main)
