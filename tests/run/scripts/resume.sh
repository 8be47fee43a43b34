#!/usr/bin/env bash
# resume.sh FOLDER_OF_PROGRAMS SCRATCH: sample, evaluate and the experiments are stopped behind
# their first chunks and run again on other ranks: the same images and results as without a stop.
# Kills, damaged samples and results, samples of another prior, two jobs on one product, NaN.
set -euo pipefail
source_folder=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd)
bin=$1 scratch=$2
config=$source_folder/configs/smoke.ini plain=$scratch/base/plain.h5 data=$scratch/base/data.h5
rm -rf -- "$scratch"
mkdir -p -- "$scratch/base"
# shellcheck source=tests/run/scripts/runs.sh
. "$source_folder/tests/run/scripts/runs.sh"
branch() { # a run that shares all that was trained
  rm -rf -- "${scratch:?}/$1" "$scratch/$1.log"
  mkdir -p -- "$scratch/$1"
  cp -r -- "$scratch/base/vae" "$scratch/base/features" "$scratch/base/prior" "$scratch/base/prior-labels" "$scratch/$1/"
}
# A start that is stopped as soon as a chunk is kept. Sets waited: seconds from the signal on.
stop_after_a_chunk() { # stop_after_a_chunk SIGNAL CODE RANKS RUN PRODUCT COMMAND OPTION...
  local signal=$1 want=$2 ranks=$3 run=$4 product=$5 code=0 i from before=1500
  shift 5
  local chunks=$scratch/$run/work/$product/chunks
  [[ ! -s $chunks ]] || before=$(stat -c %s "$chunks")
  start "$ranks" "$run" "$@"
  for ((i = 0; i < 1200; ++i)); do
    [[ ! -s $chunks ]] || (($(stat -c %s "$chunks") <= before)) || break
    kill -0 "$child" 2>/dev/null || fail "$* ended before it could be stopped: $(tail -n 3 "$scratch/$run.log")"
    sleep 0.05
  done
  from=$SECONDS
  if [[ $signal == KILL ]]; then
    kill -KILL "$(ranks_of "$run" | head -n 1)"
  elif [[ $signal == INT ]]; then  # what runs in the background of a shell ignores it, but for our handler
    ranks_of "$run" | xargs kill -INT
  else
    kill "-$signal" "$child"
  fi
  wait "$child" || code=$?
  waited=$((SECONDS - from))
  ((code == want)) || fail "$signal to $*: exit code $code, expected $want: $(tail -n 5 "$scratch/$run.log")"
  [[ -s $chunks ]] || fail "$signal to $*: no chunks were kept"
}
same_result() { # same_result RUN RUN NAME
  /usr/bin/python3 -B - "$scratch" "$@" "$source_folder/tests/run/scripts" <<'E2'
import json, sys
scratch, one, two, name, scripts = sys.argv[1:]
sys.path.insert(0, scripts)
import results
def read(run):
    with open(f"{scratch}/{run}/results/{name}.json") as file: return json.load(file)
results.compare(read(one), read(two), name, ("seconds", "content_hash", "gap_closed", "of_gaussian"))
E2
}

"$bin/hebm_data" import-idx --fashion-mnist /usr/share/datasets/fashion-mnist --limit 512 --limit-test 256 --out "$plain" >/dev/null
"$bin/hebm_data" derive-attributes --from "$plain" --out "$data" >/dev/null
"$bin/hebm_data" derive --from "$plain" --kind invert --out "$scratch/invert.h5" >/dev/null
for command in train-vae train-features encode train couple; do hebm 2 base "$command" || fail "$command: $(tail -n 3 "$scratch/base.log")"; done

