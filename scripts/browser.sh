#!/usr/bin/env bash
# Installs Chromium and its driver from Debian packages where one of them is missing.
#   bash scripts/browser.sh
# The tests of the HTML report need both; nothing else does.
set -euo pipefail

readonly PACKAGES=(chromium chromium-driver)

without() {
    printf 'browser: %s\n' "$1" >&2
    exit 1
}

command -v chromium chromedriver >/dev/null && exit
command -v apt-get >/dev/null || without "this is no Debian: install Chromium and chromedriver by hand"
((EUID == 0)) || without "only root can install ${PACKAGES[*]} (sudo make browser)"
output=$(mktemp)
trap 'rm -f "$output"' EXIT
export DEBIAN_FRONTEND=noninteractive
for arguments in update "install --no-install-recommends --yes ${PACKAGES[*]}"; do
    # shellcheck disable=SC2086
    apt-get -qq -o DPkg::Lock::Timeout=120 $arguments >>"$output" 2>&1 || {
        tail -n 20 "$output" >&2
        without "apt-get ${arguments%% *} failed (above: its last lines)"
    }
done
printf 'browser: %s\n' "$(chromedriver --version)"
