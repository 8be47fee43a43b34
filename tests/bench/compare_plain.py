"""Times the program against the plain PyTorch form (plain_pytorch.py, plain_training.py) at the same work, in turn,
and prints the table of docs/performance.md.

  compare_plain.py HEBM_DIST [--before OLD_HEBM_DIST] [--micro-batches 24,96] [--threads N] [--rounds N]

A gradient is that of one image in one Langevin step of the nets of plain_pytorch.py; `train` is a whole update over its
gradients, `train-vae` one over its images. In `train-vae` the program computes a rank's micro-batches together (up to
128 images, the same sum), the plain form one micro-batch at a time.

hebm_data lies beside HEBM_DIST: a scratch folder gets a data set of random pixels, a VAE and a cache. --before: a
program of an earlier version, timed at the same trainings: options that it does not know are left out. Where it has no
hebm_data beside it, that of HEBM_DIST makes its data set. The Python that runs the plain form needs torch and numpy."""
import contextlib
import json
import os
import random
import struct
import subprocess
import tempfile

import peers

LATENTS, WIDTH, ENERGY_WIDTH = "8x2,8x4,16x4", 32, 64
# The plain form's HVAE; its training is Adamax's.
BACKBONE = ["--vae.latents", LATENTS, "--vae.width", WIDTH, "--vae.top_width", 0, "--vae.image_sees_z", "false",
            "--vae.likelihood", "bernoulli"]
PRIOR = ["--prior.T", 2, "--prior.alpha_cum", "0.99995,0.7,0.0228", "--energy.width", ENERGY_WIDTH]
IMAGES, BATCH, STEPS = 1024, 192, 30
VAE_BATCH, VAE_MICRO_BATCHES = 128, (16, 64, 128)


def data_tool(program):
    return os.path.join(os.path.dirname(program) or ".", "hebm_data")


def known(program, command, words):
    """The words without options, each followed by its value, that this version of the program does not list."""
    done = subprocess.run([program, command, "--help-all"], capture_output=True, text=True)
    options = done.stdout
    if done.returncode != 0 or "--" not in options:
        return words
    pairs = [words[i:i + 2] for i in range(0, len(words), 2)]
    return [word for pair in pairs if f"{pair[0]} " in options for word in pair]


class Training:
    """Trainings of a program in a scratch folder; times are those of the fastest update, in milliseconds."""

    def __init__(self, args, program, folder):
        self.program, self.threads, self.folder, self.count = program, args.threads, folder, 0
        self.is_before = program == args.before
        self.data = os.path.join(folder, "data.h5")
        draw = random.Random(1)
        for name, head, bytes_each in (("images", (0x803, IMAGES, 28, 28), 28 * 28), ("labels", (0x801, IMAGES), 1)):
            with open(os.path.join(folder, name), "wb") as file:
                file.write(struct.pack(f">{len(head)}I", *head))
                file.write(draw.randbytes(IMAGES * bytes_each) if name == "images" else bytes(IMAGES))
        tool = data_tool(program) if peers.is_program(data_tool(program)) else data_tool(args.program)
        peers.run([tool, "import-idx", "--images", os.path.join(folder, "images"), "--labels",
                   os.path.join(folder, "labels"), "--out", self.data])
        self.vae_run = os.path.join(folder, "vae-run")
        self.run("train-vae", self.vae_run, "--vae_train.epochs", 1, *BACKBONE)
        self.run("encode", self.vae_run)

    def run(self, command, run, *words):
        if self.is_before:
            words = known(self.program, command, words)
        peers.run([self.program, command, "--run.directory", run, "--data.path", self.data, "--comm.threads",
                   self.threads, *words])

    def metrics(self, command, part, name, *words):
        """A metric of every update of a training."""
        self.count += 1
        run = os.path.join(self.folder, f"run{self.count}")
        self.run(command, run, *words)
        with open(os.path.join(run, part, "metrics.jsonl"), encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]
        return [line[name] for line in lines if name in line]

    def train(self, micro_batch):
        """Of a gradient."""
        seconds = self.metrics(
            "train", "prior", "seconds/update", "--run.vae", f"{self.vae_run}/vae/vae.safetensors", "--run.cache",
            f"{self.vae_run}/cache", "--train.updates", 12, "--train.batch", BATCH, "--train.micro_batch", micro_batch,
            "--langevin.steps", STEPS, "--train.log_every", 1, "--train.preview_every", 0, *PRIOR)
        return 1e3 * min(seconds) / (BATCH * STEPS)

    def train_vae(self, micro_batch):
        """Of an image."""
        rates = self.metrics(
            "train-vae", "vae", "images_per_s", "--vae_train.epochs", 2, "--vae_train.batch", VAE_BATCH,
            "--vae_train.micro_batch", micro_batch, "--vae_train.kl_weight", 0.06, "--vae_train.free_bits", 4,
            "--vae_train.optimiser", "adamax", "--vae_train.log_every", 1, *BACKBONE)
        return 1e3 / max(rates)


