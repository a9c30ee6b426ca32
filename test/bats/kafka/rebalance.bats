#!/usr/bin/env bats
# rebalance.bats - pipelines that join and leave a consumer group under load, in order or not: partitions move,
# and no row is missing or double; where all is done in order, no record is even read twice.
# shellcheck disable=SC2016,SC2030,SC2031,SC2094,SC2154 # conditions are evaluated by wait_until; $status is set by run
bats_require_minimum_version 1.5.0
load ../../support/helpers
load ../../support/pipeline
load ../../support/load

setup() {
    helpers_setup
    pipeline_setup
}
teardown() {
    exec 9>&-
    helpers_teardown
}

# A member is an `agent-actions run` with a runtime directory of its own.
start_member() { # NAME
    mkdir "$1"
    XDG_RUNTIME_DIR=$PWD/$1 background "$1" "$AGENT_ACTIONS" run
    wait_until "compgen -G '$1/agent-actions.*/health_port'"
}

member() { # NAME JQ
    curl -sf "http://127.0.0.1:$(cat "$1"/agent-actions.*/health_port)/metrics" | jq "$2"
}

partitions_of() { # NAME
    member "$1" '.pipelines[0].counters.partitions_assigned'
}

share() { # NAME... : the partitions of each, smallest first
    local name
    for name; do partitions_of "$name"; done | sort -n | paste -sd ' '
}

# Batches wait half a second for more, so that some record is in flight at any moment.
members_change_in_order() { # STRATEGY
    export BATCH_SIZE=5000 BATCH_TIMEOUT_MS=500
    echo "partition.assignment.strategy=$1" >>kafka.conf
    start_load
    watch_commits
    start_member first
    wait_for_more_rows 100
    start_member second
    wait_until '[[ $(share first second) == "2 2" ]]'
    wait_for_more_rows 400
    start_member third
    wait_until '[[ $(share first second third) == "1 1 2" ]]'
    wait_for_more_rows 400
    stop second
    assert_equal "$status" 0
    wait_until '[[ $(share first third) == "2 2" ]]'
    wait_for_more_rows 400
    stop first
    assert_equal "$status" 0
    wait_until '[[ $(share third) == 4 ]]'
    wait_for_more_rows 400
    end_load
    all_is_safe "$published"
    commits_were_safe
    stop third
    assert_equal "$status" 0
    assert_equal "$(rows_and_serials)" "$published $published"
    # Each record was read once, by one of them.
    sed -n 's/.*agent-actions.*Final statistics: //p' first.log second.log third.log >figures
    assert_equal "$(awk -F '[, ]+' '{ read += $1; stored += $3; twice += $5; failed += $7 }
        END { print NR, read, stored, twice, failed }' figures)" "3 $published $published 0 0"
    assert_equal "$(count_records "$TOPIC-dlq")" 0
}

@test "cooperative-sticky: members that join and leave in order under load bring no duplicate, and no unsafe commit" {
    members_change_in_order cooperative-sticky
}

@test "range: members that join and leave in order under load bring no duplicate, and no unsafe commit" {
    members_change_in_order range
}

@test "a partition that is to be given up does not wait for its batch to be full" {
    export BATCH_SIZE=100000 BATCH_TIMEOUT_MS=3600000
    start_member first
    serial_events 1 40 | with_key | kcat -P -b "$KAFKA_BROKERS" -t "$TOPIC" -K "$(printf '\t')"
    wait_until '[[ $(member first ".pipelines[0].counters.records_in_flight") == 40 ]]'
    start_member second
    wait_until '[[ $(share first second) == "2 2" ]]'
    run ! grep "still in flight" first.log
    assert_equal "$(rows_and_serials)" "40 40"
    all_is_safe 40
    stop second
    stop first
}

# ---- tools alone: acks by hand, and no commit but the one that is asked for

start_reader() { # NAME OPTION...
    background "$1" kcat-actions -v -b "$KAFKA_BROKERS" -t "$TOPIC" -g "$GROUP" -X auto.commit.interval.ms=3600000 \
        -X session.timeout.ms=2000 -X heartbeat.interval.ms=300 --stats "$1.stats" "${@:2}" 9>&-
}

committed() { # of the four partitions
    group_offsets "$GROUP" "$TOPIC" | awk '{ print $2 }' | paste -sd ' '
}

ack_all() { # NEXT: in each partition
    local partition
    for partition in 0 1 2 3; do
        printf '{"ack":[{"topic":"%s","partition":%d,"next":%d}]}\n' "$TOPIC" "$partition" "$1" >&9
    done
}

# Ten records in each partition, which the first member has read and nobody has acknowledged.
start_first() { # OPTION...
    local partition
    for partition in 0 1 2 3; do seq 10 | produce "$TOPIC" -p "$partition"; done
    mkfifo -m 600 acks
    exec 9<>acks
    start_reader first --acks acks "$@"
    wait_until '(($(wc -l <first.out) == 40))'
}

@test "what a member gives up is committed before the next one has it, up to the last ack and no further" {
    start_first --drain-timeout 2s
    ack_all 7
    wait_until '[[ $(counter records_acked first.stats) == 28 ]]'
    assert_equal "$(committed)" "- - - -"
    start_reader second --commit-on-write
    # Three records of each stay in flight: the drain has its limit.
    wait_until 'grep -q "still in flight when their partitions were given up" first.log'
    wait_until '(($(wc -l <second.out) == 6))'
    assert_equal "$(jq -r .offset second.out | sort -u | paste -sd ' ')" "7 8 9"
    [[ $(committed) == *7*7* ]]
}

@test "a member that was stopped for longer than its session commits nothing over the one that took over" {
    start_first --drain-timeout 2s -X auto.commit.interval.ms=100
    signal first STOP
    start_reader second --commit-on-write -X auto.commit.interval.ms=100
    wait_until '[[ $(committed) == "10 10 10 10" ]]'
    # What it had in flight is acknowledged while it stands still, and it reads that as soon as it goes on.
    ack_all 5
    signal first CONT
    wait_until 'committed >>samples; [[ $(counter partitions_lost first.stats) == 4 ]]'
    # Partitions come back to it while five records of each are in flight: it ends, whatever is acknowledged then.
    wait_until 'committed >>samples; grep -q "still in flight: beginning anew" first.log'
    ack_all 7
    wait_until 'committed >>samples; ! is_running first'
    await first
    assert_equal "$status" 75
    assert_equal "$(sort -u samples)" "10 10 10 10"
    if grep -q "committed later" first.log; then return 1; fi
}
