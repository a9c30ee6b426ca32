#!/usr/bin/env bats
# pieces.bats - the tools piece by piece, as one uses them in a shell, and what the front command does beyond
# `run`: publish, backfill, replay, status. And how they name what is wrong.
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

@test "kcat-actions | jq .payload" {
    printf '%s\n' '{"agent_name":"one"}' '{"agent_name":"two"}' | produce "$TOPIC" -p 0
    assert_equal "$(kcat-actions -t "$TOPIC" -e | jq -r .payload.agent_name | paste -sd,)" one,two
}

@test "kcat-actions --select '.action_type==\"error\"'" {
    events 200 --seed 2 >events
    produce "$TOPIC" <events
    assert_equal "$(kcat-actions -t "$TOPIC" -e --bare --select '.action_type=="error"' | sort | sha256sum)" \
        "$(grep '"action_type":"error"' events | sort | sha256sum)"
}

@test "batch < events.ndjson | pgsink, twice: the second time adds no row" {
    events 500 --seed 3 >events.ndjson
    batch <events.ndjson | pgsink >out
    assert_equal "$(count_rows)" 500
    batch <events.ndjson | pgsink -v >>out 2>log
    assert_equal "$(count_rows)" 500
    assert_contains "$(<log)" "INFO - Batch insert: 0 inserted, 500 duplicates (total: 500)"
    assert_equal "$(<out)" ""
}

@test "pgsink alone takes events, one paragraph" {
    events 10 --seed 3 | pgsink
    assert_equal "$(count_rows)" 10
}

@test "pgsink | dlq -o rejects.ndjson: the rejects are in the file, with the reason" {
    { events 50 --seed 3 && echo nonsense && serial_events 1 1 | sed s/tool_call/dance/; } >events.ndjson
    batch <events.ndjson | pgsink | dlq -o rejects.ndjson >acks
    assert_equal "$(count_rows)" 50
    assert_equal "$(<acks)" ""
    assert_equal "$(jq -r '.error.class' rejects.ndjson | paste -sd,)" decode,data
    assert_equal "$(jq -r '.payload | type' rejects.ndjson | paste -sd,)" string,object
}

@test "the whole pipeline by hand: kcat-actions | batch | pgsink | dlq > fifo" {
    { events 300 --seed 4 && echo nonsense; } | produce "$TOPIC" -p 0
    mkfifo acks
    exec 9<>acks
    # shellcheck disable=SC2094 # a fifo
    kcat-actions -t "$TOPIC" -g "$GROUP" --acks acks -e | batch | pgsink | dlq >acks
    exec 9>&-
    assert_equal "$(count_rows)" 300
    assert_equal "$(committed_records "$GROUP" "$TOPIC")" 301
    assert_equal "$(count_records "$TOPIC-dlq")" 1
}

@test "with no dlq before the fifo a reject stops the pipeline, and nothing past it is committed" {
    serial_events 1 10 | produce "$TOPIC" -p 0
    echo nonsense | produce "$TOPIC" -p 0
    serial_events 11 20 | produce "$TOPIC" -p 0
    mkfifo acks
    exec 9<>acks
    local -a statuses
    # shellcheck disable=SC2094 # a fifo
    kcat-actions -t "$TOPIC" -g "$GROUP" --acks acks -e 2>errors | batch -n 5 | pgsink --max-rows 5 >acks && statuses=("${PIPESTATUS[@]}") || statuses=("${PIPESTATUS[@]}")
    exec 9>&-
    assert_equal "${statuses[0]}" 65
    assert_contains "$(<errors)" "put dlq before the fifo"
    assert_equal "$(committed_records "$GROUP" "$TOPIC")" 10
}

@test "healthd --once | jq" {
    events 100 --seed 3 >events.ndjson
    batch --stats stats <events.ndjson | pgsink --stats stats
    assert_equal "$(healthd --once --stats stats | jq '.messages_inserted')" 100
    assert_equal "$(counter lines_batched stats)" 100
}

