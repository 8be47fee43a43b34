#!/usr/bin/env bash
# --help of each launch script prints its usage to stdout with exit code 0; an unknown argument
# gives 2 and says so.
set -uo pipefail
launch=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../../launch" && pwd) || exit 1
cd / || exit 1
status=0
for script in setup test quickstart table1 mpirun srun cluster; do
  text=$("$launch/$script" --help 2>/dev/null) || { echo "$script --help: exit code $?"; status=1; }
  [[ $text == "Usage: launch/$script"* ]] || { echo "$script --help does not begin with its usage: $text"; status=1; }
  code=0
  talk=$("$launch/$script" --nonsense 2>&1 >/dev/null) || code=$?
  ((code == 2)) || { echo "$script --nonsense: exit code $code, expected 2"; status=1; }
  [[ $talk == *--nonsense* && $talk == *--help* ]] || { echo "$script --nonsense says: $talk"; status=1; }
done

# What is there is found again without network: nothing may be installed twice.
talk=$(http_proxy=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9 PIP_INDEX_URL=http://127.0.0.1:9 "$launch/setup" 2>&1) ||
  { echo "setup, run again, fails: $talk"; status=1; }
[[ $talk == *"environment: there"* && $talk != *installing* ]] || { echo "setup, run again, says: $talk"; status=1; }

# A cluster that is not up ends nothing, whatever its file says that a process was.
folder=$(mktemp -d)
sleep 60 &
echo $! >"$folder/munge.pid"
HEBM_CLUSTER=$folder "$launch/cluster" down 2>/dev/null
kill $! 2>/dev/null || { echo "cluster down ended a process that is not its own"; status=1; }
rm -r -- "$folder"

# A folder that cannot be written is refused before anything is fetched.
code=0
talk=$(HEBM_DEPS=/proc/nowhere "$launch/setup" 2>&1) || code=$?
[[ $code == 5 && $talk == *HEBM_DEPS* ]] || { echo "setup into /proc/nowhere: exit code $code, says: $talk"; status=1; }
exit "$status"
