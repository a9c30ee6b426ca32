# check.bash - `agent-actions run --check`: whether all is there that the pipelines need. The tools look
# themselves, each at what it needs; all faults are told at once, each with its cure.
# shellcheck disable=SC2154 # $scratch is of make_scratch

# What dlq says of the broker kcat-actions has said.
check_kafka() {
    local status=0 dead_letters=0
    "$EXEC_PATH/kcat-actions" "${KAFKA_OPTIONS[@]}" --check -t "$KAFKA_TOPIC" -g "$KAFKA_GROUP_ID" || status=$?
    "$EXEC_PATH/dlq" "${KAFKA_OPTIONS[@]}" --check -t "$KAFKA_TOPIC-dlq" -g "$KAFKA_GROUP_ID" >"$scratch/dlq" ||
        dead_letters=$?
    grep -v '^[a-z]* *Kafka ' "$scratch/dlq" || true
    return "$((status > dead_letters ? status : dead_letters))"
}

check_health_port() {
    local address=$HEALTH_CHECK_ADDRESS
    [[ $address != 0.0.0.0 && $address != :: ]] || address=127.0.0.1
    if ((HEALTH_CHECK_PORT)) && (: <"/dev/tcp/$address/$HEALTH_CHECK_PORT") 2>/dev/null; then
        printf 'warning  port %s of %s is in use: unless it is by pipelines that run already, set HEALTH_CHECK_PORT\n' \
            "$HEALTH_CHECK_PORT" "$HEALTH_CHECK_ADDRESS"
    fi
}

# The highest of the tools' statuses: see lib/common/findings.h.
check_command() { # CONFIG_FILE (may be empty)
    local kafka=0 database=0 pid
    load_config "$1"
    need_tools kcat-actions dlq pgsink
    make_scratch
    "$EXEC_PATH/pgsink" --check >"$scratch/pgsink" 2>&1 &
    pid=$!
    check_kafka || kafka=$?
    wait "$pid" || database=$?
    cat "$scratch/pgsink"
    check_health_port
    if ((kafka == 0 && database == 0)); then
        printf 'All is well.\n'
        return
    fi
    printf 'Not all is well: each fault names its cure.\n'
    return "$((kafka > database ? kafka : database))"
}
