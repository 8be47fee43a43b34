#!/usr/bin/env bash
# many_ranks.sh FOLDER_OF_PROGRAMS SCRATCH: 32 ranks, many times more than cores: a cache whose
# makers are killed, training and samples with the bits of few ranks.
set -euo pipefail
source_folder=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd)
bin=$1 scratch=$2
config=$source_folder/configs/smoke.ini data=$scratch/base/data.h5
rm -rf -- "$scratch"
mkdir -p -- "$scratch/base"
# shellcheck source=tests/run/scripts/runs.sh
. "$source_folder/tests/run/scripts/runs.sh"
vae=(--run.vae "$scratch/base/vae/vae.safetensors")

"$bin/hebm_data" import-idx --fashion-mnist /usr/share/datasets/fashion-mnist --limit 60000 --limit-test 256 --out "$data" >/dev/null
hebm 2 base train-vae --vae_train.epochs 0.02 || fail "train-vae"

echo "encode by 32 ranks, 16 of them killed, gone on with by 6: the bytes of one process"
shards=(--cache.shards 128)
hebm 1 base encode "${shards[@]}" || fail "encode by 1 rank"
start 32 killed encode "${shards[@]}" "${vae[@]}"
shards_done() { compgen -G "$scratch/killed/cache/shard-*.h5" | wc -l; }
for ((i = 0; i < 1200; ++i)); do
  (($(shards_done) == 0)) || break
  sleep 0.1
done
mapfile -t victims < <(ranks_of killed | tail -n 16)
((${#victims[@]} == 16)) || fail "${#victims[@]} ranks to kill"
kill -KILL "${victims[@]}"
code=0
wait "$child" || code=$?
kept=$(shards_done)
((code == 6)) || fail "16 of 32 ranks killed: exit code $code, expected 6"
((kept >= 1 && kept < 128)) || fail "$kept of 128 shards were there when the ranks were killed: nothing to go on with"
hebm 6 killed encode "${shards[@]}" "${vae[@]}" || fail "encode resumed on 6 ranks"
echo "$kept of 128 shards were kept"
for shard in "$scratch"/base/cache/*; do same "base/cache/${shard##*/}" "killed/cache/${shard##*/}"; done
[[ -z $(find "$scratch/killed" -name '*.tmp-*' -o -name lease.json) ]] || fail "left over: $(find "$scratch/killed" -name '*.tmp-*' -o -name lease.json)"

echo "deterministic training and samples: the bits of 1, 2 and 4 ranks from 32"
options=(--train.deterministic true --train.updates 3 --train.batch 64 --train.micro_batch 2 --train.preview_every 0 --langevin.steps 3)
for n in 1 2 4 32; do
  hebm "$n" "ranks$n" train "${options[@]}" "${vae[@]}" --run.cache "$scratch/base/cache" || fail "train on $n ranks"
  hebm "$n" "ranks$n" sample "${vae[@]}" --langevin.steps 3 --sample.count 64 --sample.chunk 2 || fail "sample on $n ranks"
  same ranks1/prior/prior.safetensors "ranks$n/prior/prior.safetensors"
  [[ $(images_hash ranks1) == "$(images_hash "ranks$n")" ]] || fail "samples on $n ranks: $(images_hash "ranks$n"), on 1: $(images_hash ranks1)"
done
[[ $(images_hash ranks1) == images_hash\ ????* ]] || fail "no images_hash in the log"
grep -q '32 ranks (mpi)' "$scratch/ranks32/log.txt" || fail "not 32 ranks: $(head -n 1 "$scratch/ranks32/log.txt")"
