#!/bin/sh
# Makes .venv with the product and its tools, on a fresh Debian machine too. Safe to run again.
set -eu
cd "$(dirname "$0")/.."

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

apt() {
    command -v apt-get >/dev/null || { echo "error: install $* by hand, then run this again" >&2; exit 1; }
    echo "installing $*" >&2
    as_root apt-get update -qq
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" >/dev/null
}

python="${PYTHON:-python3}"
command -v "$python" >/dev/null || apt python3
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    { echo "error: Python 3.11 or newer is needed; set PYTHON to one" >&2; exit 1; }
"$python" -c 'import venv, ensurepip' 2>/dev/null || apt python3-venv
# The transcoder is compiled where there is a compiler; without one it runs, slowly.
command -v cc >/dev/null || apt gcc libc6-dev
header='import os, sysconfig, sys; sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))'
"$python" -c "$header" || apt python3-dev

[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/pip install --quiet --upgrade "pip>=25.1" "setuptools>=77" "Cython>=3.1"
# The build tells of what an editable install cannot do: nothing that we rely on.
PYTHONWARNINGS=ignore .venv/bin/pip install --quiet --no-build-isolation --editable . --group dev
touch .venv/ready
