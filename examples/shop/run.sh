#!/bin/sh
# Builds the shop's images, brings it up, puts an order in, restarts everything and looks for the order again.
# Without a registry the base image is made with mmdebstrap, once: it is kept in $XDG_CACHE_HOME/pycompose-tests.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
"$here/../../scripts/bootstrap.sh" "${SHOP_EXTRAS:-}"
PATH="$here/../../.venv/bin:$PATH"
cd "$here"
base=debian:bookworm-slim
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pycompose-tests
url=http://127.0.0.1:${SHOP_PORT:-8090}/orders

run() { echo "\$ $*"; "$@"; }
call() { python3 -c '
import sys, urllib.request
data = sys.argv[2].encode() if len(sys.argv) > 2 else None
print(urllib.request.urlopen(urllib.request.Request(sys.argv[1], data), timeout=20).read().decode())' "$@"; }
find_order() {
    found=$(call "$url/1")
    echo "$found"
    case $found in *'"item": "a book", "amount": 2'*) ;; *) echo "the order is not there" >&2; exit 1 ;; esac
}
trap 'pycompose logs 2>&1 | tail -40; pycompose down -v >/dev/null 2>&1' EXIT

if ! pycompose image inspect $base >/dev/null 2>&1; then
    if [ -s "$cache/debian-bookworm-slim.tar" ]; then
        run pycompose image load --input "$cache/debian-bookworm-slim.tar"
    else
        run pycompose image bootstrap $base
        mkdir -p "$cache"
        pycompose image save $base --output "$cache/debian-bookworm-slim.tar"
    fi
fi
pycompose down -v >/dev/null 2>&1
run pycompose up -d --build --wait
run pycompose ps
echo '$ an order'
call "$url" '{"item": "a book", "amount": 2}'
find_order
run pycompose restart
run pycompose up -d --wait
find_order
run pycompose down
run pycompose up -d --wait
find_order
run pycompose down -v
trap - EXIT
[ -z "$(pycompose ps -a -q)" ] || { echo "containers are left" >&2; exit 1; }
