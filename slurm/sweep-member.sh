#!/usr/bin/env bash
# One member of a sweep (train, sample, evaluate), a task of a job array. Submitted by slurm/sweep
# DIR. Settings: slurm/lib.sh.
#SBATCH --job-name=hebm-sweep-member
#SBATCH --output=%x-%A_%a.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
set -uo pipefail
# sbatch copies this file elsewhere: the scheduler knows where it came from.
HEBM_COMMAND=$(scontrol show job "$SLURM_JOB_ID" | sed -n 's/^ *Command=//p')
HEBM_SOURCE=${HEBM_SOURCE:-${HEBM_COMMAND%%/slurm/sweep-member.sh*}}
# shellcheck source=slurm/lib.sh
. "$HEBM_SOURCE/slurm/lib.sh" || exit 5
run_sweep_part "$@" --member "$SLURM_ARRAY_TASK_ID"
