#!/bin/sh
# Makes .venv with pycompose and, with "dev" as argument, all that its tests need, on Debian 12 or later.
# Safe to run again: what is there already is left as it is.
set -eu
cd "$(dirname "$0")/.."
extras=${1:-}

missing=""
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need python3 python3
python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
if [ "$extras" = dev ]; then
    need busybox busybox-static
    need nft nftables
    need ip iproute2
    # The engines and runtimes that pycompose-oci is tried with, and compared to.
    need crun crun
    need runc runc
    need podman podman
    need conmon conmon
    need dockerd docker.io
fi
if [ -n "$missing" ]; then
    [ "$(id -u)" = 0 ] || { echo "bootstrap: run as root to install:$missing" >&2; exit 1; }
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update
    # shellcheck disable=SC2086
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
fi

stamp=".venv/.installed-${extras:-plain}"
if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ] || [ scripts/bootstrap.sh -nt "$stamp" ]; then
    [ -x .venv/bin/python ] || python3 -m venv .venv
    # "compat": a plain path instead of an import hook, which would cost every command 15 ms.
    .venv/bin/pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat \
        -e ".${extras:+[$extras]}"
    touch "$stamp"
fi