# ---- what is wrong

# One line on stderr that says ERROR or names the option, and that exit status.
fails_with() { # STATUS PART COMMAND...
    local expected=$1 part=$2
    shift 2
    run --separate-stderr "$@"
    # shellcheck disable=SC2154 # set by run
    [[ $status == "$expected" ]] || { printf 'expected %s, got %s: %s\n%s\n' "$expected" "$status" "$*" "$stderr" >&2 && return 1; }
    assert_contains "$stderr" "$part"
    # The library's own words may come before; the message is one.
    [[ $(grep -c 'ERROR' <<<"$stderr") -le 1 ]] || { printf 'more than one error:\n%s\n' "$stderr" >&2 && return 1; }
}

@test "wrong options end with 64, one clear line" {
    fails_with 64 --no-such batch --no-such
    fails_with 64 -n batch -n 0
    fails_with 64 no-such pgsink --id no-such
    fails_with 64 "no arguments" pgsink file
    fails_with 64 raw dlq --format xml
    fails_with 64 --health healthd --health
    fails_with 64 "no option" "$AGENT_ACTIONS" run --no-such
    fails_with 64 "neither a command nor a tool" "$AGENT_ACTIONS" consume
}

@test "a missing table ends with 78 and says how to make it" {
    sql 'DROP TABLE agent_actions CASCADE'
    serial_events 1 1 >event
    fails_with 78 agent_actions pgsink <event
    run --separate-stderr "$AGENT_ACTIONS" run
    assert_status 78
    # shellcheck disable=SC2154 # set by run
    assert_contains "$stderr" agent_actions
    assert_equal "$(committed_records "$GROUP" "$TOPIC")" 0
    "$AGENT_ACTIONS" init
    pgsink <event
    assert_equal "$(count_rows)" 1
}

# A PostgreSQL of the test's own that asks for passwords; the superuser's is "right & proper".
own_postgres_with_password() {
    OWN_POSTGRES=$(mktemp -d "${TMPDIR:-/tmp}/pieces.XXXXXX")
    chmod 711 "$OWN_POSTGRES"
    drop_database
    "$ROOT/scripts/dev-postgres" --fast "$OWN_POSTGRES/server"
    # shellcheck disable=SC1091 # written by dev-postgres
    . "$OWN_POSTGRES/server/env"
    psql -Xq -v ON_ERROR_STOP=1 -f "$ROOT/sql/schema.sql" -c "ALTER ROLE postgres PASSWORD 'right & proper'"
    sed -i 's/trust$/scram-sha-256/' "$OWN_POSTGRES/server/cluster/data/pg_hba.conf"
    sql 'SELECT pg_reload_conf()' >/dev/null
    wait_until '! psql -Xwqc "SELECT 1"'
}

@test "a refused password ends with 77; the right one is in nobody's arguments and in no message" {
    own_postgres_with_password
    serial_events 1 1 >event
    PGPASSWORD=wrong fails_with 77 "password authentication failed" pgsink <event
    POSTGRES_PASSWORD=wrong run --separate-stderr "$AGENT_ACTIONS" run
    assert_status 77
    # shellcheck disable=SC2154 # set by run
    assert_contains "$stderr" "password authentication failed"
    fails_with 77 password pgsink <event # none at all
    produce "$TOPIC" <event
    POSTGRES_PASSWORD='right & proper' start_pipeline
    all_is_safe 1
    if grep -rlsF 'right & proper' /proc/[0-9]*/cmdline; then return 1; fi
    if grep -F 'right & proper' run.log; then return 1; fi
    assert_equal "$(PGPASSWORD='right & proper' count_rows)" 1
}

@test "a role that may not write to the table ends with 77" {
    local role
    role=$(unique role)
    sql "CREATE ROLE \"$role\" LOGIN"
    serial_events 1 1 >event
    PGUSER=$role run --separate-stderr pgsink <event
    sql "DROP ROLE \"$role\""
    assert_status 77
    # shellcheck disable=SC2154 # set by run
    assert_contains "$stderr" agent_actions
}

