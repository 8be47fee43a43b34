#!/usr/bin/env bash
# cluster.sh FOLDER_OF_PROGRAMS SCRATCH: slurm/ on two virtual nodes: ranks over both by srun and
# mpirun, killed ranks, time limits, USR1, a lost node, a failed member, a job that gets nowhere.
# SCRATCH must lie outside of /tmp.
set -euo pipefail
source_folder=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
bin=$1 scratch=$2
export HEBM_CLUSTER=$scratch/cluster HEBM_BIN=$bin
cluster=$source_folder/launch/cluster config=$source_folder/configs/smoke.ini data=$scratch/base/data.h5
code=0
"$cluster" check || code=$?
((code == 0)) || { echo "skipped: the cluster cannot run here (the reason is above)"; exit 77; }
! [[ -d $scratch ]] || { "$cluster" down 2>/dev/null; rm -rf -- "$scratch"; }
mkdir -p -- "$scratch/base"
cd -- "$scratch"  # where jobs leave their output

fail() {
  echo "FAILED: $*"
  "$cluster" run squeue --all || true
  for log in "$scratch"/*.out "$scratch"/swept/logs/*.out; do [[ ! -e $log ]] || { echo "--- $log" && tail -n 15 "$log"; }; done
  exit 1
}
on_cluster() { "$cluster" run "$@"; }
elapsed() { printf '[%d s] %s\n' "$SECONDS" "$*"; }
state_of() { on_cluster scontrol show job --oneliner "$1" 2>/dev/null | sed -n 's/.* JobState=\([A-Z_]*\).*/\1/p' | head -n 1; }
restarts_of() { on_cluster scontrol show job --oneliner "$1" | sed -n 's/.* Restarts=\([0-9]*\).*/\1/p' | head -n 1; }
wait_for() { # wait_for SECONDS COMMAND...: until the command succeeds
  local limit=$((SECONDS + $1))
  shift
  until "$@"; do
    ((SECONDS < limit)) || fail "timed out: $*"
    sleep 1
  done
}
ended() { [[ $(state_of "$1") =~ ^(COMPLETED|FAILED|CANCELLED|TIMEOUT|NODE_FAIL|OUT_OF_MEMORY)$ ]]; }
completed() { # completed JOB SECONDS
  wait_for "$2" ended "$1"
  [[ $(state_of "$1") == COMPLETED ]] || fail "job $1: $(state_of "$1")"
}
common=(--config "$config" --data.path "$data" --comm.threads 1)
alone() { "$bin/hebm_dist" "$@" >>"$scratch/alone.log" 2>&1 || fail "$1: $(tail -n 5 "$scratch/alone.log")"; }  # one process, no Slurm
# A run that shares VAE and cache, deterministic: the same bits from any number of ranks.
training() { # training RUN UPDATES STEPS: sets words
  words=(train "${common[@]}" --run.directory "$scratch/$1" --run.vae "$scratch/base/vae/vae.safetensors" --run.cache "$scratch/base/cache"
    --train.deterministic true --train.preview_every 0 --train.updates "$2" --langevin.steps "$3" --train.checkpoint_every 5 --train.log_every 50)
}
submit() { on_cluster "$source_folder/slurm/submit" "$@" 2>>"$scratch/submit.log" || fail "slurm/submit $*: $(tail -n 5 "$scratch/submit.log")"; }
same() { cmp -- "$scratch/$1/prior/prior.safetensors" "$scratch/$2/prior/prior.safetensors" || fail "$1 and $2 differ"; }
step_reached() { # one that is not of the start
  compgen -G "$scratch/$1/prior/checkpoints/step-*" | grep -v -e 'step-0000000$' -e tmp >/dev/null
}

elapsed "data, VAE, classifier and cache, by one process"
"$bin/hebm_data" import-idx --fashion-mnist /usr/share/datasets/fashion-mnist --limit 512 --limit-test 256 --out "$data" >/dev/null
for command in train-vae train-features encode; do alone "$command" "${common[@]}" --run.directory "$scratch/base"; done
trap '"$cluster" down' EXIT
"$cluster" up

elapsed "a wrong configuration takes no node"
training wrong 10 5
code=0
on_cluster "$source_folder/slurm/submit" "${words[@]}" --prior.T 502 >"$scratch/wrong.log" 2>&1 || code=$?
((code == 2)) || fail "slurm/submit of prior.T = 502: exit code $code"
grep -q "prior.T = '502'" "$scratch/wrong.log" || fail "the wrong key is not named: $(<"$scratch/wrong.log")"
[[ -z $(on_cluster squeue --noheader) ]] || fail "a job was submitted"

elapsed "ranks over both nodes, by srun and by mpirun, give the bits of one process"
training alone 10 5
alone "${words[@]}"
for kind in srun mpirun; do
  training "$kind" 10 5
  if [[ $kind == srun ]]; then
    job=$(HEBM_NODES=2 HEBM_RANKS=4 HEBM_TIME=5 submit "${words[@]}")
  else  # the script itself, which finds its sources without slurm/submit
    job=$(HEBM_LAUNCHER=mpirun on_cluster sbatch --parsable --nodes=2 --ntasks=4 --time=9 "$source_folder/slurm/train.sh" "${words[@]:1}")
  fi
  completed "$job" 90
  same alone "$kind"
  grep -q '4 ranks (mpi)' "$scratch/$kind/log.txt" || fail "$kind: not 4 ranks: $(head -n 2 "$scratch/$kind/log.txt")"
done

elapsed "USR1 and a lost node in the middle of a run: saved, requeued, gone on with, the same bits"
training probe 60 30
begin=${EPOCHREALTIME/./}
alone "${words[@]}"
# By what 60 updates of 30 steps took alone, in microseconds: so many that a member takes two to
# three minutes where four share two cores, and that a job takes 15 s alone.
took=$((${EPOCHREALTIME/./} - begin))
updates=$((6000000000 / took)) of_job=$((900000000 / took))
training whole "$of_job" 30
alone "${words[@]}"
training usr1 "$of_job" 30
usr1=$(HEBM_TIME=10 HEBM_RANKS=2 submit "${words[@]}")
training lost "$of_job" 30
lost=$(HEBM_TIME=10 submit "${words[@]}")
wait_for 60 step_reached usr1
on_cluster scancel --signal=USR1 --batch "$usr1"
wait_for 60 step_reached lost
node=$(on_cluster squeue --noheader --job "$lost" --format=%N)
"$cluster" fail "$node"
elapsed "node $node is gone"
restarted() { (($(restarts_of "$1") >= 1)); }
wait_for 60 restarted "$lost"
"$cluster" start "$node"

mkdir -p "$scratch/stuck"
cat >"$scratch/stuck/hebm_dist" <<E2
#!/bin/sh
# Saves and gets nowhere.
case "\$1 \$*" in
  train*--dry-run*) exit 0 ;;
  train*--print-value*) exec "$bin/hebm_dist" "\$@" ;;
  train*) echo "a start" >>"$scratch/stuck/starts"; exit 75 ;;
  *) exec "$bin/hebm_dist" "\$@" ;;
