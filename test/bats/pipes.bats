#!/usr/bin/env bats
# pipes.bats - what the pipes between the tools may do: stand still, be closed or full from the start, carry
# very long lines, be left over from a run that was killed.
#
# Proven elsewhere: readers that go away and torn last lines in each tool's own file (for the fifo of the
# acks in kcat-actions.bats), half lines left by a killed neighbour in kafka/kill_points.bats, kcat-actions
# behind a stopped reader in kcat-actions.bats.
# shellcheck disable=SC2016,SC2154 # conditions are evaluated by wait_until; $status is set by run
bats_require_minimum_version 1.5.0
load ../support/helpers
load ../support/pipeline

MAX_LINE=$((64 * 1024 * 1024))

setup() { helpers_setup; }
teardown() {
    exec 8>&- 9>&-
    helpers_teardown
}

# ---- lines

reject() { # OFFSET [TEXT]
    printf '{"topic":"events","partition":0,"offset":%d,"key":null,"payload":{"correlation_id":"%s"},"error":{"tool":"pgsink","class":"data","message":"bad"}}\n' \
        "$1" "${2:-id-$1}"
}

ack() { # NEXT
    printf '{"ack":[{"topic":"events","partition":0,"next":%d}]}\n' "$1"
}

# An envelope whose line, without its end, is LENGTH bytes long.
long_line() { # OFFSET LENGTH
    local before
    printf -v before '{"topic":"events","partition":0,"offset":%d,"key":null,"payload":{"n":%d,"v":"' "$1" "$1"
    printf %s "$before"
    head -c $(($2 - ${#before} - 3)) /dev/zero | tr '\0' v
    printf '"}}\n'
}

peak_kilobytes() { # NAME
    awk '/^VmHWM/ { print $2 }' "/proc/$(pid_of "$1")/status"
}

peak_is_below() { # NAME KILOBYTES
    local peak
    peak=$(peak_kilobytes "$1")
    # (the sanitizers' allocator keeps what was freed)
    [[ $BUILD == */san ]] || ((peak < $2)) || { printf '%s: %s kB\n' "$1" "$peak" >&2 && return 1; }
}

# ---- closed or full from the start

# The tools as they need no broker; kcat-actions has its own tests of the two.
FILTERS=("batch" "pgsink -T t" "dlq -o rejects.ndjson")

@test "a standard stream that is closed at the start ends each tool with 74 and takes no other file's place" {
    empty_database
    sql 'CREATE TABLE t (n int)'
    { reject 1; ack 2; } >lines
    local tool closed
    for tool in "${FILTERS[@]}" "kcat-actions -t topic" "healthd --once --stats none"; do
        for closed in '<&-' '>&-' '<&- 2>&-' '>&- 2>&-' '<&- >&- 2>&-'; do
            rm -f rejects.ndjson
            run timeout 10 bash -c "$tool <lines $closed"
            [[ $status == 74 ]] || { echo "$tool $closed: $status $output" && return 1; }
            [[ $closed == *2* ]] || assert_contains "$output" "${tool%% *}: stdin or stdout is closed"
            [[ ! -e rejects.ndjson ]]
        done
    done
}

@test "stderr that is closed at the start takes no message into another file" {
    empty_database
    sql 'CREATE TABLE t (n int)'
    { reject 1; ack 2; } >lines
    for tool in "${FILTERS[@]}"; do
        run timeout 10 bash -c "$tool <lines 2>&-"
        assert_status 0
        assert_equal "$(tail -n 1 <<<"$output")" "$(ack 2)"
    done
    assert_equal "$(<rejects.ndjson)" "$(reject 1)"
}

@test "a stdout that takes nothing (/dev/full) ends each tool with 74 and the reason" {
    empty_database
    sql 'CREATE TABLE t (n int)'
    { reject 1; ack 2; } >lines
    for tool in "${FILTERS[@]}"; do
        run timeout 10 bash -c "$tool <lines >/dev/full"
        assert_status 74
        assert_contains "$output" "could not write to stdout: No space left on device"
    done
    # The reject was safe before the ack was tried.
    assert_equal "$(<rejects.ndjson)" "$(reject 1)"
    batch --stats stats </dev/null
    run timeout 10 bash -c "healthd --once --stats stats >/dev/full"
    assert_status 74
}

# ---- a reader that stands still

# Starts `reader`, which reads the fifo NAME.out and stands still from the start.
stopped_reader() { # NAME
    mkfifo "$1.out"
    exec 9<>"$1.out"
    background reader cat "$1.out" 9>&-
    wait_until "readlink /proc/\$(pid_of reader)/fd/* | grep -q $1.out"
    signal reader STOP
}

# Bytes that the process has read.
bytes_read() { # NAME
    awk '/^rchar/ { print $2 }' "/proc/$(pid_of "$1")/io"
}

# Whether it has read something, and nothing more for a while.
stands_still() { # NAME
    local before
    before=$(bytes_read "$1")
    ((before > 500000)) && sleep 0.3 && [[ $(bytes_read "$1") == "$before" ]]
}

# Feeds `lines` to the tool behind the stopped reader; what it holds is bounded, and all comes in the end.
is_held_back() { # KILOBYTES TOOL OPTION...
    local limit=$1 tool=$2
    shift
    stopped_reader "$tool"
    ln -s lines "$tool.in"
    background "$tool" "$@" 9>&-
    exec 9>&-
    wait_until "stands_still $tool"
    is_running "$tool"
    peak_is_below "$tool" "$limit"
    (($(bytes_read "$tool") < 30000000)) # of more than 50 MB: it does not read what it cannot pass on
    signal reader CONT
    await "$tool" 60
    assert_status 0
    await reader
}

many_rejects() {
    local text
    text=$(head -c 1000 /dev/zero | tr '\0' x)
    reject 1 "$text" >one
    awk '{ for (i = 0; i < 50000; i++) print }' one
}

@test "batch behind a reader that stands still: bounded memory, and nothing is missing" {
    many_rejects >lines
    is_held_back 8192 batch -n 1000
    cmp <(grep -v '^$' reader.out) lines
}

@test "pgsink behind a reader that stands still: bounded memory, and nothing is missing" {
    empty_database
    sql 'CREATE TABLE t (n int)'
    many_rejects | awk '{ print } NR % 1000 == 0 { print "" }' >lines
    is_held_back 40960 pgsink -T t
    cmp <(grep -v '"ack"' reader.out) <(grep . lines)
    assert_equal "$(tail -n 1 reader.out)" "$(ack 2)"
}

@test "dlq behind a reader of acks that stands still: bounded memory, every ack comes" {
    awk -v ack="$(ack 0)" 'BEGIN { for (i = 1; i <= 1000000; i++) print "{\"ack\":[{\"topic\":\"events\",\"partition\":0,\"next\":" i "}]}" }' >lines
    is_held_back 16384 dlq -o rejects.ndjson
    cmp reader.out lines
}

# ---- long lines

@test "batch | pgsink: a line of exactly 64 MiB is stored, one byte more is a reject; memory is bounded" {
    empty_database
    sql 'CREATE TABLE t (n int, v text); ALTER TABLE t ALTER v SET STORAGE EXTERNAL'
    mkfifo pgsink.in
    { long_line 0 200; long_line 1 $MAX_LINE; long_line 2 $((MAX_LINE + 1)); long_line 3 200; } >batch.in
    exec 8<>pgsink.in
    background pgsink pgsink -T t 8>&-
    background batch bash -c 'exec batch -n 2 >pgsink.in' 8>&-
    wait_until 'grep -q "\"next\":4}" pgsink.out' 60
    peak_is_below pgsink 330000 # the line, the row and what libpq has of it
    exec 8>&-
    await batch
    assert_status 0
    await pgsink
    assert_status 0
    assert_equal "$(sql 'SELECT n, octet_length(v) > 67000000 FROM t ORDER BY 1' | xargs)" "0|f 1|t 3|f"
    assert_equal "$(grep -v '"ack"' pgsink.out | jq -c '[.topic, .partition, .offset, .error.message]')" \
        '["events",0,2,"the line is too long"]'
}

# ---- what a killed run has left

# A runtime directory that outlives its supervisor, as systemd's may, with a pipeline's directory in it.
kept_directory() {
    pipeline_setup
    export RUNTIME_DIRECTORY=$PWD/agent-actions.kept
    mkdir -p "$RUNTIME_DIRECTORY/pipeline-0"
    serial_events 1 100 | produce "$TOPIC" -p 0
}

@test "a stale fifo whose writer still acknowledges is not this run's: it commits nothing" {
    kept_directory
    mkfifo "$RUNTIME_DIRECTORY/pipeline-0/acks"
    exec 8<>"$RUNTIME_DIRECTORY/pipeline-0/acks"
    printf '{"ack":[{"topic":"%s","partition":0,"next":1000}]}\n' "$TOPIC" >&8
    # While the table is locked nothing can become safe.
    mkfifo lock.in
    exec 9<>lock.in
    background lock psql -Xq 8>&- 9>&-
    echo 'BEGIN; LOCK TABLE agent_actions IN EXCLUSIVE MODE;' >&9
    wait_until "[[ \$(count_rows \"pg_locks WHERE mode = 'ExclusiveLock' AND granted AND relation = 'agent_actions'::regclass\") == 1 ]]"
    start_pipeline 8>&- 9>&-
    wait_until '[[ $(metrics .messages_in_flight) == 100 ]]'
    printf '{"ack":[{"topic":"%s","partition":0,"next":1000}]}\n' "$TOPIC" >&8
    # Had it been read, it would have been by the time that one more record is in flight.
    serial_events 101 101 | produce "$TOPIC" -p 0
    wait_until '[[ $(metrics .messages_in_flight) == 101 ]]'
    assert_equal "$(committed_records "$GROUP" "$TOPIC")" 0
    echo 'ROLLBACK;' >&9
    all_is_safe 101
    assert_equal "$(rows_and_serials)" "101 101"
    stop run
    assert_equal "$status" 0
}

@test "files where the fifos belong, and fifos that a killed script has left, are replaced" {
    kept_directory
    mkfifo "$RUNTIME_DIRECTORY/pipeline-0/pipe" # where it makes its pipes
    echo 'no fifo' >"$RUNTIME_DIRECTORY/pipeline-0/acks"
    echo 'no counters' >"$RUNTIME_DIRECTORY/stats"
    start_pipeline
    all_is_safe 100
    assert_equal "$(rows_and_serials)" "100 100"
    stop run
    assert_equal "$status" 0
}
