#!/bin/sh
# Sets up all that is needed and runs everything: formatting, types, layering, tests, examples. Needs root on Debian.
set -eu
cd "$(dirname "$0")/.."
scripts/bootstrap.sh dev
PATH="$PWD/.venv/bin:$PATH"
export PYTHONDONTWRITEBYTECODE=1

ruff check .
ruff format --check .
mypy
lint-imports
python -m pytest tests "$@"
examples/hello/run.sh
examples/limits/run.sh
SHOP_EXTRAS=dev examples/shop/run.sh
