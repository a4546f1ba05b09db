#!/bin/sh
# Usage: requirements.sh [--upgrade]
# Pins requirements/dev.txt with hashes for every Python that the project supports; needs a package index.
set -eu

cd "$(dirname "$0")/.."
tool=$(mktemp -d)
trap 'rm -rf "$tool"' EXIT
trap 'exit 130' INT TERM

sh scripts/venv.sh "$tool"
"$tool/bin/python" -m pip install --quiet uv
UV_CUSTOM_COMPILE_COMMAND="make requirements" "$tool/bin/uv" pip compile --quiet \
    --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links \
    "$@" --output-file requirements/dev.txt \
    pyproject.toml services/pyproject.toml requirements/dev.in
