#!/bin/sh
# Usage: venv.sh FOLDER [PYTHON]
# Makes an empty virtual environment in FOLDER, with PYTHON or the newest interpreter on PATH that fits.
set -eu

folder=$1
asked=${2:-}

fits() { # a version manager's shim may be on PATH and still not run
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

fail() {
    echo "setup: $1" >&2
    exit 1
}

if [ -n "$asked" ]; then
    fits "$asked" || fail "PYTHON=$asked does not run, or is older than Python 3.11"
    python=$asked
else
    python=
    for name in python3.14 python3.13 python3.12 python3.11 python3; do
        if fits "$name"; then
            python=$name
            break
        fi
    done
    if [ -z "$python" ]; then
        found=$(python3 --version 2>/dev/null || echo none)
        fail "no Python 3.11 or newer on PATH (python3: $found); on Debian: apt-get install python3 python3-venv; elsewhere: make setup PYTHON=/path/to/python3"
    fi
fi

version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
"$python" -c 'import ensurepip, venv' >/dev/null 2>&1 ||
    fail "$python cannot make virtual environments; on Debian: apt-get install python$version-venv"
command -v git >/dev/null 2>&1 ||
    fail "git is missing; on Debian: apt-get install git"

echo "setup: $folder with $("$python" --version), pinned requirements"
exec "$python" -m venv --clear "$folder"
