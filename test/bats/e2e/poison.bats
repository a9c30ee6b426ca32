#!/usr/bin/env bats
# poison.bats - bad events among good ones, through the whole pipeline: each costs itself alone, and can be
# had back byte for byte.
# shellcheck disable=SC2016,SC2030,SC2031,SC2094,SC2154 # conditions are evaluated by wait_until; $status is set by run
bats_require_minimum_version 1.5.0
load ../../support/helpers
load ../../support/pipeline

setup() {
    helpers_setup
    pipeline_setup
}
teardown() { helpers_teardown; }

# A good event, changed by a sed expression, into poison/NAME, without a newline.
spoil() { # NAME SED
    serial_events 900001 900001 | sed "$2" | tr -d '\n' >"poison/$1"
}

# 18 files of bad events. (Tombstones and empty payloads have no file: they are published by hand.)
make_poison() {
    local letters
    mkdir poison
    letters=$(head -c 20000 /dev/urandom | tr -dc 'a-zA-Z0-9' | head -c 9000)
    printf 'not "json" \\ at all\nin two lines' >poison/not-json
    printf '{"agent_name":"\377\376\000"}' >poison/not-utf8
    printf '[{"correlation_id":1}, 2]' >poison/array
    printf '"text"' >poison/string
    spoil truncated 's/.\{40\}$//'
    spoil missing 's/"agent_name":"agent",//'
    spoil null-required 's/"action_name":"Read"/"action_name":null/'
    spoil action-type 's/tool_call/dance/'
    spoil uuid 's/"00000000-/"nonsense-/'
    spoil own-id 's/^{/{"id":"mine",/'
    spoil timestamp 's/2026-11-23T18/2026-13-45T18/'
    spoil duration-large 's/"duration_ms":[0-9]*/"duration_ms":1e99/'
    spoil duration-text 's/"duration_ms":[0-9]*/"duration_ms":"abc"/'
    spoil nul-text 's/"agent_name":"agent"/"agent_name":"a\\u0000b"/'
    spoil nul-details 's/"serial":/"nul":"\\u0000","serial":/'
    spoil long-name "s/\"agent_name\":\"agent\"/\"agent_name\":\"$letters\"/"
    spoil spaced 's/:/ : /g; s/tool_call/dance/; s/900001/900001.50E+02/'
    { printf '{"a":' && head -c 10000 /dev/zero | tr '\0' '[' && head -c 10000 /dev/zero | tr '\0' ']' && printf '}'; } >poison/nested
}