kSeconds=30  # of a machine that has other work too; on a free one it is below 2
slow=(--sample.count 64 --sample.chunk 4 --sample.steps 300)
echo "sample: TERM, USR1 and INT end it with 75 within seconds; on other ranks it makes the same images"
branch whole
hebm 2 whole sample "${slow[@]}" || fail "sample"
[[ -z $(ls -A "$scratch/whole/work/samples-diffusion") ]] || fail "left in work: $(ls "$scratch/whole/work/samples-diffusion")"
for case in "TERM 1 2" "USR1 2 1" "INT 2 3"; do
  read -r signal before after <<<"$case"
  branch stopped
  stop_after_a_chunk "$signal" 75 "$before" stopped samples-diffusion sample "${slow[@]}"
  ((waited <= kSeconds)) || fail "$signal: $waited s until the ranks left"
  echo "$signal on $before ranks: $waited s"
  "$bin/hebm_dist" status "$scratch/stopped" | grep '^sample .*resumable' >/dev/null || fail "status: $("$bin/hebm_dist" status "$scratch/stopped")"
  hebm "$after" stopped sample "${slow[@]}" || fail "sample goes on"
  grep -q 'goes on from [0-9]* chunks' "$scratch/stopped.log" || fail "it began anew"
  [[ $(images_hash stopped) == $(images_hash whole) ]] || fail "$signal: other images after a stop"
  same stopped/samples/diffusion.png whole/samples/diffusion.png
done

echo "a killed rank: the chunks are kept, what else was left is removed"
branch killed
stop_after_a_chunk KILL 6 2 killed samples-diffusion sample "${slow[@]}"
refused 2 'sample.seed: the file has 1, you ask for 9' killed sample "${slow[@]}" --sample.seed 9
hebm 1 killed sample "${slow[@]}" || fail "sample after a kill"
[[ $(images_hash killed) == $(images_hash whole) ]] || fail "other images after a kill"
[[ $(cd "$scratch/killed/samples" && echo *) == "config.ini diffusion.h5 diffusion.png env.json" ]] || fail "left over: $(ls "$scratch/killed/samples")"

echo "job scripts count chunks as progress"
branch restarted
many=(--sample.count 6400 --sample.chunk 4 --sample.steps 300)
hebm_status() { "$bin/hebm_dist" status "$scratch/restarted" --count_start --restarted="$1" --max_restarts 1; }
hebm_status false
for i in 1 2 3; do
  stop_after_a_chunk USR1 75 1 restarted samples-diffusion sample "${many[@]}"
  hebm_status true || fail "restart $i found no progress"
done
hebm_status true || fail "the first restart without progress"
hebm_status true 2>/dev/null && fail "the second restart without progress is not the last"

