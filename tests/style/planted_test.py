#!/usr/bin/env python3
"""style.py finds each fault planted in a tree of its own, and nothing where there is none."""
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
CLEAN = "// What it is.\nnamespace hebm {\n\nint twice(int value) { return 2 * value; }\n\n}  // namespace hebm\n"
LONG_BODY = "int long_one() {\n  int sum = 0;\n" + "  sum += 1;\n" * 57 + "  return sum;\n}\n"


class Planted(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="hebm-style-")
        self.addCleanup(shutil.rmtree, self.root)
        shutil.copy(os.path.join(HERE, "../../.clang-format"), self.root)

    def check(self, name, text, file="src/base/planted.cpp"):
        path = os.path.join(self.root, file)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as out:
            out.write(text)
        result = subprocess.run([sys.executable, os.path.join(HERE, "style.py"), name, self.root], capture_output=True,
                                text=True)
        if result.returncode == 77:
            self.skipTest(result.stdout)
        return result.returncode, result.stdout + result.stderr

    def expect_found(self, name, text, words, **where):
        code, said = self.check(name, text, **where)
        self.assertEqual(code, 1, said)
        self.assertIn(words, said)

    def test_clean_sources_pass(self):
        for name in ("format", "lines", "sizes", "names"):
            code, said = self.check(name, CLEAN)
            self.assertEqual(code, 0, said)

    def test_format(self):
        self.expect_found("format", CLEAN.replace("(int value)", "( int value )"), "planted.cpp:4:")

    def test_comments_end_by_column_100(self):
        self.expect_found("lines", "// " + "word " * 20 + "\n", "planted.cpp:1: comment of 103 columns")
        self.expect_found("lines", "# " + "word " * 20 + "\n", "a.sh:1: comment of 102 columns", file="launch/a.sh")

    def test_code_ends_by_column_120(self):
        self.expect_found("lines", "int a = 0" + " + 1" * 30 + ";\n", "planted.cpp:1: code of 130 columns")
        literal = "const char* a = R\"(\n" + "x" * 150 + "\n)\";\n"
        self.assertEqual(self.check("lines", literal)[0], 0)
        self.expect_found("lines", literal + "int a = 0" + " + 1" * 30 + ";\n", "planted.cpp:4: code of 130 columns")

    def test_functions_are_below_60_lines(self):
        self.expect_found("sizes", LONG_BODY, "long_one has 61 lines")
        self.assertEqual(self.check("sizes", LONG_BODY.replace("  sum += 1;\n" * 2, "", 1))[0], 0)

    def test_functions_have_at_most_7_parameters(self):
        seven = "std::map<int, int> a, " + ", ".join(f"int b{i} = f(1, 2)" for i in range(6))
        self.assertEqual(self.check("sizes", f"void many({seven});\n")[0], 0)
        self.expect_found("sizes", f"void many({seven}, int c);\n", "many has 8 parameters")

    def test_files_are_short(self):
        self.expect_found("sizes", "int a;\n" * 331, "planted.cpp: 331 lines")

    def test_a_step_is_short(self):
        def tour(*files):
            return "## One training step\n" + "".join(f"| `base/{f}` | |\n" for f in files) + "## Next\n| `base/x.h` |\n"

        for count, code in ((1500, 0), (1501, 1)):
            self.check("lines", "int a;\n" * count)
            self.assertEqual(self.check("step", tour("planted.cpp"), file="docs/tour.md")[0], code)
        for files, words in ((["gone.h"], "gone.h is not there"), ([], "0 files"), (["planted.cpp"] * 16, "16 files")):
            self.expect_found("step", tour(*files), words, file="docs/tour.md")

    def test_names(self):
        for text, name in (("struct bad_type {};\n", "bad_type"), ("void BadFunction() {}\n", "BadFunction"),
                           ("enum class Kind { red };\n", "red"),
                           ("class Type {\n private:\n  int member = 0;\n};\n", "member")):
            self.expect_found("names", text, f" {name} is not")


if __name__ == "__main__":
    unittest.main()
