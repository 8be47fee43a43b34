#!/usr/bin/env bash
# launch/quickstart itself: order of the steps, exit codes passed through, signals. Set-up, build
# and programs are stand-ins.
set -euo pipefail
source_folder=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
tree=$work/tree
mkdir -p "$tree/launch" "$tree/build/cpu" "$tree/configs" "$work/bin" "$work/elsewhere"
cp "$source_folder"/launch/{quickstart,lib.sh,steps.sh} "$tree/launch/"

stand_in() { # stand_in FILE: a script of stdin
  { echo '#!/usr/bin/env bash'; cat; } >"$1"
  chmod +x "$1"
}
stand_in "$tree/launch/setup" <<<'exit 0'
stand_in "$work/bin/cmake" <<<'exit 0'
stand_in "$tree/build/cpu/hebm_data" <<'E2'
echo "data $*" >>"$LOG"
E2
# FAIL_AT=COMMAND:CODE fails there; HANG_AT=COMMAND waits there for a signal, then saves and leaves
# with 75.
stand_in "$tree/build/cpu/hebm_dist" <<'E2'
echo "dist $1" >>"$LOG"
if [[ ${HANG_AT:-} == "$1" ]]; then
  trap 'echo "saved by $1" >>"$LOG"; exit 75' TERM
  : >"$READY"
  for ((i = 0; i < 200; ++i)); do sleep 0.1; done
fi
[[ ${FAIL_AT:-} != "$1":* ]] || exit "${FAIL_AT#*:}"
E2
sed 's/echo "dist/echo "ranks/' "$tree/build/cpu/hebm_dist" >"$work/bin/ranks"
# shellcheck disable=SC2016
stand_in "$tree/launch/mpirun" <<<'[[ $1 != -n ]] || shift 2; shift; exec ranks "$@"'
chmod +x "$work/bin/ranks"

export LOG=$work/log READY=$work/ready PATH=$work/bin:$PATH
unset HEBM_RUNS
status=0
expect() { # expect WHAT GOT WANTED
  if [[ $2 != "$3" ]]; then
    printf 'FAILED %s:\n  got      %s\n  expected %s\n' "$1" "$2" "$3"
    status=1
  fi
}
commands() { awk '{print $1 ":" $2}' "$LOG" | paste -sd ' '; }
quickstart() { # quickstart ARGUMENT...: sets code
  rm -f "$LOG" "$READY"
  code=0
  (cd "$work/elsewhere" && "$tree/launch/quickstart" "$@") >"$work/out" 2>&1 || code=$?
}

quickstart --smoke
expect 'exit code' "$code" 0
expect 'order' "$(commands)" 'data:import-idx ranks:train-vae ranks:train-features ranks:encode ranks:train ranks:sample ranks:evaluate dist:report'
expect 'run folder' "$(cd "$work/elsewhere" && echo runs/*)" 'runs/smoke'

FAIL_AT=train:3 quickstart
expect 'exit code of a failed step' "$code" 3
expect 'nothing after a failed step' "$(commands | sed 's/.* //')" 'ranks:train'

FAIL_AT=train:75 quickstart
expect 'exit code of a saved step' "$code" 75
expect 'says how to go on' "$(grep -c 'run the same command again' "$work/out")" 1

for signal in TERM INT HUP USR1 USR2; do
  rm -f "$LOG" "$READY"
  code=0
  # A process group of its own, as from a terminal: a shell's background jobs would ignore INT.
  set -m
  (cd "$work/elsewhere" && HANG_AT=train exec "$tree/launch/quickstart") >"$work/out" 2>&1 &
  child=$!
  set +m
  for ((i = 0; i < 100; ++i)); do [[ -e $READY ]] && break; sleep 0.1; done
  kill "-$signal" -- "-$child"
  wait "$child" || code=$?
  expect "exit code after $signal" "$code" 75
  expect "the step saved after $signal" "$(tail -n 1 "$LOG")" 'saved by train'
  expect "says how to go on after $signal" "$(grep -c 'run the same command again' "$work/out")" 1
done

# A reader that leaves after the first line ends nothing.
rm -f "$LOG"
(cd "$work/elsewhere" && "$tree/launch/quickstart" --smoke 2>&1) | head -n 1 >"$work/out"
expect 'order without a reader' "$(commands | sed 's/.* //')" 'dist:report'

for arguments in --nonsense --ranks '--ranks 0' '--ranks x'; do
  # shellcheck disable=SC2086
  quickstart $arguments
  expect "exit code of quickstart $arguments" "$code" 2
done
((status == 0)) || cat "$work/out"
exit "$status"
