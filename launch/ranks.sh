# shellcheck shell=bash disable=SC2154,SC2034
# What launch/mpirun and launch/srun share; sourced after lib.sh, never run: ranks that note their
# exit codes, signals, one exit code of all ranks.
#
# A note is a symbolic link in $kNotes, its text the link's target: it is there whole or not at all,
# and needs no room on a full disk.
#   start.RANK -> SIZE STEP (Slurm's)   code.RANK -> CODE TIME
#   abort.RANK -> CODE TIME, by hebm_dist: this rank ends the others on purpose (comm/end_process.h)

readonly kLost=6  # a killed or lost rank
kWho=launch/${0##*/} kNotes='' kPid='' kStops=0 kStatus=0 kRanks='' kWords=() kReaders=()

# A closed stream would be the next file that is opened.
{ : <&0; } 2>/dev/null || exec </dev/null
{ : >&1; } 2>/dev/null || exec >/dev/null
: >&2 || exec 2>/dev/null

tell() { printf '%s: %s\n' "$kWho" "$*" >&2 || true; }
die() { # die CODE SENTENCE...
  tell "${@:2}"
  exit "$1"
}

# What each rank runs: hebm-rank NOTES LAUNCHER =PROGRAM =ARGUMENT... bash's own stderr is closed,
# or it would add a line about a killed child. A rank that leaves with 75 leaves the launcher at
# ease, so that the others may finish saving. srun takes its time with ranks that ignore TERM in a
# collective: the first rank that ends badly ends the step.
# shellcheck disable=SC2016
rank_script='
trap : TERM INT HUP USR1 USR2
dir=$1 launcher=$2
shift 2
case $launcher in
  srun) rank=$SLURM_PROCID size=$SLURM_STEP_NUM_TASKS ;;
  *) rank=$OMPI_COMM_WORLD_RANK size=$OMPI_COMM_WORLD_SIZE ;;
esac
export HEBM_EXIT_DIR=$dir
exec 3>&2 2>/dev/null
ln -s "$size ${SLURM_STEP_ID:-}" "$dir/start.$rank"
"${@#=}" 2>&3 3>&-
code=$?
if ln -s "$code ${EPOCHREALTIME/,/.}" "$dir/code.$rank" && ((code == 75)); then exit 0; fi
if [[ $launcher == srun ]] && ((code != 0)) && { ln -s . "$dir/ended" || [[ ! -L $dir/ended ]]; }; then
  sleep 2  # for what the others have to say
  scancel --signal=KILL "$SLURM_JOB_ID.$SLURM_STEP_ID"
fi
exit "$code"
'

