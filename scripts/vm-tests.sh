#!/bin/sh
# Runs the tests of the runtime's bottom layers on a machine with cgroup v2 and systemd: in a virtual machine, through
# the program named by $VMTEST, which is called as `$VMTEST run --share FOLDER:/src -- COMMAND`. $VMTEST_OPTIONS are
# further options of its `run`, for a machine that has crun, runc, podman and docker: the tests that compare with them
# and run under them are skipped elsewhere. $VMTEST_PACKAGES are Debian packages that the tests need besides.
# Arguments replace the tests that are run. Under emulation it takes minutes.
set -eu
cd "$(dirname "$0")/.."
if [ -z "${VMTEST:-}" ]; then
    echo "vm-tests: VMTEST is not set: name a program that runs commands in a virtual machine with cgroup v2;" >&2
    echo "vm-tests: nothing was tested" >&2
    exit 77
fi
[ $# -gt 0 ] || set -- tests/cgroups tests/container tests/linux tests/oci_cli

wheels=$(mktemp -d)
trap 'rm -rf "$wheels"' EXIT
python3 -m pip download --quiet --disable-pip-version-check --dest "$wheels" --python-version 3.13 \
    --only-binary :all: pyyaml jsonschema networkx 'typer>=0.20,<0.29' pyroute2 dnslib rich urllib3 isal zstandard \
    pytest hypothesis pexpect

# The tests are copied: a read-only share cannot take Python's caches, and a network share no upper layer of an overlay.
# shellcheck disable=SC2086 # options are words
"$VMTEST" run ${VMTEST_OPTIONS:-} --timeout "${VMTEST_TIMEOUT:-3000}" --share "$PWD:/src" --share "$wheels:/wheels" -- "
    set -e
    ${VMTEST_PACKAGES:+apt-get -qq update && apt-get -qq install -y --no-install-recommends $VMTEST_PACKAGES >/dev/null}
    python3 -m venv /var/tmp/v
    /var/tmp/v/bin/pip install --quiet --no-index -f /wheels pyyaml jsonschema networkx typer pyroute2 dnslib rich \
        urllib3 isal zstandard pytest hypothesis pexpect
    echo /var/tmp/p >/var/tmp/v/lib/python3.13/site-packages/pycompose.pth # installed in place
    mkdir /var/tmp/p
    cd /src && tar -c --exclude=.venv --exclude=.git . | tar -x -C /var/tmp/p
    cd /var/tmp/p
    TEST_PATIENCE=15 exec /var/tmp/v/bin/python -m pytest -rs --basetemp /var/tmp/t $*"