@test "a database that is not there ends with 78" {
    serial_events 1 1 >event
    PGDATABASE=no_such_database fails_with 78 no_such_database pgsink <event
}

@test "a host that is not there: kcat-actions and dlq end with 69, each with one line" {
    fails_with 69 -b kcat-actions -b no-such-host.invalid -t x
    echo '{"payload":1,"error":{"class":"data","message":"m"}}' >reject
    fails_with 69 no-such-host.invalid dlq -b no-such-host.invalid -t x <reject
}

# ---- run

@test "the tools' options in the settings may stand on several lines" {
    KCAT_ACTIONS_OPTIONS=$'-v\n  --max-in-flight 7 ' PGSINK_OPTIONS=$'--max-rows\n7' start_pipeline
    wait_until 'tool_pid pgsink && tool_pid kcat-actions'
    wait_until "tr '\\0' ' ' </proc/$(tool_pid kcat-actions)/cmdline | grep -q -- ' -v --max-in-flight 7 \$'"
    wait_until "tr '\\0' ' ' </proc/$(tool_pid pgsink)/cmdline | grep -q -- ' --max-rows 7 \$'"
}

# ---- publish

@test "publish: one event, and a receipt" {
    run --separate-stderr "$AGENT_ACTIONS" publish --agent 'a "b"' --action-type tool_call --action-name Read \
        --details '{"n":12345678901234567890}' --correlation-id 11111111-1111-4111-8111-111111111111 --debug-mode --duration-ms 7
    assert_status 0
    assert_equal "$(jq -c '[.success, .correlation_id, .published_to, .topic]' <<<"$output")" \
        "[true,\"11111111-1111-4111-8111-111111111111\",\"$KAFKA_BROKERS\",\"$TOPIC\"]"
    assert_equal "$(consume "$TOPIC" -f '%k')" 11111111-1111-4111-8111-111111111111
    assert_contains "$(consume "$TOPIC")" '"action_details":{"n":12345678901234567890}'
    start_pipeline
    all_is_safe 1
    assert_equal "$(sql 'SELECT agent_name, action_type, action_name, action_details, debug_mode, duration_ms FROM agent_actions')" \
        'a "b"|tool_call|Read|{"n": 12345678901234567890}|t|7'
    assert_equal "$(sql "SELECT now() - created_at < interval '5 minutes' FROM agent_actions")" t
}

@test "bootstrap.servers in the file of KAFKA_CONFIG_FILE wins over KAFKA_BROKERS, and is what is named" {
    local brokers=$KAFKA_BROKERS
    printf '# ours\n  bootstrap.servers=%s \n' "$brokers" >>kafka.conf
    KAFKA_BROKERS=127.0.0.1:1 run --separate-stderr "$AGENT_ACTIONS" publish --agent a --action-type error --action-name b --timeout 20
    assert_status 0
    assert_equal "$(jq -r .published_to <<<"$output")" "$brokers"
    KAFKA_BROKERS=127.0.0.1:1 start_pipeline
    all_is_safe 1
    assert_contains "$(<run.log)" "topic $TOPIC on $brokers,"
    KAFKA_BROKERS=127.0.0.1:1 run "$AGENT_ACTIONS" run --print-config
    assert_contains "$(tr -s ' ' <<<"$output")" "KAFKA_BROKERS $brokers KAFKA_CONFIG_FILE $PWD/kafka.conf"
}

@test "publish: every fault of the options is named, and nothing is published" {
    run "$AGENT_ACTIONS" publish --action-type dance --details '[1]' --correlation-id x --duration-ms long
    assert_status 64
    local part
    for part in --agent --action-type --action-name --details --correlation-id --duration-ms; do
        assert_contains "$output" "$part"
    done
    assert_equal "$(count_records "$TOPIC")" 0
}

