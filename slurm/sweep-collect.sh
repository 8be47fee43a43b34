#!/usr/bin/env bash
# The tables of a sweep from whatever is done. Submitted by slurm/sweep DIR. Settings: slurm/lib.sh.
#SBATCH --job-name=hebm-sweep-collect
#SBATCH --output=%x-%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
set -uo pipefail
HEBM_COMMAND=$(scontrol show job "$SLURM_JOB_ID" | sed -n 's/^ *Command=//p')
HEBM_SOURCE=${HEBM_SOURCE:-${HEBM_COMMAND%%/slurm/sweep-collect.sh*}}
# shellcheck source=slurm/lib.sh
. "$HEBM_SOURCE/slurm/lib.sh" || exit 5
prepare_job
exec "$kProgram" sweep collect "$@"
