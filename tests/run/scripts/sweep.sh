#!/usr/bin/env bash
# sweep.sh FOLDER_OF_PROGRAMS SCRATCH: a sweep as a user runs it: wrong members, two at a time, a
# stop, a failure, retry, tables; slurm/ without Slurm.
set -euo pipefail
source_folder=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd)
bin=$1/hebm_dist scratch=$2 dir=$2/planned
rm -rf -- "$scratch"
mkdir -p -- "$scratch"
fail() {
  echo "FAILED: $*"
  exit 1
}
expect() { # expect CODE TEXT ARGUMENTS...: of `hebm_dist sweep`, stdout and stderr together
  local want=$1 text=$2 code=0
  shift 2
  "$bin" sweep "$@" >"$scratch/out" 2>&1 </dev/null || code=$?
  ((code == want)) || fail "sweep $*: exit code $code, expected $want: $(cat "$scratch/out")"
  grep -qF -- "$text" "$scratch/out" || fail "sweep $*: no '$text' in: $(cat "$scratch/out")"
}
sweep_ini() { # sweep_ini FILE GRID_LINE...
  local file=$1
  shift
  { printf '[sweep]\nconfig = %s\n[data]\npath = %s\n[train]\nupdates = 100\npreview_every = 0\n[grid]\n' "$source_folder/configs/smoke.ini" "$scratch/data.h5"; printf '%s\n' "$@"; } >"$file"
}
sweep_ini "$scratch/sweep.ini" 'prior.T = 1 2' 'langevin.steps = 2 20'

expect 0 "hebm_dist sweep plan" --help
expect 2 "SWEEP.ini|DIR is missing" plan
expect 2 "-o DIR" plan "$scratch/sweep.ini"
expect 2 "no planned sweep" run "$scratch"
expect 2 "hebm_data import-idx" plan "$scratch/sweep.ini" -o "$dir"
"$1/hebm_data" import-idx --fashion-mnist /usr/share/datasets/fashion-mnist --limit 512 --limit-test 256 --out "$scratch/data.h5" >/dev/null

echo "wrong members are refused at planning, each by its name, and nothing is left"
refused() { # refused TEXT GRID_LINE...
  sweep_ini "$scratch/wrong.ini" "${@:2}"
  expect 2 "$1" plan "$scratch/wrong.ini" -o "$scratch/wrong"
  [[ -z $(compgen -G "$scratch/wrong*/" || true) ]] || fail "a refused plan left $(compgen -G "$scratch/wrong*")"
}
refused "member 0001 (prior.T=502): train: prior.T = '502'" 'prior.T = 3 502'
refused "1 of 3 would fail" 'prior.T = 3 502'
refused "did you mean prior.T" 'prior.TT = 1 2'
refused "member 0001 (train.micro_batch=7): train: train.batch, train.micro_batch" 'train.micro_batch = 8 7'
refused "sample.count = 100 are fewer than evaluate.num_images = 128" 'sample.count = 100'
refused "member 0001 (sample.count=300 evaluate.num_images=257): evaluate.num_images = 257, but the data set has 256 test images" 'sample.count = 300' 'evaluate.num_images = 256 257'
refused "run.cache = $scratch/nowhere is not there" 'prior.T = 1' '[run]' "cache = $scratch/nowhere"
refused "members cannot differ in vae.width" 'vae.width = 8 16'

echo "a plan is checked, written once, and not overwritten by another"
expect 0 "4 members, all checked" plan "$scratch/sweep.ini" -o "$dir" --dry-run
[[ ! -e $dir ]] || fail "--dry-run made $dir"
expect 0 "4 members, all checked" plan "$scratch/sweep.ini" -o "$dir"
expect 0 "is there already, with these 4 members" plan "$scratch/sweep.ini" -o "$dir"
sweep_ini "$scratch/other.ini" 'prior.T = 1 3' 'langevin.steps = 2 20'
expect 2 "holds another plan" plan "$scratch/other.ini" -o "$dir"
expect 0 "4 members: 0 done, 0 running, 0 resumable, 4 waiting, 0 failed" status "$dir"

echo "a folder whose name a shell would split is printed so that it can be pasted"
expect 0 "next: hebm_dist sweep run '$scratch/two words'" plan "$scratch/sweep.ini" -o "$scratch/two words"

