#!/usr/bin/env python3
"""Names a GoogleTest binary's cases for ctest by file: list_tests.py BINARY MODULE LIST writes LIST, a CMake file
with a test MODULE.HEADER.SUITE.CASE for each case of MODULE/HEADER_test.cpp."""
import json
import os
import subprocess
import sys


def main():
    binary, module, out = sys.argv[1:]
    listed = out + ".json"
    subprocess.run([binary, "--gtest_list_tests", f"--gtest_output=json:{listed}"], check=True, stdout=subprocess.DEVNULL)
    with open(listed, encoding="utf-8") as file:
        suites = json.load(file)["testsuites"]
    lines = []
    for suite in suites:
        for case in suite["testsuite"]:
            header = os.path.basename(case["file"]).removesuffix(".cpp").removesuffix("_test")
            full = f"{suite['name']}.{case['name']}"
            name = f"{module}.{header}.{full}"
            lines.append(f'add_test([==[{name}]==] [==[{binary}]==] "--gtest_filter={full}" --gtest_also_run_disabled_tests)\n'
                         f'set_tests_properties([==[{name}]==] PROPERTIES LABELS unit TIMEOUT 120 WORKING_DIRECTORY '
                         f'[==[{os.path.dirname(binary)}]==] SKIP_REGULAR_EXPRESSION [==[\\[  SKIPPED \\]]==])\n')
    with open(out, "w", encoding="utf-8") as file:
        file.writelines(lines)


if __name__ == "__main__":
    main()
