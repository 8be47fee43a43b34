#!/usr/bin/env bash
# Every shell script of the tree parses and passes shellcheck. Exit code 77 (skipped, in ctest's
# list) without shellcheck.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.."
scripts=()
while IFS= read -r -d '' file; do
  if [[ $file == *.sh ]] || head -n 1 -- "$file" | grep -Eq '^#!.*\b(ba|da)?sh\b'; then scripts+=("$file"); fi
done < <(find . \( -path ./.git -o -path ./build -o -path './build-*' -o -path ./runs \) -prune -o -type f \( -name '*.sh' -o ! -name '*.*' \) -print0)
((${#scripts[@]} >= 4)) || { echo "only ${#scripts[@]} scripts found: the search is broken"; exit 1; }
status=0
for script in "${scripts[@]}"; do
  bash -n "$script" || status=1
  [[ -x $script || $script == *.sh ]] || { echo "$script is not executable"; status=1; }
done
command -v shellcheck >/dev/null || { echo "shellcheck is not installed (launch/setup --tests)"; ((status != 0)) || status=77; exit "$status"; }
shellcheck --external-sources --source-path=SCRIPTDIR/.. --source-path=. "${scripts[@]}" || status=1
echo "${#scripts[@]} scripts"
exit "$status"
