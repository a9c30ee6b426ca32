# run.bash - `agent-actions run`: starts the pipelines and healthd, starts again what ends, drains on SIGTERM.
#
# The processes, each a child of the one above it and told to die with it (PR_SET_PDEATHSIG), so that a
# killed supervisor leaves nothing behind:
#
#   agent-actions run
#   ├─ healthd
#   ├─ lib/pipeline 0                  one run of one pipeline, in a session of its own: a terminal's
#   │  ├─ kcat-actions  batch  pgsink  dlq                     Ctrl-C reaches us alone
#   └─ lib/pipeline 1 …
#
# One loop waits for children. A child is known by its role: "pipeline N", "healthd", "restart ROLE" (a
# sleep, at whose end ROLE is started again), "watchdog" (a sleep, systemd.bash), "drain limit" or "healthd
# limit" (sleeps: how long their ends may take). The runtime directory has `stats` (the shared counters), `pid`
# (ours), `health_port`, and `pipeline-N/` with the fifo of the acks and the tools' pids.

# shellcheck source=scripts/lib/children.bash
. "$LIBRARY/children.bash"

# shellcheck source=scripts/lib/systemd.bash
. "$LIBRARY/systemd.bash"

readonly HEALTHY_AFTER=60   # seconds: a child that ran so long starts anew without delay growing
readonly BACKOFF_FIRST=1000 # milliseconds
readonly BACKOFF_MOST=60000
readonly DRAIN_MARGIN=15 # seconds beyond --drain-timeout until what is left is killed

# Global: this file is sourced in a function, and clean_up runs after that has returned.
declare -gA ROLE_OF=()     # by pid
declare -gA PID_OF=()      # by role
declare -gA STARTED_AT=()  # by role, in SECONDS
declare -gA FAILURES=()    # by role: how often in a row it ended early
declare -gA HAS_FAILED=()  # by role: it is no longer its first start
declare -gA IS_TOLD=()     # by pid of a pipeline: it has been asked to drain
draining=''
signals=0
exit_status=0

run_usage() {
    cat <<'USAGE'
Usage: agent-actions run [OPTION]...

Runs pipelines from Kafka to PostgreSQL, and healthd, until SIGTERM or Ctrl-C; then it drains them.

  --pipelines N         so many, each with its own database connection (1)
  --drain-timeout TIME  seconds that a drain may take (30)
  --config FILE         a JSON file that wins over the environment
  --check               say whether all is there that is needed, and what is wrong with its cure; run nothing
  --print-config        show each setting, and where it comes from; run nothing
USAGE
}

# ---- the runtime directory

make_runtime_directory() {
    local place
    if [[ -n ${RUNTIME_DIRECTORY-} ]]; then # systemd's; it makes and removes it
        runtime=${RUNTIME_DIRECTORY%%:*}
        remove_runtime=''
        mkdir -p "$runtime"
    else
        # (sudo may keep the name of a directory that this user does not have)
        [[ -n ${XDG_RUNTIME_DIR-} && -w $XDG_RUNTIME_DIR ]] && place=$XDG_RUNTIME_DIR || place=${TMPDIR:-/tmp}
        runtime=$(mktemp -d "$place/agent-actions.XXXXXX")
        remove_runtime=yes
    fi
    printf '%s\n' "$$" >"$runtime/pid"
    rm -f "$runtime/stats" "$runtime/health_port"
    export AGENT_ACTIONS_STATS=$runtime/stats
}

clean_up() {
    local pid
    for pid in "${PID_OF[@]}"; do # the sleeps; more only where something went wrong
        kill -KILL "$pid" || true
        wait "$pid" || true
    done 2>/dev/null # bash would tell of each
    rm -rf "$runtime"/{pid,stats,health_port} "$runtime"/pipeline-*
    [[ -z $remove_runtime ]] || rmdir "$runtime" 2>/dev/null || true
}

# ---- children

# Starts a command as the child that has this role. It gets SIGKILL if we die; if we died before it could
# ask for that, it has another parent by then, and does not begin.
start_child() { # ROLE COMMAND...
    local role=$1
    shift
    # shellcheck disable=SC2016 # for the inner shell
    setsid setpriv --pdeathsig KILL -- sh -c '[ "$PPID" = "$0" ] && exec "$@"' "$$" "$@" </dev/null &
    PID_OF[$role]=$!
    ROLE_OF[$!]=$role
    STARTED_AT[$role]=$SECONDS
}

forget_child() { # PID
    unset "PID_OF[${ROLE_OF[$1]}]" "ROLE_OF[$1]"
}

