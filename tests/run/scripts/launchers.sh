#!/usr/bin/env bash
# launch/mpirun with Open MPI's mpirun, in places and pipelines that go wrong: words that mean
# something to mpirun, a reader that leaves, closed streams, full folders, open ports.
set -uo pipefail
launch=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../../../launch" && pwd) || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf -- "$work"' EXIT
unset HEBM_HOSTS HEBM_HOSTFILE HEBM_IF HEBM_MPIRUN HEBM_MPIRUN_ARGS HEBM_NETWORK
status=0
expect() { # expect WHAT GOT WANTED
  [[ $2 == "$3" ]] || { printf 'FAILED %s:\n  got      %s\n  expected %s\n' "$1" "$2" "$3" && status=1; }
}

# shellcheck disable=SC2016  # for the ranks' shell
got=$("$launch/mpirun" -n 2 bash -c 'printf "<%s>" "$@"; echo' x : -n 'a b' "it's" '' '=' '$x' 2>&1)
line="<:><-n><a b><it's><><=><\$x>"
expect "words" "$got" "$line"$'\n'"$line"

ln -s "$launch/mpirun" "$work/mpirun"
(PATH=$work:$PATH mpirun -n 2 true)
expect "a link of the same name first in PATH" $? 0

# shellcheck disable=SC2016
talk='for ((i = 0; i < 100; ++i)); do echo "line $i"; echo "talk $i" >&2; sleep 0.02; done; : >"$1.$OMPI_COMM_WORLD_RANK"'
("$launch/mpirun" -n 2 bash -c "$talk" x "$work/end" 2>&1; echo $? >"$work/code") | head -n 1 >"$work/out"
expect "a reader that leaves: exit code" "$(<"$work/code")" 0
expect "a reader that leaves: ranks at their end" "$(compgen -G "$work/end.*" | wc -l)" 2
# As a service, whose children ignore SIGPIPE.
bash -c 'trap "" PIPE; exec "$@"' x "$launch/mpirun" -n 1 true 2>"$work/out" | :
expect "talk where SIGPIPE is ignored" "$(<"$work/out")" ""
"$launch/mpirun" -n 2 bash -c 'exit 4' >&- 2>&-
expect "closed streams" $? 4

code=0
TMPDIR=/proc/nowhere "$launch/mpirun" -n 2 bash -c 'exit 4' >"$work/out" 2>&1 || code=$?
expect "TMPDIR that is not there: $(<"$work/out")" "$code" 4
full() { # full OPTIONS COMMAND...: with TMPDIR on a file system of this kind, filled
  # shellcheck disable=SC2016
  unshare --mount bash -c 'mkdir -p "$1" && mount -t tmpfs -o "$2" tmpfs "$1" || exit 99
    head -c 1000000 /dev/zero >"$1/filler" 2>/dev/null
    TMPDIR=$1 exec "${@:3}"' x "$work/full" "$@" >"$work/out" 2>&1
}
if full size=64k true; then
  for want in 0 4 75; do
    for options in size=64k size=64k,nr_inodes=2; do
      code=0
      full "$options" "$launch/mpirun" -n 2 bash -c "exit $want" || code=$?
      expect "full TMPDIR ($options): $(<"$work/out")" "$code" "$want"
    done
  done
else
  echo "not tried: full TMPDIR (no mounts allowed here)"
fi

listening() { awk '$4 == "0A" && $2 !~ /^(0100007F|0{24}01000000):/ { print $10 }' /proc/net/tcp /proc/net/tcp6; }
ports_of() { # ports_of TEXT: sockets on other interfaces than loopback that processes with it in their words listen on
  local pid
  for pid in $(pgrep -f -- "$1"); do
    find "/proc/$pid/fd" -type l -printf '%l\n' 2>/dev/null
  done | sed -n 's/^socket:\[\([0-9]*\)\]$/\1/p' | sort -u | comm -12 - <(listening | sort -u) | wc -l
}
if unshare --net true 2>/dev/null || unshare --user --net true 2>/dev/null; then
  for network in '' machine; do
    mkdir -p "$work/ports$network"
    # shellcheck disable=SC2016
    HEBM_NETWORK=$network TMPDIR=$work/ports$network "$launch/mpirun" -n 2 bash -c ': >"$1.$OMPI_COMM_WORLD_RANK"; sleep 3' x "$work/up$network" &
    child=$!
    for ((i = 0; i < 100; ++i)); do [[ ! -e $work/up$network.0 ]] || break; sleep 0.1; done
    ports=$(ports_of "$work/ports$network/hebm-ranks")
    wait "$child"
    if [[ -z $network ]]; then
      expect "open ports" "$ports" 0
    elif ((ports == 0)); then
      echo "FAILED: the test does not see the ports of mpirun" && status=1
    else
      echo "open ports: 0; with the machine's network $ports"
    fi
  done
else
  echo "not tried: a network of their own (no namespaces allowed here)"
fi
((status != 0)) || echo "all held"
exit "$status"
