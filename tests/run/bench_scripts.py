#!/usr/bin/env python3
"""The scripts of tests/bench say how they are called and what is missing, without PyTorch or a program."""
import contextlib
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

SCRIPTS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bench")
sys.path.insert(0, SCRIPTS)
import compare_authors  # noqa: E402
import compare_plain  # noqa: E402
import peers  # noqa: E402
import run_all  # noqa: E402

# Stand-ins of the program, of hebm_data and of a Python with PyTorch. Each writes its words to LOG.
PROGRAM = """#!{python} -B
import json, os, sys
words = sys.argv[1:]
with open("{log}", "a", encoding="utf-8") as log:
    log.write(json.dumps([os.path.realpath(sys.argv[0]), *words]) + "\\n")
if words[0] == "bench":
    print(json.dumps({{"gemm_gflop_s": 100, "ms_per_step_image": 1, "s_per_step": 1, "batch": 1, "s_per_update": 1}}))
elif words[0].startswith("train"):
    part = os.path.join(words[words.index("--run.directory") + 1], "prior" if words[0] == "train" else "vae")
    os.makedirs(part)
    with open(os.path.join(part, "metrics.jsonl"), "w", encoding="utf-8") as file:
        file.write(json.dumps({{"seconds/update": 5.76, "images_per_s": 1000}}))
"""
PYTHON = """#!{python} -B
import json, os, sys
with open("{log}", "a", encoding="utf-8") as log:
    log.write(json.dumps([os.path.realpath(sys.argv[0]), *sys.argv[1:]]) + "\\n")
if sys.argv[1].endswith(".py"):
    print(json.dumps({{"ms": 2, "s_per_step_image": 2, "s_per_update": 2}}))
else:
    os.environ["PYTHONPATH"] = "{packages}"
    os.execv("{python}", ["{python}", "-B", *sys.argv[1:]])
"""
CHECKOUT = ("Trainer.py", "ebm_net.py", "nvae/model.py")


def call(script, *words):
    """Exit code, stdout, stderr."""
    done = subprocess.run([sys.executable, "-B", os.path.join(SCRIPTS, script), *words], capture_output=True,
                          text=True)
    return done.returncode, done.stdout, done.stderr


class Stubs:
    """A folder of stand-ins; `packages`: what the Python has, name -> source."""

    def __init__(self, folder, packages):
        self.folder, self.log = folder, os.path.join(folder, "log")
        values = {"python": sys.executable, "log": self.log, "packages": os.path.join(folder, "packages")}
        self.program, self.data, self.before = (self.at(name) for name in ("new/hebm_dist", "new/hebm_data",
                                                                           "old/hebm_dist"))
        self.python, self.code = self.at("python"), self.at("code")
        for path in (self.program, self.data, self.before):
            self.write(path, PROGRAM.format(**values))
        self.write(self.python, PYTHON.format(**values))
        for name in CHECKOUT:
            self.write(os.path.join(self.code, name), "")
        for name, source in packages.items():
            self.write(self.at(f"packages/{name}.py"), source)

    def at(self, name):
        return os.path.join(os.path.realpath(self.folder), name)

    @staticmethod
    def write(path, text):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, 0o755)

    def calls(self):
        if not os.path.exists(self.log):
            return []
        with open(self.log, encoding="utf-8") as file:
            return [json.loads(line) for line in file]


PLAIN = {"torch": "__version__ = '2.0.stub'", "numpy": ""}
ALL = {**PLAIN, "scipy": "", "matplotlib": "", "PIL": "", "lmdb": ""}


@contextlib.contextmanager
def stubs(packages):
    with tempfile.TemporaryDirectory() as folder:
        yield Stubs(folder, packages)


