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
same() { cmp -- "$scratch/$1" "$scratch/$2" || fail "$1 and $2 differ"; }