echo "more ranks than micro-batches are refused before they are submitted"
too_many() { # too_many SCRIPT ARGUMENT...: of slurm/
  local code=0
  HEBM_RANKS=64 HEBM_BIN=${bin%/*} "$source_folder/slurm/$1" --print "${@:2}" >"$scratch/out" 2>&1 || code=$?
  [[ $code == 2 && $(<"$scratch/out") == *"for 64 ranks"* ]] || fail "slurm/$1: exit code $code, $(<"$scratch/out")"
}
too_many submit train --config "$source_folder/configs/smoke.ini" --run.directory "$scratch/x" --data.path "$scratch/data.h5"
too_many sweep "$dir"
HEBM_RANKS=64 expect 2 "for 64 ranks" plan "$scratch/sweep.ini" -o "$scratch/never"

echo "slurm/sweep shows what it would submit"
HEBM_BIN=$1 HEBM_TIME=2 HEBM_ARRAY_LIMIT=3 "$source_folder/slurm/sweep" --print "$dir" >"$scratch/out" 2>&1 || fail "slurm/sweep --print: $(cat "$scratch/out")"
for text in '--signal=B:USR1@30' 'sweep-shared.sh' '--dependency=afterok:SHARED' '--array=0-3%3' 'sweep-member.sh' '--dependency=afterany:MEMBERS' 'sweep-collect.sh' '%x-%A_%a.out' --requeue --open-mode=append; do
  grep -qF -- "$text" "$scratch/out" || grep -qF -- "$(printf '%q' "$text")" "$scratch/out" || fail "slurm/sweep --print: no '$text' in: $(cat "$scratch/out")"
done
[[ ! -e $dir/logs ]] || fail "--print made a folder"
HEBM_BIN=$1 HEBM_TIME=1-0 "$source_folder/slurm/submit" --print train-vae --run.directory "$scratch/x" --data.path "$scratch/data.h5" >"$scratch/out" 2>&1 ||
  fail "slurm/submit --print: $(cat "$scratch/out")"
grep -qF -- '--signal=B:USR1@120' "$scratch/out" || fail "slurm/submit --print: $(cat "$scratch/out")"
code=0
HEBM_BIN=$1 "$source_folder/slurm/submit" --print train --run.directory "$scratch/x" --data.path "$scratch/data.h5" --prior.T 502 >"$scratch/out" 2>&1 || code=$?
[[ $code == 2 && $(<"$scratch/out") == *"prior.T = '502'"* ]] || fail "slurm/submit of a wrong configuration: exit code $code, $(cat "$scratch/out")"

echo "members need what they share; a stop saves and leaves 75; a second job is refused"
expect 2 "--shared" run "$dir" --member 0
"$bin" sweep run "$dir" --jobs 2 >"$scratch/run.log" 2>&1 </dev/null &
child=$!
for ((i = 0; i < 1200; ++i)); do
  [[ ! -d $dir/members/0001/prior/checkpoints/step-0000003 ]] || break
  kill -0 "$child" 2>/dev/null || fail "sweep run ended before it could be stopped: $(cat "$scratch/run.log")"
  sleep 0.1
done
expect 0 "running" status "$dir"
expect 1 "is in use by another job" run "$dir"
expect 1 "is in use by another job" run "$dir" --member 1
kill -TERM "$child"
code=0
wait "$child" || code=$?
((code == 75)) || fail "TERM: exit code $code, expected 75: $(cat "$scratch/run.log")"
expect 0 "0 running" status "$dir"
"$bin" sweep status "$dir" | grep '^0001 *resumable ' >/dev/null || fail "member 0001 is not resumable: $("$bin" sweep status "$dir")"
[[ -z $(find "$dir" -name lease.json) ]] || fail "leases were left over"

echo "the same command goes on; a member that fails does not stop the others"
: >"$dir/members/0002/samples"
vae_made=$(stat --format=%i "$dir/shared/vae/vae.safetensors")
expect 1 "FAILED: sample returned 1" run "$dir" --jobs 2
[[ $(stat --format=%i "$dir/shared/vae/vae.safetensors") == "$vae_made" ]] || fail "the shared VAE was made again"
expect 0 "4 members: 3 done, 0 running, 0 resumable, 0 waiting, 1 failed" status "$dir"
[[ $("$bin" sweep status "$dir" --indices failed) == 2 ]] || fail "failed: $("$bin" sweep status "$dir" --indices failed)"
expect 1 "left alone" run "$dir"
expect 1 "1 of 4 members are missing" collect "$dir"
made() { find "$dir/members" -name summary.json -printf '%P %i\n' | sort; }
before=$(made)
rm -- "$dir/members/0002/samples"
cp -r -- "$source_folder/launch" "$scratch/two words/"
expect 0 "all 4 members are done" retry "$dir" --jobs 2 --launcher "'$scratch/two words/launch/mpirun' -n 1"
[[ $(made | grep -v ^0002) == "$before" ]] || fail "retry touched others: $(made)"
expect 0 "all 4 members are done" run "$dir"

echo "tables and the report"
expect 0 "| T = 2, K = 20 |" collect "$dir"
(($(wc -l <"$dir/results/sweep.csv") == 5)) || fail "sweep.csv: $(cat "$dir/results/sweep.csv")"
/usr/bin/python3 - "$dir" <<'E2'
import csv, json, math, sys
folder = sys.argv[1]
rows = list(csv.DictReader(open(f"{folder}/results/sweep.csv")))
for i, row in enumerate(rows):
    summary = json.load(open(f"{folder}/members/{i:04}/results/summary.json"))
    assert row["state"] == "done" and row["num_images"] == "128", row
    assert math.isclose(float(row["fd_fmnist"]), summary["diffusion"]["fd_fmnist"], rel_tol=1e-5), (row, summary["diffusion"])
assert [(r["prior.T"], r["langevin.steps"]) for r in rows] == [("1", "2"), ("1", "20"), ("2", "2"), ("2", "20")], rows
assert len({json.load(open(f"{folder}/members/{i:04}/results/summary.json"))["identity"]["vae_hash"] for i in range(4)}) == 1
plots = json.load(open(f"{folder}/results/sweep.json"))["plots"]
assert [plot["option"] for plot in plots] == ["T", "K"], plots
page = open(f"{folder}/report.html").read()
for plot in ("fd_fmnist over T", "fd_fmnist over K", "Sampling time (s) over T", "Sampling time (s) over K"):
    assert plot in page, plot
E2
echo "all held"
