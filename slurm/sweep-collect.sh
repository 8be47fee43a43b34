#!/usr/bin/env bash
# The tables of a sweep from whatever is done. Submitted by slurm/sweep DIR. Settings: slurm/lib.sh.
#SBATCH --job-name=hebm-sweep-collect
#SBATCH --output=%x-%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
set -uo pipefail
HEBM_SOURCE=${HEBM_SOURCE:-$(scontrol show job "$SLURM_JOB_ID" | sed -n 's|^ *Command=\([^ ]*\)/slurm/.*|\1|p')}
# shellcheck source=slurm/lib.sh
. "$HEBM_SOURCE/slurm/lib.sh"
prepare_job
exec "$kProgram" sweep collect "$@"
