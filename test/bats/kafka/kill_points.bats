#!/usr/bin/env bats
# kill_points.bats - kill -9 at each point between 'rows sent', 'committed', 'acknowledged' and 'offset
# committed'. halt.so (test/support/halt.c) stops the tool exactly there; the test looks at what the table,
# the dead letter queue and the group have at that moment, kills it, and the supervisor starts it all again.
# shellcheck disable=SC2016,SC2154 # conditions are evaluated by wait_until; $status is set by run
bats_require_minimum_version 1.5.0
load ../../support/helpers
load ../../support/pipeline

EVENTS=300
POISON=(0 149) # offsets; all is in partition 0, and event N is at offset N - 1

setup() {
    helpers_setup
    pipeline_setup
    # A killed kcat-actions is in the way of the next one for as long as its session.
    printf '%s\n' session.timeout.ms=3000 heartbeat.interval.ms=300 auto.commit.interval.ms=200 >kafka.conf
    serial_events 1 $EVENTS |
        sed -E "$((POISON[0] + 1))s/(\"duration_ms\":)[0-9]+/\1\"long\"/;$((POISON[1] + 1))s/(\"duration_ms\":)[0-9]+/\1\"long\"/" |
        produce "$TOPIC" -p 0
    background sampler sample
}
teardown() { helpers_teardown; }

# ---- what is safe

# What the group has committed of partition 0.
committed() {
    group_offsets "$GROUP" "$TOPIC" | awk '$1 == 0 { print $2 == "-" ? 0 : $2 }'
}

rows() { count_rows; }

# The offsets of the records that the dead letters are about.
dead_letters() {
    consume "$TOPIC-dlq" -f '%s\n' | jq .source.offset | sort -n
}

# Fails where the group has committed what is neither a row nor a dead letter. The offset is read first: what
# is there a moment later was there then, or it was committed too early.
nothing_unsafe() {
    local offset
    offset=$(committed) && [[ -n $offset ]] || return 0 # (no answer just now)
    sql "SELECT (action_details->>'serial')::int - 1 FROM agent_actions" >"$1.safe"
    dead_letters >>"$1.safe"
    awk -v end="$offset" '{ safe[$1] = 1 }
        END { for (o = 0; o < end; o++) if (!(o in safe)) { print "committed " end ", but " o " is not safe"; exit 1 } }' "$1.safe"
}

# Looks again and again, in the background; what it prints is a violation.
sample() {
    while :; do
        nothing_unsafe sampler 2>/dev/null || true
    done
}

# ---- the strike

# Lets the supervisor run tools of which one stops at that point, once.
arm() { # TOOL POINT
    local tool
    mkdir bin
    for tool in kcat-actions batch pgsink dlq healthd; do
        ln -s "$BUILD/bin/$tool" "bin/$tool"
    done
    rm "bin/$1"
    # (the sanitizers' library would like to be the first one)
    printf '%s\n' '#!/bin/sh' "export LD_PRELOAD=$BUILD/lib/halt.so HALT_AT=$2 HALT_MARK=$PWD/reached" \
        'export ASAN_OPTIONS=verify_asan_link_order=0' "exec $BUILD/bin/$1 \"\$@\"" >"bin/$1"
    chmod +x "bin/$1"
    export AGENT_ACTIONS_EXEC_PATH=$PWD/bin
}