def plain(args, work, batch, micro_batch):
    """Milliseconds of the plain form."""
    return peers.script(args, "run_plain.py", "time", work, "--batch", batch, "--micro-batch", micro_batch, "--steps",
                        STEPS, "--threads", args.threads, "--seconds", args.seconds, "--latents", LATENTS, "--width",
                        WIDTH, "--energy-width", ENERGY_WIDTH)["ms"]


def langevin(args, micro_batch):
    return peers.answer([args.program, "bench", "langevin", "--batch", micro_batch, "--comm.threads", args.threads,
                         "--json", *BACKBONE, *PRIOR])["ms_per_step_image"]


def fastest_pair(args, reference, own):
    pairs = [(reference(), own()) for _ in range(args.rounds)]
    return min(p[0] for p in pairs), min(p[1] for p in pairs)


def rows(args):
    """The rows of each work, as they are measured."""
    with contextlib.ExitStack() as stack:
        def training(program):
            return Training(args, program, stack.enter_context(tempfile.TemporaryDirectory()))

        new, old = training(args.program), training(args.before) if args.before else None
        works = [("Langevin step and image, HVAE", "langevin", BATCH, m, lambda m=m: langevin(args, m), None)
                 for m in args.micro_batches]
        works += [("gradient of `train`, HVAE", "train", BATCH, m, lambda m=m: new.train(m), 2)
                  for m in args.micro_batches]
        works += [("image of `train-vae`, HVAE (ours: up to 128 together)", "train-vae", VAE_BATCH, m,
                   lambda m=m: new.train_vae(m), 1.3) for m in VAE_MICRO_BATCHES]
        for title, work, batch, micro_batch, own, at_least in works:
            pair = fastest_pair(args, lambda: plain(args, work, batch, micro_batch), own)  # noqa: B023
            yield peers.Row(title, micro_batch, "float32", "plain PyTorch", *pair, at_least)
        for micro_batch in args.micro_batches if old else []:
            pair = fastest_pair(args, lambda: old.train(micro_batch), lambda: new.train(micro_batch))  # noqa: B023
            yield peers.Row("gradient of `train`, HVAE", micro_batch, "float32", "earlier program", *pair,
                            2.5 if micro_batch == 24 else None)


def add_options(parser):
    parser.add_argument("--before", metavar="OLD_HEBM_DIST", help="an earlier version of the program")
    parser.add_argument("--micro-batches", type=peers.divisors_of(BATCH), default="24,96",
                        help=f"of the energy nets' training, divisors of {BATCH} (default 24,96)")
    parser.add_argument("--seconds", type=peers.positive_number, default=5.0,
                        help="of a timing of the plain form (default 5)")


def check_programs(args):
    for program in [args.program, data_tool(args.program)] + ([args.before] if args.before else []):
        peers.check_program(program)


def main():
    parser = peers.parser(__doc__)
    add_options(parser)
    args = parser.parse_args()
    check_programs(args)
    versions = peers.check_python(args.python, peers.PLAIN_PACKAGES)
    peers.set_threads(args.threads)
    peers.print_machine(args, ["float32"], versions["torch"])
    peers.print_rows(rows(args))


if __name__ == "__main__":
    main()