start_role() { # ROLE
    case $1 in
    healthd)
        start_child healthd env -u PGPASSWORD -u KAFKA_SASL_PASSWORD -u KAFKA_SSL_KEY_PASSWORD \
            "$EXEC_PATH/healthd" -l "$HEALTH_CHECK_ADDRESS:$HEALTH_CHECK_PORT" --port-file "$runtime/health_port"
        ;;
    pipeline\ *)
        rm -rf "$runtime/pipeline-${1#pipeline }" # of one that was killed; see has_begun
        # lib/pipeline sees to it that each tool has only the secrets that it needs.
        AGENT_ACTIONS_PIPELINE=${1#pipeline } start_child "$1" \
            "$LIBRARY/pipeline" "$EXEC_PATH" "$runtime/pipeline-${1#pipeline }" "$drain_timeout" "${KAFKA_OPTIONS[@]}"
        # A signal that came just before has not found it.
        [[ -z $draining ]] || tell_pipelines
        ;;
    esac
}

# Doubles from 1 s to 60 s, a quarter more or less, so that machines that failed together do not return
# together. Sets DELAY, seconds with a fraction.
choose_delay() { # FAILURES
    local milliseconds=$((BACKOFF_FIRST << ($1 > 10 ? 10 : $1 - 1)))
    ((milliseconds = milliseconds * (75 + SRANDOM % 51) / 100))
    ((milliseconds <= BACKOFF_MOST)) || milliseconds=$BACKOFF_MOST
    printf -v DELAY '%d.%03d' $((milliseconds / 1000)) $((milliseconds % 1000))
}

restart_later() { # ROLE
    local role=$1
    ((SECONDS - STARTED_AT[$role] < HEALTHY_AFTER)) || FAILURES[$role]=0
    FAILURES[$role]=$((${FAILURES[$role]:-0} + 1))
    choose_delay "${FAILURES[$role]}"
    log WARNING "$role starts again in $DELAY s"
    start_child "restart $role" sleep "$DELAY"
}

# Set-up that is wrong at the very start is told at once, not tried for ever. Later it may be a passing
# state, such as a table that is being replaced.
is_fatal() { # ROLE STATUS
    [[ $2 == 64 || $2 == 77 || $2 == 78 ]] && [[ -z ${HAS_FAILED[$1]-} ]] &&
        ((SECONDS - STARTED_AT[$1] < HEALTHY_AFTER))
}

child_has_ended() { # PID STATUS
    local role=${ROLE_OF[$1]} status=$2
    forget_child "$1"
    case $role in
    "drain limit")
        log ERROR "the drain has not ended in time: what is left is killed, and is replayed at the next start"
        exit_status=75
        signal_pipelines KILL
        ;;
    watchdog) report_to_systemd ;;
    "healthd limit") kill -KILL "${PID_OF[healthd]}" 2>/dev/null || true ;;
    restart\ *)
        if [[ -z $draining ]]; then
            start_role "${role#restart }"
        fi
        ;;
    *)
        if [[ -n $draining ]]; then
            drained "$role" "$status"
        elif is_fatal "$role" "$status"; then
            log ERROR "$role cannot start: status $status$(explain_status "$status"); the messages above say what to mend"
            begin_drain
            exit_status=$status
        else
            log ERROR "$role ended with status $status$(explain_status "$status")"
            HAS_FAILED[$role]=yes
            restart_later "$role"
        fi
        ;;
    esac
}

# Waits until one child has ended, or a signal has come.
wait_for_child() {
    wait_for_one "${!ROLE_OF[@]}"
    [[ -z $ENDED ]] || child_has_ended "$ENDED" "$ENDED_STATUS"
}

# ---- the end

on_signal() {
    signals=$((signals + 1))
    if ((signals == 1)); then
        log INFO "asked to end: draining"
        begin_drain
    elif ((signals == 2)); then
        log WARNING "asked again: ending at once"
        exit_status=75
        signal_pipelines TERM # their second one: it ends them at once
    else
        signal_pipelines KILL
    fi
}

signal_pipelines() { # SIGNAL
    local role
    for role in "${!PID_OF[@]}"; do
        [[ $role != pipeline* ]] || kill "-$1" "${PID_OF[$role]}" 2>/dev/null || true
    done
}

# Asks each pipeline to drain, once.
tell_pipelines() {
    local role pid
    for role in "${!PID_OF[@]}"; do
        pid=${PID_OF[$role]}
        [[ $role == pipeline* && -z ${IS_TOLD[$pid]-} ]] || continue
        IS_TOLD[$pid]=yes
        kill -TERM "$pid" 2>/dev/null || true
    done
}

# Called in a trap too, so that all is told at once, whatever we wait for.
begin_drain() {
    local role
    [[ -z $draining ]] || return 0
    draining=yes
    for role in "${!PID_OF[@]}"; do
        [[ $role != restart* ]] || kill "${PID_OF[$role]}" 2>/dev/null || true
    done
    tell_pipelines
    start_child "drain limit" sleep "$((drain_timeout + DRAIN_MARGIN))"
    notify_stopping $((drain_timeout + 2 * DRAIN_MARGIN)) # last: it waits until systemd has taken it
}

