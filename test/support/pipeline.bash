# pipeline.bash - `agent-actions run` for tests: starts it, watches it, looks at its figures. Load it behind
# helpers.bash; TOPIC and GROUP are the test's own, made by pipeline_setup.

AGENT_ACTIONS=$ROOT/scripts/agent-actions

# Its topic, group and database, and settings that let a test go on quickly.
pipeline_setup() {
    TOPIC=$(unique actions)
    GROUP=$(unique group)
    # The runtime directory is looked for in here.
    export TOPIC GROUP KAFKA_TOPIC=$TOPIC KAFKA_GROUP_ID=$GROUP
    export XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR HEALTH_CHECK_PORT=0 BATCH_TIMEOUT_MS=100
    # A member that was killed is in the way of the next one until its session has timed out.
    printf '%s\n' session.timeout.ms=6000 heartbeat.interval.ms=500 auto.commit.interval.ms=200 >kafka.conf
    export KAFKA_CONFIG_FILE=$PWD/kafka.conf
    make_topic "$TOPIC" && make_topic "$TOPIC-dlq" && fresh_database
}

start_pipeline() { # [OPTION...]
    background run "$AGENT_ACTIONS" run "$@"
    wait_until 'compgen -G "agent-actions.*/health_port" || ! is_running run' && is_running run
}

runtime() { # the directory of the one that runs
    local -a found
    found=(agent-actions.*)
    printf '%s\n' "${found[0]}"
}

tool_pid() { # TOOL [PIPELINE]
    cat "$(runtime)/pipeline-${2:-0}/$1.pid"
}

metrics() { # [JQ]
    curl -sf "http://127.0.0.1:$(<"$(runtime)/health_port")/metrics" | jq -c "${1:-.}"
}

# Waits until all that was published is safe: the group has committed so many records.
all_is_safe() { # RECORDS [SECONDS]
    wait_until "[[ \$(committed_records $GROUP $TOPIC) == $1 ]]" "${2:-30}"
}

# The offsets that the group has committed are the ends of the log.
committed_to_the_end() { # [GROUP]
    group_offsets "${1:-$GROUP}" "$TOPIC" | awk '$2 != $4 && !($2 == "-" && $3 == $4) { bad = 1 } END { exit bad }'
}

# The sum of counters.h comes out, with nothing in flight.
sum_comes_out() {
    metrics '[.pipelines[].counters] | all(.records_in_flight == 0 and .records_consumed == .records_filtered
        + .rows_inserted + .rows_updated + .rows_duplicate + .rows_rejected + .rejects_passed
        + .records_abandoned)' | grep -qx true
}

# Publishes a file of keyed lines (events --keyed) piece by piece, in the background, as `publisher`: half of
# it, and the rest from continue_stream on, so that something is coming whatever the machine's speed.
publish_stream() { # FILE
    split -n l/40 -a 3 "$1" piece.
    rm -f going
    # shellcheck disable=SC2016 # for the inner shell
    background publisher bash -ec 'for piece in piece.???; do
        [[ $piece != piece.aau ]] || until [[ -e going ]]; do sleep 0.05; done
        kcat -P -b "$KAFKA_BROKERS" -t "$TOPIC" -K "$(printf "\t")" <"$piece"
    done'
}

continue_stream() {
    : >going
}

# Lines with the correlation id as their key before them, and a tab.
with_key() {
    sed 's/.*"correlation_id":"\([^"]*\)".*/\1\t&/'
}

# Events of their own number: {"serial":N} in action_details, and the rest as agents send it.
serial_events() { # FIRST LAST [PARTITION]
    awk -v first="$1" -v last="$2" -v partition="${3:-0}" 'BEGIN { for (i = first; i <= last; i++)
        printf "{\"correlation_id\":\"00000000-0000-4000-8000-%012d\",\"agent_name\":\"agent\",\"action_type\":\"tool_call\",\"action_name\":\"Read\",\"action_details\":{\"serial\":%d,\"partition\":%d},\"debug_mode\":true,\"duration_ms\":%d,\"timestamp\":\"2026-11-23T18:%02d:%02d.%03d\"}\n", \
            i, i, partition, i % 1000, int(i / 60000) % 60, int(i / 1000) % 60, i % 1000 }'
}

# How many rows there are, and how many different serials they have: "N N" when each is there once.
rows_and_serials() {
    sql "SELECT count(*) || ' ' || count(DISTINCT action_details->>'serial') FROM agent_actions"
}
