#!/usr/bin/env python3
"""The scripts of tests/bench say how they are called and what is missing, without PyTorch or a program."""
import os
import subprocess
import sys
import tempfile
import unittest

SCRIPTS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "bench")
sys.path.insert(0, SCRIPTS)
import peers  # noqa: E402


def call(script, *words):
    """Exit code, stdout, stderr."""
    done = subprocess.run([sys.executable, "-B", os.path.join(SCRIPTS, script), *words], capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


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


if __name__ == "__main__":
    unittest.main()
