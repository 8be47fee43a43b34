# shellcheck shell=bash
# What the batch scripts share; sourced, never run. Settings come from the environment:
#   at submission (slurm/submit, slurm/sweep)
#     HEBM_TIME=24:00:00   time limit
#     HEBM_NODES=1  HEBM_RANKS=1 (of the job)  HEBM_CPUS=1 (a rank)
#     HEBM_SBATCH=         more options for sbatch, separated by blanks, quotes hold one together:
#                          --partition=x --account=y --gpus-per-task=1 --mem-per-cpu=4G
#   in the job
#     HEBM_BIN=            folder of hebm_dist; default: build/cpu of these sources, else PATH
#     HEBM_SETUP=          file to source first (module load ...)
#     HEBM_LAUNCHER=       srun or mpirun, of launch/; default: srun where Slurm has PMIx
#     HEBM_IF=             network interface between the nodes
#     HEBM_MAX_RESTARTS=3  restarts in a row without getting further
# A job that was interrupted (exit code 75 or 6, or a signal) is requeued while it gets further; 1
# to 5 never are (docs/operations.md).

# shellcheck source=launch/lib.sh
. "$HEBM_SOURCE/launch/lib.sh"

# Sets kProgram.
find_program() {
  local folder=${HEBM_BIN:-$HEBM_SOURCE/build/cpu}
  if [[ -x $folder/hebm_dist ]]; then
    kProgram=$folder/hebm_dist
  elif [[ -n ${HEBM_BIN:-} ]]; then
    fail 2 "HEBM_BIN=$HEBM_BIN has no hebm_dist"
  else
    kProgram=$(type -P hebm_dist) || fail 2 "no hebm_dist in $folder or PATH: build it, or set HEBM_BIN to its folder"
  fi
}

# ---- submission

