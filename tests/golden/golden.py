#!/usr/bin/env python3
"""Golden results: what every command makes on tiny settings, as one JSON file. A change of structure leaves it equal.

    golden.py record FOLDER_OF_PROGRAMS SCRATCH OUT.json     # about four minutes on two cores
    golden.py compare BEFORE.json AFTER.json                 # exit code 1 and the differing entries

Recorded are hashes of weights, caches, samples and pictures, the numbers of all results, the help and the
dry runs. Bits depend on the processor: compare files of one machine only.
"""
import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
IGNORED = ("seconds", "sampling_s", "seconds_per_1000", "seconds_per_image", "env", "content_hash")  # times and places, and what has them
COMMANDS = ("train-vae", "train-features", "hierarchy", "encode", "train", "sample", "evaluate", "ood", "transition", "vary", "couple",
            "labels", "compose", "replay", "report", "status", "sweep", "cache", "doctor", "bench")
NVAE = """[vae]
kind = nvae
[nvae]
channels = 4
groups_per_scale = 2
latents = 2
preprocess_cells = 1
postprocess_cells = 1
[vae_train]
epochs = 0.5
batch = 48
micro_batch = 12
warmup = 2
kl_anneal = 0.5
kl_min = 1e-4
kl_balance = true
spectral = 1e-2
spectral_start = 1
data_init = true
checkpoint_every = 2
log_every = 1
"""


class Recorder:
    def __init__(self, programs, scratch):
        self.programs, self.scratch, self.entries = programs, scratch, {}
        self.data = f"{scratch}/data.h5"

    def program(self, name, *args, status=0):
        done = subprocess.run([f"{self.programs}/{name}", *args], capture_output=True, text=True, cwd=self.scratch)
        if done.returncode != status: sys.exit(f"{name} {' '.join(args)}: exit code {done.returncode}\n{done.stderr[-4000:]}")
        return done.stdout

    def ranked(self, ranks, run, command, *args, config, key=None):
        """A command on so many ranks; its table is an entry where `key` names it."""
        line = [f"{SOURCE}/launch/mpirun", "-n", str(ranks), f"{self.programs}/hebm_dist", command, "--config", config, "--run.directory", run,
                "--comm.threads", "1"]
        if "--data.path" not in args: line += ["--data.path", self.data]
        done = subprocess.run(line + list(args), capture_output=True, text=True, cwd=self.scratch)
        if done.returncode != 0: sys.exit(f"{' '.join(line)} {' '.join(args)}: exit code {done.returncode}\n{done.stderr[-4000:]}")
        if key is not None: self.entries[f"{run}: {key}"] = done.stdout
        if command == "sample":  # the file also says how long it took
            self.entries[f"{run}: sample {' '.join(args)}"] = re.findall("images_hash [0-9a-f]+", done.stdout + done.stderr)

    def files(self, run):
        """Everything of a run that is not a log or about time."""
        for folder, _, names in sorted(os.walk(f"{self.scratch}/{run}")):
            for name in sorted(names):
                path = os.path.join(folder, name)
                key = os.path.relpath(path, self.scratch)
                if "checkpoints" in key or "/step-" in key or name == "env.json" or "/samples/" in key and name.endswith(".h5"): continue
                if name.endswith(".safetensors"): self.entries[key] = tensors(path)
                elif name.endswith((".h5", ".png")): self.entries[key] = digest(open(path, "rb").read())
                elif name == "index.json" or "/results/" in key and name.endswith(".json"): self.entries[key] = timeless(json.load(open(path)))


def digest(data): return hashlib.sha256(data).hexdigest()[:16]


def tensors(path):
    """Hash of names, shapes and values, and the metadata that is not about the build."""
    data = open(path, "rb").read()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    metadata = header.pop("__metadata__", {})
    about = {key: metadata[key] for key in sorted(metadata) if "hash" not in key}
    return {"values": digest(json.dumps(header, sort_keys=True).encode() + data[8 + size:]), "about": about}


def timeless(value):
    if isinstance(value, dict): return {key: timeless(entry) for key, entry in value.items() if key not in IGNORED}
    return [timeless(entry) for entry in value] if isinstance(value, list) else value


def record_hvae(r, config):
    several = ("--labels", "group,brightness,width", "--layers", "0/1,2/2", "--name", "attributes")
    attributes = f"{r.scratch}/attributes.h5"
    for n in (1, 2):
        run = f"hvae{n}"
        go = lambda command, *args, key=None: r.ranked(n, run, command, *args, config=config, key=key)
        for command in ("train-vae", "train-features", "encode"): go(command)
        go("hierarchy", key="hierarchy")
        go("train", "--train.deterministic", "true")
        go("sample")
        for kind in ("joint", "nce"):
            go("train", "--prior.kind", kind, "--train.deterministic", "true")
            go("sample", "--prior.kind", kind)
        go("sample", "--prior.kind", "nce", "--nce.sampler", "langevin")
        go("sample", "--prior.kind", "gaussian")
        go("evaluate")
        go("evaluate", "--all")
        go("transition", key="transition")
        go("transition", "--steps", "5", key="transition --steps 5")
        go("vary", key="vary")
        go("vary", "--layers", "2,0", key="vary --layers 2,0")
        go("ood", "--out", f"{r.scratch}/invert.h5", "--ood.num_images", "50", "--ood.chunk", "20", "--ood.bootstrap", "100", key="ood")
        go("couple", "--train.deterministic", "true")
        go("couple", *several, "--couple.from", "nothing", "--couple.steps", "5", "--train.deterministic", "true", "--data.path", attributes)
        go("labels", key="labels")
        go("labels", "--name", "attributes", "--data.path", attributes, key="labels --name attributes")
        go("compose", "--name", "attributes", "--data.path", attributes, key="compose")
        go("sample", "--label", "Dress", "--sample.count", "40")
        r.files(run)


