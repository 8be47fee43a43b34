#!/usr/bin/env bash
# priors.sh FOLDER_OF_PROGRAMS SCRATCH: the priors that are compared on one backbone and cache, on a
# tiny pipeline: each trained and sampled with the same result on 1 and 2 ranks, all in one run
# directory, and what is refused.
set -euo pipefail
source_folder=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd)
bin=$1 scratch=$2
config=$source_folder/configs/smoke.ini data=$scratch/base/data.h5
kinds=(joint nce)
rm -rf -- "$scratch"
mkdir -p -- "$scratch/base"
# shellcheck source=tests/run/scripts/runs.sh
. "$source_folder/tests/run/scripts/runs.sh"
made() { find "$scratch/$1" \( -name '*.safetensors' -o -name '*.h5' \) -printf '%P %i %T@ %s\n' | sort; }

"$bin/hebm_data" import-idx --fashion-mnist /usr/share/datasets/fashion-mnist --limit 512 --limit-test 256 --out "$data" >/dev/null
for command in train-vae train-features encode; do hebm 2 base "$command" || fail "$command"; done
for command in train sample evaluate; do hebm 2 base "$command" || fail "$command"; done
before=$(made base) summary=$(stat -c '%i %Y' "$scratch/base/results/summary.json")

echo "every kind beside the diffusion prior, the same on 1 and 2 ranks"
for kind in "${kinds[@]}"; do
  refused 2 "hebm_dist train --prior.kind $kind" base sample --prior.kind "$kind"
  for n in 1 2; do
    mkdir -p -- "$scratch/ranks$n"
    [[ -e $scratch/ranks$n/vae ]] || cp -r -- "$scratch/base/vae" "$scratch/base/features" "$scratch/base/cache" "$scratch/ranks$n/"
    hebm "$n" "ranks$n" train --prior.kind "$kind" --train.deterministic 1 || fail "train --prior.kind $kind on $n ranks"
    hebm "$n" "ranks$n" sample --prior.kind "$kind" || fail "sample --prior.kind $kind on $n ranks"
  done
  same "ranks1/prior-$kind/prior.safetensors" "ranks2/prior-$kind/prior.safetensors"
  [[ -n $(images_hash ranks1) && $(images_hash ranks1) == "$(images_hash ranks2)" ]] || fail "$kind: other images on 2 ranks"
  hebm 2 base train --prior.kind "$kind" || fail "train --prior.kind $kind beside the diffusion prior"
  hebm 2 base sample --prior.kind "$kind" || fail "sample --prior.kind $kind beside the diffusion prior"
  "$bin/hebm_dist" status "$scratch/base" | grep "^train $kind  *done" >/dev/null || fail "status does not know $kind: $("$bin/hebm_dist" status "$scratch/base")"
done
for n in 1 2; do hebm "$n" "ranks$n" sample --prior.kind nce --nce.sampler langevin || fail "sample --nce.sampler langevin on $n ranks"; done
[[ $(images_hash ranks1) == "$(images_hash ranks2)" ]] || fail "nce-langevin: other images on 2 ranks"
cmp -s "$scratch/ranks1/samples/nce-resampling.h5" "$scratch/ranks1/samples/nce-langevin.h5" && fail "both samplers draw the same"
for n in 1 2; do hebm "$n" "ranks$n" sample --prior.kind gaussian || fail "sample --prior.kind gaussian on $n ranks"; done
[[ $(images_hash ranks1) == "$(images_hash ranks2)" ]] || fail "gaussian: other images on 2 ranks"
hebm 2 base train --prior.kind gaussian || fail "there is nothing to train for the Gaussian prior, and that is no error"
grep -q 'nothing to train' "$scratch/base.log" || fail "train --prior.kind gaussian does not say so"

echo "what was there before is as it was, and run again, nothing is done again"
[[ -z $(comm -23 <(echo "$before") <(made base)) ]] || fail "files changed: $(diff <(echo "$before") <(made base))"
after=$(made base)
for command in train sample evaluate "train --prior.kind joint" "sample --prior.kind joint" "train --prior.kind nce" "sample --prior.kind nce"; do
  read -ra words <<<"$command"
  hebm 2 base "${words[@]}" || fail "$command, again"
  hebm 1 base "${words[@]}" || fail "$command, again"
done
[[ $(made base) == "$after" ]] || fail "run again, it repeated work: $(diff <(echo "$after") <(made base))"
[[ $(stat -c '%i %Y' "$scratch/base/results/summary.json") == "$summary" ]] || fail "evaluate was repeated"

