#!/bin/sh
# Usage: requirements.sh [--upgrade]
# Pins requirements/ with hashes for every Python that the project supports; needs a package index.
set -eu

cd "$(dirname "$0")/.."
tool=$(mktemp -d)
trap 'rm -rf "$tool"' EXIT
trap 'exit 130' INT TERM

sh scripts/venv.sh "$tool"
"$tool/bin/python" -m pip install --quiet uv

pin() { # OUTPUT ARGUMENT...
    output=requirements/$1
    shift
    made=$tool/pinned.txt
    rm -f "$made"
    test ! -f "$output" || cp "$output" "$made" # what is pinned stays, where it may
    UV_CUSTOM_COMPILE_COMMAND="make requirements" "$tool/bin/uv" pip compile --quiet \
        --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links \
        --output-file "$made" "$@"
    # A file that did not change keeps its time: nobody has to install anew.
    cmp -s "$made" "$output" || { cp "$made" "$output.new" && mv "$output.new" "$output"; }
}

pin dev.txt "$@" pyproject.toml services/pyproject.toml requirements/dev.in

# What `make bench` compares with; what both have is the same version.
pin bench.txt "$@" --constraint requirements/dev.txt --extra aws pyproject.toml requirements/bench.in

# What `make test-versions` puts together: the stack, one pytest, xdist or none; all as dev.txt has them.
stack=requirements/versions/stack.txt
pin versions/stack.txt "$@" --constraint requirements/dev.txt \
    --no-emit-package pytest --no-emit-package pytest-xdist --no-emit-package execnet \
    pyproject.toml services/pyproject.toml requirements/versions/stack.in
for version in 8.4 9.0 9.1 9.2; do
    echo "pytest~=$version.0" | pin "versions/pytest-$version.txt" "$@" --constraint "$stack" -
done
echo "pytest-xdist~=3.8.0" | pin versions/xdist.txt "$@" --constraint "$stack" --no-emit-package pytest \
    --no-emit-package iniconfig --no-emit-package packaging --no-emit-package pluggy --no-emit-package pygments \
    --no-emit-package colorama -
