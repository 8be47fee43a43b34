#!/usr/bin/env python3
"""clang-tidy (.clang-tidy) over the C++ sources of a build: tidy.py BUILD SCRATCH [--recent N | WORD...].
A WORD chooses the files whose path has it; --recent the N files that git's history changed last. Takes the
build's compile commands without what only GCC understands, above all its precompiled headers. Exit code 77
(skipped, in ctest's list) without clang-tidy, or for --recent without a history."""
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys

# clang 14 does not know GCC's f16c for __builtin_cpu_supports, and _Float16 only with AVX512-FP16.
CLANG_ONLY = " -Wno-unknown-pragmas -Wno-ignored-attributes '-D__builtin_cpu_supports(feature)=1'"
WITH_FLOAT16 = " -mavx512fp16"  # for src/data/half.cpp alone: the kernels look at such flags
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
OURS = ("src/", "data_tools/")
GCC_ONLY = re.compile(
    r" (-fpch-preprocess|-Winvalid-pch|-Wno-stringop-\S+|-Wno-restrict|-include \S+cmake_pch\.hxx)(?= )")


def changed_last(count):
    """The COUNT sources that the newest commits changed; none without a history."""
    log = subprocess.run(["git", "-C", ROOT, "log", "-100", "--name-only", "--format=", "--", "*.cpp"],
                         capture_output=True, text=True)
    names = [n for n in dict.fromkeys(log.stdout.split("\n")) if n.startswith(OURS)]
    return [n for n in names if os.path.exists(os.path.join(ROOT, n))][:count]


def commands_for_clang(build, scratch, chosen):
    """Writes SCRATCH/compile_commands.json; returns the files of src/ and data_tools/ in it."""
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        commands = json.load(file)
    ours = [c for c in commands if c["file"].endswith(".cpp")
            and os.path.relpath(c["file"], ROOT).startswith(OURS)]
    for command in ours:
        text = GCC_ONLY.sub("", command["command"])
        own = CLANG_ONLY + (WITH_FLOAT16 if command["file"].endswith("/half.cpp") else "")
        command["command"] = text.replace(" -fopenmp", "").replace(" -c ", own + " -c ")
    os.makedirs(scratch, exist_ok=True)
    with open(os.path.join(scratch, "compile_commands.json"), "w", encoding="utf-8") as file:
        json.dump(ours, file)
    return [c["file"] for c in ours if chosen(os.path.relpath(c["file"], ROOT))]


def main():
    build, scratch, words = sys.argv[1], sys.argv[2], sys.argv[3:]
    if not shutil.which("clang-tidy"):
        print("skipped: clang-tidy is not installed (launch/setup --tests)")
        return 77
    if words[:1] == ["--recent"]:
        recent = changed_last(int(words[1]))
        if not recent:
            print("skipped: no history of git")
            return 77
        files = commands_for_clang(build, scratch, recent.__contains__)
    else:
        files = commands_for_clang(build, scratch, lambda file: not words or any(word in file for word in words))
    if not files:
        sys.exit(f"no file of {build}/compile_commands.json is to be checked")

    def check(file):
        return file, subprocess.run(["clang-tidy", "--quiet", "-p", scratch, file], capture_output=True, text=True)

    failed = 0
    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("HEBM_TIDY_JOBS", os.cpu_count()))) as pool:
        for file, result in pool.map(check, files):
            if result.returncode != 0:
                failed += 1
                print(result.stdout, result.stderr, sep="\n", flush=True)
    print(f"{len(files)} files, {failed} with findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
