"""What the comparisons of this folder share: the machine, programs that answer in JSON, and a table of ratios."""
import argparse
import dataclasses
import importlib
import json
import math
import os
import platform
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
AUTHORS = "jcui1224/diffusion-hierarchical-ebm"
PLAIN_PACKAGES = {"torch": "torch==2.11.0", "numpy": "numpy"}
AUTHORS_PACKAGES = {**PLAIN_PACKAGES, "scipy": "scipy", "matplotlib": "matplotlib", "PIL": "pillow", "lmdb": "lmdb"}


@dataclasses.dataclass
class Row:
    """A work by a reference and by the program, the fastest of both in milliseconds; at_least: a ratio to reach."""
    work: str
    batch: int
    precision: str
    reference: str
    reference_ms: float
    own_ms: float
    at_least: float | None = None

    def text(self):
        ratio = self.reference_ms / self.own_ms
        bound = "" if self.at_least is None else f"{self.at_least:g}"
        reached = "" if self.at_least is None else "yes" if ratio >= self.at_least else "no"
        return (f"| {self.work} | {self.batch} | {self.precision} | {self.reference} | {self.reference_ms:.4g} | "
                f"{self.own_ms:.4g} | {ratio:.2f} | {bound} | {reached} |")


def print_rows(rows):
    """A Markdown table, each row as soon as it is measured. Returns the rows."""
    measured = []
    print("| work | batch | precision | reference | reference, ms | ours, ms | times as fast | at least | reached |\n"
          "|---|---|---|---|---|---|---|---|---|", flush=True)
    for row in rows:
        print(row.text(), flush=True)
        measured.append(row)
    return measured


# ---- the machine

def cpu():
    """Fields of the first processor in /proc/cpuinfo; {} where there is none."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            lines = file.read().split("\n\n")[0].splitlines()
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def has_bfloat16():
    """Whether the processor multiplies bfloat16 as compute.chain_precision wants it."""
    return "avx512_bf16" in cpu().get("flags", "").split()


def print_machine(args, precisions, torch_version):
    """Who measures: processor, threads, precision, versions, and the rate of a large matrix product."""
    fields = cpu()
    flags = fields.get("flags", "").split()
    sets = [name for name, flag in (("AVX2", "avx2"), ("AVX-512", "avx512f"), ("AVX512_BF16", "avx512_bf16"),
                                    ("AMX_BF16", "amx_bf16")) if flag in flags]
    rate = answer([args.program, "bench", "langevin", "--batch", 1, "--comm.threads", args.threads, "--json"])
    print(f"Processor: {fields.get('model name', platform.processor() or platform.machine())}, "
          f"family {fields.get('cpu family', '?')}, model {fields.get('model', '?')}, {', '.join(sets) or 'no AVX2'}; "
          f"{len(os.sched_getaffinity(0))} cores.\n"
          f"Threads: {args.threads}. Precision: {', '.join(precisions)}; on a processor the reference has float32. "
          f"PyTorch of the reference: {torch_version}.\n"
          f"A product of 1024 x 1024 x 1024 in float32: {rate['gemm_gflop_s']:.0f} GFLOP/s.\n"
          f"Load of the machine over the last minute: {os.getloadavg()[0]:.1f} processes.\n", flush=True)


# ---- programs

def run(command, folder=None):
    """What a command prints on stdout. Its failure ends this script with its last words."""
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, cwd=folder)
    if done.returncode != 0:
        sys.exit(f"exit code {done.returncode} of: {' '.join(words)}\n{done.stderr.strip()[-2000:]}")
    return done.stdout


def answer(command):
    """The JSON of a command's last line."""
    lines = run(command).splitlines()
    if not lines:
        sys.exit(f"no answer of: {' '.join(str(word) for word in command)}")
    return json.loads(lines[-1])


def script(args, name, *words):
    """The JSON of a script of this folder, run by the Python that has PyTorch."""
    return answer([args.python, os.path.join(HERE, name), *words])


# ---- what must be there

def is_program(path):
    return os.path.isfile(path) and os.access(path, os.X_OK)


