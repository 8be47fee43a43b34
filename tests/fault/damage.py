"""Files that are not what was written: one bit flipped at random places of every kind of file; checkpoints and caches truncated, with
a file missing or one too many. All is noticed, the file named, and training goes on from the older checkpoint to the same bits."""
import collections
import shutil

from harness import PRODUCT, Harness, require, run_main, same_product

Trial = collections.namedtuple("Trial", "kind what place")  # what: flip (place: bit number), truncate (length), delete, stray
NEWEST, OLDER = "step-0000005", 4


class Damage:
    def __init__(self, harness):
        self.harness = harness
        base = harness.base
        part = base / "prior/checkpoints" / NEWEST
        self.files = {  # kind: file
            "weights": part / "model-00001-of-00001.safetensors",
            "optimiser": part / "optimizer-00001-of-00001.safetensors",
            "manifest": part / "manifest.json",
            "shard": base / "cache/shard-00003-of-00006.h5",
            "index": base / "cache/index.json",
            "vae": base / PRODUCT["train-vae"],
            "features": base / PRODUCT["train-features"],
            "prior": base / PRODUCT["train"],
            "data set": harness.data,
        }
        self.unused = 0

    def apply(self, trial, file):
        content = bytearray(file.read_bytes())
        if trial.what == "flip":
            content[trial.place // 8] ^= 1 << trial.place % 8
        if trial.what == "truncate":
            del content[trial.place:]
        if trial.what == "stray":
            (file.parent / "stray.safetensors").write_bytes(content)
            return
        file.unlink()
        if trial.what != "delete":
            file.write_bytes(content)

    def copy(self, trial, *parts):
        run = self.harness.fresh("damage-" + "-".join(str(part) for part in trial).replace(" ", "-"))
        for part in parts:
            (run / part).parent.mkdir(parents=True, exist_ok=True)
            source = self.harness.base / part
            shutil.copytree(source, run / part) if source.is_dir() else shutil.copy2(source, run / part)
        return run

    def check(self, trial):
        if trial.kind in ("weights", "optimiser", "manifest"):
            return self.checkpoint(trial)
        return self.refused(trial)

    def checkpoint(self, trial):
        run = self.copy(trial, "prior/checkpoints", "prior/metrics.jsonl")
        file = run / self.files[trial.kind].relative_to(self.harness.base)
        self.apply(trial, file)
        named = file.parent / "stray.safetensors" if trial.what == "stray" else file
        result = self.harness.run("train", run)
        require(result.code == 0, f"exit code {result.code}: {result.tail()}")
        require("does not verify" in result.log and str(named) in result.log, f"{named} is not named: {result.tail()}")
        require(f"after {OLDER} updates" in result.log, f"it did not go on from update {OLDER}: {result.tail()}")
        require((run / "prior/checkpoints" / (NEWEST + ".bad")).is_dir(), "the damaged checkpoint was not set aside")
        same_product(run, self.harness.base, "train")
        shutil.rmtree(run)
        return trial

    def refused(self, trial):
        """Exit code 4 (2 where the file is missing) by a command that reads it, and the file's name."""
        in_cache, in_data = trial.kind in ("shard", "index"), trial.kind == "data set"
        parts = ["cache"] if in_cache else [] if in_data else [PRODUCT["train-vae"], PRODUCT["train-features"], PRODUCT["train"]]
        run = self.copy(trial, *parts)
        file = run / "data.h5" if in_data else run / self.files[trial.kind].relative_to(self.harness.base)
        if in_data:
            shutil.copy2(self.harness.data, file)
        self.apply(trial, file)
        if in_cache:
            result = self.harness.start([self.harness.bin / "hebm_dist", "cache", "verify", run / "cache"])
        elif in_data:
            result = self.harness.start([self.harness.bin / "hebm_data", "verify", file])
        else:
            # --dry-run takes a file that is not there yet for one that another step will make.
            dry = [] if trial.what == "delete" else ["--dry-run"]
            result = self.harness.run("sample" if trial.kind == "prior" else "evaluate", run, *dry)
        missing = trial.what == "delete" and not in_cache
        if in_data and trial.what == "flip" and result.code == 0:
            self.unused += 1  # between HDF5's objects: it holds the same
            require(self.holds_the_same(file), "a flipped bit changed what the data set holds, and was not noticed")
            shutil.rmtree(run)
            return trial
        require(result.code == (2 if missing else 4), f"exit code {result.code}: {result.tail()}")
        require(str(file.parent if trial.kind == "index" else file) in result.log, f"{file} is not named: {result.tail()}")
        shutil.rmtree(run)
        return trial

    def holds_the_same(self, file):
        """import-idx leaves a file alone that holds what it would write, and names what differs otherwise."""
        result = self.harness.start([self.harness.bin / "hebm_data", "import-idx", "--fashion-mnist", "/usr/share/datasets/fashion-mnist",
                                     "--limit", "64", "--limit-test", "32", "--out", file])
        return result.code == 0 and "already holds" in result.log

    def pixels(self, place):
        """A flipped pixel is noticed by the command that reads it, too."""
        run = self.copy(Trial("pixel", "flip", place))
        file = run / "data.h5"
        shutil.copy2(self.harness.data, file)
        self.apply(Trial("pixel", "flip", place), file)
        result = self.harness.run("train-vae", run, "--data.path", file)
        require(result.code == 4 and str(file) in result.log, f"train-vae: exit code {result.code}: {result.tail()}")
        return place


def main():
    harness = Harness()
    harness.prepare("train-vae", "train-features", "encode", "train")
    damage, scale = Damage(harness), 10 if harness.full else 1
    share = {"weights": 14, "optimiser": 14, "manifest": 14, "shard": 16, "index": 10, "vae": 8, "features": 6, "prior": 8, "data set": 10}
    flips = [Trial(kind, "flip", harness.random.randrange(8 * file.stat().st_size))
             for kind, file in damage.files.items() for _ in range(share[kind] * scale)]
    done = harness.each(flips, damage.check)
    kinds = collections.Counter(trial.kind for trial in done)
    print(f"{len(flips)} flipped bits, {len(done)} held; {damage.unused} of them in bytes that hold nothing (data set)")
    print(", ".join(f"{kind}: {kinds[kind]} of {share[kind] * scale}" for kind in share), flush=True)
    middle = 8 * (harness.data.stat().st_size // 2)  # the pixels are most of the file
    harness.each([middle, middle + 4099], damage.pixels)

    others = []
    for kind in ("weights", "optimiser", "manifest", "shard", "index", "vae", "prior", "data set"):
        size = damage.files[kind].stat().st_size
        lengths = [0, 7, size - 1] + [harness.random.randrange(size) for _ in range(47 if harness.full else 1)]
        others += [Trial(kind, "truncate", length) for length in lengths] + [Trial(kind, "delete", 0)]
    others += [Trial("weights", "stray", 0)]
    others.remove(Trial("data set", "delete", 0))  # hebm_data verify has its own test
    done = harness.each(others, damage.check)
    print(f"{len(others)} truncated, missing or stray files, {len(done)} noticed")
    harness.finish()


if __name__ == "__main__":
    run_main(main)