@test "publish: a broker that does not answer: the receipt says false, status 75" {
    KAFKA_BROKERS=127.0.0.1:1 run --separate-stderr "$AGENT_ACTIONS" publish --agent a --action-type error --action-name b --timeout 1
    assert_status 75
    assert_equal "$(jq .success <<<"$output")" false
}

# ---- backfill

@test "backfill of plain, .gz and .zst files; again, it adds no row" {
    serial_events 1 300 >a.ndjson
    serial_events 301 600 | gzip >b.ndjson.gz
    serial_events 601 900 | zstd -q >c.ndjson.zst
    run "$AGENT_ACTIONS" backfill a.ndjson b.ndjson.gz c.ndjson.zst
    assert_status 0
    assert_contains "$output" "900 events read: 900 inserted, 0 duplicates, 0 rejected"
    assert_equal "$(rows_and_serials)" "900 900"
    run "$AGENT_ACTIONS" backfill a.ndjson b.ndjson.gz c.ndjson.zst
    assert_status 0
    assert_contains "$output" "900 events read: 0 inserted, 900 duplicates, 0 rejected"
    assert_equal "$(rows_and_serials)" "900 900"
}

@test "backfill: what cannot be stored goes to --rejects, the rest is stored; - is stdin" {
    { serial_events 1 10 && echo nonsense && serial_events 11 20; } >mixed.ndjson
    run "$AGENT_ACTIONS" backfill --rejects rejects.ndjson - <mixed.ndjson
    assert_status 0
    assert_contains "$output" "21 events read: 20 inserted, 0 duplicates, 1 rejected"
    assert_equal "$(jq -r .payload rejects.ndjson)" nonsense
    assert_equal "$(rows_and_serials)" "20 20"
}

@test "backfill of a file that is not there ends with 66; a damaged one is not passed over" {
    run "$AGENT_ACTIONS" backfill missing.ndjson
    assert_status 66
    serial_events 1 1000 | gzip | head -c 2000 >cut.ndjson.gz
    run "$AGENT_ACTIONS" backfill cut.ndjson.gz
    [[ $status -ne 0 ]]
}

# ---- status

@test "status: of a service, whose directory belongs to the service's user, root sees it too" {
    mkdir runtime
    background tool stats-writer runtime/stats kcat-actions records_consumed=7
    wait_until 'grep -q ready tool.out'
    pid_of tool >runtime/pid
    ((EUID)) || chown nobody runtime
    RUNTIME_DIRECTORY=$PWD/runtime TMPDIR=$PWD run "$AGENT_ACTIONS" status
    assert_status 0
    assert_contains "$output" "consumed     7"
    # In a place that is everybody's, another user's directory does not count.
    mv runtime agent-actions.runtime
    TMPDIR=$PWD run "$AGENT_ACTIONS" status
    ((EUID)) || assert_status 69
}

@test "status: figures of what runs, as text and JSON; 69 when nothing runs" {
    local fresh=$PWD/empty
    mkdir "$fresh"
    TMPDIR=$fresh run "$AGENT_ACTIONS" status
    assert_status 69
    serial_events 1 20 | produce "$TOPIC"
    TMPDIR=$fresh start_pipeline
    all_is_safe 20
    wait_until "TMPDIR=$fresh $AGENT_ACTIONS status | grep -q '^lag  *0\$'"
    TMPDIR=$fresh run "$AGENT_ACTIONS" status
    assert_status 0
    assert_contains "$output" "status       healthy"
    assert_contains "$output" "inserted     20"
    assert_equal "$(TMPDIR=$fresh "$AGENT_ACTIONS" status --json | jq .messages_consumed)" 20
    kill -STOP "$(tool_pid pgsink)"
    kill -KILL "$(tool_pid dlq)"
    wait_until "! TMPDIR=$fresh $AGENT_ACTIONS status"
    kill -CONT "$(tool_pid pgsink)" 2>/dev/null || true
}
