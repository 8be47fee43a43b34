#!/usr/bin/env bash
# smoke.sh FOLDER_OF_PROGRAMS SCRATCH: the whole pipeline on 512 images under 2 ranks, its results,
# and that a second call repeats nothing.
set -euo pipefail
source_folder=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd)
export HEBM_BIN=$1 HEBM_RUNS=$2
run=$HEBM_RUNS/smoke
rm -rf -- "$HEBM_RUNS"
mkdir -p -- "$HEBM_RUNS"

fail() {
  echo "FAILED: $*"
  exit 1
}
"$source_folder/launch/quickstart" --smoke >"$HEBM_RUNS/first.out" 2>"$HEBM_RUNS/first.log" || {
  code=$?
  cat "$HEBM_RUNS/first.log"
  fail "launch/quickstart --smoke: exit code $code"
}

/usr/bin/python3 - "$run" <<'E2'
import json, math, os, re, sys
run = sys.argv[1]
with open(os.path.join(run, "results", "summary.json")) as file:
    summary = json.load(file)
for row in ("gaussian", "reconstruction", "diffusion"):
    got = summary[row]
    assert math.isfinite(got["fd_fmnist"]) and got["fd_fmnist"] > 0, (row, got)
    assert got["num_images"] == 128, (row, got)
    assert math.isfinite(got["seconds"]) and got["seconds"] > 0, (row, got)
with open(os.path.join(run, "report.html")) as file:
    page = file.read()
assert len(page) > 10000, len(page)
loads = re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', page)
assert not loads, f"the report loads from elsewhere: {loads[:3]}"
checkpoints = [name for name in os.listdir(os.path.join(run, "prior", "checkpoints")) if name.startswith("step-")]
assert checkpoints, "no checkpoints"
E2
grep -qi "reconstruction" "$HEBM_RUNS/first.out" || fail "the table is not on stdout: $(cat "$HEBM_RUNS/first.out")"

code=0
"$HEBM_BIN/hebm_dist" cache info "$run/cache" >/dev/full 2>"$HEBM_RUNS/full.log" || code=$?
((code == 1)) || fail "cache info into a full device: exit code $code"

# What the steps made must not be made again: same inodes, same times.
made() { find "$run" \( -name '*.safetensors' -o -name '*.h5' \) -printf '%P %i %T@ %s\n' | sort; }
before=$(made)
[[ $(wc -l <<<"$before") -ge 6 ]] || fail "only these products: $before"
"$source_folder/launch/quickstart" --smoke >"$HEBM_RUNS/second.out" 2>"$HEBM_RUNS/second.log" || {
  code=$?
  cat "$HEBM_RUNS/second.log"
  fail "launch/quickstart --smoke, run again: exit code $code"
}
[[ $(made) == "$before" ]] || fail "run again, it repeated work: $(diff <(echo "$before") <(made))"
diff "$HEBM_RUNS/first.out" "$HEBM_RUNS/second.out" || fail "run again, it says something else"