# Before a pipeline has made its directory, SIGTERM just ends it: it has started nothing.
has_begun() { # ROLE STATUS
    [[ $2 != 143 || -e $runtime/pipeline-${1#pipeline } ]]
}

drained() { # ROLE STATUS
    [[ $1 != healthd ]] || return 0
    if (($2 == 0)) || ! has_begun "$@"; then
        log INFO "$1 has drained"
        return
    fi
    log ERROR "$1 has not drained: status $2$(explain_status "$2"); what was not safe is replayed at the next start"
    ((exit_status)) || exit_status=75
}

have_pipelines() {
    local role
    for role in "${!PID_OF[@]}"; do
        [[ $role != pipeline* && $role != restart* ]] || return 0
    done
    return 1
}

# What was done, in one line; nothing where it cannot be found out.
statistics() {
    command -v jq >/dev/null || return 0
    timeout 5 "$EXEC_PATH/healthd" --once 2>/dev/null | jq -r '
        "\(.messages_consumed) consumed, \(.messages_inserted) inserted, \(.messages_duplicate) duplicates, "
        + "\(.messages_failed) failed, \(.batches_processed) batches"' 2>/dev/null || true
}

log_statistics() {
    local figures
    figures=$(statistics)
    [[ -z $figures ]] || log INFO "Final statistics: $figures"
}

stop_healthd() {
    [[ -n ${PID_OF[healthd]-} ]] || return 0
    kill -TERM "${PID_OF[healthd]}" 2>/dev/null || true
    start_child "healthd limit" sleep 5
    while [[ -n ${PID_OF[healthd]-} ]]; do
        wait_for_child
    done
}

# ---- the whole

parse_run_options() {
    while (($#)); do
        case $1 in
        --help) run_usage && exit 0 ;;
        --*=*)
            set -- "${1%%=*}" "${1#*=}" "${@:2}"
            continue
            ;;
        --check | --print-config) only=${1#--} ;;
        --pipelines | --drain-timeout | --config)
            option_value "$@"
            printf -v "$(tr - _ <<<"${1#--}")" %s "$2"
            shift
            ;;
        *) bad_usage "run: $1 is no option" ;;
        esac
        shift
    done
    is_number_between "$pipelines" 1 16 ||
        bad_usage "--pipelines \"$pipelines\": must be a number from 1 to 16"
    drain_timeout=${drain_timeout%s}
    [[ $drain_timeout =~ ^[1-9][0-9]{0,4}$ ]] ||
        bad_usage "--drain-timeout \"$drain_timeout\": must be a number of seconds from 1"
}

# healthd first: a port that is taken is a fault of set-up, best told before anything is consumed.
start_healthd() {
    local pid status=0
    start_role healthd
    pid=${PID_OF[healthd]}
    # Its sign is a file, which there is no wait() for.
    until [[ -s $runtime/health_port ]]; do
        if ! kill -0 "$pid" 2>/dev/null; then
            forget_child "$pid"
            wait "$pid" || status=$?
            die "$((status ? status : 70))" \
                "healthd cannot serve on $HEALTH_CHECK_ADDRESS, port $HEALTH_CHECK_PORT: it says why above"
        fi
        ((SECONDS - STARTED_AT[healthd] < 20)) || die 69 "healthd does not answer"
        sleep 0.02
    done
    HAS_FAILED[healthd]=yes # from now on it is started again, whatever its status
    log INFO "health and metrics: http://$HEALTH_CHECK_ADDRESS:$(<"$runtime/health_port")/"
}

start_pipelines() {
    local number
    for ((number = 0; number < pipelines; number++)); do
        [[ -n $draining ]] || start_role "pipeline $number"
    done
    log INFO "started $pipelines pipeline(s): topic $KAFKA_TOPIC on $KAFKA_BROKERS, group $KAFKA_GROUP_ID, database $PGDATABASE on $PGHOST, port $PGPORT"
}

run_command() {
    local pipelines=1 drain_timeout=30 config='' only=''
    parse_run_options "$@"
    pipelines=$((10#$pipelines))
    case $only in
    check)
        # shellcheck source=scripts/lib/check.bash
        . "$LIBRARY/check.bash"
        check_command "$config"
        return
        ;;
    print-config)
        print_config "$config"
        return
        ;;
    esac
    export LOG_LEVEL=${LOG_LEVEL:-INFO}
    load_config "$config"
    need_tools kcat-actions batch pgsink dlq healthd
    need_command setpriv run
    need_command setsid run
    make_runtime_directory
    trap clean_up EXIT
    trap on_signal TERM INT HUP

    start_healthd
    start_pipelines
    notify READY=1
    start_watchdog
    while [[ -z $draining ]] || have_pipelines; do
        wait_for_child
    done
    log_statistics
    stop_healthd
    log INFO "ended"
    return "$exit_status"
}
