#!/bin/sh
# Sets up pycompose in .venv if it is not there yet, then brings this example up, looks at it and takes it down.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
"$here/../../scripts/bootstrap.sh"
PATH="$here/../../.venv/bin:$PATH"
cd "$here"

run() { echo "\$ $*"; "$@"; }
trap 'pycompose down >/dev/null 2>&1' EXIT

run pycompose up -d --wait
echo '$ fetch http://127.0.0.1:8080/'
page=$(python3 -c 'import urllib.request; print(urllib.request.urlopen("http://127.0.0.1:8080/").read().decode(), end="")')
echo "$page"
[ "$page" = "$(cat site/index.html)" ] || { echo "the page is not what it should be" >&2; exit 1; }
run pycompose ps
run pycompose exec -T client python3 -c 'import socket; print("web is", socket.gethostbyname("web"))'
for _ in 1 2 3 4 5 6 7 8 9 10; do
    pycompose logs client | grep -q "Hello from a container" && break
    sleep 0.3
done
run pycompose logs
pycompose logs client | grep -q "Hello from a container" || { echo "the client did not find web" >&2; exit 1; }
run pycompose down
trap - EXIT
[ -z "$(pycompose ps -a -q)" ] || { echo "containers are left" >&2; exit 1; }
