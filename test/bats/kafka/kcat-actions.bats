#!/usr/bin/env bats
# kcat-actions.bats - what kcat-actions does that only a real Kafka can show: rebalances, topics that appear,
# offsets by time, compression. KAFKA_BROKERS names the broker.
# shellcheck disable=SC2016,SC2030,SC2031,SC2094,SC2154 # conditions are evaluated by wait_until; $status is set by run
bats_require_minimum_version 1.5.0
load ../../support/helpers

setup() {
    helpers_setup
    TOPIC=$(unique actions)
    GROUP=$(unique group)
    export TOPIC GROUP
}
teardown() {
    exec 9>&-
    helpers_teardown
}

# Lines of stdin to each of the four partitions.
produce_to_all() {
    local lines partition
    lines=$(cat)
    for partition in 0 1 2 3; do produce "$TOPIC" -p "$partition" <<<"$lines"; done
}

start_with_acks() { # OPTION...
    mkfifo -m 600 acks
    exec 9<>acks
    background kcat kcat-actions -b "$KAFKA_BROKERS" -t "$TOPIC" -g "$GROUP" --acks acks "$@" 9>&-
}

ack() { # NEXT [PARTITION]
    printf '{"ack":[{"topic":"%s","partition":%d,"next":%d}]}\n' "$TOPIC" "${2:-0}" "$1" >&9
}

lines_are() { # N: so many lines have come
    wait_until "((\$(wc -l <kcat.out) >= $1))"
}

# ---- groups

@test "two members share the partitions; when one leaves, the other goes on from its commits" {
    make_topic "$TOPIC"
    seq 10 | produce_to_all
    background first kcat-actions -b "$KAFKA_BROKERS" -t "$TOPIC" -g "$GROUP" --commit-on-write \
        -X auto.commit.interval.ms=100 -X heartbeat.interval.ms=300 --stats first.stats
    wait_until '(($(wc -l <first.out) == 40))'
    background second kcat-actions -b "$KAFKA_BROKERS" -t "$TOPIC" -g "$GROUP" --commit-on-write \
        -X auto.commit.interval.ms=100 -X heartbeat.interval.ms=300 --stats second.stats
    wait_until '[[ $(counter partitions_assigned first.stats) == 2 && $(counter partitions_assigned second.stats) == 2 ]]'
    seq 11 20 | produce_to_all
    wait_until '(($(cat first.out second.out | wc -l) >= 80))'
    stop first
    assert_equal "$status" 0
    seq 21 30 | produce_to_all
    wait_until '(($(cat first.out second.out | wc -l) >= 120))'
    stop second
    assert_equal "$(cat first.out second.out | jq -r '"\(.partition) \(.offset)"' | sort | uniq -d)" ""
    assert_equal "$(committed_records "$GROUP" "$TOPIC")" 120
}

@test "a rebalance waits until what is in flight is safe: nothing is read twice" {
    make_topic "$TOPIC"
    seq 10 | produce_to_all
    start_with_acks -v -X heartbeat.interval.ms=300
    lines_are 40
    background second kcat-actions -v -b "$KAFKA_BROKERS" -t "$TOPIC" -g "$GROUP" -X heartbeat.interval.ms=300 9>&-
    for partition in 0 1 2 3; do ack 5 "$partition"; done
    # The first is asked to give partitions up: from then on it takes no more records. It does not yet.
    wait_until 'echo 11 | produce_to_all; [[ $(tail -n 1 kcat.out) == "$(cat last 2>/dev/null)" ]] || { tail -n 1 kcat.out >last; false; }'
    assert_equal "$(wc -l <second.out)" 0
    if grep -q "given up" kcat.log; then return 1; fi
    wait_until 'jq -r "[.partition, .offset + 1] | @tsv" kcat.out | while read -r partition next; do ack "$next" "$partition"; done
        grep -q "assigned" second.log'
    assert_contains "$(<kcat.log)" "given up"
    # A blank line ended the batch that nothing was to follow.
    assert_equal "$(grep -c '^$' kcat.out)" 1
    wait_until '(($(cat kcat.out second.out | grep -c .) == $(count_records "$TOPIC")))'
    assert_equal "$(cat kcat.out second.out | jq -r '"\(.partition) \(.offset)"' | sort | uniq -d)" ""
}

