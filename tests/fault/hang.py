"""A rank of a training that is stopped or gone: the others end with 6, name it with its host and the update, and the same command goes
on. A job that waits for another's lease says so and answers TERM."""
import json
import os
import pathlib
import signal
import subprocess
import time

from harness import SOURCE, Harness, checkpoints, require, run_main

LONG = ("--train.updates", "100000", "--train.preview_every", "0", "--train.export_every", "0", "--train.checkpoint_every", "20")


def process_of(rank, run):
    """The number of that rank's process; None where there is none yet."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            environment = (folder / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"hebm_dist") and str(run).encode() in words and f"OMPI_COMM_WORLD_RANK={rank}".encode() in environment:
            return int(folder.name)
    return None


def start(harness, command, run, *options, ranks=1):
    words = [harness.bin / "hebm_dist", command, "--config", harness.config, "--run.directory", run, "--data.path", harness.data,
             "--run.vae", harness.base / "vae/vae.safetensors", "--run.cache", harness.base / "cache", "--comm.threads", "1", *options]
    if ranks > 1:
        words = [SOURCE / "launch" / "mpirun", "-n", str(ranks)] + words
    return subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            stdin=subprocess.DEVNULL, start_new_session=True)


def wait_until(condition, what, limit_s=60):
    begin = time.monotonic()
    while not condition():
        require(time.monotonic() - begin < limit_s, f"{what}: not within {limit_s} s")
        time.sleep(0.05)


def stopped_rank(harness, name, limit, expected_s):
    run = harness.fresh(name)
    with start(harness, "train", run, *LONG, *limit, ranks=2) as job:
        wait_until(lambda: len(checkpoints(run, "train")) >= 2, "two checkpoints")
        victim = process_of(1, run)
        require(victim is not None, "rank 1 was not found")
        os.kill(victim, signal.SIGSTOP)
        begin = time.monotonic()
        log = job.communicate(timeout=expected_s + 60)[0]
    seconds = time.monotonic() - begin
    require(job.returncode == 6, f"{name}: exit code {job.returncode}: {log[-2000:]}")
    require(seconds < expected_s + 15, f"{name}: {seconds:.0f} s until the end")
    require(f"rank 1 on {os.uname().nodename} hangs: its process is stopped" in log, f"{name}: {log[-2000:]}")
    require("train, update " in log and "The last collective that all ranks entered: " in log, f"{name}: {log[-2000:]}")
    print(f"{name}: rank 1 of 2 stopped in training: named after {seconds:.1f} s, exit code 6", flush=True)


def put_lease(run, **fields):
    """Of a job on another machine; the file's time is a clock that is wrong."""
    lease = {"token": "0123456789abcdef", "host": "node7", "boot": "another", "pid_namespace": "pid:[1]", "job": "345", "command": "train",
             "pid": 4711, "start_ticks": 1, "time_s": 1, "beat": "0000000000000000"} | fields
    (run / "prior").mkdir(parents=True, exist_ok=True)
    path = run / "prior/lease.json"
    path.write_text(json.dumps(lease))
    os.utime(path, (time.time() + 3600, time.time() + 3600))


def waiting_job(harness):
    run = harness.fresh("waiting")
    put_lease(run)
    with start(harness, "train", run, *LONG, ranks=2) as job:
        line = job.stdout.readline()
        while line and "waits up to" not in line:
            line = job.stdout.readline()
        require("process 4711 on node7, job 345" in line and "up to 30.0 s" in line, f"the waiting job says: {line}")
        os.kill(job.pid, signal.SIGTERM)
        begin = time.monotonic()
        log = job.communicate(timeout=60)[0]
    seconds = time.monotonic() - begin
    require(job.returncode == 75 and "asked to stop while it waited" in log, f"exit code {job.returncode}: {log[-2000:]}")
    require(seconds < 5, f"TERM was answered after {seconds:.1f} s")
    require((run / "prior/lease.json").exists(), "the other job's lease is gone")
    print(f"a job that waits for another machine's lease says for whom and how long; TERM ends it with 75 in {seconds:.1f} s", flush=True)


def main():
    harness = Harness()
    harness.prepare("train-vae", "encode")
    stopped_rank(harness, "given limit", ("--comm.hang_timeout_s", "4"), 4)
    waiting_job(harness)
    if harness.full:
        stopped_rank(harness, "default limit", (), 60)
    harness.finish()


if __name__ == "__main__":
    run_main(main)
