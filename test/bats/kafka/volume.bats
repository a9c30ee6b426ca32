#!/usr/bin/env bats
# volume.bats - 100,000 events of four codecs through the whole pipeline, from a real Kafka; and once more.
# shellcheck disable=SC2016,SC2030,SC2031,SC2094,SC2154 # conditions are evaluated by wait_until; $status is set by run
bats_require_minimum_version 1.5.0
load ../../support/helpers
load ../../support/pipeline

setup() {
    helpers_setup
    pipeline_setup
}
teardown() { helpers_teardown; }

# Keyed by correlation id, a quarter with each codec that agents use.
publish_with_all_codecs() { # FILE
    local codec
    local -a quarters codecs=(gzip lz4 snappy zstd)
    split -n l/4 "$1" quarter.
    quarters=(quarter.*)
    for codec in 0 1 2 3; do
        dlq --publish -t "$TOPIC" -X "compression.codec=${codecs[codec]}" -X linger.ms=20 <"${quarters[codec]}"
    done
}

@test "100,000 events: as many rows, offsets at the ends of the log, consumed = inserted; a new group adds no row" {
    events 100000 --seed 21 --ids >events
    publish_with_all_codecs events
    assert_equal "$(group_offsets "$GROUP" "$TOPIC" | awk '{ sum += $4 } END { print NR, sum }')" "4 100000"
    export BATCH_TIMEOUT_MS=1000
    start_pipeline
    all_is_safe 100000 60
    committed_to_the_end
    assert_equal "$(count_rows)" 100000
    assert_equal "$(sql 'SELECT count(*) FROM agent_actions WHERE action_details IS NULL')" 0
    wait_until '[[ $(metrics .consumer_lag) == 0 ]]'
    assert_equal "$(metrics '[.messages_consumed, .messages_inserted, .messages_duplicate, .messages_failed]')" \
        '[100000,100000,0,0]'
    wait_until sum_comes_out
    stop run
    assert_equal "$status" 0
    assert_contains "$(<run.log)" "Final statistics: 100000 consumed, 100000 inserted, 0 duplicates, 0 failed"

    GROUP=$(unique group)
    export KAFKA_GROUP_ID=$GROUP
    start_pipeline
    all_is_safe 100000 60
    assert_equal "$(count_rows)" 100000
    assert_equal "$(metrics '[.messages_consumed, .messages_inserted, .messages_duplicate, .messages_failed]')" \
        '[100000,0,100000,0]'
    wait_until sum_comes_out
    stop run
    assert_equal "$status" 0
    assert_equal "$(count_records "$TOPIC-dlq")" 0
}

@test "the rows are the events, each with its own values" {
    events 2000 --seed 22 --ids --zone >events
    publish_with_all_codecs events
    start_pipeline
    all_is_safe 2000
    # In one order, one spelling: what was published against what is stored.
    jq -r '[.id, .correlation_id, .agent_name, .action_type, .action_name, (.action_details | tojson), .debug_mode, .duration_ms,
            (.timestamp | rtrimstr("Z"))] | @tsv' events | sort >published
    sql "SELECT json_build_array(id, correlation_id, agent_name, action_type, action_name, action_details::text, debug_mode, duration_ms,
            to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US')) FROM agent_actions" |
        jq -r '.[5] |= (fromjson | tojson) | @tsv' | sort >stored
    # jsonb has an order of its own for an object's members: compare both in that of their names.
    normal() { jq -Rr 'split("\t") | .[5] |= (gsub("\\\\\\\\"; "\\") | fromjson | tojson) | tojson' "$1" | jq -cS '.[5] |= fromjson'; }
    normal published >published.normal
    normal stored >stored.normal
    assert_equal "$(wc -l <published.normal)" 2000
    diff published.normal stored.normal
}
