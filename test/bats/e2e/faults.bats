#!/usr/bin/env bats
# faults.bats - what a pipeline survives in the middle of a stream: being told to end, tools that are killed,
# a database that goes away. Nothing is missing afterwards, and nothing is there twice.
# shellcheck disable=SC2016,SC2030,SC2031,SC2094,SC2154 # conditions are evaluated by wait_until; $status is set by run
bats_require_minimum_version 1.5.0
load ../../support/helpers
load ../../support/pipeline

setup() {
    helpers_setup
    OWN_POSTGRES=''
    pipeline_setup
}
teardown() {
    exec 9>&-
    helpers_teardown
    [[ -z $OWN_POSTGRES ]] || "$ROOT/scripts/dev-postgres" --destroy "$OWN_POSTGRES"
}

# 4000 keyed events in file `events`; `poison` of them cannot be stored.
make_stream() {
    events 4000 --seed 11 --keyed --poison 0.01 >events
    total=$(wc -l <events)
    poison=$(grep -cE 'not json|"dance"|no-uuid-|"long"|"agent_name":null|yesterday-ish|[^}]$' events)
    ((poison > 20))
}

rows() { count_rows; }

@test "SIGTERM in mid-stream: it ends with 0, the committed offsets are what the table has, and the next one goes on" {
    serial_events 1 4000 | with_key >events
    publish_stream events
    start_pipeline --drain-timeout 20
    wait_until '(($(rows) > 200))'
    continue_stream
    is_running publisher
    stop run TERM 40
    assert_equal "$status" 0
    local stored
    stored=$(rows)
    ((stored >= 200 && stored < 4000))
    assert_equal "$(committed_records "$GROUP" "$TOPIC")" "$stored"
    assert_contains "$(<run.log)" "Final statistics: $stored consumed, $stored inserted, 0 duplicates, 0 failed"
    start_pipeline
    await publisher 60
    assert_equal "$status" 0
    all_is_safe 4000
    assert_equal "$(rows_and_serials)" "4000 4000"
    assert_equal "$(metrics '[.messages_inserted, .messages_duplicate]')" "[$((4000 - stored)),0]"
    committed_to_the_end
    assert_equal "$(count_records "$TOPIC-dlq")" 0
}

# Somebody else holds the table until unlock_table: it can be read, not written.
lock_table() {
    mkfifo lock.in
    exec 9<>lock.in
    background lock psql -Xq 9>&-
    echo 'BEGIN; LOCK TABLE agent_actions IN EXCLUSIVE MODE;' >&9
    wait_until "[[ \$(sql \"SELECT count(*) FROM pg_locks WHERE mode = 'ExclusiveLock' AND granted AND relation = 'agent_actions'::regclass\") == 1 ]]"
}

unlock_table() {
    echo 'ROLLBACK;' >&9
    exec 9>&-
}

@test "a drain waits for what is in flight, even for a table that is locked meanwhile" {
    serial_events 1 500 | produce "$TOPIC"
    lock_table
    start_pipeline
    wait_until '[[ $(metrics .messages_in_flight) == 500 ]]'
    signal run TERM
    wait_until 'grep -q "no more is read, 500 records are in flight" run.log'
    is_running run
    unlock_table
    await run
    assert_equal "$status" 0
    assert_equal "$(committed_records "$GROUP" "$TOPIC")" 500
    assert_equal "$(rows_and_serials)" "500 500"
}

@test "a drain that cannot end does so after --drain-timeout with 75; nothing is lost" {
    serial_events 1 500 | produce "$TOPIC"
    lock_table
    start_pipeline --drain-timeout 1
    wait_until '[[ $(metrics .messages_in_flight) == 500 ]]'
    stop run TERM 40
    assert_equal "$status" 75
    assert_equal "$(committed_records "$GROUP" "$TOPIC")" 0
    unlock_table
    start_pipeline
    all_is_safe 500
    assert_equal "$(rows_and_serials)" "500 500"
}

