#!/usr/bin/env bash
# Installs and starts a Docker engine on a Debian machine that has none. Where `docker info` answers, it does nothing.
#   bash scripts/engine.sh [FOLDER [OPTION...]]
# With FOLDER it is an engine of its own: socket, data, pid and output lie there, and each OPTION is dockerd's.
# Debian 12 has no Compose v2, so the engine comes from the next release, through a second, low-priority source.
set -euo pipefail

readonly PACKAGES=(docker.io docker-cli docker-compose docker-buildx containerd)
readonly HELPERS=(iptables runc mmdebstrap docker-registry)
readonly START_SECONDS=60
readonly SOURCE=/etc/apt/sources.list.d/esb-engine.sources
readonly PIN=/etc/apt/preferences.d/esb-engine

SOCKET=/var/run/docker.sock
PID_FILE=/var/run/docker.pid
EXEC_ROOT=/var/run/docker
OUTPUT=/var/log/esb-dockerd.log
LOCK=/run/lock/esb-engine.lock
OPTIONS=()

fail() {
    printf 'engine: %s\n' "$*" >&2
    exit 1
}

own_engine() { # FOLDER OPTION...
    local folder
    folder=$(realpath "$1")
    shift
    SOCKET=$folder/docker.sock PID_FILE=$folder/docker.pid EXEC_ROOT=$folder/exec
    OUTPUT=$folder/dockerd.log LOCK=$folder/engine.lock
    OPTIONS=(--data-root "$folder/data" --exec-root "$EXEC_ROOT" --pidfile "$PID_FILE" "$@")
    unset DOCKER_CONTEXT
    export DOCKER_HOST=unix://$SOCKET
}

answers() {
    command -v docker >/dev/null && timeout 20 docker info --format '{{.ServerVersion}}' >/dev/null 2>&1
}

complete() {
    command -v dockerd >/dev/null && docker compose version >/dev/null 2>&1 && docker buildx version >/dev/null 2>&1 &&
        command -v mmdebstrap docker-registry >/dev/null
}

next_release_source() {
    # The machine's own mirror, without its security archive; no host name is written here.
    local own=/etc/apt/sources.list.d/debian.sources
    if [[ -r $own ]]; then
        awk -v RS='' '!/security/ && /(^|\n)Types: *deb/ { print; exit }' "$own" |
            sed -E 's/^Suites:.*/Suites: trixie/; s/^Components:.*/Components: main/; /^#/d'
    elif [[ -r /etc/apt/sources.list ]]; then
        awk '$1 == "deb" && !/security/ {
            sub(/^deb +(\[[^]]*\] *)?/, ""); print "Types: deb\nURIs: " $1 "\nSuites: trixie\nComponents: main"; exit
        }' /etc/apt/sources.list
    fi
}

apt() {
    DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 "$@" >>"$INSTALL_OUTPUT" 2>&1 || {
        tail -n 20 "$INSTALL_OUTPUT" >&2
        fail "apt-get $1 failed (above: its last lines)"
    }
}

install_packages() {
    local release names=()
    # shellcheck source=/dev/null
    release=$(. /etc/os-release 2>/dev/null && printf '%s' "${VERSION_CODENAME:-}")
    case "$release" in
    bookworm)
        next_release_source >"$SOURCE.new"
        [[ -s $SOURCE.new ]] || fail "no Debian source found below /etc/apt; add one, or install Docker yourself"
        mv "$SOURCE.new" "$SOURCE"
        printf 'Package: *\nPin: release n=trixie\nPin-Priority: 100\n' >"$PIN"
        names=("${PACKAGES[@]/%//trixie}")
        ;;
    trixie | forky | sid) names=("${PACKAGES[@]}") ;;
    *) fail "installs on Debian 12 and later only, this is '${release:-unknown}'; install Docker with Compose v2 and buildx" ;;
    esac
    INSTALL_OUTPUT=$(mktemp)
    trap 'rm -f "$INSTALL_OUTPUT"' EXIT
    apt update
    apt install --no-install-recommends --yes "${names[@]}" "${HELPERS[@]}"
}

forget_killed() {
    # A killed engine leaves its pid behind; a zombie, or whoever got that pid since, would keep a new one from starting.
    local file=$1 name=$2 pid
    [[ -r $file ]] || return 0
    pid=$(<"$file")
    if [[ $(cat "/proc/$pid/comm" 2>/dev/null) != "$name" ]] || grep -q '^State:[[:space:]]*Z' "/proc/$pid/status"; then
        rm -f "$file"
    fi
}

start() {
    forget_killed "$PID_FILE" dockerd
    forget_killed "$EXEC_ROOT/containerd/containerd.pid" containerd
    # An own session and no inherited lock: it outlives this script, and the lock does not outlive us.
    setsid dockerd --host "unix://$SOCKET" "${OPTIONS[@]}" >>"$OUTPUT" 2>&1 </dev/null 9>&- &
    local pid=$! deadline=$((SECONDS + START_SECONDS))
    until answers; do
        if ! kill -0 "$pid" 2>/dev/null || ((SECONDS >= deadline)); then
            tail -n 20 "$OUTPUT" >&2
            fail "dockerd did not answer within $START_SECONDS s, or ended (above: the end of $OUTPUT)"
        fi
        sleep 0.2
    done
}

main() {
    (($# == 0)) || own_engine "$@"
    answers && return
    case "${DOCKER_HOST:-unix://$SOCKET}" in
    "unix://$SOCKET" | unix:///run/docker.sock) ;;
    *) fail "the engine at DOCKER_HOST=$DOCKER_HOST does not answer; start it, or unset DOCKER_HOST" ;;
    esac
    ((EUID == 0)) || fail "no engine answers, and only root can install and start one; run: sudo make engine"
    exec 9>"$LOCK"
    flock --wait 600 9 || fail "another 'make engine' holds $LOCK for 10 minutes; end it"
    answers && return
    complete || install_packages
    start
    printf 'engine: %s\n' "$(docker version --format 'Docker {{.Server.Version}}')"
}

main "$@"
