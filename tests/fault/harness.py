"""What the fault tests share: a tiny pipeline, the program with the shim loaded, and what must hold after a fault."""
import concurrent.futures
import filecmp
import os
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
import time

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
CONFIG = """
[vae]
latents = 2x2,2x4
width = 4
image_width = 4
pixel_width = 4
top_width = 4
[vae_train]
epochs = 1.25
batch = 16
micro_batch = 4
checkpoint_every = 1
log_every = 1
[features]
epochs = 0.5
batch = 16
micro_batch = 8
min_accuracy = 0
checkpoint_every = 1
[cache]
shards = 6
batch = 16
[prior]
T = 2
[energy]
width = 4
[langevin]
steps = 2
[train]
updates = 5
batch = 16
micro_batch = 4
checkpoint_every = 1
log_every = 1
preview_every = 2
export_every = 3
deterministic = true
[sample]
count = 8
chunk = 8
[evaluate]
num_images = 100
chunk = 8
"""
PRODUCT = {
    "train-vae": "vae/vae.safetensors",
    "train-features": "features/features.safetensors",
    "encode": "cache",
    "train": "prior/prior.safetensors",
}
LIMIT_S = 120  # a run of this size takes about a second: longer is a hang


class Failed(Exception):
    pass


def require(condition, message):
    if not condition:
        raise Failed(message)


def run_main(main):
    """A fault test's whole program: what cannot even be prepared is told in one line."""
    try:
        main()
    except Failed as failure:
        raise SystemExit(f"FAILED: {failure}") from failure


class Result:
    def __init__(self, code, log, seconds):
        self.code, self.log, self.seconds = code, log, seconds

    def tail(self):
        return "\n".join(self.log.splitlines()[-12:])


class Harness:
    """usage of every test: PROGRAM.py FOLDER_OF_PROGRAMS SHIM SCRATCH [full]"""

    def __init__(self):
        require(len(sys.argv) in (4, 5), self.__doc__)
        self.bin, self.shim, self.scratch = (pathlib.Path(argument).resolve() for argument in sys.argv[1:4])
        self.full = sys.argv[4:] == ["full"]
        self.random = random.Random(20240721)
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.base = self.scratch / "base"
        self.base.mkdir(parents=True)
        self.config, self.data = self.scratch / "tiny.ini", self.scratch / "data.h5"
        self.config.write_text(CONFIG)
        self.failures = []

    def run(self, command, run, *options, ranks=1, fault=None, limit_s=LIMIT_S):
        """The command on the run directory; fault: settings of the shim without their HEBM_FAULT_."""
        words = [self.bin / "hebm_dist", command, "--config", self.config, "--run.directory", run, "--data.path", self.data,
                 "--comm.threads", "1", *options]
        if command in ("train", "encode", "sample", "evaluate") and not (run / "vae").exists():
            words += ["--run.vae", self.base / PRODUCT["train-vae"]]
        if command == "train" and not (run / "cache").exists():
            words += ["--run.cache", self.base / "cache"]
        if ranks > 1:
            words = [SOURCE / "launch" / "mpirun", "-n", str(ranks)] + words
        return self.start(words, self.environment(run, fault), limit_s)

    def environment(self, run, fault):
        environment = dict(os.environ)
        if fault is not None:
            environment |= {"HEBM_FAULT_" + key: str(value) for key, value in ({"ROOT": run} | fault).items()}
            environment["LD_PRELOAD"] = str(self.shim)
        return environment

    @staticmethod
    def start(words, environment=None, limit_s=LIMIT_S):
        begin = time.monotonic()
        with subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors="replace", env=environment, stdin=subprocess.DEVNULL, start_new_session=True) as process:
            try:
                log = process.communicate(timeout=limit_s)[0]
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # its own group, made above
                raise Failed(f"{words[1]}: no end after {limit_s} s: {process.communicate()[0][-2000:]}") from None
        return Result(process.returncode, log, time.monotonic() - begin)

    def prepare(self, *commands):
        """A data set of 64 + 32 images, and the products of these commands under base/."""
        result = self.start([self.bin / "hebm_data", "import-idx", "--fashion-mnist", "/usr/share/datasets/fashion-mnist",
                             "--limit", "64", "--limit-test", "32", "--out", self.data])
        require(result.code == 0, result.log)
        for command in commands:
            result = self.run(command, self.base)
            require(result.code == 0, f"{command} without faults: exit code {result.code}: {result.tail()}")

    def each(self, trials, work, workers=2):
        """work(trial) for all trials, two at a time; a trial that fails is told and counted. Returns what the others returned."""
        done = []
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            futures = {pool.submit(work, trial): trial for trial in trials}
            for future in concurrent.futures.as_completed(futures):
                try:
                    done.append(future.result())
                except Failed as failure:
                    self.failures.append(f"{futures[future]}: {failure}")
                    print("FAILED", self.failures[-1], flush=True)
        return done

    def finish(self):
        print(f"{len(self.failures)} failed" if self.failures else "all held")
        sys.exit(1 if self.failures else 0)

    def fresh(self, name):
        folder = self.scratch / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder


def read_log(path):
    """Events (rank, call, failed, path, new path) of HEBM_FAULT_LOG, in order."""
    events = []
    for line in path.read_text().splitlines() if path.exists() else []:
        _, _, rank, call, name, *new = line.split(" ")
        events.append((int(rank), call.removesuffix("(failed)"), call.endswith("(failed)"), name, new[0] if new else ""))
    return events


def spread(count, total):
    """`count` different numbers of 1..total, evenly over all of them."""
    return sorted({1 + i * total // count for i in range(min(count, total))}) if count < total else list(range(1, total + 1))


def checkpoints(run, command):
    folder = (run / PRODUCT[command]).parent / "checkpoints"
    return sorted(entry.name for entry in folder.iterdir() if re.fullmatch(r"step-\d+", entry.name)) if folder.is_dir() else []


def files_of(path):
    return sorted(entry for entry in path.rglob("*") if entry.is_file()) if path.is_dir() else [path]


def same_product(run, reference, command):
    """Byte for byte."""
    ours, theirs = run / PRODUCT[command], reference / PRODUCT[command]
    names = [file.relative_to(ours) for file in files_of(ours)]
    require(names == [file.relative_to(theirs) for file in files_of(theirs)], f"{ours} holds {names}")
    for name in names:
        require(filecmp.cmp(ours / name, theirs / name, shallow=False), f"{ours / name} differs from the uninterrupted run's")


def nothing_left_over(run):
    for entry in run.rglob("*"):
        require(".bad" not in entry.name, f"{entry}: something that does not verify was published")
        require(".tmp-" not in entry.name, f"{entry} was left over")
        require(entry.name != "lease.json", f"{entry}: the lease was left over")