echo "what belongs to other kinds does not matter to one, its own does"
hebm 1 base train --prior.kind joint --prior.T 5 --langevin.step 0.5 || fail "joint takes no notice of T and langevin.step"
hebm 1 base train --langevin.eta_marginal 0.5 --nce.gain 3 || fail "diffusion takes no notice of langevin.eta_marginal and nce.gain"
hebm 1 base train --prior.kind nce --langevin.steps 9 --train.level_weight paper || fail "nce takes no notice of the chains"
hebm 1 base sample --prior.kind nce --langevin.steps 9 || fail "resampling takes no notice of the chains"
refused 2 'nce.gain' base train --prior.kind nce --nce.gain 3
refused 2 'nce.proposals' base sample --prior.kind nce --nce.proposals 9
refused 2 'langevin.eta_marginal' base train --prior.kind joint --langevin.eta_marginal 0.5
refused 2 'langevin.eta_marginal' base sample --prior.kind joint --langevin.eta_marginal 0.5

echo "evaluate --all: one table, the same on 1 and 2 ranks"
hebm 2 base sample --prior.kind nce --nce.sampler langevin || fail "sample --nce.sampler langevin beside the others"
own=(--run.vae "$scratch/base/vae/vae.safetensors" --run.features "$scratch/base/features/features.safetensors" --run.cache "$scratch/base/cache")
mkdir -p -- "$scratch/two" "$scratch/empty"
hebm 2 two train --prior.T 2 "${own[@]}" || fail "train with T = 2"
hebm 2 two sample --run.vae "$scratch/base/vae/vae.safetensors" || fail "sample with T = 2"
for n in 1 2; do
  rm -rf -- "$scratch/base/results/priors.json"
  hebm "$n" base evaluate --all --runs "$scratch/two,$scratch/base" || fail "evaluate --all on $n ranks"
  cp -- "$scratch/base/results/priors.json" "$scratch/priors$n.json"
done
/usr/bin/python3 -B - "$scratch" "$source_folder/tests/run/scripts" <<'PY'
import json, sys
sys.path.insert(0, sys.argv[2])
import results
one, two = (json.load(open(f"{sys.argv[1]}/priors{n}.json")) for n in (1, 2))
summary = json.load(open(f"{sys.argv[1]}/base/results/summary.json"))
names = ["Gaussian prior", "Reconstruction", "Posterior draws", "NCE, resampling", "NCE, Langevin", "Joint EBM, s^2 = 0.02", "Ours, T = 2", "Ours, T = 3"]
for table in (one, two):
    assert [row["name"] for row in table["rows"]] == names, [row["name"] for row in table["rows"]]
results.compare(one["rows"], two["rows"], "rows", ignored=("seconds_per_1000",))
assert all(row["seconds_per_1000"] > 0 for row in one["rows"] + two["rows"])
row = {r["name"]: r for r in two["rows"]}
for name, key in (("Gaussian prior", "gaussian"), ("Reconstruction", "reconstruction"), ("Posterior draws", "posterior"), ("Ours, T = 3", "diffusion")):
    for score in ("fd_fmnist", "kid", "precision", "recall", "fd_posterior", "kid_posterior", "precision_posterior", "recall_posterior"):
        assert abs(row[name][score] - summary[key][score]) <= 1e-9 * max(1.0, abs(summary[key][score])), (name, score)
# 6 updates of 48 images, K = 3; 8 proposals.
assert [row[n].get("training_gradients") for n in names] == [0, None, None, 6*48*2, 6*48*2, 6*48*5, 6*48*5, 6*48*5]
assert [row[n].get("sampling_gradients") for n in names] == [0, None, None, 0, 3, 3, 6, 9]
assert [row[n].get("sampling_evaluations") for n in names] == [0, None, None, 8, 0, 0, 0, 0]
assert [row[n].get("T") for n in names[6:]] == [2, 3] and row["Ours, T = 2"]["run"] == "two"
PY
before=$(stat -c '%i %Y' "$scratch/base/results/priors.json")
hebm 1 base evaluate --all --runs "$scratch/two" || fail "evaluate --all, again"
[[ $(stat -c '%i %Y' "$scratch/base/results/priors.json") == "$before" ]] || fail "evaluate --all was repeated"
"$bin/hebm_dist" evaluate --all --config "$config" --run.directory "$scratch/base" --data.path "$data" --runs "$scratch/two" 2>/dev/null | grep '^Joint EBM, s^2 = 0.02  *[0-9]' >/dev/null || fail "no table on stdout"
hebm 1 base evaluate --all --dry-run || fail "evaluate --all --dry-run"
hebm 1 base report || fail "report"
grep -q 'id="priors"' "$scratch/base/report.html" || fail "no section priors in the report"

