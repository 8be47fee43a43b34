#!/usr/bin/env python3
"""Carries out the recipes of docs/tour.md on a copy of the tree, builds it and runs what was added.

    recipes.py FOLDER_OF_PROGRAMS RUN SCRATCH

RUN is a finished tiny run of run.smoke. A recipe's step is a comment and the code behind it:
    <!-- recipe: new FILE -->
    <!-- recipe: in FILE after TEXT -->     the code follows the one line that has TEXT
"""
import json
import os
import re
import shutil
import subprocess
import sys

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PARTS = ("CMakeLists.txt", "CMakePresets.json", "cmake", "configs", "data_tools", "docs", "launch", "slurm", "src", "tests")
TESTS = ("test_results", "test_sweep")  # of the tables that a new score enters: they hold with it as they are
STEP = re.compile(r"<!-- recipe: (new|in) (\S+)(?: after (.*?))? -->\n```cpp\n(.*?)```\n", re.DOTALL)


def fail(*words): sys.exit(f"FAILED: {' '.join(str(word) for word in words)}")


def copy_tree(to):
    shutil.rmtree(to, ignore_errors=True)
    os.makedirs(to)
    for part in PARTS:
        path = os.path.join(SOURCE, part)
        if os.path.isdir(path): shutil.copytree(path, os.path.join(to, part))
        else: shutil.copy2(path, to)


def carry_out(tree):
    """Returns the files made and the lines put into others."""
    with open(os.path.join(tree, "docs", "tour.md")) as file: steps = STEP.findall(file.read())
    made, put = [], []
    for kind, name, after, code in steps:
        path = os.path.join(tree, name)
        if kind == "new":
            if os.path.exists(path): fail(name, "is there already")
            with open(path, "w") as file: file.write(code)
            made.append(name)
            continue
        with open(path) as file: lines = file.read().split("\n")
        places = [i for i, line in enumerate(lines) if after in line]
        if len(places) != 1: fail(f"{name}: {len(places)} lines have '{after}', expected 1")
        lines.insert(places[0] + 1, code.rstrip("\n"))
        with open(path, "w") as file: file.write("\n".join(lines))
        put.append((name, code.count("\n")))
    return made, put


def run(*command, folder):
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0: fail(" ".join(command), f"exit code {done.returncode}\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def build(tree):
    run("cmake", "--preset", "cpu", folder=tree)
    run("cmake", "--build", "build/cpu", "--target", "hebm_dist", *TESTS, "--parallel", str(len(os.sched_getaffinity(0))), folder=tree)


def try_them(programs, finished, scratch):
    """The new score and the new command, on one and on two ranks."""
    config, found = os.path.join(SOURCE, "configs", "smoke.ini"), {}
    for ranks in (1, 2):
        folder = os.path.join(scratch, f"ranks{ranks}")
        shutil.copytree(finished, folder)
        shutil.rmtree(os.path.join(folder, "results"))

        def hebm(*words):
            return run(os.path.join(SOURCE, "launch", "mpirun"), "-n", str(ranks), os.path.join(programs, "hebm_dist"), *words, "--config",
                       config, "--run.directory", folder, "--comm.threads", "1", folder=scratch)

        table = hebm("evaluate")
        if "mean gap" not in table: fail("evaluate's table has no column 'mean gap':", table)
        table = hebm("squares")
        if len(table.splitlines()) != 4 or "mean square" not in table: fail("squares' table:", table)
        run(os.path.join(programs, "hebm_dist"), "report", "--config", config, "--run.directory", folder, folder=scratch)
        with open(os.path.join(folder, "report.html")) as file: page = file.read()
        for words in ("mean gap", "Mean squares of u_0"):
            if words not in page: fail(f"report.html has no '{words}'")
        with open(os.path.join(folder, "results", "summary.json")) as file: summary = json.load(file)
        with open(os.path.join(folder, "results", "squares.json")) as file: squares = json.load(file)
        found[ranks] = ([summary[row]["mean_gap"] for row in ("gaussian", "reconstruction", "diffusion")], squares["layers"])
    if found[1] != found[2]: fail("other results on two ranks:", found)
    if not all(gap > 0 for gap in found[1][0]): fail("mean_gap:", found[1][0])
    if not all(0.2 < layer["mean_square"] < 5 for layer in found[1][1]): fail("mean_square:", found[1][1])


def main(old_programs, finished, scratch):
    tree = os.path.join(scratch, "tree")
    shutil.rmtree(scratch, ignore_errors=True)
    copy_tree(tree)
    made, put = carry_out(tree)
    if len(made) != 3 or [lines for _, lines in put] != [1, 1, 1]: fail("the recipes take", made, put, "expected 3 new files and 3 lines")
    known = subprocess.run([os.path.join(old_programs, "hebm_dist"), "squares", "--help"], capture_output=True, text=True)
    if known.returncode != 2: fail("hebm_dist knows `squares` without the recipe")
    build(tree)
    programs = os.path.join(tree, "build", "cpu")
    if "squares.num_samples" not in run(os.path.join(programs, "hebm_dist"), "squares", "--help-all", folder=scratch): fail("squares --help-all")
    for test in TESTS: run(os.path.join(programs, test), folder=scratch)
    try_them(programs, os.path.abspath(finished), scratch)
    print("all held")


if __name__ == "__main__":
    if len(sys.argv) != 4: sys.exit(__doc__)
    main(*sys.argv[1:])
