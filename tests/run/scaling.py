"""docs/scaling.md has the tables that data_tools/scaling.py prints of docs/scaling.json, and the model is right where it was checked."""
import importlib.util
import json
import math
import pathlib
import subprocess
import sys

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
TOOL = SOURCE / "data_tools" / "scaling.py"


def require(condition, message):
    if not condition:
        raise SystemExit(f"FAILED: {message}")


def run(*arguments):
    return subprocess.run([sys.executable, str(TOOL), *map(str, arguments)], capture_output=True, text=True, check=False)


sys.dont_write_bytecode = True
spec = importlib.util.spec_from_file_location("scaling", TOOL)
scaling = importlib.util.module_from_spec(spec)
spec.loader.exec_module(scaling)

# Closed forms: 8 units of 1 s; a link of 1 ms and 1 GB/s; 1 GB of gradients in 2 buckets; no
# spread, reads hidden.
case = {"units": 8, "micro_batch": 4, "unit_s": 1.0, "rest_s": 0.5, "spread": 0.0, "gradient_bytes": 1e9, "buckets": 2, "row_bytes": 1000}
machine, link = {"cores": 4, "file_system": 1e9}, {"latency_s": 1e-3, "bandwidth": 1e9}
for ranks, expected in ((1, 8.5), (2, 4.5 + 2e-3 + 1.0), (3, 3.5 + 4e-3 + 4 / 3), (4, 2.5 + 4e-3 + 1.5), (8, 2 * 1.5 + 6e-3 + 1.75)):
    got = scaling.update_s(case, machine, link, ranks)
    require(math.isclose(got, expected), f"{ranks} ranks: {got}, expected {expected}")
slow_disk = scaling.update_s(case, machine | {"file_system": 32 * 1000 / 20.0}, link, 1)
require(math.isclose(slow_disk, 20.0), f"a disk that needs 20 s an update: {slow_disk}")
spread = scaling.update_s(case | {"spread": 0.1}, machine, link, 2)
require(math.isclose(spread, 4.5 * (1 + 0.1 * math.sqrt(2 * math.log(2))) + 1.002), f"spread: {spread}")

result = run(SOURCE / "docs" / "scaling.json")
require(result.returncode == 0, result.stderr)
text = (SOURCE / "docs" / "scaling.md").read_text(encoding="utf-8")
lines = [line for line in result.stdout.splitlines() if line]
require(len(lines) > 10, f"only {len(lines)} lines of tables")
for line in lines:
    require(line in text, f"docs/scaling.md lacks this line: {line}")
check = json.loads((SOURCE / "docs" / "scaling.json").read_text(encoding="utf-8"))["check"]
for ranks, measured in check["measured_update_s"].items():
    ratio = scaling.update_s(check["case"], check["machine"], check["link"], int(ranks)) / measured
    require(0.9 <= ratio <= 1.1, f"{ranks} ranks: predicted / measured = {ratio:.3f}")

for arguments, code in (((), 2), (("--help",), 0), ((SOURCE / "nowhere.json",), 2), ((TOOL,), 2)):
    result = run(*arguments)
    require(result.returncode == code, f"{arguments}: exit code {result.returncode}, expected {code}")
    require("Traceback" not in result.stderr, result.stderr)
print("all held")