def check_program(path):
    if not is_program(path):
        sys.exit(f"{path}: no such program; build it (docs/building.md) and name build/cpu/hebm_dist, "
                 "beside which hebm_data lies")


def check_checkout(code):
    for name in ("Trainer.py", "ebm_net.py", "nvae/model.py"):
        if not os.path.isfile(os.path.join(code, name)):
            sys.exit(f"{code}: {name} is missing; expected a checkout of the authors' public repository {AUTHORS}")


def imported(modules):
    """Imports them. By module: its version, or why it cannot be imported; None: it is not there."""
    out = {}
    for name in modules:
        try:
            out[name] = {"version": str(getattr(importlib.import_module(name), "__version__", ""))}
        except Exception as error:  # noqa: BLE001  what a broken package raises is its own
            absent = isinstance(error, ModuleNotFoundError) and error.name == name
            out[name] = {"error": None if absent else f"{type(error).__name__}: {error}"}
    return out


def refuse_python(python, reasons, packages):
    sys.exit(f"{python}: {'; '.join(reasons)}. Install:\n"
             f"  python3 -m venv peers && peers/bin/pip install {' '.join(packages.values())}\n"
             "and start this script by peers/bin/python")


def check_imported(python, found, packages):
    """The versions of what `imported` found; ends this script where a package is missing or broken."""
    errors = {name: entry["error"] for name, entry in found.items() if "error" in entry}
    missing = [name for name, error in errors.items() if error is None]
    reasons = [f"cannot import {', '.join(missing)}"] if missing else []
    reasons += [f"{name} is there, but cannot be imported: {error}" for name, error in errors.items() if error]
    if reasons:
        refuse_python(python, reasons, packages)
    return {name: entry["version"] for name, entry in found.items()}


def import_here(packages):
    """Imports the packages (module -> name to install) into this process."""
    check_imported(sys.executable, imported(packages), packages)


def check_python(python, packages):
    """The versions of the packages (module -> name to install) that this Python imports, all by one start of it."""
    probe = ("import sys; sys.path[0] = sys.argv[1]; import json, peers; "
             "print(); print(json.dumps(peers.imported(sys.argv[2:])))")
    try:
        done = subprocess.run([python, "-B", "-c", probe, HERE, *packages], capture_output=True, text=True)
    except OSError as error:
        sys.exit(f"{python}: {error.strerror}; expected a Python that has PyTorch")
    if done.returncode != 0:
        words = done.stderr.strip()[-500:]
        refuse_python(python, [f"exit code {done.returncode} on importing {', '.join(packages)}: {words}"], packages)
    return check_imported(python, json.loads(done.stdout.splitlines()[-1]), packages)


# ---- options

def positive_int(text):
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of 1 or more, not {text!r}")
    return number


def positive_number(text):
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"expected a positive number, not {text!r}")
    return number


def divisors_of(batch):
    """A type: numbers between commas that divide the batch."""
    def parse(text):
        numbers = [positive_int(part) for part in text.split(",")]
        for number in numbers:
            if batch % number:
                raise argparse.ArgumentTypeError(f"{number} does not divide the batch of {batch}")
        return numbers
    return parse


def some_of(names):
    """A type: names between commas, each once."""
    def parse(text):
        wanted = list(dict.fromkeys(text.split(",")))
        if not set(wanted) <= set(names):
            raise argparse.ArgumentTypeError(f"expected some of {', '.join(names)}, not {text!r}")
        return wanted
    return parse


def parser(description):
    """Options that every comparison has."""
    out = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    out.add_argument("program", metavar="HEBM_DIST", help="build/cpu/hebm_dist")
    out.add_argument("--python", default=sys.executable, help="the Python that has PyTorch (default: this one)")
    out.add_argument("--threads", type=positive_int, default=1,
                     help="of the reference and of the program (default 1)")
    out.add_argument("--rounds", type=positive_int, default=2,
                     help="both in turn so often; the fastest count (default 2)")
    return out


def set_threads(threads):
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
