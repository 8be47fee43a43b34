#!/usr/bin/env bash
# commands.sh FOLDER_OF_PROGRAMS SCRATCH: help, wrong keys, wrong values and missing files of every
# command, as a user meets them.
set -euo pipefail
bin=$1/hebm_dist scratch=$2
source_folder=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd)
rm -rf -- "$scratch"
mkdir -p -- "$scratch"
fail() {
  echo "FAILED: $*"
  exit 1
}
expect() { # expect CODE TEXT ARGUMENTS...: exit code and a text on stdout or stderr
  local want=$1 text=$2 code=0
  shift 2
  "$bin" "$@" >"$scratch/out" 2>&1 </dev/null || code=$?
  ((code == want)) || fail "hebm_dist $*: exit code $code, expected $want: $(cat "$scratch/out")"
  grep -qF -- "$text" "$scratch/out" || fail "hebm_dist $*: no '$text' in: $(cat "$scratch/out")"
}

ranked=(train-vae train-features hierarchy encode train sample evaluate ood transition vary couple labels compose)
for command in "${ranked[@]}" report; do
  expect 0 "--run.directory" "$command" --help
  expect 0 "--comm.hang_timeout_s" "$command" --help-all
  expect 2 "did you mean" "$command" --run.sed 3
  expect 2 "run.seed" "$command" --run.seed -1
  expect 2 "run.seed" "$command" --run.seed many
done
for command in status cache doctor bench replay sweep; do expect 0 "hebm_dist $command" "$command" --help; done
expect 0 "train-vae" --help
expect 2 "train-vae"
expect 2 "unknown command 'trian'" trian
expect 0 "hebm_dist" --version

# NVAE's presets without data: the authors' own counts, and what a cache takes.
for preset in mnist cifar10 celeba64 imagenet32 celebahq256 ffhq256; do
  expect 0 "parameters: " train-vae --preset "nvae-$preset" --dry-run --run.directory "$scratch/none"
done
expect 0 "parameters: 33363134" train-vae --preset nvae-mnist --dry-run --run.directory "$scratch/none"
expect 0 "layers, top first: 5 of 20x4x4, 10 of 20x8x8" train-vae --preset nvae-mnist --dry-run --run.directory "$scratch/none"
expect 0 "parameters: 130852480" train-vae --preset nvae-cifar10 --dry-run --run.directory "$scratch/none"
expect 0 "layers, top first: 30 of 20x16x16" train-vae --preset nvae-cifar10 --dry-run --run.directory "$scratch/none"
expect 0 "an image takes 614400 bytes" encode --preset nvae-cifar10 --cache.draws 1 --dry-run --run.directory "$scratch/none"
expect 0 "an image takes 24023040 bytes" encode --preset nvae-celebahq256 --cache.draws 1 --dry-run --run.directory "$scratch/none"
expect 2 "nvae.side" train-vae --vae.kind nvae --dry-run --run.directory "$scratch/none"
expect 2 "nvae.cells" train-vae --preset nvae-mnist --nvae.cells res_elu --dry-run --run.directory "$scratch/none"
expect 2 "there are: " train-vae --preset nvae-mnst --dry-run
# What a run refuses, its dry run refuses too.
{ printf '\0\0\10\3\0\0\0\100\0\0\0\34\0\0\0\34' && head -c $((64 * 28 * 28)) /dev/zero; } >"$scratch/images"
{ printf '\0\0\10\1\0\0\0\100' && head -c 64 /dev/zero; } >"$scratch/labels"
"$1/hebm_data" import-idx --images "$scratch/images" --labels "$scratch/labels" --out "$scratch/black.h5" >"$scratch/out" 2>&1 ||
  fail "hebm_data import-idx: $(cat "$scratch/out")"
planned=(train-vae --dry-run --run.directory "$scratch/none" --data.path "$scratch/black.h5")
for refused in spectral=0.1 data_init=true recompute=true; do
  expect 2 "vae_train.${refused%=*}" "${planned[@]}" "--vae_train.${refused%=*}" "${refused#*=}"
done
expect 2 "not a multiple of the micro-batch 64" "${planned[@]}" --vae_train.batch 100
expect 2 "vae_train.deterministic" train-vae --preset nvae-mnist --vae_train.deterministic true --dry-run
expect 0 "128 images at a time" "${planned[@]}" --vae_train.batch 128 --vae_train.micro_batch 16

# What is missing is named, with the command that makes it.
for command in train-vae train-features hierarchy encode train evaluate transition vary; do
  expect 2 "dataset.h5 is not there: run \`hebm_data import-idx" "$command" --run.directory "$scratch/none"