esac
E2
chmod +x "$scratch/stuck/hebm_dist"
stuck=$(HEBM_BIN=$scratch/stuck HEBM_MAX_RESTARTS=1 HEBM_TIME=5 submit train --run.directory "$scratch/stuck/run")

elapsed "a killed rank, by srun on one node and on two and by mpirun on two: the others gone within 10 s, requeued, the same bits"
ranks_of() { # ranks_of RUN: rank and process id, without launchers
  local pid
  pgrep -f -- "hebm_dist train .*--run.directory $scratch/$1 " | while read -r pid; do
    [[ $(readlink "/proc/$pid/exe") != */hebm_dist ]] || tr '\0' '\n' <"/proc/$pid/environ" | sed -n "s/^PMIX_RANK=\(.*\)/\1 $pid/p"
  done | sort -n
}
all_there() { (($(ranks_of "$1" | wc -l) == $2)); }
gone() { [[ -z $(ranks_of "$1") ]]; }
kill_a_rank() { # kill_a_rank RUN RANKS JOB: the last one, which is not on the node of the batch script where there are two
  local start ranks=$2
  wait_for 120 step_reached "$1"
  all_there "$1" "$ranks" || fail "$1: not $ranks ranks: $(ranks_of "$1")"
  kill -KILL "$(ranks_of "$1" | tail -n 1 | cut -d ' ' -f 2)"
  start=${EPOCHREALTIME/./}
  wait_for 10 gone "$1"
  elapsed "$1: the others were gone after $(((${EPOCHREALTIME/./} - start) / 1000)) ms"
  wait_for 60 restarted "$3"
  grep -q 'exit code 6: requeued' "$scratch/hebm-train-$3.out" || fail "$1: $(tail "$scratch/hebm-train-$3.out")"
  grep -q "rank $((ranks - 1)) was killed by signal KILL" "$scratch/hebm-train-$3.out" || fail "$1: $(tail "$scratch/hebm-train-$3.out")"
}
training killed-srun1 "$of_job" 30
srun1=$(HEBM_TIME=10 HEBM_RANKS=2 submit "${words[@]}")
kill_a_rank killed-srun1 2 "$srun1"
training killed-srun2 "$of_job" 30
srun2=$(HEBM_TIME=10 HEBM_NODES=2 HEBM_RANKS=4 submit "${words[@]}")
kill_a_rank killed-srun2 4 "$srun2"
training killed-mpirun2 "$of_job" 30
mpirun2=$(HEBM_LAUNCHER=mpirun HEBM_TIME=10 HEBM_NODES=2 HEBM_RANKS=4 submit "${words[@]}")
kill_a_rank killed-mpirun2 4 "$mpirun2"

