#!/bin/sh
# Usage: requirements.sh
# Pins what the image of the services installs: the packages of services/pyproject.toml, as requirements/dev.txt has them.
# Needs a package index. Run it after `make requirements`.
set -eu

cd "$(dirname "$0")/../.."
tool=$(mktemp -d)
trap 'rm -rf "$tool"' EXIT
trap 'exit 130' INT TERM

sh scripts/venv.sh "$tool"
"$tool/bin/python" -m pip install --quiet uv
UV_CUSTOM_COMPILE_COMMAND="sh services/images/requirements.sh" "$tool/bin/uv" pip compile --quiet \
    --universal --python-version 3.11 --generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links \
    --constraint requirements/dev.txt --output-file services/images/requirements.txt services/pyproject.toml