# ---- topics that appear

@test "a topic that is not there yet is waited for, with a warning" {
    background kcat kcat-actions -b "$KAFKA_BROKERS" -t "$TOPIC" -g "$GROUP" -c 1 \
        -X topic.metadata.refresh.interval.ms=500
    wait_until 'grep -q "no such topic yet; waiting" kcat.log'
    make_topic "$TOPIC"
    echo '{"n":1}' | produce "$TOPIC"
    await kcat
    assert_equal "$status" 0
    assert_equal "$(jq -c .payload kcat.out)" '{"n":1}'
}

@test "without a group a topic that is not there yet is asked for a few times a second, not without pause" {
    local asked started
    background kcat kcat-actions -t "$TOPIC" -c 1 --bare --stats stats
    wait_until '(($(counter kafka_errors stats) >= 1))'
    asked=$(counter kafka_errors stats) started=$(now_ms)
    wait_until "((\$(counter kafka_errors stats) >= $asked + 10))"
    (($(now_ms) - started > 100 * ($(counter kafka_errors stats) - asked)))
    make_topic "$TOPIC"
    echo '"come"' | produce "$TOPIC"
    await kcat
    assert_equal "$status" 0
    assert_equal "$(<kcat.out)" '"come"'
}

@test "-t ^REGEX reads all topics of that name, those made later too" {
    local prefix
    prefix=$(unique family)
    make_topic "$prefix-a"
    echo '"a"' | produce "$prefix-a"
    background kcat kcat-actions -b "$KAFKA_BROKERS" -t "^$prefix-.*" -g "$GROUP" --bare -c 2 \
        -X topic.metadata.refresh.interval.ms=500
    wait_until '[[ $(<kcat.out) == "\"a\"" ]]'
    make_topic "$prefix-b"
    echo '"b"' | produce "$prefix-b"
    await kcat
    assert_equal "$status" 0
    assert_equal "$(<kcat.out)" $'"a"\n"b"'
}

# ---- the end

@test "a drain longer than max.poll.interval.ms keeps the membership, and ends with all committed" {
    local begun
    make_topic "$TOPIC"
    seq 30 | produce "$TOPIC" -p 0
    start_with_acks -e --stats stats -X session.timeout.ms=2000 -X heartbeat.interval.ms=300 -X max.poll.interval.ms=2500
    lines_are 30
    wait_until '[[ $(counter draining stats) == 1 ]]'
    begun=$(now_ms)
    wait_until "ack 10; ((\$(now_ms) - $begun > 5000))"
    assert_equal "$(counter partitions_lost stats)" 0
    ack 30
    await kcat
    assert_equal "$status" 0
    assert_equal "$(committed_records "$GROUP" "$TOPIC")" 30
}

@test "a partition that is lost while draining is not passed over in silence: 75" {
    make_topic "$TOPIC"
    seq 10 | produce "$TOPIC" -p 0
    start_with_acks -e --stats stats -X session.timeout.ms=2000 -X heartbeat.interval.ms=300
    lines_are 10
    wait_until '[[ $(counter draining stats) == 1 ]]'
    signal kcat STOP
    wait_until '[[ $(group-members "$KAFKA_BROKERS" "$GROUP") == Empty ]]'
    signal kcat CONT
    wait_until '[[ $(counter partitions_lost stats) == 4 ]]'
    ack 10
    await kcat
    assert_equal "$status" 75
}

