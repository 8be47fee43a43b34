#!/usr/bin/env bash
# nvae.sh FOLDER_OF_PROGRAMS SCRATCH: training of a tiny NVAE by the programs as users run them: the
# same on any number of ranks to rounding, resume, and batch-norm re-estimation, which is never
# mixed up.
set -euo pipefail
source_folder=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd)
bin=$1 scratch=$2
config=$scratch/nvae.ini data=$scratch/data.h5
rm -rf -- "$scratch"
mkdir -p -- "$scratch"
cat >"$config" <<'INI'
[vae]
kind = nvae
[nvae]
channels = 4
groups_per_scale = 2
latents = 2
preprocess_cells = 1
postprocess_cells = 1
[vae_train]
epochs = 0.5
batch = 48
micro_batch = 12
learning_rate = 1e-2
warmup = 2
kl_anneal = 0.5
kl_min = 1e-4
kl_balance = true
spectral = 1e-2
spectral_start = 1
eps = 1e-3
weight_decay = 3e-4
data_init = true
checkpoint_every = 2
log_every = 1
[cache]
shards = 4
batch = 32
[energy]
width = 8
[langevin]
steps = 2
[train]
updates = 2
batch = 16
micro_batch = 8
preview_every = 0
[sample]
count = 128
chunk = 32
[features]
epochs = 1
min_accuracy = 0
[evaluate]
num_images = 128
chunk = 32
temperature_images = 128
[vary]
num_samples = 2
variations = 2
rows = 2
chunk = 4
[transition]
num_images = 8
chunk = 8
rows = 4
[ood]
num_images = 16
chunk = 8
bootstrap = 20
[couple]
updates = 2
[labels]
num_samples = 20
num_test = 20
columns = 2
chunk = 10
[compose]
num_samples = 8
rows = 4
chunk = 8
INI
# shellcheck source=tests/run/scripts/runs.sh
. "$source_folder/tests/run/scripts/runs.sh"

"$bin/hebm_data" import-idx --fashion-mnist /usr/share/datasets/fashion-mnist --limit 512 --limit-test 256 --out "$data" >/dev/null

echo "batch statistics are those of the whole batch: 1, 2 and 4 ranks agree to rounding"
for n in 1 2 4; do hebm "$n" "np$n" train-vae || fail "train-vae on $n ranks"; done
/usr/bin/python3 - "$scratch" <<'PY'
import json, sys
rows = {}
for n in (1, 2, 4):
    with open(f"{sys.argv[1]}/np{n}/vae/metrics.jsonl") as file:
        rows[n] = [json.loads(line) for line in file]
assert len(rows[1]) == 5, len(rows[1])
for n in (2, 4):
    # First update: float32 sums in another order. Later ones start from weights that differ by
    # that.
    for step, tolerance in ((0, 1e-5), (1, 1e-4), (4, 1e-3)):
        for key in ("loss", "gradient_norm", "kl/layer0", "kl/layer1", "spectral_penalty"):
            a, b = rows[1][step][key], rows[n][step][key]
            assert abs(a - b) <= tolerance * abs(a), (n, step, key, a, b)
PY

echo "stopped by TERM and run again = uninterrupted, on one rank"
long=(--vae_train.epochs 6)
hebm 1 whole train-vae "${long[@]}" || fail "train-vae without interruption"
start 1 stopped train-vae "${long[@]}"
for ((i = 0; i < 600; ++i)); do
  [[ ! -d $scratch/stopped/vae/checkpoints/step-0000004 ]] || break
  sleep 0.1
done
kill -TERM "$child" || fail "the run ended before it could be stopped"
code=0
wait "$child" || code=$?
((code == 75)) || fail "TERM: exit code $code, expected 75"
hebm 1 stopped train-vae "${long[@]}" || fail "resume"
same whole/vae/vae.safetensors stopped/vae/vae.safetensors

echo "batch norm is re-estimated to the same bytes on 1 and 3 ranks"
mkdir -p "$scratch/three"
cp -r "$scratch/np1/vae" "$scratch/three/"
hebm 1 np1 encode --vae.bn_readjust 7 || fail "encode on 1 rank"
hebm 3 three encode --vae.bn_readjust 7 || fail "encode on 3 ranks"
same np1/vae/vae-readjusted.safetensors three/vae/vae-readjusted.safetensors
for shard in "$scratch"/np1/cache/*; do same "np1/cache/${shard##*/}" "three/cache/${shard##*/}"; done

echo "the prior is trained and sampled on that VAE, and on no other"
hebm 2 np1 train --vae.bn_readjust 7 || fail "train"
hebm 2 np1 sample --vae.bn_readjust 7 || fail "sample"
refused 2 'vae.bn_readjust: the file has 7, you ask for 8' np1 sample --vae.bn_readjust 8
refused 2 'vae.bn_readjust: the file has 7, you ask for 8' np1 encode --vae.bn_readjust 8
refused 2 'VAE' np1 sample
refused 2 'vae_hash' np1 encode
hebm 1 np1 sample --run.vae "$scratch/np1/vae/vae-readjusted.safetensors" --vae.bn_readjust 7 || fail "a copy given as the VAE"
echo "the experiments on that prior"
run=(--vae.bn_readjust 7)
hebm 2 np1 train-features "${run[@]}" || fail "train-features"
hebm 2 np1 evaluate "${run[@]}" --evaluate.temperatures 0.7,1 || fail "evaluate"
for kind in joint nce; do
  hebm 2 np1 train "${run[@]}" --prior.kind "$kind" || fail "train --prior.kind $kind"
  hebm 2 np1 sample "${run[@]}" --prior.kind "$kind" || fail "sample --prior.kind $kind"
done
hebm 2 np1 evaluate "${run[@]}" --all || fail "evaluate --all"
"$bin/hebm_data" derive --from "$data" --kind noise --out "$scratch/noise.h5" >/dev/null
hebm 2 np1 ood "${run[@]}" --out "$scratch/noise.h5" || fail "ood"
for command in vary transition couple labels compose "sample --label Dress"; do
  read -ra words <<<"$command"
  hebm 2 np1 "${words[@]}" "${run[@]}" || fail "$command"
done
hebm 1 np1 report || fail "report"
for section in priors ood vary transition temperature labels compose; do
  grep -q "id=\"$section\"" "$scratch/np1/report.html" || fail "no section $section in the report"
done
echo "all held"
