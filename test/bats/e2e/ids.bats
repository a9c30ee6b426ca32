#!/usr/bin/env bats
# ids.bats - the same event has the same id, wherever it comes from. The ids below were computed apart from
# the tools, by the rule of doc/DESIGN.md: time in milliseconds, SHA-256 of the compact text, UUIDv8.
# shellcheck disable=SC2016,SC2030,SC2031,SC2094,SC2154 # conditions are evaluated by wait_until; $status is set by run
bats_require_minimum_version 1.5.0
load ../../support/helpers
load ../../support/pipeline

setup() {
    helpers_setup
    pipeline_setup
    make_events
}
teardown() { helpers_teardown; }

# Five events, and in `expected` the name and the id of each.
make_events() {
    cat >events <<'EVENTS'
{"correlation_id":"11111111-1111-4111-8111-111111111111","agent_name":"é","action_type":"tool_call","action_name":"1-zoneless","action_details":{"big":12345678901234567890,"e":1E+2},"debug_mode":false,"duration_ms":5,"timestamp":"2026-11-23T18:00:00.123456"}
{ "correlation_id" : "22222222-2222-4222-8222-222222222222", "agent_name":"a b",	"action_type":"success","action_name":"2-spaced","action_details":{ "n" : 1.50 },"timestamp":"2026-11-23T18:00:00.123Z" } 
{"correlation_id":"33333333-3333-4333-8333-333333333333","agent_name":"a","action_type":"error","action_name":"3-timeless"}
{"id":"44444444-4444-4444-8444-444444444444","correlation_id":"44444444-4444-4444-8444-444444444445","agent_name":"a","action_type":"error","action_name":"4-own"}
{"correlation_id":"55555555-5555-4555-8555-555555555555","agent_name":"\u00e9","action_type":"decision","action_name":"5-old","timestamp":"1971-01-01T00:00:00.9999+02:00"}
EVENTS
    cat >expected <<'IDS'
1-zoneless|01a20990-957b-8ee4-9948-ac47ef2339d0
2-spaced|01a20990-957b-83d2-a713-34faa2f6ff7b
3-timeless|be83b668-302a-8c81-9458-44cc6e5ac522
4-own|44444444-4444-4444-8444-444444444444
5-old|00075743-52e7-81c8-b445-75bb7e663fa5
IDS
}

ids() {
    sql "SELECT action_name, id FROM agent_actions ORDER BY action_name"
}

@test "the id by hand: time, hash, version 8" {
    # The rule once more, with sha256sum, for the event with white space in it.
    local hash milliseconds
    hash=$(printf '%s' '{"correlation_id":"22222222-2222-4222-8222-222222222222","agent_name":"a b","action_type":"success","action_name":"2-spaced","action_details":{"n":1.50},"timestamp":"2026-11-23T18:00:00.123Z"}' |
        sha256sum | cut -c1-20)
    printf -v milliseconds '%012x' "$(date -u -d 2026-11-23T18:00:00.123Z +%s%3N)"
    local variant=$(((0x${hash:4:2} & 0x3f) | 0x80)) id
    printf -v id '%s-%s-8%s-%02x%s-%s' "${milliseconds:0:8}" "${milliseconds:8:4}" "${hash:1:3}" "$variant" \
        "${hash:6:2}" "${hash:8:12}"
    assert_equal "2-spaced|$id" "$(grep 2-spaced expected)"
}

@test "from a file" {
    batch <events | pgsink
    assert_equal "$(ids)" "$(<expected)"
}

@test "from Kafka" {
    produce "$TOPIC" <events
    start_pipeline
    all_is_safe 5
    assert_equal "$(ids)" "$(<expected)"
}

@test "from Kafka and from a file: five duplicates" {
    produce "$TOPIC" <events
    start_pipeline
    all_is_safe 5
    run "$AGENT_ACTIONS" backfill events
    assert_status 0
    assert_contains "$output" "5 events read: 0 inserted, 5 duplicates, 0 rejected"
    assert_equal "$(ids)" "$(<expected)"
}

@test "out of the dead letter queue, replayed after the cause was mended" {
    # For a while the table takes nothing.
    sql "ALTER TABLE agent_actions ADD CONSTRAINT none CHECK (agent_name = 'nobody')"
    produce "$TOPIC" <events
    start_pipeline
    all_is_safe 5
    assert_equal "$(count_rows)" 0
    assert_equal "$(count_records "$TOPIC-dlq")" 5
    sql "ALTER TABLE agent_actions DROP CONSTRAINT none"
    run "$AGENT_ACTIONS" replay
    assert_status 0
    all_is_safe 10
    assert_equal "$(ids)" "$(<expected)"
    assert_equal "$(count_records "$TOPIC-dlq")" 5
}

@test "out of a file of rejects" {
    sql "ALTER TABLE agent_actions ADD CONSTRAINT none CHECK (agent_name = 'nobody')"
    batch <events | pgsink | dlq -o rejects.ndjson
    sql "ALTER TABLE agent_actions DROP CONSTRAINT none"
    assert_equal "$(count_rows)" 0
    # The original of each, cut out of its line: jq would write numbers anew.
    sed 's/^{"payload"://; s/,"error":{.*//' rejects.ndjson | batch | pgsink
    assert_equal "$(ids)" "$(<expected)"
}
