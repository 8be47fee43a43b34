#!/usr/bin/env python3
"""The cost model of docs/scaling.md: seconds an update on N ranks, from measured inputs.

usage: data_tools/scaling.py INPUTS.json     prints Markdown tables; docs/scaling.json has the inputs of docs/scaling.md

One update on N ranks (docs/scaling.md explains the terms):
  units     = ceil(V / N)                                     micro-batches of the busiest rank
  sharing   = contention(N), else max(1, N threads / cores)   how much longer a unit takes where N programs compute at once
  compute   = sharing (units unit_s + rest_s)
  straggler = compute spread sqrt(2 ln N)                     the slowest of N, over the average
  read      = N units micro_batch row_bytes / file_system     hidden behind compute: only the excess counts
  sum       = buckets latency_s ceil(log2 N) + 2 (N - 1) / N gradient_bytes / bandwidth
"""
import json
import math
import sys


def sum_s(case, link, ranks):
    """All-reduce of the gradients, as a ring; nothing of it is hidden."""
    if ranks == 1:
        return 0.0
    return (case["buckets"] * link["latency_s"] * math.ceil(math.log2(ranks))
            + 2 * (ranks - 1) / ranks * case["gradient_bytes"] / link["bandwidth"])


def update_s(case, machine, link, ranks, units=None):
    """Seconds of one update. units: of the busiest rank; default: the batch's share (strong scaling)."""
    if units is None:
        units = math.ceil(case["units"] / ranks)
    threads = case.get("threads", 1)
    cores = machine["cores"] if "cores" in machine else ranks * threads
    sharing = case.get("contention", {}).get(str(ranks), max(1.0, ranks * threads / cores))
    compute = sharing * (units * case["unit_s"] + case["rest_s"])
    straggler = compute * case["spread"] * math.sqrt(2 * math.log(ranks)) if ranks > 1 else 0.0
    read = ranks * units * case["micro_batch"] * case["row_bytes"] / machine["file_system"]
    return compute + straggler + max(0.0, read - compute) + sum_s(case, link, ranks)


def seconds(value):
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def print_check(inputs):
    """Strong scaling of one batch on one machine: predicted against measured."""
    check = inputs["check"]
    print("| ranks | predicted, s an update | measured | predicted / measured |\n|---|---|---|---|")
    for ranks, measured in sorted((int(r), s) for r, s in check["measured_update_s"].items()):
        predicted = update_s(check["case"], check["machine"], check["link"], ranks)
        print(f"| {ranks} | {seconds(predicted)} | {seconds(measured)} | {predicted / measured:.2f} |")


def print_curve(name, case, machine, link):
    """Weak scaling: every rank has the same units, so the batch grows; efficiency = update of one rank / update of N."""
    ranks = (1, 32, 256, 1024)
    speeds = (1, 100, 1000)
    print(f"\n{name}, images a second (efficiency), a rank computing 1, 100 and 1,000 times as fast as measured\n")
    print("| ranks | " + " | ".join(f"{speed:,} x" for speed in speeds) + " |\n|---" + "|---" * len(speeds) + "|")
    for n in ranks:
        cells = []
        for speed in speeds:
            faster = case | {"unit_s": case["unit_s"] / speed, "rest_s": case["rest_s"] / speed}
            one, many = (update_s(faster, machine, link, r, units=case["units_a_rank"]) for r in (1, n))
            images = n * case["units_a_rank"] * case["micro_batch"]
            cells.append(f"{seconds(images / many)} ({100 * one / many:.1f} %)")
        print(f"| {n:,} | " + " | ".join(cells) + " |")


def main():
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__)
        return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 2
    try:
        with open(sys.argv[1], encoding="utf-8") as file:
            inputs = json.load(file)
        print_check(inputs)
        for name, case in inputs["curves"].items():
            print_curve(name, case, inputs["cluster"], inputs["cluster"]["link"])
    except OSError as error:
        print(f"scaling.py: {error}", file=sys.stderr)
        return 2
    except (ValueError, KeyError, TypeError, ZeroDivisionError) as error:
        print(f"scaling.py: {sys.argv[1]}: {type(error).__name__}: {error}; docs/scaling.json shows what is wanted", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
