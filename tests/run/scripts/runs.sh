# shellcheck shell=bash
# What the tests of whole runs share; sourced. In: source_folder, bin, scratch, config, data.
# shellcheck disable=SC2154
exec 3>&1
fail() {
  echo "FAILED: $*" >&3
  exit 1
}
start() { # start RANKS RUN COMMAND [OPTIONS]: in the background, its id in $child; threads are fixed: bits may depend on them
  local ranks=$1 run=$2 command=$3
  shift 3
  "$source_folder/launch/mpirun" -n "$ranks" "$bin/hebm_dist" "$command" --config "$config" --run.directory "$scratch/$run" \
    --data.path "$data" --comm.threads 1 "$@" >>"$scratch/$run.log" 2>&1 &
  child=$!
}
hebm() { # the same, waited for
  start "$@"
  wait "$child"
}
refused() { # refused CODE TEXT RUN COMMAND...: on one rank. The run's log starts anew, so that TEXT can only be of this command
  local want=$1 text=$2 code=0
  shift 2
  : >"$scratch/$1.log"
  hebm 1 "$@" || code=$?
  ((code == want)) || fail "hebm_dist $*: exit code $code, expected $want: $(cat "$scratch/$1.log")"
  grep -qF -- "$text" "$scratch/$1.log" || fail "hebm_dist $*: no '$text' in: $(cat "$scratch/$1.log")"
}
images_hash() { grep -o 'images_hash [0-9a-f]*' "$scratch/$1.log" | tail -n 1; }  # of a run's samples
ranks_of() { # process ids of the ranks of a run, without their launcher
  local pid
  pgrep -f -- "hebm_dist .*--run.directory $scratch/$1 " | while read -r pid; do
    [[ $(readlink "/proc/$pid/exe") != */hebm_dist ]] || echo "$pid"
  done | sort -n
}
same() { cmp -- "$scratch/$1" "$scratch/$2" || fail "$1 and $2 differ"; }
