#!/usr/bin/env bash
# Set up what a make target needs: set_up.sh runtime|dev|tools
#
# runtime  .venv with pdelta and what it runs on
# dev      the same with the tools of development, and a C compiler where root can install one
# tools    what the tests start or call: OpenSSH, PostgreSQL, PgBouncer, MariaDB, rsync, strace and setfacl:
#          installed as root on Debian, without starting any service, else only looked for
set -euo pipefail
cd "$(dirname "$0")/.."
readonly venv=.venv

say() { printf '%s\n' "$*" >&2; }

can_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

apt_install() {
    say "installing $* ..."
    DEBIAN_FRONTEND=noninteractive apt-get -qq update </dev/null >/dev/null
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install "$@" </dev/null >/dev/null
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.14; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    say "pdelta needs Python 3.11 or later, and none was found. Install one, or name it: make PYTHON=/path/to/python3 ..."
    return 1
}

make_venv() {
    local python package
    if [ -x "$venv/bin/python" ] && "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
        return
    fi
    python=$(find_python)
    rm -rf "$venv"
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
        if ! can_install; then
            say "$python cannot make virtual environments. On Debian or Ubuntu: sudo apt-get install $package"
            return 1
        fi
        apt_install "$package"
    fi
    say "making $venv with $python ..."
    "$python" -m venv "$venv"
}

install_pdelta() {
    make_venv
    say "installing pdelta and its dependencies into $venv ..."
    # The variable reaches the isolated build too; -c would not.
    PIP_CONSTRAINT="$PWD/constraints.txt" PIP_DISABLE_PIP_VERSION_CHECK=1 \
        "$venv/bin/python" -m pip install --quiet --no-input --root-user-action=ignore --editable "$1"
}

# Of pdelta itself only the speed depends on a compiler; the tests compare its C with its Python.
find_compiler() {
    if ! command -v cc >/dev/null && ! command -v gcc >/dev/null && can_install; then
        apt_install gcc libc6-dev || say "that failed: pdelta is built without its C, and the tests of it are skipped."
    fi
}

# What the tests run beside Python: real servers, access lists, and the recorder of system calls behind the power-loss tests.
TOOLS=(openssh-server openssh-client rsync strace acl postgresql pgbouncer mariadb-server)

tools_are_complete() {
    PATH="$PATH:/usr/sbin:/usr/local/sbin"
    local tool
    for tool in sshd ssh ssh-keygen rsync strace setfacl pgbouncer mariadbd mariadb-install-db; do
        command -v "$tool" >/dev/null || return 1
    done
    # Debian puts the programs of the server, one folder a version, where no PATH looks.
    compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || command -v postgres >/dev/null
}

# The tests start servers of their own; the ones that the packages would start are not ours to run.
install_tools() {
    local policy=/usr/sbin/policy-rc.d status=0
    if [ -e "$policy" ]; then
        apt_install "${TOOLS[@]}"
        return
    fi
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    # An interrupted installation must not leave it: no service would ever be started again.
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    apt_install "${TOOLS[@]}" || status=$?
    rm -f "$policy"
    trap - EXIT
    return "$status"
}

case "${1:-}" in
runtime)
    install_pdelta .
    touch "$venv/runtime.stamp"
    ;;
dev)
    find_compiler
    install_pdelta '.[dev]'
    touch "$venv/runtime.stamp" "$venv/dev.stamp"
    ;;
tools)
    if ! tools_are_complete && can_install; then
        install_tools || say "that failed."
    fi
    if ! tools_are_complete; then
        say "some of ${TOOLS[*]} is missing: the tests that need it are skipped, or fail where CI=true."
        say "On Debian or Ubuntu: sudo apt-get install ${TOOLS[*]}"
    fi
    ;;
*)
    say "usage: $0 runtime|dev|tools"
    exit 2
    ;;
esac
