#!/usr/bin/env bash
# The module file in an installation: loaded and unloaded by environment-modules and by Lmod, each
# where it is installed; 77 (skipped) without both.
set -euo pipefail
source_folder=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf -- "$work"' EXIT
prefix=$work/prefix
mkdir -p "$prefix/bin" "$prefix/share/hebm_dist/modulefiles/hebm_dist" "$prefix/share/hebm_dist/slurm"
cp -- "$source_folder/cmake/modulefile" "$prefix/share/hebm_dist/modulefiles/hebm_dist/1.2.3"
printf "#!/bin/sh\necho it is %s\n" "$prefix/bin/hebm_dist" >"$prefix/bin/hebm_dist"
chmod +x "$prefix/bin/hebm_dist"
unset HEBM_BIN HEBM_SLURM

# Each has a script that defines the function `module`.
tried=0
for init in /usr/share/modules/init/bash /etc/profile.d/modules.sh /usr/share/lmod/lmod/init/bash; do
  [[ -r $init ]] || continue
  tried=$((tried + 1))
  # shellcheck disable=SC2016
  got=$(env -u MODULEPATH -u LOADEDMODULES -u _LMFILES_ bash --noprofile --norc -c '
    . "$1"
    module use "$2/share/hebm_dist/modulefiles"
    module load hebm_dist
    hebm_dist; echo "$HEBM_BIN"; echo "$HEBM_SLURM"
    module unload hebm_dist
    type -P hebm_dist || echo "no more, ${HEBM_BIN:-nothing}"' bash "$init" "$prefix" 2>&1) || { echo "FAILED: $init: $got"; exit 1; }
  want=$(printf 'it is %s\n%s\n%s\nno more, nothing' "$prefix/bin/hebm_dist" "$prefix/bin" "$prefix/share/hebm_dist/slurm")
  [[ $got == "$want" ]] || { printf 'FAILED: %s\n  got      %s\n  expected %s\n' "$init" "$got" "$want"; exit 1; }
  echo "$init: held"
done
((tried > 0)) || { echo "skipped: neither environment-modules nor Lmod is installed (launch/setup --tests)"; exit 77; }