def record_nvae(r, config):
    for n in (1, 2):
        run = f"nvae{n}"
        go = lambda command, *args, key=None: r.ranked(n, run, command, *args, config=config, key=key)
        for command in ("train-vae", "train-features"): go(command)
        go("encode", "--vae.bn_readjust", "2")
        go("train", "--vae.bn_readjust", "2", "--train.deterministic", "true")
        go("sample", "--vae.bn_readjust", "2")
        go("evaluate", "--vae.bn_readjust", "2")
        go("vary", "--vae.bn_readjust", "2", key="vary")
        r.files(run)


def record_sweep(r):
    with open(f"{r.scratch}/sweep.ini", "w") as file:
        file.write(f"[sweep]\nconfig = {SOURCE}/configs/smoke.ini\n[data]\npath = {r.data}\n[train]\nupdates = 3\npreview_every = 0\n"
                   "deterministic = true\n[grid]\nprior.T = 1 2\nlangevin.steps = 2 3\n")
    r.program("hebm_dist", "sweep", "plan", "sweep.ini", "-o", "sweep")
    r.program("hebm_dist", "sweep", "run", "sweep")
    r.entries["sweep status"] = r.program("hebm_dist", "sweep", "status", "sweep")
    r.program("hebm_dist", "sweep", "collect", "sweep")
    r.files("sweep")


def record(programs, scratch, out):
    programs, scratch, out = (os.path.abspath(path) for path in (programs, scratch, out))
    shutil.rmtree(scratch, ignore_errors=True)
    os.makedirs(scratch)
    r = Recorder(programs, scratch)
    images = ("--fashion-mnist", "/usr/share/datasets/fashion-mnist", "--limit", "512", "--limit-test", "256")
    r.program("hebm_data", "import-idx", *images, "--out", r.data)
    r.program("hebm_data", "derive-attributes", "--from", r.data, "--out", f"{scratch}/attributes.h5")
    r.program("hebm_data", "derive", "--from", r.data, "--kind", "invert", "--out", f"{scratch}/invert.h5")
    smoke, nvae = f"{SOURCE}/configs/smoke.ini", f"{scratch}/nvae.ini"
    with open(smoke) as base, open(nvae, "w") as file: file.write(NVAE + base.read().split("[features]")[1].join(("[features]", "")))
    for command in COMMANDS: r.entries[f"{command} --help-all"] = r.program("hebm_dist", command, "--help-all")
    record_hvae(r, smoke)
    for command in ("train-vae", "train-features", "hierarchy", "encode", "train", "sample", "evaluate", "transition", "vary", "couple", "labels"):
        text = r.program("hebm_dist", command, "--dry-run", "--config", smoke, "--run.directory", "hvae1", "--data.path", r.data, "--comm.threads", "1")
        r.entries[f"{command} --dry-run"] = "\n".join(line for line in text.split("\n") if "free" not in line)
    record_nvae(r, nvae)
    record_sweep(r)
    text = json.dumps(r.entries, indent=1, sort_keys=True)
    with open(out, "w") as file: file.write(text.replace(scratch, "SCRATCH").replace(SOURCE, "SOURCE") + "\n")
    print(f"{len(r.entries)} entries in {out}")


def differences(before, after, where=""):
    if type(before) is not type(after): return [f"{where}: {before!r} -> {after!r}"]
    if isinstance(before, dict):
        out = [f"{where}{key}: is gone" for key in before if key not in after] + [f"{where}{key}: is new" for key in after if key not in before]
        for key in before:
            if key in after: out += differences(before[key], after[key], f"{where}{key}: ")
        return out
    if isinstance(before, list) and len(before) == len(after):
        return [line for i, pair in enumerate(zip(before, after)) for line in differences(*pair, f"{where}[{i}]: ")]
    return [] if before == after else [f"{where}{before!r} -> {after!r}"]


def main(args):
    if len(args) == 4 and args[0] == "record": return record(*args[1:])
    if len(args) == 3 and args[0] == "compare":
        with open(args[1]) as one, open(args[2]) as two: lines = differences(json.load(one), json.load(two))
        print("\n".join(lines) or "equal")
        return 1 if lines else 0
    sys.exit(__doc__)


if __name__ == "__main__": sys.exit(main(sys.argv[1:]))
