#!/usr/bin/env bash
# Trains the VAE: slurm/submit train-vae --config FILE.ini --run.directory RUN; by sbatch itself for
# limits of 8 minutes or more. Settings: slurm/lib.sh.
#SBATCH --job-name=hebm-train-vae
#SBATCH --output=%x-%j.out
#SBATCH --open-mode=append
#SBATCH --requeue
#SBATCH --signal=B:USR1@120
set -uo pipefail
# sbatch copies this file elsewhere: the scheduler knows where it came from.
HEBM_COMMAND=$(scontrol show job "$SLURM_JOB_ID" | sed -n 's/^ *Command=//p')
HEBM_SOURCE=${HEBM_SOURCE:-${HEBM_COMMAND%%/slurm/train-vae.sh*}}
# shellcheck source=slurm/lib.sh
. "$HEBM_SOURCE/slurm/lib.sh" || exit 5
run_command train-vae "$@"