echo "launch/table1: the whole table by one command, which does nothing twice"
table=$(printf '%0200d/%0200d' 0 0)  # long enough that the settings, where it stands, are written in more than one piece
cat >"$scratch/table1.ini" <<EOF
[sweep]
config = $config
[data]
path = $data
[evaluate]
by_level = false
temperatures = ""
[grid-own]
prior.T = 3 2
[grid-joint]
prior.kind = joint
langevin.eta_marginal = 0.02 0.5
[grid-nce]
prior.kind = nce
nce.sampler = resampling langevin
EOF
table1() {
  HEBM_BIN=$bin "$source_folder/launch/table1" --ranks 2 --jobs 1 --sweep "$scratch/table1.ini" "$scratch/base" "$scratch/$table" >"$scratch/table.txt" 2>"$scratch/table.log" ||
    fail "launch/table1: $(tail -n 5 "$scratch/table.log")"
}
table1
for row in 'Gaussian prior' Reconstruction 'Posterior draws' 'nce, nce.sampler = resampling' 'nce, nce.sampler = langevin' 'joint, langevin.eta_marginal = 0.02' \
  'joint, langevin.eta_marginal = 0.5' 'T = 2' 'T = 3'; do
  grep -E -- "^\\| (T = 3, )?$row \\| [0-9]" "$scratch/table.txt" >/dev/null || fail "launch/table1: no '$row' in: $(cat "$scratch/table.txt")"
done
# K = 3: T K gradients a sample, updates x 48 x (K + 2) in training.
grep -E '^\| T = 3 .* \| 1440 \| 9 \| 1 of 1 \|$' "$scratch/table.txt" >/dev/null || fail "launch/table1: other costs in: $(cat "$scratch/table.txt")"
before=$(made "$table")
table1
[[ $(made "$table") == "$before" && -s $scratch/$table/report.html ]] || fail "launch/table1, again, repeated work, or made no report"
code=0
HEBM_BIN=$bin "$source_folder/launch/table1" "$scratch/empty" 2>"$scratch/table.log" || code=$?
((code == 2)) || fail "launch/table1 without a VAE: exit code $code, expected 2"
grep -q 'vae.safetensors is not there' "$scratch/table.log" || fail "launch/table1 without a VAE says: $(cat "$scratch/table.log")"

echo "what evaluate --all refuses"
refused 2 'belongs to --all' base evaluate --runs "$scratch/two"
refused 2 'is not a folder' base evaluate --all --runs "$scratch/nowhere"
refused 2 'no samples of a prior there' base evaluate --all --runs "$scratch/empty"
cp -r -- "$scratch/base" "$scratch/stale"
cp -- "$scratch/two/prior/prior.safetensors" "$scratch/stale/prior/prior.safetensors"
refused 2 'drawn from another prior' stale evaluate --all
cp -- "$scratch/base/prior/prior.safetensors" "$scratch/stale/prior/prior.safetensors"
head -c 4096 /dev/zero >"$scratch/stale/samples/joint.h5"
refused 4 'joint.h5' stale evaluate --all
mkdir -p -- "$scratch/another"
for command in train-vae encode train sample; do hebm 2 another "$command" --run.seed 1 || fail "$command of another VAE"; done
refused 2 'its rows must share one VAE' base evaluate --all --runs "$scratch/another"

echo "what is refused, by name"
refused 2 'prior.kind' base train --prior.kind flow
refused 2 'nce.sampler' base sample --prior.kind nce --nce.sampler exact
refused 2 'nce.proposals' base sample --prior.kind nce --nce.proposals 0
refused 2 'nce.proposals' base train --prior.kind nce --nce.proposals 5
refused 2 'prior.kind' base vary --prior.kind joint
joint=$scratch/base/prior-joint/prior.safetensors
for command in sample vary transition evaluate; do refused 2 "a prior of the kind 'joint'" base "$command" --run.prior "$joint"; done
refused 2 "a prior of the kind 'joint'" base sample --prior.kind nce --run.prior "$joint"
refused 2 "a prior of the kind 'diffusion'" base sample --prior.kind joint --run.prior "$scratch/base/prior/prior.safetensors"
cp -r -- "$scratch/base" "$scratch/damaged"
printf 'x' | dd of="$scratch/damaged/prior-joint/prior.safetensors" bs=1 seek=3000 conv=notrunc status=none
refused 4 'prior-joint/prior.safetensors' damaged sample --prior.kind joint --sample.seed 5
for command in "train --prior.kind joint" "sample --prior.kind joint" "train --prior.kind nce" "sample --prior.kind nce" "sample --prior.kind gaussian"; do
  read -ra words <<<"$command"
  hebm 1 base "${words[@]}" --dry-run || fail "$command --dry-run"
done
echo "all held"