@test "a partition that comes while draining is neither read nor committed" {
    local partition
    make_topic "$TOPIC"
    seq 10 | produce_to_all
    start_with_acks --stats stats
    wait_until '[[ $(counter records_in_flight stats) == 40 ]]'
    background other kcat-actions -b "$KAFKA_BROKERS" -t "$TOPIC" -g "$GROUP" 9>&-
    for partition in 0 1 2 3; do ack 10 "$partition"; done
    wait_until '[[ $(counter partitions_assigned stats) == 2 ]]'
    seq 11 20 | produce_to_all
    wait_until '[[ $(counter records_in_flight stats) == 20 ]]'
    signal kcat TERM
    wait_until '[[ $(counter draining stats) == 1 ]]'
    stop other
    wait_until '[[ $(counter partitions_assigned stats) == 4 ]]'
    for partition in 0 1 2 3; do ack 20 "$partition"; done
    await kcat
    assert_equal "$status" 0
    assert_equal "$(group_offsets "$GROUP" "$TOPIC" | awk '{ print $2 }' | sort | paste -sd ' ')" "10 10 20 20"
}

# ---- times

@test "-o s@ and e@ choose by the records' time; e@ ends by itself, -e or not" {
    make_topic "$TOPIC"
    echo '"early"' | produce "$TOPIC" -p 0
    local first between
    first=$(consume "$TOPIC" -f '%T')
    wait_until "((\$(date +%s%3N) > $first + 5))"
    between=$((first + 3))
    echo '"late"' | produce "$TOPIC" -p 0
    assert_equal "$(kcat-actions -t "$TOPIC" --bare -e -o "s@$between")" '"late"'
    assert_equal "$(kcat-actions -t "$TOPIC" --bare -o "e@$between")" '"early"'
    assert_equal "$(kcat-actions -t "$TOPIC" --bare -o "s@$first" -o "e@$between")" '"early"'
    assert_equal "$(kcat-actions -t "$TOPIC" --bare -e -o "s@$((first + 1000000000))")" ""
}

@test "each codec is read, and its records are whole" {
    make_topic "$TOPIC"
    local codec
    events 400 --seed 9 >events
    for codec in gzip lz4 snappy zstd; do
        produce "$TOPIC" -p 0 -z "$codec" <events
    done
    kcat-actions -t "$TOPIC" -e --bare >actual
    cmp actual <(cat events events events events)
}

@test "a position that is gone is reset, and told" {
    make_topic "$TOPIC"
    seq 5 | produce "$TOPIC" -p 0
    run --separate-stderr kcat-actions -t "$TOPIC" -p 0 -o 1000 -e --bare
    assert_status 0
    assert_equal "$output" "$(seq 5)"
    assert_contains "$stderr" "WARNING - the log does not have this offset"
    run --separate-stderr kcat-actions -t "$TOPIC" -p 0 -o 1000 -e -X auto.offset.reset=error
    assert_status 78
    assert_contains "$stderr" "auto.offset.reset=error asks to end here"
}

@test "-o -N of a topic whose beginning is gone is all there is, and no fault" {
    make_topic "$TOPIC"
    seq 5 | produce "$TOPIC" -p 0
    printf '{"version":1,"partitions":[{"topic":"%s","partition":0,"offset":3}]}' "$TOPIC" >delete.json
    java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "${KAFKA_JARS:-$ROOT/build/kafka/lib}/*" \
        org.apache.kafka.tools.DeleteRecordsCommand --bootstrap-server "$KAFKA_BROKERS" --offset-json-file delete.json
    run --separate-stderr kcat-actions -t "$TOPIC" -p 0 -o -1000 -e --bare
    assert_status 0
    assert_equal "$output" $'4\n5'
    assert_equal "$stderr" ""
}

# ---- backpressure