# Sets kRanks ('' without -n) and kWords, the program with its arguments. Each is marked: a lone
# colon would begin another program for mpirun.
read_arguments() { # read_arguments ARGUMENT...
  while (($# > 0)); do
    case $1 in
      -n | -np)
        [[ ${2:-} =~ ^[1-9][0-9]{0,5}$ ]] || die "$kExitUsage" "$1 needs a number of ranks, got '${2:-}'"
        kRanks=$2
        shift 2
        ;;
      -h | --help) usage && exit ;;
      --)
        shift
        break
        ;;
      -*) die "$kExitUsage" "unknown option $1; see $kWho --help" ;;
      *) break ;;
    esac
  done
  (($# > 0)) || die "$kExitUsage" "no PROGRAM given; see $kWho --help"
  type -P -- "$1" >/dev/null || die "$kExitUsage" "$1: no such program (build it first?)"
  kWords=("${@/#/=}")
}

# The program of this name in PATH that is not this script; nothing where there is none.
program_of() { # program_of NAME
  local candidate
  local -a candidates
  mapfile -t candidates < <(type -ap "$1")
  for candidate in "${candidates[@]}"; do
    [[ $candidate -ef $0 ]] || { printf '%s\n' "$candidate" && return; }
  done
}

can_note() { ln -s . "$kNotes/try" 2>/dev/null && rm -f -- "$kNotes/try"; }

# Sets kNotes, in the first of these folders that takes a note.
make_notes() { # make_notes FOLDER...
  local folder
  trap '[[ -z $kNotes ]] || rm -rf -- "$kNotes"' EXIT
  for folder; do
    kNotes=$(mktemp -d -- "$folder/hebm-ranks.XXXXXX" 2>/dev/null) || continue
    if can_note; then return; fi
    rm -rf -- "$kNotes"
  done
  kNotes=''
  die "$kExitEnvironment" "no place to note exit codes: full, not there or not to be written are $*"
}

# stdin to stdout; without its reader (`| head`) it reads on. Open MPI's mpirun ends the ranks after
# a few broken pipes.
keep_reading() {
  trap '' TERM INT HUP USR1 USR2 PIPE
  cat 2>/dev/null
  cat >/dev/null
}

# shellcheck disable=SC2317  # by trap
on_stop() {
  kStops=$((kStops + 1))
  [[ -n $kPid ]] || return
  if ((kStops == 1)); then kill -USR1 "$kPid" 2>/dev/null; else end_ranks; fi
}
# shellcheck disable=SC2317  # by trap
on_save() {
  kStops=$((kStops > 0 ? kStops : 1))
  [[ -z $kPid ]] || kill -USR1 "$kPid" 2>/dev/null
}

# Runs the launcher and waits for its end: kStatus. In a process group of its own (set -m), so that
# Ctrl-C reaches this script alone. The second stop calls end_ranks.
run_ranks() { # run_ranks COMMAND...
  local out=1 err=2 reader tenth
  trap on_stop TERM INT HUP
  trap on_save USR1 USR2
  if [[ -p /dev/fd/1 ]]; then exec {out}> >(keep_reading) && kReaders+=("$!"); fi
  if [[ -p /dev/fd/2 ]]; then exec {err}> >(keep_reading >&2) && kReaders+=("$!"); fi
  set -m
  "$@" </dev/null 1>&"$out" 2>&"$err" &
  kPid=$!
  set +m
  trap '' PIPE
  ((out == 1)) || exec {out}>&-
  ((err == 2)) || exec {err}>&-
  ((kStops == 0)) || kill -USR1 "$kPid" 2>/dev/null
  outlast "$kPid" TERM INT HUP USR1 USR2
  kStatus=$kCode
  for reader in "${kReaders[@]}"; do  # what was said last; not for one that has lost its way
    for ((tenth = 0; tenth < 50; ++tenth)); do
      kill -0 "$reader" 2>/dev/null || break
      sleep 0.1
    done
  done
}

# Sets kCode where the ranks have left too few notes: by the launcher's own status.
by_status() { # by_status SENTENCE
  kCode=$kStatus
  ((kStatus != 0)) || return 0
  tell "$1 (${kWho##*/} returned $kStatus)"
  if ((kStatus > 128)); then
    kCode=$kLost
  elif ((kStatus > 6 && kStatus != 75)); then
    kCode=$kExitRuntime
  fi
}

# Sets kCode (see --help), and says which rank it comes from.
combine() {
  local -a notes
  local name text size=0 saved='' lost='' cause='' rank
  local -A codes=()
  mapfile -t notes < <(find "$kNotes" -mindepth 1 -type l -printf '%f %l\n')
  for text in "${notes[@]}"; do
    name=${text%% *} text=${text#* }
    rank=${name#*.}
    case $name in
      start.*) size=${text%% *} ;;
      code.*) codes[$rank]=${codes[$rank]:-$text} ;;
      abort.*) codes[$rank]=$text ;;  # noted before the signals that follow from it
    esac
  done
  if ((size == 0)); then
    if ! can_note; then
      by_status "the ranks could not note their exit codes in $kNotes"
    elif ((kStops > 0)); then
      tell "stopped before the ranks had begun"
      kCode=$kExitRequeue
    else
      tell "no rank was started (its reason is above; ${kWho##*/} returned $kStatus)"
      kCode=$kExitEnvironment
    fi
    return
  fi
  for ((rank = 0; rank < size; ++rank)); do
    text=${codes[$rank]:-}
    [[ -n $text ]] || lost+=" $rank"
    [[ ${text%% *} != 75 ]] || saved=1
  done
  cause=$(for rank in "${!codes[@]}"; do printf '%s %s\n' "${codes[$rank]}" "$rank"; done |
    awk '$1 != 0 && $1 != 75' | LC_ALL=C sort -k2,2n | sed -n 1p)
  read -r kCode _ rank <<<"${cause:-0 0 0}"
  if ((kCode == 138 && kStops > 0)); then
    tell "rank $rank was stopped before it had begun"  # USR1 that the program could not catch yet
    kCode=$kExitRequeue
  elif ((kCode > 128)); then
    tell "rank $rank was killed by signal $(kill -l "$kCode" 2>/dev/null || printf '%s' "$kCode")"
    kCode=$kLost
  elif ((kCode != 0)); then
    tell "rank $rank returned $kCode first"
  elif [[ -n $lost ]] && ((kStatus != 0)); then
    if can_note; then
      tell "lost without an exit code: rank$lost of $size"
      kCode=$kLost
    else
      by_status "rank$lost of $size could not note its exit code in $kNotes"
    fi
  else
    kCode=${saved:+$kExitRequeue}
  fi
  kCode=${kCode:-0}
}
