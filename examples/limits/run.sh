#!/bin/sh
# Sets up pycompose in .venv if it is not there yet, brings this example up and checks that the limits hold.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
"$here/../../scripts/bootstrap.sh"
PATH="$here/../../.venv/bin:$PATH"
cd "$here"

fail() { echo "limits: $*" >&2; pycompose ps -a >&2; pycompose logs >&2; exit 1; }
trap 'pycompose down -t 1 >/dev/null 2>&1' EXIT
pycompose up -d

# hungry: killed by its own limit, started again twice, then left.
i=0
until pycompose ps -a --format json hungry | grep -q '"State": "exited"'; do
    i=$((i + 1)); [ $i -lt 100 ] || fail "hungry still runs"
    sleep 0.2
done
pycompose ps -a --format json hungry | grep -q '"OOMKilled": true' || fail "hungry was not killed for its memory"
pycompose ps -a --format json hungry | grep -q '"ExitCode": 137' || fail "hungry did not end with 137"
[ "$(pycompose logs --no-log-prefix hungry | grep -c hungry)" = 3 ] || fail "hungry was not started three times"
echo "hungry: killed at 64 MiB and restarted twice"

# half: its cgroup holds the limit, and it uses no more than about half a processor.
inside_half() { pycompose exec -T half sh -c "$1"; }
limit=$(inside_half 'cat /sys/fs/cgroup/cpu.max 2>/dev/null || cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us')
[ "${limit%% *}" = 50000 ] || fail "half's limit is $limit"
ticks() { inside_half "awk '{print \$14 + \$15}' /proc/2/stat"; }
before=$(ticks)
sleep 2
used=$(($(ticks) - before))
[ "$used" -lt 140 ] || fail "half used $used of 200 ticks"
echo "half: limited to $limit of 100000, used $used of 200 ticks"

# left and right are in two networks: each reaches itself, neither the other.
address() { pycompose exec -T "$1" python3 -c 'import socket; print(socket.gethostbyname(socket.gethostname()))'; }
reach() {
    pycompose exec -T "$1" python3 -c "import socket; socket.create_connection(('$2', 8000), 1)" 2>/dev/null
}
right=$(address right)
i=0
until reach right "$right"; do i=$((i + 1)); [ $i -lt 50 ] || fail "right does not answer"; sleep 0.2; done
if reach left "$right"; then fail "left reaches right at $right"; fi
if reach left right; then fail "left knows right by name"; fi
echo "left cannot reach right"

pycompose down -t 1
trap - EXIT
[ -z "$(pycompose ps -a -q)" ] || fail "containers are left"