done
expect 2 "vae.safetensors is not there: run \`hebm_dist train-vae\`" sample --run.directory "$scratch/none"
expect 2 "--out is missing" ood --run.directory "$scratch/none"
expect 2 "dataset.h5 is not there: run \`hebm_data import-idx" ood --out "$scratch/other.h5" --run.directory "$scratch/none"
expect 2 "is not a folder" status "$scratch/none"
expect 2 "info or verify" cache look "$scratch"
expect 2 "langevin, update, vae, draw, gemm, allreduce or cache" bench everything
expect 0 '"chain":' bench update --batch 4 --json
expect 0 '"backward":' bench vae --batch 4 --json
expect 0 '"rule_is_wrong_at":[' bench gemm --comm.threads 1 --json
expect 2 "expected one of auto, mkl, onednn, mkl_avx512" bench gemm --compute.gemm cublas
expect 0 '"image":[1,32,32]' bench draw --batch 2 --json
expect 2 "random weights alone" bench draw --random-weights false
expect 2 "--case is missing" replay --vae a --prior b --out c

# Values that cannot work are refused before anything is made.
expect 2 "langevin.steps" train --langevin.steps 0
expect 2 "langevin.steps" train --langevin.steps 1000001
expect 2 "prior.T" train --prior.T 0
expect 2 "prior.T" train --prior.T 502
expect 2 "train.level_weight" train --train.level_weight none
printf '[langevin]\nstepps = 3\n' >"$scratch/typo.ini"
expect 2 "langevin.stepps" train --config "$scratch/typo.ini"
expect 2 "typo.ini" train --config "$scratch/typo.ini"
[[ ! -e $scratch/none ]] || fail "a refused command made $scratch/none"

# Damaged input.
mkdir -p "$scratch/run/vae"
head -c 4096 /dev/zero >"$scratch/run/dataset.h5"
expect 4 "dataset.h5" train-vae --run.directory "$scratch/run"
expect 4 "dataset.h5" encode --run.directory "$scratch/run"
# Each of these crashes libhdf5.
for damaged in "$source_folder"/tests/unit/storage/damaged/*.h5; do
  expect 4 "$damaged" train-vae --run.directory "$scratch/run" --data.path "$damaged"
done
code=0
"$source_folder/launch/mpirun" -n 2 "$bin" train-vae --run.directory "$scratch/run" --data.path "$damaged" >"$scratch/out" 2>&1 || code=$?
((code == 4)) || fail "a damaged data set on two ranks: exit code $code, expected 4: $(cat "$scratch/out")"

# A name may hold any byte: files stay JSON, and no terminal obeys it.
odd=$scratch/$'odd\xff\e[2J'
tiny=(--vae.latents "2x2,2x4" --vae.width 4 --vae.image_width 4 --vae.pixel_width 4 --vae.top_width 4 --vae_train.epochs 1
  --vae_train.batch 16 --vae_train.micro_batch 4 --comm.threads 1)
expect 0 "" train-vae --run.directory "$odd" --data.path "$scratch/black.h5" "${tiny[@]}"
/usr/bin/python3 -c 'import json, sys; json.load(open(sys.argv[1], encoding="utf-8"))' "$odd/vae/env.json" || fail "env.json is no JSON"
expect 0 '"train-vae"' status "$odd" --json
expect 0 'odd\xff\x1b[2J/report.html' report --run.directory "$odd"
expect 2 'odd\xff\x1b[2J/dataset.h5 is not there' encode --run.directory "$odd"
if grep -q $'\e' "$scratch/out"; then fail "an escape reached the terminal"; fi

# One value as it is, for scripts.
printf '[run]\ndirectory = "%s/two words #1"\n' "$scratch" >"$scratch/quoted.ini"
[[ $("$bin" train --config "$scratch/quoted.ini" --print-value run.directory) == "$scratch/two words #1" ]] ||
  fail "--print-value: $("$bin" train --config "$scratch/quoted.ini" --print-value run.directory)"
expect 2 "did you mean run.directory" train --print-value run.directry

# Results that cannot be written are no success.
full() { # full PROGRAM ARGUMENT...
  local code=0
  "$@" >/dev/full 2>"$scratch/out" || code=$?
  [[ $code == 1 && $(<"$scratch/out") == *"cannot write to standard output: No space left on device"* ]] ||
    fail "$* into a full device: exit code $code, $(<"$scratch/out")"
}
full "$bin" --help
full "$bin" --version
full "$bin" train --help
full "$bin" status "$scratch/run"
full "$bin" status "$scratch/run" --json
full "$bin" "${planned[@]}"
full "$bin" doctor
full "$1/hebm_data" inspect "$scratch/black.h5"

# The ranks of a job that is to come.
for wrong in 0 many; do HEBM_RANKS=$wrong expect 2 "HEBM_RANKS = '$wrong'" "${planned[@]}"; done
HEBM_RANKS=2 expect 0 "parameters: " "${planned[@]}" --vae_train.batch 128
HEBM_RANKS=3 expect 2 "gives 2 of them for 3 ranks" "${planned[@]}" --vae_train.batch 128
HEBM_RANKS=99 expect 2 "for 99 ranks" train-features --dry-run --run.directory "$scratch/none" --data.path "$scratch/black.h5"

expect 0 "all is well" doctor
expect 0 "matrix products: mkl" doctor
HEBM_TEST=1 OMPI_COMM_WORLD_SIZE=4 OMPI_COMM_WORLD_RANK=0 expect 5 "srun --mpi=pmix" doctor
echo "all held"
