#!/bin/sh
# Makes .venv ready: checks what must be installed, then the C core and the Python dependencies.
# Usage: prepare.sh run|test|tools   (test adds what only the tests and checks need; tools only checks what is installed)
set -eu
cd "$(dirname "$0")/.."

PYTHON=${PYTHON:-python3}
# Debian's packages of another Python are named after it.
PACKAGED=$(basename "$PYTHON")
PACKAGES="git make gcc $PACKAGED-dev $PACKAGED-venv e2fsprogs"
PATH=$PATH:/usr/sbin:/sbin

check_version() {
    command -v "$PYTHON" >/dev/null || return 0
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
        echo "Python 3.11 or newer is needed; $("$PYTHON" --version) was found. Name another:  make PYTHON=python3.12" >&2
        exit 1
    }
}

missing() {
    commands="make gcc"
    [ "$1" = tools ] || commands="git $commands"
    for command in $commands; do
        command -v "$command" >/dev/null || echo "$command"
    done
    command -v "$PYTHON" >/dev/null && "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || echo "$PACKAGED-venv"
    header='import os, sysconfig; raise SystemExit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))'
    command -v "$PYTHON" >/dev/null && "$PYTHON" -c "$header" || echo "$PACKAGED-dev"
    [ "$1" != tools ] || return 0
    for command in mke2fs debugfs e2fsck; do
        command -v "$command" >/dev/null || { echo e2fsprogs; break; }
    done
}

check_version
lacking=$(missing "$1" | tr '\n' ' ')
if [ -n "$lacking" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "installing: $lacking"
        apt-get update -q >/dev/null
        # shellcheck disable=SC2086
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $lacking >/dev/null
    else
        echo "Missing: $lacking" >&2
        echo "Install them first:  sudo apt-get install -y $PACKAGES" >&2
        exit 1
    fi
fi
check_version
[ "$1" != tools ] || exit 0

# A half-made, moved or outdated environment is made again.
.venv/bin/pip --version >/dev/null 2>&1 || { rm -rf .venv; "$PYTHON" -m venv .venv; }
# Without a home of its own pip would warn about its cache.
[ -w "${HOME:-/nonexistent}" ] || export PIP_NO_CACHE_DIR=1
case $1 in
    run) what=. ;;
    test) what='.[test]' ;;
    *) echo "usage: prepare.sh run|test|tools" >&2; exit 2 ;;
esac
.venv/bin/pip install --quiet --disable-pip-version-check --editable "$what"