def call_here(module, *words, flags=""):
    """Exit code, stdout, stderr of a script in this process, on a processor with these flags."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    with mock.patch.object(sys, "argv", [module.__name__ + ".py", *words]), mock.patch.dict(os.environ), \
            mock.patch.object(peers, "cpu", lambda: {"flags": flags}), \
            contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            module.main()
        except SystemExit as end:
            code = end.code
            if isinstance(code, str):
                code, _ = 1, err.write(code)
    return code or 0, out.getvalue(), err.getvalue()


class Scripts(unittest.TestCase):
    def test_have_help_without_pytorch(self):
        for script in ("run_all.py", "compare_plain.py", "compare_authors.py", "run_plain.py", "run_authors.py"):
            code, out, err = call(script, "--help")
            self.assertEqual(code, 0, script + err)
            self.assertIn("usage: " + script, out)

    def test_name_a_missing_program(self):
        for words in (["run_all.py", "no/hebm_dist"], ["compare_plain.py", "no/hebm_dist"],
                      ["compare_authors.py", "no/hebm_dist", "code"]):
            code, _, err = call(*words)
            self.assertNotEqual(code, 0)
            self.assertIn("no/hebm_dist: no such program", err)

    def test_name_the_file_that_a_checkout_lacks(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "Trainer.py"), "w", encoding="utf-8"):
                pass
            code, _, err = call("run_authors.py", folder, "--size", "small")
            self.assertNotEqual(code, 0)
            self.assertIn("ebm_net.py is missing", err)
            self.assertIn(peers.AUTHORS, err)

    def test_say_what_to_install(self):
        with self.assertRaises(SystemExit) as refused:
            peers.check_python(sys.executable, {"json": "json", "no_such_module": "no-such-package"})
        self.assertIn("cannot import no_such_module.", str(refused.exception))
        self.assertIn("pip install json no-such-package", str(refused.exception))
        peers.check_python(sys.executable, {"json": "json"})

    def test_pass_on_the_last_words_of_a_program(self):
        with self.assertRaises(SystemExit) as refused:
            peers.answer([sys.executable, "-c", "import sys; sys.exit('the disk is full')"])
        self.assertIn("the disk is full", str(refused.exception))
        self.assertEqual(peers.answer([sys.executable, "-c", "print('talk'); print('{\"ms\": 2}')"]), {"ms": 2})

    def test_rows_have_the_ratio_and_whether_it_is_reached(self):
        row = peers.Row("a step", 4, "float32", "plain PyTorch", 3.0, 2.0, 1.6)
        self.assertEqual(row.text(), "| a step | 4 | float32 | plain PyTorch | 3 | 2 | 1.50 | 1.6 | no |")
        row.at_least = 1.5
        self.assertTrue(row.text().endswith("| 1.50 | 1.5 | yes |"))
        row.at_least = None
        self.assertTrue(row.text().endswith("| 1.50 |  |  |"))

    def refused(self, message, stub, module, *words, flags=""):
        """The words end with argparse's exit code before anything runs."""
        code, out, err = call_here(module, *words, flags=flags)
        self.assertEqual(code, 2, f"{words}: {out}{err}")
        self.assertIn(message, err)
        self.assertEqual(stub.calls(), [])

    def test_refuse_precisions_that_are_unknown_or_not_there(self):
        with stubs(ALL) as stub:
            words = [stub.program, stub.code, "--python", stub.python]
            for device in ("cpu", "cuda"):
                for wanted in ("flaot32", "float32,flaot32", "", "float32,"):
                    self.refused("argument --precisions: expected some of float32, tf32, bfloat16", stub,
                                 compare_authors, *words, "--device", device, "--precisions", wanted)
            self.refused("--precisions: this processor computes in float32", stub, compare_authors, *words,
                         "--precisions", "tf32,bfloat16")
            code, out, err = call_here(compare_authors, *words, "--precisions", "tf32,bfloat16", flags="avx512_bf16")
            self.assertEqual((code, err), (0, ""))
            self.assertIn("| 64 | bfloat16 | authors' code | 31.25 | 15.62 | 2.00 |", out)
            self.assertNotIn("| tf32 |", out)

    def test_refuse_numbers_that_are_none(self):
        with stubs(ALL) as stub:
            plain = [stub.program, "--python", stub.python]
            authors = [stub.program, stub.code, "--python", stub.python]
            whole = "expected a whole number of 1 or more, not "
            for words in (["--rounds", "0"], ["--rounds", "a"], ["--threads", "-1"], ["--threads", "1.5"]):
                for module, common in ((compare_plain, plain), (compare_authors, authors), (run_all, plain)):
                    self.refused(f"argument {words[0]}: {whole}'{words[1]}'", stub, module, *common, *words)
            for wanted, wrong in (("a", "a"), ("24,", ""), ("0,24", "0")):
                self.refused(f"argument --micro-batches: {whole}'{wrong}'", stub, compare_plain, *plain,
                             "--micro-batches", wanted)
            self.refused("argument --micro-batches: 100 does not divide the batch of 192", stub, run_all, *plain,
                         "--micro-batches", "24,100")
            for wanted in ("0", "nan", "inf", "x"):
                self.refused(f"argument --seconds: expected a positive number, not '{wanted}'", stub, compare_plain,
                             *plain, "--seconds", wanted)
            self.refused("argument --sizes: expected some of small, cifar10", stub, compare_authors, *authors,
                         "--sizes", "large")
            for words in (["run_plain.py", "time", "train", "--batch", "0"],
                          ["run_plain.py", "time", "train", "--width", "x"],
                          ["run_authors.py", stub.code, "--size", "small", "--levels", "0"]):
                code, _, err = call(*words)
                self.assertEqual(code, 2, err)
                self.assertIn(f"argument {words[-2]}: {whole}'{words[-1]}'", err)
            for words, message in ((["--micro-batch", "100"], "--micro-batch: 100 does not divide the batch of 192"),
                                   (["--latents", "8-2"], "argument --latents: expected")):
                code, _, err = call("run_plain.py", "time", "train", *words)
                self.assertEqual(code, 2, err)
                self.assertIn(message, err)

    def test_tell_why_a_package_cannot_be_imported(self):
        with stubs({**PLAIN, "torch": "raise OSError('libfoo.so: cannot open')"}) as stub:
            code, _, err = call_here(compare_plain, stub.program, "--python", stub.python)
            self.assertEqual(code, 1, err)
            self.assertIn("torch is there, but cannot be imported: OSError: libfoo.so: cannot open", err)
            self.assertIn("pip install torch", err)
            with mock.patch.dict(os.environ, {"PYTHONPATH": stub.at("packages")}):
                code, _, err = call("run_plain.py", "time", "train")
            self.assertEqual(code, 1, err)
            self.assertIn("torch is there, but cannot be imported: OSError: libfoo.so: cannot open", err)
            self.assertNotIn("Traceback", err)
        with stubs({**PLAIN, "torch": "import os; os.kill(os.getpid(), 9)"}) as stub:
            code, _, err = call_here(compare_plain, stub.program, "--python", stub.python)
            self.assertEqual(code, 1, err)
            self.assertIn("exit code -9 on importing torch, numpy", err)

    def test_import_once_before_the_scripts(self):
        with stubs(PLAIN) as stub:
            code, out, err = call_here(compare_plain, stub.program, "--python", stub.python, "--micro-batches", "24",
                                       "--rounds", "1")
            self.assertEqual((code, err), (0, ""))
            self.assertIn("PyTorch of the reference: 2.0.stub.", out)
            self.assertEqual(sum("-c" in call for call in stub.calls()), 1)

    def test_say_what_the_plain_form_is(self):
        for script in ("plain_pytorch.py", "plain_training.py"):
            for words in ([], ["--help"]):
                code, out, err = call(script, *words)
                self.assertEqual((code, err), (0, ""))
                self.assertEqual(len(out.splitlines()), 2, out)
                self.assertIn("run_plain.py", out)

    def missing(self, stub, *words, flags=""):
        """What run_all.py says that it did not measure."""
        code, out, err = call_here(run_all, stub.program, "--python", stub.python, "--rounds", "1", *words,
                                   flags=flags)
        self.assertEqual((code, err), (0, ""))
        return re.findall("^Not measured: (.*)$", out, re.MULTILINE)

    def test_name_what_was_not_measured(self):
        gpu = "a GPU (compare_authors.py --device cuda)."
        old = "an earlier program (--only plain --before OLD_HEBM_DIST)."
        authors, none = "the authors' code (--only small,cifar10 --authors CODE).", "bfloat16 (no AVX512_BF16 here)."
        small, plain = "bfloat16 (--only small,cifar10 --authors CODE).", "plain PyTorch (--only plain)."
        with stubs(ALL) as stub:
            code = ("--authors", stub.code)
            self.assertEqual(self.missing(stub), [old, authors, none, gpu])
            self.assertEqual(self.missing(stub, "--only", "plain", *code, flags="avx512_bf16"),
                             [old, authors, small, gpu])
            self.assertEqual(self.missing(stub, "--before", stub.before, *code, flags="avx512_bf16"), [gpu])
            self.assertEqual(self.missing(stub, "--only", "small", "--before", stub.before, *code),
                             [plain, old, "cifar10 (--only cifar10 --authors CODE).", none, gpu])
        with stubs(ALL) as stub:
            self.refused("--only small,cifar10 needs --authors CODE", stub, run_all, stub.program,
                         "--python", stub.python, "--only", "small,cifar10")
            self.refused("argument --only: expected some of plain, small, cifar10", stub, run_all, stub.program,
                         "--only", "large")

    def test_want_the_packages_of_the_parts_that_run(self):
        with stubs(PLAIN) as stub:
            os.remove(os.path.join(stub.code, "Trainer.py"))
            self.missing(stub, "--only", "plain", "--authors", stub.code)
        with stubs(ALL) as stub:
            os.remove(stub.data)
            self.missing(stub, "--only", "small", "--authors", stub.code)

    def test_compare_with_the_fastest_way_of_the_plain_form(self):
        with stubs(PLAIN) as stub:
            _, out, _ = call_here(compare_plain, stub.program, "--python", stub.python, "--rounds", "1")
            title = "image of `train-vae`, HVAE (ours: up to 128 together)"
            for micro_batch in (16, 64, 128):
                self.assertIn(f"| {title} | {micro_batch} | float32 | plain PyTorch | 2 | 1 | 2.00 |", out)
                self.assertTrue(any(call[2:4] == ["time", "train-vae"] and str(micro_batch) in call
                                    for call in stub.calls()))
        self.assertIn("computes a rank's micro-batches together", " ".join(compare_plain.__doc__.split()))

    def test_use_the_new_data_tool_for_an_old_program_without(self):
        words = ["--rounds", "1", "--micro-batches", "24"]
        with stubs(PLAIN) as stub:
            code, out, err = call_here(compare_plain, stub.program, "--python", stub.python, "--before", stub.before,
                                       *words)
            self.assertEqual((code, err), (0, ""))
            self.assertIn("| 24 | float32 | earlier program | 1 | 1 | 1.00 | 2.5 | no |", out)
            self.assertEqual([c[0] for c in stub.calls() if c[1] == "import-idx"], [stub.data, stub.data])
        with stubs(PLAIN) as stub:
            own = stub.at("old/hebm_data")
            os.link(stub.data, own)
            call_here(compare_plain, stub.program, "--python", stub.python, "--before", stub.before, *words)
            self.assertEqual([c[0] for c in stub.calls() if c[1] == "import-idx"], [stub.data, own])


if __name__ == "__main__":
    unittest.main()
