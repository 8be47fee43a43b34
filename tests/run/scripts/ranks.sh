#!/usr/bin/env bash
# ranks.sh FOLDER_OF_PROGRAMS SCRATCH: what does not depend on the number of ranks, resume, and a
# lost rank, with the programs as users run them.
set -euo pipefail
source_folder=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd)
bin=$1 scratch=$2
config=$source_folder/configs/smoke.ini data=$scratch/base/data.h5
rm -rf -- "$scratch"
mkdir -p -- "$scratch/base"
# shellcheck source=tests/run/scripts/runs.sh
. "$source_folder/tests/run/scripts/runs.sh"
branch() { # a run that shares VAE and cache
  mkdir -p -- "$scratch/$1"
  cp -r -- "$scratch/base/vae" "$scratch/base/cache" "$scratch/$1/"
}

"$bin/hebm_data" import-idx --fashion-mnist /usr/share/datasets/fashion-mnist --limit 512 --limit-test 256 --out "$data" >/dev/null
hebm 2 base train-vae || fail "train-vae"

echo "the cache has the same bytes from 1 and from 3 ranks"
hebm 3 base encode || fail "encode on 3 ranks"
mkdir -p "$scratch/one"
cp -r "$scratch/base/vae" "$scratch/one/"
hebm 1 one encode || fail "encode on 1 rank"
for shard in "$scratch"/base/cache/*; do same "base/cache/${shard##*/}" "one/cache/${shard##*/}"; done

echo "deterministic training has the same bits on 1, 2 and 4 ranks after 5 updates, and so do samples"
deterministic=(--train.deterministic true --train.updates 5 --train.preview_every 0)
for n in 1 2 4; do
  branch "det$n"
  hebm "$n" "det$n" train "${deterministic[@]}" || fail "train on $n ranks"
  hebm "$n" "det$n" sample || fail "sample on $n ranks"
done
for n in 2 4; do
  same det1/prior/prior.safetensors "det$n/prior/prior.safetensors"
  [[ $(images_hash det1) == "$(images_hash "det$n")" ]] || fail "samples on $n ranks: $(images_hash "det$n"), on 1: $(images_hash det1)"
done
[[ $(images_hash det1) == images_hash\ ????* ]] || fail "no images_hash in the log"

echo "so has training on reverse chains, and it goes on from a checkpoint on other ranks"
reverse=(--train.deterministic true --train.updates 5 --train.preview_every 0 --train.chain reverse --train.reverse_from 1)
for n in 1 2 4; do
  branch "reverse$n"
  hebm "$n" "reverse$n" train "${reverse[@]}" || fail "train on reverse chains on $n ranks"
  same reverse1/prior/prior.safetensors "reverse$n/prior/prior.safetensors"
done
cmp -s "$scratch/det1/prior/prior.safetensors" "$scratch/reverse1/prior/prior.safetensors" && fail "reverse chains learn what the data's do"
rm -r -- "$scratch/reverse2/prior/prior.safetensors" "$scratch/reverse2/prior/checkpoints/step-0000005"
hebm 4 reverse2 train "${reverse[@]}" || fail "resume on reverse chains"
grep -q 'goes on from' "$scratch/reverse2.log" || fail "it began anew: $(cat "$scratch/reverse2.log")"
same reverse1/prior/prior.safetensors reverse2/prior/prior.safetensors

echo "a run keeps the matrix products that it began with"
branch gemm
hebm 1 gemm train "${deterministic[@]}" --compute.gemm mkl || fail "train with compute.gemm = mkl"
hebm 2 gemm train "${deterministic[@]}" || fail "train again"
grep -q '"gemm": "mkl",' "$scratch/gemm/prior/env.json" || fail "gemm: $(grep gemm "$scratch/gemm/prior/env.json")"
[[ $(grep -c 'matrices by mkl$' "$scratch/gemm/log.txt") == 2 ]] || fail "log: $(grep matrices "$scratch/gemm/log.txt")"
hebm 1 gemm train "${deterministic[@]}" --compute.gemm onednn || fail "train with compute.gemm = onednn"
grep -q 'note: matrices by onednn, by mkl when' "$scratch/gemm/log.txt" || fail "another choice is not told"

echo "stopped by TERM and run again on other ranks = uninterrupted"
long=(--train.deterministic true --train.updates 30 --train.preview_every 0 --train.checkpoint_every 5 --langevin.steps 40)
branch whole
hebm 2 whole train "${long[@]}" || fail "train without interruption"
branch stopped
start 2 stopped train "${long[@]}"
for ((i = 0; i < 300; ++i)); do
  [[ ! -d $scratch/stopped/prior/checkpoints/step-0000005 ]] || break
  sleep 0.1
done
kill -TERM "$child" || fail "the run ended before it could be stopped"
code=0
wait "$child" || code=$?
((code == 75)) || fail "TERM: exit code $code, expected 75"
"$bin/hebm_dist" status "$scratch/stopped" | grep '^train .*resumable' >/dev/null || fail "status does not say resumable: $("$bin/hebm_dist" status "$scratch/stopped")"
hebm 1 stopped train "${long[@]}" || fail "resume"
same whole/prior/prior.safetensors stopped/prior/prior.safetensors

echo "readers that leave and closed streams end no training"
for streams in piped closed; do
  branch "$streams"
  words=(train --config "$config" --run.directory "$scratch/$streams" --data.path "$data" --comm.threads 1 "${deterministic[@]}")
  if [[ $streams == piped ]]; then
    { "$bin/hebm_dist" "${words[@]}" 2>&1 || echo "exit code $?" >"$scratch/piped.log"; } | head -n 1 >/dev/null
  else
    "$bin/hebm_dist" "${words[@]}" >&- 2>&- || echo "exit code $?" >"$scratch/closed.log"
  fi
  [[ ! -e $scratch/$streams.log ]] || fail "$streams: $(<"$scratch/$streams.log")"
  same det1/prior/prior.safetensors "$streams/prior/prior.safetensors"
done

echo "a rank that is killed: the others leave with 6 within 10 s, the same command resumes"
branch killed
start 2 killed train "${long[@]}"
for ((i = 0; i < 300; ++i)); do
  [[ ! -d $scratch/killed/prior/checkpoints/step-0000005 ]] || break
  sleep 0.1
done
victim=$(ranks_of killed | tail -n 1)
[[ -n $victim ]] || fail "no rank to kill"
kill -KILL "$victim"
start=$SECONDS code=0
wait "$child" || code=$?
((code == 6)) || fail "a killed rank: exit code $code, expected 6"
((SECONDS - start <= 10)) || fail "a killed rank: $((SECONDS - start)) s until the others left"
hebm 2 killed train "${long[@]}" || fail "resume after a killed rank"
same whole/prior/prior.safetensors killed/prior/prior.safetensors

echo "divergence: noticed, rolled back with another attempt, given up with 3 and the reason"
branch diverged
code=0
hebm 2 diverged train --energy.spectral_norm false --train.learning_rate 10 --train.updates 40 --langevin.steps 5 --train.max_rollbacks 2 \
  --train.preview_every 0 || code=$?
((code == 3)) || fail "divergence: exit code $code, expected 3"
grep -q 'rolled back to update 0, attempt 2' "$scratch/diverged.log" || fail "no second rollback in the log"
grep -q 'error: training diverged at update .*level[0-9]*.layer' "$scratch/diverged.log" || fail "the message names no layer and t"
[[ -d $scratch/diverged/prior/checkpoints/step-0000003.bad ]] || fail "the checkpoint before the divergence was not set aside"

echo "a diverging VAE is told once, by rank 0 alone"
mkdir -p "$scratch/vae-diverged"
code=0
hebm 2 vae-diverged train-vae --vae_train.learning_rate 10 --vae_train.clip_norm 0 --vae_train.warmup 0 --vae_train.schedule constant \
  --vae_train.epochs 20 || code=$?
((code == 3)) || fail "a diverging VAE: exit code $code, expected 3"
(($(grep -c 'error: train-vae diverged' "$scratch/vae-diverged.log") == 1)) || fail "not told once: $(cat "$scratch/vae-diverged.log")"

echo "without int64 sums, every entry of the first gradient is the same on 1, 2 and 4 ranks to 1e-5 of the largest"
# After one update Adam's first moment is (1 - beta1) times the gradient, and the checkpoint has it.
for n in 1 2 4; do
  branch "fast$n"
  hebm "$n" "fast$n" train --train.updates 1 --train.warmup 0 --train.preview_every 0 --train.log_every 1 || fail "fast train on $n ranks"
done
/usr/bin/python3 - "$scratch" <<'EOF'
import array, json, sys
def first_moments(ranks):
    folder = f"{sys.argv[1]}/fast{ranks}/prior/checkpoints/step-0000001"
    with open(f"{folder}/manifest.json") as file:
        assert json.load(file)["world_size"] == ranks
    with open(f"{folder}/optimizer-00001-of-00001.safetensors", "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        data = file.read()
    moments = {name: tensor for name, tensor in header.items() if name.endswith("exp_avg")}
    assert all(tensor["dtype"] == "F32" for tensor in moments.values()), moments
    return {name: array.array("f", data[slice(*tensor["data_offsets"])]) for name, tensor in moments.items()}
one = first_moments(1)
assert len(one) == 9, list(one)  # 3 layers, 3 levels
for ranks in (2, 4):
    other = first_moments(ranks)
    assert other.keys() == one.keys()
    worst = differing = 0
    for name, entries in one.items():
        largest = max(map(abs, entries))
        assert largest > 0 and len(entries) == len(other[name]), name
        difference = max(abs(a - b) for a, b in zip(entries, other[name]))
        assert difference <= 1e-5 * largest, (ranks, name, difference, largest)
        worst = max(worst, difference / largest)
        differing += sum(a != b for a, b in zip(entries, other[name]))
    count = sum(map(len, one.values()))
    print(f"1 and {ranks} ranks: {differing} of {count} entries differ, by at most {worst:.2g} of the largest of their net")
EOF

echo "other settings for a run that exists are refused by name"
code=0
hebm 1 whole train "${long[@]}" --train.learning_rate 0.5 || code=$?
((code == 2)) || fail "another learning rate: exit code $code, expected 2"
grep -q 'train.learning_rate' "$scratch/whole.log" || fail "the differing key is not named"
echo "all held"