# Kills the tool in mid-stream; all must be well at the end.
survives_kill_of() { # TOOL
    local pid
    make_stream
    publish_stream events
    start_pipeline
    wait_until '(($(rows) > 300))'
    pid=$(tool_pid "$1")
    continue_stream
    is_running publisher
    kill -KILL "$pid"
    wait_until "[[ \$(tool_pid $1) != $pid ]]" # restarted
    await publisher 60
    assert_equal "$status" 0
    all_is_safe "$total" 60
    # Ids are derived from the content: what came twice is one row.
    local good=$((total - poison))
    assert_equal "$(rows)" "$good"
    assert_equal "$(consume "$TOPIC-dlq" -f '%s\n' | jq -r '"\(.source.partition) \(.source.offset)"' | sort -u | wc -l)" "$poison"
    wait_until sum_comes_out
    # Every row was counted as inserted, but for those of a batch that died between its commit and its count.
    assert_equal "$(metrics "(.messages_inserted <= $good) and (.messages_inserted + .messages_duplicate >= $good)")" true
    committed_to_the_end
    stop run
    assert_equal "$status" 0
    assert_contains "$(<run.log)" "pipeline 0 starts again"
}

@test "kill -9 of kcat-actions in mid-stream: it is started again, all rows are there once" {
    survives_kill_of kcat-actions
}

@test "kill -9 of batch in mid-stream: it is started again, all rows are there once" {
    survives_kill_of batch
}

@test "kill -9 of pgsink in mid-stream: it is started again, all rows are there once" {
    survives_kill_of pgsink
}

@test "kill -9 of dlq in mid-stream: it is started again, all rows are there once" {
    survives_kill_of dlq
}

@test "SIGTERM to one tool alone: the log tells of it, all are started again, all rows are there once" {
    local tool pid sent=0
    start_pipeline
    for tool in batch pgsink dlq kcat-actions; do
        sent=$((sent + 50))
        serial_events $((sent - 49)) $sent | produce "$TOPIC"
        all_is_safe $sent
        pid=$(tool_pid $tool)
        kill -TERM "$pid"
        wait_until "[[ \$(tool_pid $tool) != $pid ]]"
    done
    assert_equal "$(grep -c 'has ended, without a fault and unasked' run.log)" 4
    serial_events 201 250 | produce "$TOPIC"
    all_is_safe 250
    assert_equal "$(rows_and_serials)" "250 250"
}

@test "kill -9 of healthd: it is started again, and the pipeline does not notice" {
    serial_events 1 50 | produce "$TOPIC"
    start_pipeline
    all_is_safe 50
    local pid pipeline
    pid=$(pgrep -P "$(pid_of run)" healthd)
    pipeline=$(tool_pid pgsink)
    kill -KILL "$pid"
    wait_until "pgrep -P $(pid_of run) healthd | grep -vx $pid && curl -sf http://127.0.0.1:\$(<\$(runtime)/health_port)/health"
    assert_equal "$(tool_pid pgsink)" "$pipeline"
    assert_equal "$(metrics .messages_inserted)" 50
}

# The processes below PID, itself too.
family_of() { # PID
    local child
    printf '%s\n' "$1"
    for child in $(pgrep -P "$1"); do family_of "$child"; done
}

