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
    # Networks: programs that resolve names and fetch pages in the tests' containers.
    need nginx nginx-light
    need dig bind9-dnsutils
    need curl curl
    need iperf3 iperf3
    need musl-gcc musl-tools
    need tshark tshark
    need dbus-daemon dbus
    need firewalld firewalld
    need ufw ufw
    # Images: a registry server, other engines' tools to exchange with, base images from packages.
    need docker-registry docker-registry
    need htpasswd apache2-utils
    need openssl openssl
    need skopeo skopeo
    need umoci umoci
    need buildah buildah
    need mmdebstrap mmdebstrap
    need git git
    need ssh-agent openssh-client
    need sshd openssh-server
    # The engines and runtimes that pycompose-oci is tried with, and compared to.
    need crun crun
    need runc runc
    need podman podman
    need conmon conmon
    need dockerd docker.io
    need iptables iptables
fi
if [ -n "$missing" ]; then
    [ "$(id -u)" = 0 ] || { echo "bootstrap: run as root to install:$missing" >&2; exit 1; }
    export DEBIAN_FRONTEND=noninteractive
    # Servers among the packages are for the tests to start, in places of their own.
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        trap 'rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    apt-get -qq update
    # shellcheck disable=SC2086
    apt-get install -y -qq --no-install-recommends $missing >/dev/null
    # Nor are there more of them after the machine's next start.
    case $missing in *firewalld*) systemctl disable --quiet firewalld 2>/dev/null || true ;; esac
    case $missing in *openssh-server*) systemctl disable --quiet ssh 2>/dev/null || true ;; esac
fi

stamp=".venv/.installed-${extras:-plain}"
if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ] || [ scripts/bootstrap.sh -nt "$stamp" ]; then
    [ -x .venv/bin/python ] || python3 -m venv .venv
    # "compat": a plain path instead of an import hook, which would cost every command 15 ms.
    .venv/bin/pip install --quiet --disable-pip-version-check --config-settings editable_mode=compat \
        -e ".${extras:+[$extras]}"
    touch "$stamp"
fi
