# shellcheck shell=bash disable=SC2154
# What the scripts of this folder share; sourced, never run; kSource is the source folder, set by
# the script. All talk goes to stderr, as in hebm_dist itself.

# Exit codes of hebm_dist that the scripts use too (docs/operations.md).
# shellcheck disable=SC2034
readonly kExitRuntime=1 kExitUsage=2 kExitDiverged=3 kExitEnvironment=5 kExitRequeue=75

# What launch/cluster needs and launch/setup --cluster installs.
# shellcheck disable=SC2034
readonly kClusterPackages=(slurm-wlm munge libpmix2 iproute2)

# Talk that nobody reads any more ends nothing.
say() { printf '==> %s\n' "$*" >&2 || true; }
fail() { # fail CODE SENTENCE...
  local code=$1
  shift
  printf '%s: %s\n' "${0##*/}" "$*" >&2 || true
  exit "$code"
}

# Waits for the end of a child and sets kCode. A signal ends `wait` early while the child still
# runs; these are ignored once it has ended.
outlast() { # outlast PID SIGNAL...
  local child=$1
  shift
  while kill -0 "$child" 2>/dev/null; do wait "$child" || true; done
  (($# == 0)) || trap '' "$@"
  kCode=0
  wait "$child" || kCode=$?
}

# The words of a text: separated by blanks, and held together by quotes and backslashes.
words_into() { # words_into ARRAY TEXT
  local -n words_of_text=$1
  xargs -r printf '%s\n' <<<"$2" >/dev/null || fail "$kExitUsage" "this has a quote without its partner: $2"
  mapfile -d '' -t words_of_text < <(xargs -r printf '%s\0' <<<"$2")
}

# The words as one text that a shell, and `hebm_dist sweep run --launcher`, read back.
quoted() { # quoted WORD...
  local word text=''
  for word; do
    [[ $word =~ ^[A-Za-z0-9_./=:,@%+-]+$ ]] || word="'${word//\'/\'\\\'\'}'"
    text+="$word "
  done
  printf '%s\n' "${text% }"
}

deps_folder() {
  if [[ -n ${HEBM_DEPS:-} ]]; then
    printf '%s\n' "$HEBM_DEPS"
  elif [[ -n ${HOME:-} ]]; then
    printf '%s\n' "$HOME/.cache/hebm_dist"
  else
    fail "$kExitEnvironment" "neither HEBM_DEPS nor HOME is set: set HEBM_DEPS to a folder with 2 GB of room"
  fi
}

# The environment of a lock file, by what it lists; hashes of further wheels of a version make no
# new one. cmake/Torch.cmake finds it by the same rule.
environment_folder() { # environment_folder FLAVOUR
  local lock="$kSource/launch/requirements-$1.txt" sum
  [[ -r $lock ]] || fail "$kExitEnvironment" "cannot read $lock"
  sum=$(sed -e '/^    --hash=/d' -e 's/ \\$//' -- "$lock" | sha256sum)
  printf '%s/%s-%s\n' "$(deps_folder)" "$1" "${sum:0:12}"
}

# Compilers that fit: one a core, and 2 GiB of memory each (a file that includes libtorch takes up
# to 1.5).
build_jobs() {
  local cores memory_kib jobs
  cores=$(nproc)
  memory_kib=$(awk '/^MemAvailable:/ {print $2}' /proc/meminfo)
  jobs=$((memory_kib / (2 * 1024 * 1024)))
  if ((jobs > cores)); then jobs=$cores; fi
  if ((jobs < 1)); then jobs=1; fi
  printf '%s\n' "$jobs"
}

duration() { # duration SECONDS: 75 -> 1 min 15 s
  if (($1 < 60)); then printf '%d s' "$1"; else printf '%d min %02d s' $(($1 / 60)) $(($1 % 60)); fi
}

# Configures a preset and builds the targets (none: all). The compiler's talk is shown; ninja prints
# one line a file.
build_preset() { # build_preset PRESET [TARGET...]
  local preset=$1 jobs
  shift
  jobs=$(build_jobs)
  say "building preset $preset (${*:-everything}) in $kSource/build/$preset, $jobs jobs"
  cmake -S "$kSource" --preset "$preset" >&2 || fail "$kExitRuntime" "cmake could not configure preset $preset (its reason is above)"
  cmake --build "$kSource/build/$preset" --parallel "$jobs" ${1:+--target "$@"} >&2 ||
    fail "$kExitRuntime" "preset $preset does not build (the compiler's reason is above)"
}
