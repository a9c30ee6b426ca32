#!/usr/bin/env bats
# dlq_report.bats - `agent-actions dlq-report`: what the dead letters failed by.
# shellcheck disable=SC2030,SC2031,SC2154 # $output is set by run
bats_require_minimum_version 1.5.0
load ../support/helpers
load ../support/pipeline

setup() {
    helpers_setup
    pipeline_setup
}
teardown() { helpers_teardown; }

# Three kinds of bad events among good ones: no JSON, a refused type, a refused value; from a file or a topic.
bad_events() {
    serial_events 1 3
    printf '%s\n' nonsense 'more nonsense'
    serial_events 4 6 | sed 's/"duration_ms":[0-9]*/"duration_ms":"long"/'
    serial_events 7 7 | sed s/tool_call/dance/
}

report() { # JQ
    jq -c "$1" <<<"$output"
}

@test "of a file of rejects: counts by class, SQLSTATE and column, with times and samples" {
    bad_events | pgsink | dlq -o rejects.ndjson
    run --separate-stderr "$AGENT_ACTIONS" dlq-report --json --samples 2 rejects.ndjson
    assert_status 0
    assert_equal "$(report .count)" 6
    assert_equal "$(report '[.kinds[] | [.count, .class, .sqlstate, .column]]')" \
        '[[3,"data","22P02","duration_ms"],[2,"decode","22P02",null],[1,"data","23514",null]]'
    assert_equal "$(report '[.kinds[].samples | length]')" '[2,2,1]'
    assert_equal "$(report '.kinds[0].samples[0].event.duration_ms')" '"long"'
    assert_equal "$(report '(.first <= .last) and (.first | fromdateiso8601? // (.[:19] + "Z" | fromdateiso8601)) > now - 300')" true
    run "$AGENT_ACTIONS" dlq-report - <rejects.ndjson
    assert_status 0
    assert_contains "$output" "6 dead letters, from 20"
    assert_contains "$(tr -s ' ' <<<"$output")" "3 data 22P02 duration_ms"
}

@test "of the topic: with the topics and partitions they came from; nothing is committed; again, the same" {
    bad_events | produce "$TOPIC" -p 2
    kcat-actions -t "$TOPIC" -e | pgsink | dlq >/dev/null
    # The queue has several partitions, which are read in no fixed order: which sample would come first is not known.
    run --separate-stderr "$AGENT_ACTIONS" dlq-report --json --samples 9
    assert_status 0
    assert_equal "$(report .count)" 6
    assert_equal "$(report .sources)" "[{\"topic\":\"$TOPIC\",\"partition\":2,\"count\":6}]"
    assert_equal "$(report '[.kinds[] | [.count, .class, .sqlstate, .column]]')" \
        '[[3,"data","22P02","duration_ms"],[2,"decode",null,null],[1,"data","23514",null]]'
    assert_equal "$(report '[.kinds[0].samples[] | [.partition, .offset, .event.duration_ms]] | sort')" \
        '[[2,5,"long"],[2,6,"long"],[2,7,"long"]]'
    assert_equal "$(committed_records "$GROUP" "$TOPIC-dlq")" 0
    local first
    first=$(report '.kinds[].samples |= sort')
    run --separate-stderr "$AGENT_ACTIONS" dlq-report --json --samples 9 --topic "$TOPIC-dlq"
    assert_equal "$(report '.kinds[].samples |= sort')" "$first"
}

@test "--format raw: the same from the headers" {
    bad_events | produce "$TOPIC" -p 1
    kcat-actions -t "$TOPIC" -e | pgsink | dlq --format raw >/dev/null
    run --separate-stderr "$AGENT_ACTIONS" dlq-report --json
    assert_status 0
    assert_equal "$(report '[.kinds[] | [.count, .class, .sqlstate, .column]]')" \
        '[[3,"data","22P02","duration_ms"],[2,"decode",null,null],[1,"data","23514",null]]'
    assert_equal "$(report .sources)" "[{\"topic\":\"$TOPIC\",\"partition\":1,\"count\":6}]"
}

@test "--since leaves out what is older; an empty queue has no dead letters" {
    bad_events | pgsink | dlq -o rejects.ndjson
    run "$AGENT_ACTIONS" dlq-report --since '1 hour' rejects.ndjson # in an hour
    assert_status 0
    assert_equal "$output" "no dead letters"
    run --separate-stderr "$AGENT_ACTIONS" dlq-report --json --since '1 hour ago' rejects.ndjson
    assert_equal "$(report .count)" 6
    run "$AGENT_ACTIONS" dlq-report
    assert_status 0
    assert_equal "$output" "no dead letters"
}

@test "what is no dead letter is counted as such; a missing file, a wrong option: the status says so" {
    printf '%s\n' 'no JSON' '{"topic":"t","partition":0,"offset":7,"ts":1761000000000,"payload":{"a":1}}' >mixed
    run --separate-stderr "$AGENT_ACTIONS" dlq-report --json mixed
    assert_equal "$(report '[.kinds[] | [.count, .class]] | sort')" '[[1,"unknown"],[1,"unreadable"]]'
    {
        printf '%s\n' 5 '"text"' '[1]' null false
        printf '{"topic":"t","payload":{"original_event":{},"error":"e","source":%s,"details":%s}}\n' '"text"' '{}' '{}' '"text"' '{}' '{}'
        printf '%s\n' '{"payload":{},"headers":["dlq.format","raw","dlq.error.details","\"text\""]}' '{"payload":{},"headers":"text"}'
    } >mixed
    run --separate-stderr "$AGENT_ACTIONS" dlq-report --json mixed
    assert_status 0
    assert_equal "$(report '[.kinds[] | [.count, .class]]')" '[[9,"unreadable"],[1,null]]'
    run "$AGENT_ACTIONS" dlq-report missing
    ((status != 0))
    run "$AGENT_ACTIONS" dlq-report --since never
    assert_status 64
    KAFKA_BROKERS=no-such-host.invalid run "$AGENT_ACTIONS" dlq-report
    assert_status 69
}

@test "manual of agent-actions: the examples of --check, --print-config and dlq-report run as printed" {
    bad_events | pgsink | dlq -t "$TOPIC-dlq" >/dev/null
    awk '/^\.SH/ { in_examples = ($2 == "EXAMPLES") }
        /^\.RE/ { inside = 0 }
        inside && in_examples && /check|print|dlq-report/
        /^\.RS/ { inside = 1 }' "$ROOT/scripts/agent-actions.1" | sed 's/\\-/-/g' >commands
    assert_equal "$(wc -l <commands)" 4
    PATH=$ROOT/scripts:$PATH run --separate-stderr bash -euo pipefail commands
    assert_status 0
    assert_contains "$output" "All is well."
    assert_contains "$output" "6 dead letters"
    assert_contains "$output" '[3,"duration_ms"]'
}