@test "kill -9 of the supervising script leaves no tool behind" {
    local -a family
    local pid
    serial_events 1 50 | produce "$TOPIC"
    start_pipeline --pipelines 2
    all_is_safe 50
    mapfile -t family < <(family_of "$(pid_of run)")
    ((${#family[@]} >= 12)) # run, healthd, and twice pipeline and four tools
    stop run KILL
    for pid in "${family[@]}"; do
        wait_until "! kill -0 $pid 2>/dev/null || grep -q '^State:.*Z' /proc/$pid/status" 10
    done
}

@test "kill -9 of the supervising script while it starts a child leaves nothing behind" {
    mkdir bin
    printf '%s\n' '#!/bin/sh' ": >$PWD/starting" 'sleep 1' "exec $(command -v setpriv) \"\$@\"" >bin/setpriv
    chmod +x bin/setpriv
    PATH=$PWD/bin:$PATH background run "$AGENT_ACTIONS" run
    wait_until '[[ -e starting ]]'
    stop run KILL
    # Whatever it starts has the name of its counters in its environment.
    wait_until "! grep -qsz '^AGENT_ACTIONS_STATS=$PWD/' /proc/[0-9]*/environ" 10
}

@test "kill -9 of the script of a pipeline: its tools end, it is started again" {
    local pid
    serial_events 1 50 | produce "$TOPIC"
    start_pipeline
    all_is_safe 50
    pid=$(ps -o ppid= -p "$(tool_pid pgsink)" | tr -d ' ')
    local tool
    tool=$(tool_pid pgsink)
    kill -KILL "$pid"
    wait_until "! kill -0 $tool"
    serial_events 51 100 | produce "$TOPIC"
    all_is_safe 100
    assert_equal "$(rows_and_serials)" "100 100"
}

@test "PostgreSQL stopped at once and started again in mid-stream: nothing lost, nothing double, nothing in the DLQ" {
    OWN_POSTGRES=$(mktemp -d "${TMPDIR:-/tmp}/faults.XXXXXX")
    chmod 711 "$OWN_POSTGRES"
    drop_database
    "$ROOT/scripts/dev-postgres" "$OWN_POSTGRES/server"
    # shellcheck disable=SC1091 # written by dev-postgres
    . "$OWN_POSTGRES/server/env"
    psql -Xq -v ON_ERROR_STOP=1 -f "$ROOT/sql/schema.sql"
    serial_events 1 4000 | with_key >events
    publish_stream events
    start_pipeline
    wait_until '(($(rows) > 300))'
    continue_stream
    kill -QUIT "$(<"$OWN_POSTGRES/server/pid")" # as pg_ctl stop -m immediate
    wait_until '! sql "SELECT 1"'
    wait_until '[[ $(metrics "[.pipelines[].counters.database_connected] | add") == 0 ]]'
    "$ROOT/scripts/dev-postgres" "$OWN_POSTGRES/server"
    await publisher 60
    all_is_safe 4000 60
    assert_equal "$(rows_and_serials)" "4000 4000"
    assert_equal "$(count_records "$TOPIC-dlq")" 0
    wait_until sum_comes_out
    assert_equal "$(metrics '.pipelines[0].counters.reconnects > 0')" true
    assert_equal "$(metrics '.pipelines[0].tools.pgsink.starts')" 1
    stop run
    assert_equal "$status" 0
}

@test "statements that the server cancels are tried again: a fault of the database sends nothing to the DLQ" {
    serial_events 1 500 | produce "$TOPIC"
    lock_table
    sql "ALTER DATABASE \"$PGDATABASE\" SET statement_timeout = '1s'"
    start_pipeline
    wait_until '[[ $(metrics ".pipelines[0].counters.batches_failed") -ge 2 ]]'
    assert_equal "$(metrics '[.messages_inserted, .messages_failed]')" '[0,0]'
    unlock_table
    all_is_safe 500
    assert_equal "$(rows_and_serials)" "500 500"
    assert_equal "$(count_records "$TOPIC-dlq")" 0
}

@test "two pipelines share a topic: each row once, each with its own connection" {
    serial_events 1 2000 | with_key | produce "$TOPIC" -K "$(printf '\t')"
    start_pipeline --pipelines 2
    all_is_safe 2000
    assert_equal "$(rows_and_serials)" "2000 2000"
    assert_equal "$(metrics '.pipelines | length')" 2
    assert_equal "$(sql "SELECT count(DISTINCT pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE '%pgsink%'")" 2
    stop run
    assert_equal "$status" 0
}
