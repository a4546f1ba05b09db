#!/usr/bin/env bash
# Installs a JDK and Maven from Debian packages where one of them is missing; what cannot be installed is only told.
#   bash scripts/java.sh
# Java functions need both as processes of this machine, and Maven once for their images; nothing else does.
set -euo pipefail

readonly PACKAGES=(default-jdk-headless maven)

complete() {
    command -v java javac mvn >/dev/null
}

without() {
    printf 'java: no JDK with Maven, and %s: Java functions will be skipped\n' "$1" >&2
    exit 0
}

complete && exit
command -v apt-get >/dev/null || without 'this is no Debian'
((EUID == 0)) || without 'only root can install one (sudo make engine)'
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
printf 'java: %s\n' "$(javac -version 2>&1)"
