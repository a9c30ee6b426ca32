#!/usr/bin/env bats
# logs.bats - what people grep for and collectors parse, from the whole of a running pipeline.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # conditions are evaluated by wait_until; $output is set by run
bats_require_minimum_version 1.5.0
load ../support/helpers
load ../support/pipeline

setup() { helpers_setup; }
teardown() { helpers_teardown; }

TIME='20[0-9]{2}-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9],[0-9]{3}'

bad_event() { # CORRELATION_ID (as JSON has it)
    printf '{"correlation_id":"%s","agent_name":"a","action_type":"dance","action_name":"b"}\n' "$1"
}

@test "logs: the lines that people grep for, and final statistics at the end" {
    local id=11111111-2222-4333-8444-555555555555
    pipeline_setup
    { serial_events 1 95 && serial_events 1 5; } >hundred
    BATCH_SIZE=100 BATCH_TIMEOUT_MS=20000 start_pipeline
    produce "$TOPIC" -p 0 <hundred
    all_is_safe 100
    bad_event "$id" | produce "$TOPIC" -p 0
    wait_until '[[ $(metrics .messages_consumed) == 101 ]]'
    stop run
    assert_status 0
    assert_equal "$(grep -cE "^$TIME - pgsink - INFO - Batch insert: 95 inserted, 5 duplicates \(total: 100\)$" run.log)" 1
    assert_equal "$(grep -cE "^$TIME - pgsink - INFO - Batch processed: 100 messages, 95 inserted, 0 failed, [0-9]+\.[0-9]{2} ms$" run.log)" 1
    assert_equal "$(grep -cE "^$TIME - dlq - WARNING - Event sent to DLQ: $id$" run.log)" 1
    assert_equal "$(grep -cE "^$TIME - agent-actions - INFO - Final statistics: 101 consumed, 95 inserted, 5 duplicates, 1 failed, 2 batches$" run.log)" 1
}

@test "logs: a batch that fails says why, and is stored once the reason has gone" {
    fresh_database
    # One event is stored, so that pgsink has all that it wants to know of the table; then it is locked.
    mkfifo sink.in
    exec 9<>sink.in
    PGOPTIONS='-c lock_timeout=100ms' background sink bash -c 'exec 9>&-; exec pgsink'
    events 1 >&9 && echo >&9
    wait_until '[[ $(count_rows) == 1 ]]'
    background locker psql -Xqc "SET application_name = 'locker'" -c 'BEGIN' -c 'LOCK agent_actions' -c 'SELECT pg_sleep(60)'
    wait_until "[[ \$(sql \"SELECT count(*) FROM pg_locks WHERE relation = 'agent_actions'::regclass AND granted AND mode = 'AccessExclusiveLock'\") == 1 ]]"
    events 10 --seed 2 >&9 && echo >&9
    wait_until "grep -Eq '^$TIME - pgsink - ERROR - Batch processing failed: .*lock timeout.*; trying again$' sink.log"
    sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'locker'" >/dev/null
    exec 9>&-
    await sink
    assert_status 0
    assert_equal "$(count_rows)" 11
}

# Each line a JSON object of its own, with the four members.
assert_json_lines() { # FILE
    iconv -f UTF-8 -t UTF-8 "$1" >/dev/null || return
    jq -eR 'fromjson | (keys == ["level", "message", "time", "tool"])
        and (.time | test("^20[0-9-]{8}T[0-9:]{8}\\.[0-9]{3}Z$")) | select(not) | error("members")' "$1" >faults 2>&1 ||
        [[ ! -s faults ]] || { cat faults "$1" && return 1; }
}

@test "logs: with LOG_FORMAT=json every line of tools and scripts is a JSON object, through faults too" {
    pipeline_setup
    export LOG_FORMAT=json LOG_LEVEL=DEBUG
    start_pipeline --pipelines 2
    { serial_events 1 20 && bad_event 'a \"b\" \u001b[31m \n é' && printf 'no \xff JSON\n'; } | produce "$TOPIC" -p 0
    all_is_safe 22
    kill -KILL "$(tool_pid pgsink)"
    wait_until 'grep -q "starts again in" run.log'
    stop run
    assert_json_lines run.log
    assert_equal "$(jq -r .tool run.log | sort -u | paste -sd,)" agent-actions,dlq,healthd,kcat-actions,pgsink
    jq -se 'any(.message == "Event sent to DLQ: a \"b\"  [31m   é")' run.log
    # Faults of the configuration, told before anything runs; the value is the user's.
    KAFKA_TOPIC=$'no "topic"\e\n\xff' run -78 "$AGENT_ACTIONS" run
    assert_equal "$(jq -r .level <<<"$output")" ERROR
    assert_contains "$(jq -r .message <<<"$output")" $'KAFKA_TOPIC "no "topic"\e\n?"'
}

# What log.bash says in a bash of its own.
script_log() { # LEVEL MESSAGE
    bash -euc 'PROGRAM=test; . "$0/scripts/lib/log.bash"; log "$@"' "$ROOT" "$@"
}

@test "logs: a script's message is valid JSON whatever bytes it has, in any locale" {
    local number character every='' locale
    for ((number = 1; number < 256; number++)); do
        printf -v character '\x%x' "$number"
        # shellcheck disable=SC2059 # that is the byte
        printf -v character "$character"
        every+=$character
    done
    for locale in C C.UTF-8; do
        LC_ALL=$locale LOG_FORMAT=json script_log WARNING "$every" 2>log
        assert_json_lines log
        assert_equal "$(jq -r '.message | length' log)" 255
        LC_ALL=$locale LOG_FORMAT=json script_log WARNING $'é € 😀 "q" \\ \t' 2>log
        assert_equal "$(jq -r .message log)" $'é € 😀 "q" \\ \t'
    done
    PATH=/nonexistent LOG_FORMAT=json /bin/bash -euc 'PROGRAM=test; . "$0/scripts/lib/log.bash"; log ERROR "no jq"' "$ROOT" 2>log
    assert_json_lines log
}

@test "logs: a script's text message is one line that no terminal obeys" {
    script_log WARNING $'one\ntwo\e[31m\r\a' 2>log
    assert_equal "$(cut -d' ' -f3- log)" '- test - WARNING - one two [31m  '
}

@test "logs: lines for the journal begin with their priority; those for a file do not" {
    : >journal
    JOURNAL_STREAM=$(stat -c %d:%i journal)
    export JOURNAL_STREAM LOG_LEVEL=DEBUG
    {
        script_log DEBUG one
        script_log INFO two
        script_log WARNING three
        script_log ERROR four
        LOG_FORMAT=json script_log ERROR five
    } 2>>journal
    assert_equal "$(cut -c1-4 journal | paste -sd' ')" '<7>2 <6>2 <4>2 <3>2 <3>{'
    script_log WARNING elsewhere 2>log
    assert_equal "$(cut -c1-2 log)" 20
    printf torn | batch -n 1 >out 2>>journal || true # the tools too
    assert_equal "$(grep -c '^<4>20.* - batch - WARNING - the last line has no newline' journal)" 1
}

@test "logs: a broker that is away is one warning now and then, not a line for each attempt" {
    echo '{"payload":1,"error":{"class":"data","message":"m"}}' >sink.in
    LOG_LEVEL=DEBUG background sink dlq -b 127.0.0.1:1 -t x
    wait_until '(($(grep -c "DEBUG.*Connection refused" sink.log) >= 2))'
    assert_equal "$(grep -c 'WARNING - no Kafka broker answers' sink.log)" 1
    assert_equal "$(grep -c 'INFO - ' sink.log || true)" 0
}