has_stopped() { # PID: each of its threads
    [[ -e reached ]] && ! grep -L '^State:[[:space:]]*T' "/proc/$1"/task/*/status | grep -q .
}

# Starts the pipeline and waits until the tool stands at the point; sets VICTIM.
run_until() { # TOOL POINT
    arm "$@"
    start_pipeline
    wait_until '[[ -e reached ]]'
    VICTIM=$(tool_pid "$1")
    wait_until "has_stopped $VICTIM"
}

# Kills the processes at once; when all has been started again, each event is where it belongs.
kill_and_check() { # PID...
    kill -KILL "$@"
    all_is_safe $EVENTS 40
    assert_equal "$(rows_and_serials)" "$((EVENTS - ${#POISON[@]})) $((EVENTS - ${#POISON[@]}))"
    assert_equal "$(dead_letters | sort -u | sort -n | xargs)" "${POISON[*]}"
    nothing_unsafe end
    assert_equal "$(<sampler.out)" ""
    # It was started again, once.
    assert_equal "$(grep -c 'pipeline 0 starts again' run.log)" 1
    stop run
    assert_equal "$status" 0
}

# ---- pgsink

@test "kill -9 of pgsink when its rows are sent and COPY has not ended: no row, no commit; then each once" {
    run_until pgsink copy-sent
    assert_equal "$(rows) $(committed)" "0 0"
    kill_and_check "$VICTIM"
}

@test "kill -9 of pgsink when the server has committed and pgsink has not heard: rows, no commit; then each once" {
    run_until pgsink commit-answered
    (($(rows) > 0))
    assert_equal "$(committed)" 0
    kill_and_check "$VICTIM"
}

@test "kill -9 of pgsink after its commit, before its ack: rows, no commit; then each once" {
    run_until pgsink ack-unwritten
    (($(rows) > 0))
    wait_until '[[ $(dead_letters | head -n 1) == 0 ]]' # the rejects go before the ack
    assert_equal "$(committed)" 0
    kill_and_check "$VICTIM"
}

@test "kill -9 of pgsink when half of its ack is written: half an ack commits nothing; then each once" {
    run_until pgsink ack-half
    (($(rows) > 0))
    wait_until '[[ $(dead_letters | head -n 1) == 0 ]]'
    kill_and_check "$VICTIM"
    grep -q "dlq ended with status 65" run.log || grep -q "is no JSON" run.log
}

@test "kill -9 of pgsink when its ack is written: what it acknowledged may be committed, and no more" {
    run_until pgsink ack-written
    wait_until '(($(committed) > 0))'
    nothing_unsafe stopped
    kill_and_check "$VICTIM"
}

# ---- dlq

@test "kill -9 of dlq when a message is sent and not confirmed: no commit; it comes twice, not never" {
    run_until dlq publish-sent
    wait_until '[[ -n $(dead_letters) ]]' # the broker has it: which one, that depends on the partitions of their keys
    wait_until '(($(rows) > 0))'
    assert_equal "$(committed)" 0
    kill_and_check "$VICTIM"
    [[ -n $(dead_letters | uniq -d) ]]
}

@test "kill -9 of dlq when the broker has confirmed, before the ack goes on: no commit; then each once" {
    run_until dlq ack-unwritten
    assert_equal "$(dead_letters | head -n 1)" 0
    assert_equal "$(committed)" 0
    kill_and_check "$VICTIM"
}

@test "kill -9 of dlq when half of an ack is on the fifo: it commits nothing; then each once" {
    run_until dlq ack-half
    assert_equal "$(dead_letters | head -n 1)" 0
    assert_equal "$(committed)" 0
    kill_and_check "$VICTIM"
}

# ---- kcat-actions

@test "kill -9 of kcat-actions when it has read an ack, before its offset is marked: no commit; then each once" {
    run_until kcat-actions offset-unstored
    (($(rows) > 0))
    assert_equal "$(committed)" 0
    kill_and_check "$VICTIM"
}

@test "kill -9 of kcat-actions just before it commits: no commit; then each once" {
    run_until kcat-actions commit-unsent
    (($(rows) > 0))
    assert_equal "$(committed)" 0
    kill_and_check "$VICTIM"
}

@test "kill -9 of kcat-actions just after it has committed: what is committed is safe; then each once" {
    run_until kcat-actions commit-sent
    wait_until '(($(committed) > 0))'
    nothing_unsafe stopped
    kill_and_check "$VICTIM"
}

# ---- batch

@test "kill -9 of batch with half a paragraph written: half a line is no event; then each once" {
    run_until batch paragraph-half
    assert_equal "$(rows) $(committed)" "0 0"
    kill_and_check "$VICTIM"
}

# ---- two at once

@test "kill -9 of two tools at once, one of them at a point that chance chooses" {
    local -a points=(pgsink:copy-sent pgsink:commit-answered pgsink:ack-unwritten pgsink:ack-half dlq:publish-sent
        dlq:ack-unwritten kcat-actions:offset-unstored kcat-actions:commit-unsent batch:paragraph-half)
    local -a others=()
    local point tool seed=${KILL_SEED:-$SRANDOM}
    point=${points[seed % ${#points[@]}]}
    for tool in kcat-actions batch pgsink dlq; do
        [[ $tool == "${point%:*}" ]] || others+=("$tool")
    done
    tool=${others[seed / ${#points[@]} % 3]}
    printf 'KILL_SEED=%s: %s, and %s\n' "$seed" "$point" "$tool" # shown where it fails
    run_until "${point%:*}" "${point#*:}"
    kill_and_check "$VICTIM" "$(tool_pid "$tool")"
}
