#!/usr/bin/env bash
# slurm/ and launch/srun without Slurm: an installation and a run whose paths hold blanks, quotes, %
# and backslashes, exit codes of ranks, signals, requeueing. Slurm and hebm_dist are stand-ins.
set -euo pipefail
source_folder=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
odd="-a b%x 'c' \"d\" \$e \\f; g#  # h"
tree=$work/$odd/tree run=$work/$odd/run
mkdir -p "$tree/build/cpu" "$run" "$work/bin" "$work/spool" "$work/cwd"
cp -r -- "$source_folder/slurm" "$source_folder/launch" "$tree/"

stand_in() { # stand_in FILE: a script of stdin
  { echo '#!/usr/bin/env bash'; cat; } >"$1"
  chmod +x "$1"
}
# What each program was called with: its name, then a line an argument.
stand_in "$tree/build/cpu/hebm_dist" <<'E2'
printf '%s\n' "-- ${SLURM_PROCID:-alone}" "$@" >>"$LOG.${SLURM_PROCID:-alone}"
for word; do [[ $word != --print-value ]] || { printf '%s\n' "$RUN" && exit; }; done
[[ -n ${SLURM_PROCID:-} ]] || exit 0
case ${MODE:-}:$SLURM_PROCID in
  kill:1) kill -KILL $$ ;;
  kill:* | fail:0) exec /bin/sleep 30 ;;
  fail:1) exit 4 ;;
  saved:1) exit 75 ;;
  saved:0) /bin/sleep 1 && echo "rank 0 saved late" ;;
  wait:*)
    trap 'echo "rank $SLURM_PROCID saved"; exit 75' USR1
    : >"$LOG.ready"
    for ((i = 0; i < 100; ++i)); do /bin/sleep 0.1; done
    exit 3
    ;;
esac
E2
# A step of two ranks.
stand_in "$work/bin/srun" <<'E2'
[[ $1 != --mpi=list ]] || { echo 'pmix' && exit; }
printf '%s\n' "$@" >"$LOG.srun"
while [[ $1 == -* ]]; do shift; done
export SLURM_STEP_NUM_TASKS=2 SLURM_STEP_ID=0
set -m
for rank in 0 1; do SLURM_PROCID=$rank "$@" & pids[rank]=$!; done
printf '%s\n' "${pids[@]}" >"$LOG.pids"
trap 'for pid in "${pids[@]}"; do kill -USR1 -- "-$pid"; done' USR1
code=0
for pid in "${pids[@]}"; do
  while kill -0 "$pid" 2>/dev/null; do wait "$pid"; done
  wait "$pid" || code=$?
done 2>/dev/null
exit "$code"
E2
stand_in "$work/bin/scancel" <<'E2'
while read -r pid; do kill -KILL -- "-$pid"; done <"$LOG.pids"
E2
stand_in "$work/bin/scontrol" <<'E2'
case $1:$2 in
  show:job) printf '   JobId=7\n   x JobState=RUNNING y\n   Command=%s\n' "$COMMAND" ;;
  requeue:*) echo "$2" >"$LOG.requeued" ;;
esac
E2
# shellcheck disable=SC2016
stand_in "$work/bin/sleep" <<<'[[ $1 == 60 ]] || exec /bin/sleep "$1"'
# Runs the script as Slurm does: a copy of it, elsewhere.
stand_in "$work/bin/sbatch" <<'E2'
printf '%s\n' "$@" >"$LOG.sbatch"
while [[ $1 == -* ]]; do shift; done
export COMMAND=$*
cp -- "$1" "$SPOOL/slurm_script"
exec env -u HEBM_SOURCE SLURM_JOB_ID=7 SLURM_JOB_NUM_NODES="${NODES:-1}" SLURMD_NODENAME=n1 SLURM_NTASKS="${HEBM_RANKS:-1}" \
  bash "$SPOOL/slurm_script" "${@:2}"
E2
export LOG=$work/log RUN=$run SPOOL=$work/spool PATH=$work/bin:$PATH
unset HEBM_BIN HEBM_SETUP HEBM_LAUNCHER HEBM_SBATCH HEBM_TIME HEBM_NODES HEBM_RANKS HEBM_CPUS HEBM_IF
cd -- "$work/cwd"
status=0
expect() { # expect WHAT GOT WANTED
  [[ $2 == "$3" ]] || { printf 'FAILED %s:\n  got      %s\n  expected %s\n' "$1" "$2" "$3" && status=1; }
}
expect_in() { [[ $2 == *"$3"* ]] || { printf 'FAILED %s:\n  no %s\n  in %s\n' "$1" "$3" "$2" && status=1; }; }
submit() { # submit COMMAND OPTION...: runs the job at once; its output is in $out, its exit code in $code
  rm -f "$LOG".*
  code=0
  out=$("$tree/slurm/submit" "$@" 2>&1) || code=$?
}
arguments_of() { awk -v want="$2" '/^-- /{ show = 0; next_is = 1; next } next_is { show = ($0 == want); next_is = 0 } show' "$LOG.$1" 2>/dev/null; }
words=(--config "$work/$odd/a.ini" --run.directory="$run" --prior.kind x)

