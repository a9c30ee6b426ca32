# server.bash - what the test servers have in common: scripts/dev-broker, scripts/dev-postgres and
# test/kafka/start. Sourced by them.
#
# A server lives in a directory DIR: its state, DIR/pid (the server's process), DIR/log, and DIR/env, lines
# of `export NAME=value` for whoever wants to use it. DIR/env appears last, when the server is ready.
#
# The script that sources this file defines:
#   server_about            prints a sentence for --help
#   server_option ARG...    takes an option of its own: returns 0 and sets TAKEN to the number of words
#                           used, or returns 1 if it does not know it
#   server_start DIR        starts the server and returns when it is ready, DIR/pid and DIR/env written
#   server_stop DIR         ends it and returns when it has ended; its state stays
#   server_destroy DIR      optional: removes what it has outside DIR
# and ends with: server_main "$@".

complain() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die() { # STATUS MESSAGE
    local status=$1
    shift
    complain "$@"
    exit "$status"
}

server_help() {
    cat <<HELP
Usage: ${0##*/} [OPTION]... DIR              start it, its state in DIR, and return when it is ready
       ${0##*/} [OPTION]... --foreground DIR the same, and stay until SIGTERM, Ctrl-C or its own end
       ${0##*/} --stop DIR                   end it; started again in DIR it has its data and port again
       ${0##*/} --destroy DIR                end it and remove DIR
       ${0##*/} [OPTION]... -- COMMAND...    start one, run COMMAND with its address in the environment,
                                         end it; the exit status is the command's

$(server_about)
DIR/env has the lines to source, DIR/pid the process, DIR/log what it said.
HELP
}

# Waits until COMMAND succeeds, at most SECONDS; returns 1 when the time is up.
wait_for() { # SECONDS COMMAND...
    local deadline=$((SECONDS + $1))
    shift
    until "$@"; do
        ((SECONDS <= deadline)) || return 1
        sleep 0.05
    done
}

# For a broker: writes DIR/env, and DIR/kafka.conf with properties that let consumer groups settle quickly. A
# member that was killed is missed after session.timeout.ms, 45 s by default; and the mock cluster lets the
# first member of a group that was left empty wait nearly as long (and 3 s for a new group: no less will do).
write_broker_environment() { # DIR BROKERS
    printf '%s\n' 'session.timeout.ms=4000' 'heartbeat.interval.ms=500' >"$1/kafka.conf"
    cat >"$1/env.new" <<ENV
export KAFKA_BROKERS=$2
export KAFKA_CONFIG_FILE=$1/kafka.conf
ENV
    mv "$1/env.new" "$1/env"
}

process_is_alive() { # PID
    # A zombie answers kill -0 too: one whose parent does not wait would look alive for ever.
    kill -0 "$1" 2>/dev/null && ! grep -qs '^State:[[:space:]]*Z' "/proc/$1/status"
}

process_is_gone() { # PID
    ! process_is_alive "$1"
}

# Ends the process of DIR/pid with SIGTERM, after SECONDS with SIGKILL, and waits for its end.
stop_process() { # DIR SECONDS
    local pid
    [[ -s $1/pid ]] || return 0
    pid=$(<"$1/pid")
    kill -TERM "$pid" 2>/dev/null || true
    if ! wait_for "$2" process_is_gone "$pid"; then
        complain "process $pid did not end within $2 s: killed"
        kill -KILL "$pid" 2>/dev/null || true
        wait_for 10 process_is_gone "$pid" || die 70 "process $pid does not end"
    fi
    rm -f "$1/pid"
}

# A TCP port of 127.0.0.1 that nobody listens on, below the range that the kernel takes for outgoing
# connections. Somebody may take it before it is used: be ready to try again.
free_port() {
    local port
    for _ in {1..100}; do
        port=$((20000 + SRANDOM % 12000))
        if ! (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            printf '%s\n' "$port"
            return
        fi
    done
    return 1
}

# The ending that runs COMMAND meanwhile waits for.
server_run_command() { # DIR COMMAND...
    local dir=$1 command_pid='' status=0
    shift
    # In the background, so that a signal reaches us at once; its stdin is ours all the same.
    trap '[[ -z $command_pid ]] || kill -TERM "$command_pid" 2>/dev/null || true' TERM INT HUP
    (
        trap - TERM INT HUP EXIT
        set +eu
        # shellcheck disable=SC1091 # written by server_start
        . "$dir/env"
        exec "$@"
    ) <&0 &
    command_pid=$!
    # wait returns early when a signal comes: again, until the command has ended.
    while :; do
        status=0
        wait "$command_pid" || status=$?
        process_is_alive "$command_pid" || break
    done
    return "$status"
}

server_remove() { # DIR
    server_stop "$1"
    if declare -F server_destroy >/dev/null; then
        server_destroy "$1"
    fi
    rm -rf "$1"
}

server_foreground() { # DIR
    local dir=$1 pid waiter=''
    trap '[[ -z $waiter ]] || kill "$waiter" 2>/dev/null || true' TERM INT HUP
    trap 'server_stop "$dir"; rm -f "$dir/env"' EXIT
    pid=$(<"$dir/pid")
    tail --pid="$pid" -f /dev/null &
    waiter=$!
    wait "$waiter" || true
}

server_main() {
    local action=start foreground='' dir=''
    while (($#)); do
        case $1 in
        --help) server_help && exit 0 ;;
        --foreground) foreground=yes && shift ;;
        --stop | --destroy) action=${1#--} && shift ;;
        --) action="command" && shift && break ;;
        *)
            TAKEN=0
            if server_option "$@"; then
                shift "$TAKEN"
                continue
            fi
            [[ $1 != -* ]] || die 64 "$1: no such option (see --help)"
            [[ -z $dir ]] || die 64 "$1: there is one DIR"
            dir=$1 && shift
            ;;
        esac
    done

    if [[ $action == command ]]; then
        (($#)) || die 64 "-- needs a command"
        dir=$(mktemp -d "${TMPDIR:-/tmp}/${0##*/}.XXXXXX")
        chmod 711 "$dir"
        # shellcheck disable=SC2064 # this directory
        trap "server_remove '$dir'" EXIT
        trap 'exit 143' TERM INT HUP
        server_start "$dir"
        server_run_command "$dir" "$@"
        return
    fi

    [[ -n $dir ]] || die 64 "DIR is missing (see --help)"
    if [[ $action == start ]]; then
        mkdir -p "$dir"
        dir=$(cd "$dir" && pwd)
        if [[ -s $dir/pid ]] && process_is_alive "$(<"$dir/pid")"; then
            die 69 "$dir: a server runs there already"
        fi
        rm -f "$dir/env" "$dir/pid"
        server_start "$dir"
        [[ -z $foreground ]] || server_foreground "$dir"
        return
    fi
    [[ -d $dir ]] || die 66 "$dir: no such directory"
    dir=$(cd "$dir" && pwd)
    if [[ $action == stop ]]; then
        server_stop "$dir"
        rm -f "$dir/env"
    else
        server_remove "$dir"
    fi
}
