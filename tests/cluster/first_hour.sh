#!/usr/bin/env bash
# first_hour.sh FOLDER_OF_PROGRAMS SCRATCH: "A cluster's first hour" of docs/operations.md, step by
# step, from an installation, at the size of configs/smoke.ini. SCRATCH must lie outside of /tmp. 77
# (skipped) where the cluster cannot run.
set -euo pipefail
source_folder=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
bin=$1 scratch=$2
export HEBM_CLUSTER=$scratch/cluster
cluster=$source_folder/launch/cluster
code=0
"$cluster" check || code=$?
((code == 0)) || { echo "skipped: the cluster cannot run here (the reason is above)"; exit 77; }
init=
for file in /usr/share/modules/init/bash /usr/share/lmod/lmod/init/bash; do [[ ! -r $file ]] || init=$file; done
[[ -n $init ]] || { echo "skipped: neither environment-modules nor Lmod is installed (launch/setup --tests)"; exit 77; }
! [[ -d $scratch ]] || { "$cluster" down 2>/dev/null; rm -rf -- "$scratch"; }
mkdir -p -- "$scratch/runs"
cd -- "$scratch"  # where jobs leave their output
cmake --install "$bin" --prefix "$scratch/prefix" >/dev/null
trap '"$cluster" down' EXIT
"$cluster" up

# What the user's shell on the login node has, and each job by HEBM_SETUP.
cat >setup.sh <<E2
. $init
module use $scratch/prefix/share/hebm_dist/modulefiles
module load hebm_dist
E2
cat >hour.sh <<'E2'
set -euo pipefail
fail() { echo "FAILED: $*"; tail -n 20 ./*.out 2>/dev/null; exit 1; }
ended() { # ended JOB: waits for its end, and fails unless it is done
  local state=
  for ((i = 0; i < 180; ++i)); do
    state=$(scontrol show job --oneliner "$1" | sed -n 's/.* JobState=\([A-Z_]*\).*/\1/p' | sort -u)
    [[ $state =~ (PENDING|RUNNING|COMPLETING|CONFIGURING) ]] || break
    sleep 1
  done
  [[ $state == COMPLETED ]] || fail "job $1 ($2): $state"
}
unset HEBM_BIN
if ((EUID == 0)); then export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1; fi  # plain mpirun; the virtual cluster wants root
. ./setup.sh
[[ $(type -P hebm_dist) == "$PWD/prefix/bin/hebm_dist" ]] || fail "hebm_dist is $(type -P hebm_dist)"

echo "step 2: pmix, and a pair of nodes"
srun --mpi=list 2>&1 | grep -w pmix >/dev/null || fail "no pmix"
for launcher in "srun -N2 -n4 --mpi=pmix" "salloc --quiet -N2 -n4 mpirun -np 4"; do
  $launcher hebm_dist doctor >doctor.txt 2>&1 || fail "$launcher hebm_dist doctor: $(<doctor.txt)"
  grep -q 'mpi, 4 rank(s)' doctor.txt && grep -q 'rank 3: n2' doctor.txt && grep -q 'all is well' doctor.txt || fail "$launcher: $(<doctor.txt)"
done

echo "step 3: the data set"
hebm_data import-idx --fashion-mnist /usr/share/datasets/fashion-mnist --limit 512 --limit-test 256 --out data.h5 >/dev/null

echo "step 4: the pipeline, each command as a job of 4 ranks on 2 nodes"
export HEBM_SBATCH="--partition=all --comment=first_hour" HEBM_TIME=10 HEBM_NODES=2 HEBM_RANKS=4 HEBM_CPUS=1 HEBM_SETUP=$PWD/setup.sh
options=(--config "$1" --run.directory "$PWD/runs/fashion" --data.path "$PWD/data.h5")
"$HEBM_SLURM/submit" --print train-vae "${options[@]}" >printed.txt
grep -q '^sbatch .*--nodes=2 --ntasks=4 .*--partition=all' printed.txt || fail "--print: $(<printed.txt)"
[[ -z $(squeue --noheader) ]] || fail "--print submitted a job"
for command in train-vae train-features encode train sample evaluate; do
  ended "$("$HEBM_SLURM/submit" "$command" "${options[@]}")" "$command"
done
hebm_dist status "$PWD/runs/fashion" >status.txt || fail "status: $(<status.txt)"
cat status.txt
(($(grep -c ' done' status.txt) >= 6)) || fail "not all is done"
grep -q '4 ranks (mpi)' runs/fashion/log.txt || fail "not 4 ranks"

echo "step 5: the first sweep"
cat >sweep.ini <<E3
[sweep]
config = $1
[data]
path = $PWD/data.h5
[run]
vae = $PWD/runs/fashion/vae/vae.safetensors
features = $PWD/runs/fashion/features/features.safetensors
cache = $PWD/runs/fashion/cache
[grid]
prior.T = 1 2
E3
export HEBM_NODES=1 HEBM_RANKS=2
hebm_dist sweep plan sweep.ini -o "$PWD/runs/first" >/dev/null
"$HEBM_SLURM/sweep" --print "$PWD/runs/first" >printed.txt 2>&1
[[ -z $(squeue --noheader) ]] || fail "--print submitted a job"
"$HEBM_SLURM/sweep" "$PWD/runs/first" >jobs.txt 2>&1
ended "$(sed -n 's/^collect \([0-9]*\).*/\1/p' jobs.txt)" collect
hebm_dist sweep status "$PWD/runs/first" | grep '^2 members: 2 done' || fail "$(hebm_dist sweep status "$PWD/runs/first")"
cat runs/first/results/sweep.md
E2
"$cluster" run bash ./hour.sh "$source_folder/configs/smoke.ini"
echo "[$SECONDS s] all held"
