#!/usr/bin/env python3
"""The written style of the sources: style.py CHECK [ROOT], CHECK one of
  format    clang-format (.clang-format) has nothing to change
  lines     comments end by column 100, code by column 120 (but literals that nobody can break)
  sizes     functions are below 60 lines and 7 parameters, files of src/ and data_tools/ below 330 lines
  names     types are PascalCase, functions snake_case, enumerators kName, private members name_
  includes  modules include each other as the table of docs/tour.md says (includes.py)
  step      one training step is read in at most 15 files and 1,500 lines, those that docs/tour.md lists
Prints one line an offender. Exit code 77 (skipped, in ctest's list) where the tool is not installed; an error
instead with HEBM_CI set."""
import json
import os
import re
import shutil
import subprocess
import sys

import includes

COMMENT_COLUMNS, CODE_COLUMNS = 100, 120
FUNCTION_LINES, PARAMETERS, FILE_LINES = 59, 7, 330
STEP_FILES, STEP_LINES = 15, 1500
CPP = (".cpp", ".h", ".cu", ".c")
NO_SOURCES = re.compile(r"(\./)?(\.git|build[^/]*|runs|\.cache|__pycache__)$")


def sources(root):
    """Relative paths of what git tracks, or in a tree without git of all files but a build's."""
    git = subprocess.run(["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                         capture_output=True, text=True)
    if git.returncode == 0 and os.path.exists(os.path.join(root, ".git")):
        return sorted(f for f in git.stdout.split("\0") if f and os.path.isfile(os.path.join(root, f)))
    found = []
    for folder, folders, files in os.walk(root):
        folders[:] = [f for f in folders if not NO_SOURCES.match(f)]
        found += [os.path.relpath(os.path.join(folder, f), root) for f in files]
    return sorted(found)


def lines_of(root, file):
    with open(os.path.join(root, file), encoding="utf-8") as text:
        return text.read().splitlines()


def skip_without(tool):
    if shutil.which(tool):
        return
    reason = f"{tool} is not installed (launch/setup --tests)"
    if os.environ.get("HEBM_CI"):
        sys.exit(reason)
    print(f"skipped: {reason}")
    sys.exit(77)


def check_format(root, files):
    skip_without("clang-format")
    result = subprocess.run(["clang-format", "--dry-run", "-Werror", "--ferror-limit=1"] +
                            [f for f in files if f.endswith(CPP)], cwd=root, capture_output=True, text=True)
    found = [line for line in result.stderr.splitlines() if ": error: " in line]
    return found or ([result.stderr] if result.returncode != 0 else [])


def is_script(root, file):
    if file.endswith((".sh", ".py", ".cmake", "CMakeLists.txt")):
        return True
    if "." in os.path.basename(file) or not file.startswith(("launch/", "slurm/", ".ci/")):
        return False
    return lines_of(root, file)[0].startswith("#!")


def check_lines(root, files):
    found = []
    for file in files:
        if file.endswith(CPP):
            mark, code_columns = "//", CODE_COLUMNS
        elif is_script(root, file):
            mark, code_columns = "#", None
        else:
            continue
        raw = False  # inside a raw string literal
        for number, line in enumerate(lines_of(root, file), 1):
            if not raw and line.lstrip().startswith(mark):
                if len(line) > COMMENT_COLUMNS and not re.match(r"\s*(//|#!?)\s*\S+$", line):
                    found.append(f"{file}:{number}: comment of {len(line)} columns")
                continue
            # A string that clang-format cannot break: inside a raw literal, or one word.
            literal = raw or 'R"' in line or re.search(r'"[^" ]{60,}"', line)
            if code_columns and len(line) > code_columns and not literal:
                found.append(f"{file}:{number}: code of {len(line)} columns")
            if mark == "//":
                raw = (raw or 'R"' in line) and line.rfind(')"', line.rfind('R"') + 1) < 0 and not (
                    raw and re.search(r'\)\w*"', line))
    return found


def tags(root, files, kinds):
    skip_without("ctags")
    result = subprocess.run(["ctags", "--sort=no", "--output-format=json", "--fields=+neSa", "--languages=C++",
                             "--langmap=C++:.cpp.h.cu", f"--kinds-C++={kinds}", "-I", "HEBM_HOST_DEVICE", "-f", "-",
                             "-L", "-"],
                            cwd=root, input="\n".join(files), capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"ctags (it must be universal-ctags): {result.stderr}")
    return [json.loads(line) for line in result.stdout.splitlines()]


def count_parameters(signature):
    inner = signature[1:signature.rfind(")")]
    depth = count = 0
    for character in inner:
        depth += (character in "<([{") - (character in ">)]}")
        count += character == "," and depth == 0
    return count + 1 if inner.strip() else 0


def check_sizes(root, files):
    files = [f for f in files if f.endswith((".cpp", ".h", ".cu"))]
    found = []
    for tag in tags(root, files, "fp"):
        where = f"{tag['path']}:{tag['line']}: {tag['name']}"
        length = tag.get("end", tag["line"]) - tag["line"] + 1
        if tag["kind"] == "function" and length > FUNCTION_LINES:
            found.append(f"{where} has {length} lines")
        parameters = count_parameters(tag.get("signature", "()"))
        if parameters > PARAMETERS:
            found.append(f"{where} has {parameters} parameters")
    for file in files:
        length = len(lines_of(root, file))
        if file.startswith(("src/", "data_tools/")) and length > FILE_LINES:
            found.append(f"{file}: {length} lines")
    return found


RULES = {"class": r"[A-Z][A-Za-z0-9]*", "struct": r"[A-Z][A-Za-z0-9]*", "enum": r"[A-Z][A-Za-z0-9]*",
         "enumerator": r"k[A-Z0-9][A-Za-z0-9]*", "function": r"(~?[a-z][a-z0-9_]*|~?[A-Z][A-Za-z0-9]*|operator.*)"}


def check_names(root, files):
    files = [f for f in files if f.startswith(("src/", "data_tools/")) and f.endswith((".cpp", ".h", ".cu"))]
    found = []
    for tag in tags(root, files, "fpgmecs"):
        name, kind = tag["name"], tag["kind"].replace("prototype", "function")
        if name.startswith("__anon") or (kind == "struct" and f"struct {name}" not in tag["pattern"]):
            continue  # a lambda; `struct stat status{}`
        rule = RULES.get(kind)
        if kind == "function" and re.fullmatch(r"~?[A-Z]\w*", name):  # a constructor has its type's name
            rule = r"~?" + re.escape(re.sub(r"<.*", "", tag.get("scope", "").split("::")[-1]))
        if kind == "member":
            private = tag.get("access") == "private"
            rule = r"(k[A-Z]\w*|[A-Za-z][A-Za-z0-9_]*_)" if private else r"(k[A-Z]\w*|[A-Za-z][A-Za-z0-9_]*)"
        if rule and not re.fullmatch(rule, name):
            found.append(f"{tag['path']}:{tag['line']}: {kind} {name} is not {rule}")
    return found


def check_includes(root, files):
    table = includes.read_table("\n".join(lines_of(root, "docs/tour.md")))
    files = [f for f in files if re.match(r"(src|data_tools)/.*\.(h|cpp|cu|cuh)$", f)]
    return [found for f in files for found in includes.violations(f, "\n".join(lines_of(root, f)), table)]


def check_step(root, files):
    section = "\n".join(lines_of(root, "docs/tour.md")).partition("## One training step")[2].partition("\n## ")[0]
    listed = ["src/" + f for f in re.findall(r"^\| `([^`]*)` \|", section, re.M)]
    found = [f"docs/tour.md: {f} is not there" for f in listed if f not in files]
    lines = sum(len(lines_of(root, f)) for f in listed if f in files)
    if not 0 < len(listed) <= STEP_FILES or lines > STEP_LINES:
        found.append(f"docs/tour.md: one training step takes {len(listed)} files and {lines} lines")
    return found


def main():
    checks = {"format": check_format, "lines": check_lines, "sizes": check_sizes, "names": check_names,
              "includes": check_includes, "step": check_step}
    if len(sys.argv) not in (2, 3) or sys.argv[1] not in checks:
        sys.exit(f"usage: style.py {'|'.join(checks)} [ROOT]")
    root = sys.argv[2] if len(sys.argv) == 3 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
    files = sources(root)
    found = checks[sys.argv[1]](root, files)
    print("\n".join(found) if found else f"{len(files)} files: nothing found")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