completed "$usr1" 150
same whole usr1
(($(restarts_of "$usr1") >= 1)) || fail "USR1: not restarted"
grep -q 'exit code 75: requeued' "$scratch/hebm-train-$usr1.out" || fail "USR1: $(tail "$scratch/hebm-train-$usr1.out")"
completed "$lost" 150
same whole lost
for job in "$srun1" "$srun2" "$mpirun2"; do completed "$job" 150; done
for run in killed-srun1 killed-srun2 killed-mpirun2; do same whole "$run"; done

elapsed "a job that gets nowhere is not requeued for ever"
wait_for 150 ended "$stuck"
[[ $(state_of "$stuck") == FAILED ]] || fail "the job without progress: $(state_of "$stuck")"
(($(wc -l <"$scratch/stuck/starts") == 2)) || fail "$(wc -l <"$scratch/stuck/starts") starts without progress, expected 2"
grep -q 'restarted 1 times without getting further' "$scratch/hebm-train-$stuck.out" || fail "it does not say why: $(tail "$scratch/hebm-train-$stuck.out")"

elapsed "the sweep: time limits, and a member that fails"
cat >"$scratch/sweep.ini" <<E2
[sweep]
config = $config
[data]
path = $data
[run]
vae = $scratch/base/vae/vae.safetensors
features = $scratch/base/features/features.safetensors
[comm]
threads = 1
[train]
updates = $updates
checkpoint_every = 20
preview_every = 0
[grid]
prior.T = 2 3
langevin.steps = 20 30
E2
on_cluster "$bin/hebm_dist" sweep plan "$scratch/sweep.ini" -o "$scratch/swept" >/dev/null || fail "sweep plan"
mkdir -p "$scratch/swept/members/0001"
: >"$scratch/swept/members/0001/samples"
HEBM_TIME=2 HEBM_SHARED_TIME=5 on_cluster "$source_folder/slurm/sweep" "$scratch/swept" >"$scratch/jobs" 2>>"$scratch/submit.log" || fail "slurm/sweep: $(tail -n 5 "$scratch/submit.log")"
cat "$scratch/jobs"
collect=$(sed -n 's/^collect \([0-9]*\).*/\1/p' "$scratch/jobs") members=$(sed -n 's/^members \([0-9]*\) .*/\1/p' "$scratch/jobs")
wait_for 420 ended "$collect"
status=$(on_cluster "$bin/hebm_dist" sweep status "$scratch/swept")
echo "$status"
grep -q '^4 members: 3 done, 0 running, 0 resumable, 0 waiting, 1 failed' <<<"$status" || fail "the sweep"
grep -q '^0001 *failed .*sample returned 1' <<<"$status" || fail "the failed member"
for i in 0 2 3; do grep -q 'requeued' "$scratch/swept/logs/hebm-sweep-member-${members}_$i.out" || echo "note: member $i ended within its first two minutes"; done
grep -lq 'exit code 75: requeued' "$scratch"/swept/logs/hebm-sweep-member-"${members}"_*.out || fail "no member of $updates updates met its time limit"

elapsed "the failed member alone is submitted again, and all are collected"
rm -- "$scratch/swept/members/0001/samples"
HEBM_TIME=5 on_cluster "$source_folder/slurm/sweep" --retry "$scratch/swept" >"$scratch/jobs" 2>>"$scratch/submit.log" || fail "slurm/sweep --retry"
grep -q '^members [0-9]* (1)$' "$scratch/jobs" || fail "not the failed member alone: $(<"$scratch/jobs")"
collect=$(sed -n 's/^collect \([0-9]*\).*/\1/p' "$scratch/jobs")
completed "$collect" 120
grep -q '# swept: 4 of 4 members done' "$scratch/swept/results/sweep.md" || fail "the table: $(<"$scratch/swept/results/sweep.md")"
[[ -z $(find "$scratch" -name lease.json) ]] || fail "leases were left over"
cat "$scratch/swept/results/sweep.md"
elapsed "all held"