limit_seconds() { # limit_seconds TIME, in sbatch's forms: MIN, MIN:SEC, H:MIN:SEC, D-H, D-H:MIN, D-H:MIN:SEC
  local time=$1 days=0 a b c
  [[ $time =~ ^([0-9]+-)?[0-9]+(:[0-9]+){0,2}$ ]] || fail 2 "HEBM_TIME='$time' is not a time limit like 90, 1:30:00 or 2-12"
  if [[ $time == *-* ]]; then
    days=${time%%-*}
    IFS=: read -r a b c <<<"${time#*-}:0:0"
  elif [[ $time == *:*:* ]]; then
    IFS=: read -r a b c <<<"$time"
  else
    IFS=: read -r b c <<<"$time:0"
    a=0
  fi
  printf '%d\n' $((10#$days * 86400 + 10#$a * 3600 + 10#$b * 60 + 10#${c%%:*}))
}

# Sets kSbatch: sbatch's options but for name and output. The signal comes early enough to save: 2
# minutes before the end, or a quarter of a short limit (sbatch's own 120 s would come at once in a
# job of 2 minutes, and requeue it for ever).
sbatch_options() { # sbatch_options TIME
  local seconds notice name
  for name in HEBM_NODES HEBM_RANKS HEBM_CPUS; do
    [[ ${!name:-1} =~ ^[1-9][0-9]{0,6}$ ]] || fail 2 "$name='${!name}' is not a number in [1, 9999999]"
  done
  seconds=$(limit_seconds "$1") || exit 2
  ((seconds >= 60)) || fail 2 "HEBM_TIME='$1' is less than a minute"
  notice=$((seconds / 4 < 120 ? seconds / 4 : 120))
  kSbatch=(--parsable --requeue --open-mode=append --signal="B:USR1@$notice" --time="$1" --nodes="${HEBM_NODES:-1}"
    --ntasks="${HEBM_RANKS:-1}" --cpus-per-task="${HEBM_CPUS:-1}")
  local -a more=()
  words_into more "${HEBM_SBATCH:-}"
  kSbatch+=("${more[@]}")
}

# A folder as sbatch's --output takes it: %x would be replaced there, and nothing is where there is
# a backslash.
output_folder() { # output_folder FOLDER
  [[ $1 != *\\* ]] || fail 2 "sbatch cannot write a job's output to $1: there is a backslash in it; take another folder"
  printf '%s\n' "${1//%/%%}"
}

# ---- in the job

# "2(x2),1" -> 2 2 1
tasks_per_node() {
  local part count
  for part in ${SLURM_TASKS_PER_NODE//,/ }; do
    count=1
    [[ $part != *x* ]] || { count=${part#*x} && count=${count%)}; }
    for ((; count > 0; --count)); do printf '%s\n' "${part%%(*}"; done
  done
}

# "n1:2,n2:2" for launch/mpirun.
allocated_hosts() {
  paste -d: <(scontrol show hostnames "$SLURM_JOB_NODELIST") <(tasks_per_node) | paste -sd,
}

# Sets kLauncher: the words that start the ranks of a program; none for one process.
find_launcher() {
  local kind=${HEBM_LAUNCHER:-}
  kLauncher=()
  export SRUN_CPUS_PER_TASK=${SLURM_CPUS_PER_TASK:-1}  # srun does not take it over by itself
  if [[ -n ${HEBM_IF:-} ]]; then
    export OMPI_MCA_btl_tcp_if_include=$HEBM_IF OMPI_MCA_oob_tcp_if_include=$HEBM_IF
    [[ $HEBM_IF == */* ]] || export NCCL_SOCKET_IFNAME=$HEBM_IF
  fi
  if ((${SLURM_NTASKS:-1} == 1)); then return; fi
  if [[ -z $kind ]]; then
    if srun --mpi=list 2>&1 | grep -w pmix >/dev/null; then kind=srun; else kind=mpirun; fi
  fi
  case $kind in
    srun) kLauncher=("$HEBM_SOURCE/launch/srun" -n "$SLURM_NTASKS") ;;
    mpirun)
      kLauncher=("$HEBM_SOURCE/launch/mpirun" -n "$SLURM_NTASKS")
      if ((${SLURM_JOB_NUM_NODES:-1} > 1)); then HEBM_HOSTS=$(allocated_hosts) && export HEBM_HOSTS; fi
      ;;
    *) fail 2 "HEBM_LAUNCHER=$kind: expected srun or mpirun" ;;
  esac
}

prepare_job() {
  if [[ -n ${HEBM_SETUP:-} ]]; then
    # shellcheck disable=SC1090
    . "$HEBM_SETUP" || fail 2 "HEBM_SETUP=$HEBM_SETUP cannot be sourced"
  fi
  find_program
  find_launcher
  say "job ${SLURM_JOB_ID:-none}${SLURM_ARRAY_TASK_ID:+ (member $SLURM_ARRAY_TASK_ID)} on ${SLURM_JOB_NODELIST:-$(uname -n)}, start $((${SLURM_RESTART_COUNT:-0} + 1)), $(date -Is)"
}

# Runs a command in the background, so that the shell hears signals at once. USR1 (from --signal, or
# scancel) and what else asks a job to stop reach it as USR1. Sets kCode.
supervise() { # supervise COMMAND...
  "$@" </dev/null &
  local child=$!
  # shellcheck disable=SC2064
  trap "say 'signal: saving'; kill -USR1 $child 2>/dev/null" USR1 USR2 TERM HUP INT
  outlast "$child" USR1 USR2 TERM HUP INT
}

# Ends the job: by its code, or by putting it back into the queue. Not where somebody has cancelled
# it.
finish_job() { # finish_job CODE
  local code=$1 job=$SLURM_JOB_ID state
  # The last task of an array has the array's own number, which means all of them.
  [[ -z ${SLURM_ARRAY_TASK_ID:-} ]] || job=${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID
  if ((code != 75 && code != 6 && code <= 128)); then
    say "exit code $code"
    exit "$code"
  fi
  state=$(scontrol show job --oneliner "$job" | sed -n 's/.* JobState=\([A-Z_]*\).*/\1/p')
  if [[ $state == RUNNING ]] && scontrol requeue "$job"; then
    say "exit code $code: requeued"
    sleep 60  # the scheduler ends this job
  else
    say "exit code $code: it can go on, but was not requeued (job state: ${state:-unknown})"
  fi
  exit "$code"
}

# A whole batch job of one command.
run_command() { # run_command COMMAND OPTION...
  local run restarted=false
  prepare_job
  run=$("$kProgram" "$@" --print-value run.directory && printf .) || fail 2 "$1 is refused (the reason is above)"
  run=${run%$'\n.'}
  if ((${SLURM_RESTART_COUNT:-0} > 0)); then restarted=true; fi
  "$kProgram" status --count_start --restarted="$restarted" --max_restarts "${HEBM_MAX_RESTARTS:-3}" -- "$run" || exit
  say "$(quoted "${kLauncher[@]}" hebm_dist "$@")"
  supervise "${kLauncher[@]}" "$kProgram" "$@"
  finish_job "$kCode"
}

# A whole batch job of a sweep: one member, or what all share. The sweep counts its restarts itself.
run_sweep_part() { # run_sweep_part DIR OPTION...
  prepare_job
  supervise "$kProgram" sweep run "$@" --launcher "$(quoted "${kLauncher[@]}")" --max_restarts "${HEBM_MAX_RESTARTS:-3}"
  finish_job "$kCode"
}
