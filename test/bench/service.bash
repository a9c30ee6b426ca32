# service.bash - `agent-actions run` between a real Kafka and a PostgreSQL with fsync on, for memory and latency
# to be measured. Sourced behind helpers.bash and prepare.bash, which start the servers. STATE is a directory.
# shellcheck shell=bash disable=SC2153,SC2154 # the variables of those who source it

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

say() {
    printf '%s %s\n' "$(date +%H:%M:%S)" "$*" >&2
}

# Makes STATE and both servers, with the schema; all is gone at the end of the script.
service_setup() {
    [[ -x $BUILD/bin/pgsink ]] || make -C "$ROOT" -s >&2
    mkdir -p "$BUILD/bench"
    STATE=$(mktemp -d "$BUILD/bench/${0##*/}.XXXXXX")
    cd "$STATE" || exit
    trap service_end EXIT
    trap 'exit 143' TERM INT HUP
    start_postgres
    start_kafka
    sql "$(<"$ROOT/sql/schema.sql")"
    export XDG_RUNTIME_DIR=$STATE HEALTH_CHECK_PORT=0 KAFKA_TOPIC=actions
    make_topic "$KAFKA_TOPIC"
    make_topic "$KAFKA_TOPIC-dlq"
}

service_end() {
    local entry
    for entry in "${BACKGROUND[@]}"; do
        kill -TERM "${entry#* }" 2>/dev/null || true
        wait "${entry#* }" 2>/dev/null || true
    done
    stop_servers
    cd / && rm -rf "$STATE"
}

service_start() { # GROUP
    export KAFKA_GROUP_ID=$1
    background service "$ROOT/scripts/agent-actions" run
    # shellcheck disable=SC2016 # for wait_until
    wait_until '(($(tool_pids | wc -l) == 5))' 30 || fail "agent-actions run did not start: $(<service.log)"
}

service_stop() {
    kill -TERM "$(pid_of service)"
    wait "$(pid_of service)" || fail "agent-actions run ended badly: $(<service.log)"
    BACKGROUND=()
}

# NAME PID of each tool that runs.
tool_pids() {
    local tool pid
    for tool in kcat-actions batch pgsink dlq; do
        pid=$(cat agent-actions.*/pipeline-0/"$tool.pid" 2>/dev/null) || continue
        printf '%s %s\n' "$tool" "$pid"
    done
    pid=$(pgrep -x healthd -P "$(pid_of service)") && printf 'healthd %s\n' "$pid"
}

metric() { # NAME
    curl -sf "http://127.0.0.1:$(cat agent-actions.*/health_port)/metrics" | jq ".$1"
}

has_stored() { # EVENTS, since the service was started
    (($(metric messages_inserted) >= $1))
}