echo "evaluate and the experiments: stopped, and run again on other ranks"
for case in "results-summary evaluate --sample.steps 60 --evaluate.chunk 8" \
  "results-transition-100 transition --steps 100 --transition.chunk 8" "results-vary vary --sample.steps 100 --vary.chunk 4" \
  "results-labels-labels labels --sample.steps 100 --labels.chunk 4" "results-compose-labels compose --sample.steps 100 --compose.chunk 4" \
  "results-ood-invert ood --out $scratch/invert.h5 --sample.steps 100 --ood.num_images 60 --ood.chunk 6 --ood.bootstrap 50"; do
  read -ra options <<<"$case"
  product=${options[0]} command=${options[1]}
  options=("${options[@]:2}")
  for run in undisturbed stopped; do
    branch "$run"
    mkdir -- "$scratch/$run/samples"
    [[ $command != evaluate ]] || hebm 1 "$run" sample || fail "sample"
  done
  hebm 2 undisturbed "$command" "${options[@]}" || fail "$command: $(tail -n 3 "$scratch/undisturbed.log")"
  stop_after_a_chunk USR1 75 1 stopped "$product" "$command" "${options[@]}"
  ((waited <= kSeconds)) || fail "$command: $waited s until it left"
  hebm 2 stopped "$command" "${options[@]}" || fail "$command goes on: $(tail -n 3 "$scratch/stopped.log")"
  grep -q 'goes on from [0-9]* chunks' "$scratch/stopped.log" || fail "$command began anew"
  same_result undisturbed stopped "${product#results-}"
  for picture in "$scratch"/undisturbed/samples/*.png; do [[ ! -e $picture ]] || same "undisturbed/samples/${picture##*/}" "stopped/samples/${picture##*/}"; done
  [[ -z $(ls -A "$scratch/stopped/work/$product") ]] || fail "left in work: $(ls "$scratch/stopped/work/$product")"
  echo "$command: left within $waited s, the same result"
done

echo "two jobs on one product: one is refused and names the other"
branch twice
for command in sample vary; do
  product=samples-diffusion options=(--sample.steps 2000 --sample.chunk 4)
  [[ $command == sample ]] || product=results-vary options=(--sample.steps 2000 --vary.chunk 4)
  start 1 twice "$command" "${options[@]}"
  first=$child
  for ((i = 0; i < 600; ++i)); do
    [[ ! -e $scratch/twice/work/$product/lease.json ]] || break
    sleep 0.05
  done
  code=0
  hebm 1 twice "$command" "${options[@]}" --run.seed 3 || code=$?
  ((code == 1)) || fail "a second $command: exit code $code, expected 1"
  grep -q "is in use by another job: hebm_dist $command" "$scratch/twice.log" || fail "the second $command does not name the first: $(tail -n 3 "$scratch/twice.log")"
  kill -USR1 "$first"
  code=0
  wait "$first" || code=$?
  ((code == 75)) || fail "the first $command: exit code $code"
done

echo "damaged samples and results, samples of another prior and another VAE are named"
branch damaged
hebm 1 damaged sample || fail "sample"
hebm 1 damaged evaluate --evaluate.by_level false --evaluate.temperatures "" || fail "evaluate"
grep -q 'WARNING: Rows of 128 images for 128 features' "$scratch/damaged.log" || fail "no warning about few images"
grep -q '"warnings": \[' "$scratch/damaged/results/summary.json" || fail "no warning in summary.json"
cp -- "$scratch/damaged/samples/diffusion.h5" "$scratch/good.h5"
/usr/bin/python3 - "$scratch/damaged/samples/diffusion.h5" <<'E2'
import sys
with open(sys.argv[1], "r+b") as file:
    size = file.seek(0, 2)
    file.seek(size // 2)
    byte = file.read(1)[0]
    file.seek(size // 2)
    file.write(bytes([byte ^ 4]))
E2
rm -- "$scratch/damaged/results/summary.json"
refused 4 'diffusion.h5: images_hash: expected' damaged evaluate
refused 4 'diffusion.h5: images_hash: expected' damaged sample
cp -- "$scratch/good.h5" "$scratch/damaged/samples/diffusion.h5"
hebm 1 damaged vary || fail "vary"
sed -i '0,/"class_changed": [0-9]/s//"class_changed": 7/' "$scratch/damaged/results/vary.json"
: >"$scratch/damaged.log"
hebm 1 damaged vary || fail "vary over a damaged result"
grep -q 'WARNING: .*vary.json: the content has the hash .*It is made again' "$scratch/damaged.log" || fail "a damaged result is not named: $(cat "$scratch/damaged.log")"
rm -r -- "$scratch/damaged/prior" "$scratch/damaged/samples/config.ini"
hebm 1 damaged train --run.cache "$scratch/base/cache" --train.seed 5 --train.preview_every 0 || fail "train with another seed"
refused 2 'diffusion.h5: drawn from another prior' damaged evaluate
refused 2 'diffusion.h5: drawn from another prior' damaged evaluate --all

echo "chains that diverge end with 3 and their place, on any rank; no picture is written"
branch diverged
rm -r -- "$scratch/diverged/prior"
wild=(--langevin.step_rule paper --langevin.integrator paper --langevin.eta 10)  # far beyond the stable steps
hebm 1 diverged train --run.cache "$scratch/base/cache" --train.updates 1 --train.preview_every 0 "${wild[@]}" || fail "train"
code=0
hebm 2 diverged sample "${wild[@]}" --sample.steps 60 || code=$?
((code == 3)) || fail "a chain that diverges: exit code $code: $(tail -n 3 "$scratch/diverged.log")"
grep -qE 'error: rank [01]: the chain of t = [0-9] diverged: layer [0-9] of image [0-9]+' "$scratch/diverged.log" || fail "no place: $(tail -n 3 "$scratch/diverged.log")"
[[ ! -e $scratch/diverged/samples/diffusion.h5 && ! -e $scratch/diverged/samples/diffusion.png ]] || fail "it wrote pictures"
echo "all held"