@test "a stopped reader holds back 60 MB in bounded memory, and the group keeps its member" {
    make_topic "$TOPIC"
    awk 'BEGIN { for (i = 0; i < 10000; i++) pad = pad "x"
                 for (i = 0; i < 6000; i++) printf "{\"n\":%d,\"pad\":\"%s\"}\n", i, pad }' | produce "$TOPIC"
    mkfifo kcat.out
    exec 9<>kcat.out
    background reader cat kcat.out 9>&-
    wait_until 'readlink /proc/$(pid_of reader)/fd/* | grep -q kcat.out'
    signal reader STOP
    background kcat kcat-actions -v -b "$KAFKA_BROKERS" -t "$TOPIC" -g "$GROUP" --commit-on-write --stats stats \
        -X max.poll.interval.ms=7000 -X session.timeout.ms=6000 -X heartbeat.interval.ms=500 \
        -X queued.max.messages.kbytes=8192 -X fetch.message.max.bytes=524288 9>&-
    exec 9>&-
    wait_until '[[ $(counter records_consumed stats) -gt 0 ]]'
    local stopped kilobytes
    stopped=$(now_ms)
    wait_until '[[ $(counter pauses stats) == 1 ]]'
    # Longer than max.poll.interval.ms: the group would have thrown out who does not poll.
    wait_until "((\$(now_ms) - $stopped > 9000))"
    assert_equal "$(counter partitions_lost stats)" 0
    # What comes while nothing is fetched is lag, too.
    printf '{"n":%d}\n' 6000 6001 6002 6003 | produce "$TOPIC"
    wait_until '[[ $(healthd --once --stats stats | jq "[.. | .high_watermark? // empty] | add") == 6004 ]]'
    kilobytes=$(awk '/^VmHWM/ { print $2 }' "/proc/$(pid_of kcat)/status")
    ((kilobytes < 49152)) || { printf '%s kB\n' "$kilobytes" >&2 && return 1; }
    signal reader CONT
    wait_until '(($(wc -l <reader.out) >= 6004))' 60
    stop kcat
    assert_equal "$status" 0
    await reader
    assert_equal "$(jq .payload.n reader.out | sort -n | uniq -u | wc -l)" 6004
    assert_equal "$(committed_records "$GROUP" "$TOPIC")" 6004
}

# ---- a log that is no longer what it was

kafka_tool() { # CLASS ARG...
    java -XX:TieredStopAtLevel=1 -cp "${KAFKA_JARS:-$ROOT/build/kafka/lib}/*" "$1" --bootstrap-server "$KAFKA_BROKERS" "${@:2}"
}

@test "records that left the log before they were read: said as an error, counted, and the rest is read" {
    make_topic "$TOPIC"
    seq 10 | produce "$TOPIC" -p 0
    background first kcat-actions -b "$KAFKA_BROKERS" -t "$TOPIC" -g "$GROUP" --commit-on-write -c 3
    await first
    assert_equal "$(group_offsets "$GROUP" "$TOPIC" | awk '$1 == 0 { print $2 }')" 3
    printf '{"version":1,"partitions":[{"topic":"%s","partition":0,"offset":6}]}' "$TOPIC" >delete.json
    kafka_tool org.apache.kafka.tools.DeleteRecordsCommand --offset-json-file delete.json
    background second kcat-actions -b "$KAFKA_BROKERS" -t "$TOPIC" -g "$GROUP" --commit-on-write -e --stats stats
    await second 60
    assert_equal "$status" 0
    assert_equal "$(jq -s 'map(.offset)' -c second.out)" '[6,7,8,9]'
    assert_contains "$(<second.log)" "records may be lost"
    assert_equal "$(counter offset_resets stats)" 1
}

@test "a topic made anew while its records are in flight ends it with 75; old acks commit nothing of the new one" {
    make_topic "$TOPIC"
    seq 10 | produce "$TOPIC" -p 0
    start_with_acks -X topic.metadata.refresh.interval.ms=500 --drain-timeout 2s
    lines_are 10
    ack 3
    wait_until '[[ $(group_offsets "$GROUP" "$TOPIC" | awk "\$1 == 0 { print \$2 }") == 3 ]]'
    kafka_tool org.apache.kafka.tools.TopicCommand --delete --topic "$TOPIC"
    wait_until 'kafka_tool org.apache.kafka.tools.TopicCommand --create --topic "$TOPIC" --partitions 4' 30
    seq 5 | produce "$TOPIC" -p 0
    await kcat 60
    assert_equal "$status" 75
    assert_contains "$(<kcat.log)" "records are still in flight: beginning anew"
    assert_equal "$(wc -l <kcat.out)" 10
    # Kafka forgets a deleted topic's offsets in its own time: 3 may still stand there, but no more than that.
    [[ $(group_offsets "$GROUP" "$TOPIC" | awk '$1 == 0 { print $2 }') =~ ^(-|3)$ ]]
}