echo "one process"
submit train "${words[@]}"
expect "exit code" "$code" 0
expect "the command's words" "$(arguments_of alone train | tail -n 4)" "$(printf '%s\n' train "${words[@]:0:2}" "${words[2]}" "${words[@]:3}" | tail -n 4)"
expect "the run that is watched" "$(arguments_of alone status | tail -n 1)" "$run"
RUN=$'last\n\n' submit train
expect "a run's name that ends in line breaks" "$(arguments_of alone status | tail -n 4; echo .)" "$(printf -- '--\nlast\n\n\n.')"

echo "ranks by srun: all is well, saved, failed, killed"
export HEBM_RANKS=2
for nodes in 1 2; do
  NODES=$nodes submit train "${words[@]}"
  expect "exit code on $nodes nodes" "$code: $out" "0: $out"
  for rank in 0 1; do expect "words of rank $rank" "$(tail -n +2 "$LOG.$rank")" "$(printf '%s\n' train "${words[@]}")"; done
done
expect_in "srun" "$(<"$LOG.srun")" --kill-on-bad-exit=1
MODE=saved submit train "${words[@]}"
expect "exit code of saved ranks" "$code" 75
expect_in "the slower rank" "$out" "rank 0 saved late"
expect "requeued" "$(<"$LOG.requeued")" 7
MODE=fail submit train "${words[@]}"
expect "exit code of a failed rank" "$code" 4
expect_in "says which" "$out" "rank 1 returned 4 first"
[[ ! -e $LOG.requeued ]] || expect "a failed job" requeued ended
start=$SECONDS
MODE=kill NODES=2 submit train "${words[@]}"
expect "exit code of a killed rank" "$code" 6
expect_in "says which" "$out" "rank 1 was killed by signal KILL"
expect "requeued" "$(<"$LOG.requeued")" 7
((SECONDS - start <= 10)) || expect "seconds until the others were gone" $((SECONDS - start)) 10
expect "notes are removed" "$(ls)" ""

echo "signals"
for signal in TERM USR1 USR2 HUP INT; do
  rm -f "$LOG".*
  code=0
  set -m
  MODE="wait" "$tree/slurm/submit" train "${words[@]}" >"$work/out" 2>&1 &
  child=$!
  set +m
  for ((i = 0; i < 100; ++i)); do [[ ! -e $LOG.ready ]] || break; /bin/sleep 0.1; done
  /bin/sleep 0.2
  kill "-$signal" "$child"
  wait "$child" || code=$?
  out=$(<"$work/out")
  expect "exit code after $signal" "$code" 75
  for rank in 0 1; do expect_in "$signal" "$out" "rank $rank saved"; done
done

echo "a sweep's part"
MODE='' SLURM_JOB_ID=7 SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_JOB_ID=7 SLURM_NTASKS=2 COMMAND="$tree/slurm/sweep-member.sh x" bash "$tree/slurm/sweep-member.sh" "$run" >"$work/out" 2>&1 ||
  expect "exit code of a member" "$?: $(<"$work/out")" 0
launcher=$(arguments_of alone sweep | sed -n '/^--launcher$/{n;p}')
declare -a got="($launcher)"
expect "the launcher's words" "$(printf '%s\n' "${got[@]}")" "$(printf '%s\n' "$tree/launch/srun" -n 2)"

echo "what sbatch is told"
HEBM_SBATCH="--comment='two words' --partition=x" submit train "${words[@]}"
expect_in "a quoted option" "$(<"$LOG.sbatch")" $'\n--comment=two words\n--partition=x\n'
expect_in "where its output goes" "$(<"$LOG.sbatch")" $'\n'"--output=$work/cwd/%x-%j.out"$'\n'
mkdir -p "$work/50%x off" "$work/back\\slash"
out=$(cd -- "$work/50%x off" && "$tree/slurm/submit" --print train 2>&1)
expect_in "where its output goes from a folder with %" "$out" "$(printf '%q' "--output=$work/50%%x off/%x-%j.out")"
code=0
out=$(cd -- "$work/back\\slash" && "$tree/slurm/submit" --print train 2>&1) || code=$?
expect "exit code of a folder with a backslash" "$code" 2
for wrong in HEBM_RANKS=0 HEBM_RANKS=two HEBM_NODES=1.5 HEBM_CPUS=-1 HEBM_TIME=soon HEBM_SBATCH=it\'s; do
  code=0
  out=$(env "$wrong" "$tree/slurm/submit" --print train 2>&1) || code=$?
  expect "exit code of $wrong" "$code" 2
done
((status == 0)) && echo "all held"
exit "$status"
