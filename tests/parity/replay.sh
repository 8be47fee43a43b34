#!/usr/bin/env bash
# replay.sh HEBM_DIST IMPORTER CASES SCRATCH: every recorded case of the folders CASES (separated by
# colons) through the importer and `hebm_dist replay`, in float32 and float64.
set -euo pipefail
readonly kProgram=$1 kImporter=$2 kCases=$3 kScratch=$4
fail() {
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}
shopt -s nullglob
IFS=: read -r -a folders <<<"$kCases"
declare -A cases=()  # of two folders with one name the first counts
for folder in "${folders[@]}"; do
  for recorded in "$folder"/*/case.h5; do
    name=$(basename -- "$(dirname -- "$recorded")")
    [[ -n ${cases[$name]:-} ]] || cases[$name]=$recorded
  done
done
[[ -n ${cases[mini]:-} ]] || fail "no case mini in $kCases"
rm -rf -- "$kScratch"
mkdir -p -- "$kScratch"

expect_code() { # expect_code CODE WORDS COMMAND...: it ends with CODE and says WORDS
  local code=$1 words=$2 got=0
  shift 2
  "$@" >"$kScratch/said" 2>&1 || got=$?
  ((got == code)) || fail "exit code $got, expected $code: $* ($(cat "$kScratch/said"))"
  grep -q -- "$words" "$kScratch/said" || fail "'$words' was not said by: $* ($(cat "$kScratch/said"))"
}

for name in "${!cases[@]}"; do
  recorded=${cases[$name]}
  folder=$(dirname -- "$recorded")
  vae=$kScratch/$name-vae.safetensors prior=$kScratch/$name-prior.safetensors
  python3 "$kImporter" nvae "$folder/checkpoint.pt" -o "$vae" >/dev/null
  python3 "$kImporter" ebm "$folder/ebm.pth" -o "$prior" >/dev/null
  replay=("$kProgram" replay --vae "$vae" --prior "$prior" --case "$recorded")
  for precision in float32 float64; do
    extra=()
    [[ $precision == float32 ]] || extra=(--float64)
    echo "$name, $precision"
    "${replay[@]}" "${extra[@]}" --out "$kScratch/$name-$precision.h5" || fail "$name, $precision"
  done
  expect_code 2 "exists" "${replay[@]}" --out "$kScratch/$name-float32.h5"
  # Other step sizes move the chain: its end and what follows is over the bars, what comes before is
  # not.
  expect_code 1 "langevin_y .*OVER" "${replay[@]}" --eta 3e-3 --out "$kScratch/$name-eta.h5"
  expect_code 1 "^f  .* ok" "${replay[@]}" --eta 3e-3 --out "$kScratch/$name-eta2.h5"
  expect_code 0 '"ok": true' "${replay[@]}" --json --out "$kScratch/$name-json.h5"
  # A case that ends early.
  head -c 100000 "$recorded" >"$kScratch/short.h5"
  expect_code 4 "short.h5" "$kProgram" replay --vae "$vae" --prior "$prior" --case "$kScratch/short.h5" --out "$kScratch/none.h5"
  [[ ! -e $kScratch/none.h5 ]] || fail "a refused case left a result"
done
