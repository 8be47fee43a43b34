# shellcheck shell=bash disable=SC2154
# Steps that save when they are stopped, for scripts that run one command of hebm_dist after the
# other; sourced after lib.sh. The script sets kCommand (how it was called) and kRun (where its
# results are), and traps stop.
kChild='' kStopped='' kResult=2
trap '' PIPE  # a reader of the talk that leaves (`| head`) stops nothing

# Ctrl-C reaches only this script, as each step has a process group of its own. The step gets TERM,
# saves and leaves; a second signal ends it at once (launch/mpirun).
stop() {
  kStopped=1
  [[ -z $kChild ]] || kill -TERM "$kChild" 2>/dev/null || true
  say "stopping: waiting for the running step to save"
}

again() { # again CODE
  say "stopped; run the same command again to go on: $kCommand"
  exit "$1"
}

# The step's stdout goes to file descriptor kResult, for only the last one's is the result here.
# Leaves when it was stopped; else its exit code is in kCode.
try_step() { # try_step NAME COMMAND...
  local name=$1 start=$SECONDS
  shift
  [[ -z $kStopped ]] || again "$kExitRequeue"
  say "$name: $*"
  set -m
  "$@" </dev/null >&"$kResult" &
  kChild=$!
  set +m
  outlast "$kChild"
  kChild=''
  if ((kCode == kExitRequeue)) || [[ -n $kStopped && $kCode != 0 ]]; then again "$kCode"; fi
  if ((kCode != 0)); then
    say "$name failed with exit code $kCode after $(duration $((SECONDS - start))); its reason is above, its files are in $kRun"
  else
    say "$name: $(duration $((SECONDS - start)))"
  fi
}

step() { # step NAME COMMAND...: leaves with the exit code of one that fails
  try_step "$@"
  ((kCode == 0)) || exit "$kCode"
}