# 1000 good events and 20 bad ones: in each of four partitions good, bad, good, bad, good.
publish_all() {
    local partition first=0
    local -a files
    files=(poison/*)
    for partition in 0 1 2 3; do
        serial_events $((first + 1)) $((first + 80)) "$partition" | produce "$TOPIC" -p "$partition"
        produce "$TOPIC" -p "$partition" -k "key $partition" -H trace=1 "${files[@]:partition*4:2}"
        serial_events $((first + 81)) $((first + 170)) "$partition" | produce "$TOPIC" -p "$partition"
        produce "$TOPIC" -p "$partition" -k $'key\377' "${files[@]:partition*4+2:2}"
        [[ $partition != 1 ]] || printf 'k:\n' | produce "$TOPIC" -p 1 -Z -K :
        [[ $partition != 2 ]] || printf 'k:\n' | produce "$TOPIC" -p 2 -K :
        [[ $partition != 3 ]] || produce "$TOPIC" -p 3 "${files[@]:16}"
        serial_events $((first + 171)) $((first + 250)) "$partition" | produce "$TOPIC" -p "$partition"
        first=$((first + 250))
    done
}

# The original's bytes out of the value of each dead letter on stdin, a file each in recovered/.
recover() {
    local value number=0
    mkdir recovered
    while IFS= read -r value; do
        number=$((number + 1))
        case $value in
        *',"original_event_encoding":"base64"'*) jq -r .original_event <<<"$value" | base64 -d ;;
        *',"original_event_encoding":"text"'*) jq -j .original_event <<<"$value" ;;
        '{"original_event":null,'*) printf 'TOMBSTONE' ;;
        *) sed 's/^{"original_event"://; s/,"error":".*//' <<<"$value" | tr -d '\n' ;;
        esac >"recovered/$number"
    done
}

@test "20 bad events among 1000: each of them, and nothing else, is in the DLQ, byte for byte; all others are rows in order" {
    # What comes later has the higher number.
    sql "ALTER TABLE agent_actions ADD COLUMN arrival bigserial"
    make_poison
    publish_all
    assert_equal "$(count_records "$TOPIC")" 1020
    start_pipeline
    all_is_safe 1020
    assert_equal "$(rows_and_serials)" "1000 1000"
    assert_equal "$(sql "SELECT min((action_details->>'serial')::int), max((action_details->>'serial')::int) FROM agent_actions")" "1|1000"
    # No row of a partition comes before one with a lower serial.
    assert_equal "$(sql "SELECT count(*) FROM (SELECT (action_details->>'serial')::int AS serial,
        lag((action_details->>'serial')::int) OVER (PARTITION BY action_details->>'partition' ORDER BY arrival) AS before
        FROM agent_actions) AS rows WHERE serial < before")" 0
    assert_equal "$(count_records "$TOPIC-dlq")" 20
    consume "$TOPIC-dlq" -f '%s\n' | recover
    assert_equal "$(sha256sum recovered/* | cut -c1-64 | sort)" \
        "$({ sha256sum poison/* && printf TOMBSTONE | sha256sum && sha256sum </dev/null; } | cut -c1-64 | sort)"
    # Keys and headers are the originals' too.
    assert_equal "$(consume "$TOPIC-dlq" -f '%k\n' | LC_ALL=C sort | LC_ALL=C uniq -c | sed 's/^ *//')" \
        "$(printf '2 \n2 k\n2 key 0\n2 key 1\n2 key 2\n2 key 3\n8 key\377\n')"
    assert_equal "$(consume "$TOPIC-dlq" -f '%h\n' | grep -c '^trace=1,')" 8
    assert_equal "$(metrics '[.messages_consumed, .messages_inserted, .messages_failed]')" '[1020,1000,20]'
    wait_until sum_comes_out
    stop run
    assert_equal "$status" 0
    assert_equal "$(grep -c 'WARNING - Event sent to DLQ: ' run.log)" 20
}

@test "each dead letter says what was wrong, and where it came from" {
    spoil_one() {
        mkdir -p poison
        spoil "$1" "$2"
    }
    spoil_one a 's/tool_call/dance/'
    spoil_one b 's/"duration_ms":[0-9]*/"duration_ms":1e99/'
    spoil_one c 's/"agent_name":"agent",//'
    produce "$TOPIC" -p 1 poison/a poison/b poison/c
    start_pipeline
    all_is_safe 3
    consume "$TOPIC-dlq" -f '%s\n' | jq -sc 'sort_by(.source.offset)' >letters
    assert_equal "$(jq -c 'map([.source.topic, .source.partition, .source.offset])' letters)" \
        "[[\"$TOPIC\",1,0],[\"$TOPIC\",1,1],[\"$TOPIC\",1,2]]"
    assert_equal "$(jq -r 'map(.consumer_group) | unique | join(" ")' letters)" "$GROUP"
    assert_equal "$(jq -r '.[0].details.sqlstate' letters)" 23514
    assert_contains "$(jq -r '.[0].error' letters)" agent_actions_action_type_check
    assert_contains "$(jq -r '.[1] | .error + .details.column' letters)" duration_ms
    assert_contains "$(jq -r '.[2] | .error + .details.column' letters)" agent_name
    assert_equal "$(jq -r 'map(.failed_at | test("^20[0-9-]+T[0-9:.]+Z$")) | all' letters)" true
}

@test "numbers and times are stored as they were sent, and no zone means UTC" {
    sql "ALTER DATABASE \"$PGDATABASE\" SET timezone TO 'America/New_York'"
    produce "$TOPIC" <<'EVENTS'
{"correlation_id":"11111111-1111-4111-8111-111111111111","agent_name":"a","action_type":"error","action_name":"zoneless","action_details":{"big":9007199254740993,"huge":1234567890123456789012345678901234567890,"small":0.10},"duration_ms":2147483647,"timestamp":"2026-07-01T12:34:56.789012"}
{"correlation_id":"11111111-1111-4111-8111-111111111111","agent_name":"a","action_type":"error","action_name":"zoned","debug_mode":false,"duration_ms":null,"timestamp":"2026-07-01T12:34:56+02:00"}
{"correlation_id":"11111111-1111-4111-8111-111111111111","agent_name":"é\u00e9 😀 \"q\"","action_type":"success","action_name":"bare"}
EVENTS
    start_pipeline
    all_is_safe 3
    assert_equal "$(sql "SELECT action_details, duration_ms, created_at AT TIME ZONE 'UTC', debug_mode FROM agent_actions WHERE action_name = 'zoneless'")" \
        '{"big": 9007199254740993, "huge": 1234567890123456789012345678901234567890, "small": 0.10}|2147483647|2026-07-01 12:34:56.789012|t'
    assert_equal "$(sql "SELECT action_details, duration_ms IS NULL, created_at AT TIME ZONE 'UTC', debug_mode FROM agent_actions WHERE action_name = 'zoned'")" \
        '{}|t|2026-07-01 10:34:56|f'
    assert_equal "$(sql "SELECT agent_name, action_details, now() - created_at < interval '5 minutes' FROM agent_actions WHERE action_name = 'bare'")" \
        'éé 😀 "q"|{}|t'
}

@test "replay publishes the originals of dead letters again, once for a group" {
    make_poison
    rm poison/truncated
    produce "$TOPIC" -p 0 -k key -H trace=1 poison/*
    printf 'k:\n' | produce "$TOPIC" -p 0 -Z -K :
    start_pipeline
    all_is_safe 18
    stop run
    assert_equal "$(count_records "$TOPIC-dlq")" 18
    run "$AGENT_ACTIONS" replay
    assert_status 0
    assert_equal "$(count_records "$TOPIC")" 36
    # The same bytes, key and headers; a tombstone is one again.
    consume "$TOPIC" -f '%S %k %s\n' | sort | uniq -c | awk '$1 % 2 { exit 1 }'
    assert_equal "$(consume "$TOPIC" -f '%S\n' | grep -cx -- -1)" 2
    run "$AGENT_ACTIONS" replay
    assert_status 0
    assert_equal "$(count_records "$TOPIC")" 36
}
