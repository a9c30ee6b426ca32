#!/usr/bin/env bats
# kafka_faults.bats - what befalls Kafka, and what stands still: a broker killed or away, topics that change,
# records that left the log, a codec that nobody knows, tools stopped for longer than a session or killed in
# pairs. The broker is this file's own, since it is killed.
# shellcheck disable=SC2016,SC2030,SC2031,SC2094,SC2154 # conditions are evaluated by wait_until; $status is set by run
bats_require_minimum_version 1.5.0
load ../../support/helpers
load ../../support/pipeline
load ../../support/load

setup_file() {
    "$ROOT/test/kafka/start" "$BATS_FILE_TMPDIR/kafka" 3>&-
}
teardown_file() {
    "$ROOT/test/kafka/start" --destroy "$BATS_FILE_TMPDIR/kafka"
}
setup() {
    helpers_setup
    # shellcheck disable=SC1091 # written by start
    . "$BATS_FILE_TMPDIR/kafka/env"
    broker_runs || start_broker # a test that failed may have left it dead
    pipeline_setup
    # As short as the machine's load allows: much here waits for a session to be over.
    printf '%s\n' session.timeout.ms=3000 heartbeat.interval.ms=500 auto.commit.interval.ms=200 >kafka.conf
}
teardown() {
    exec 9>&-
    helpers_teardown
}

kill_broker() {
    kill -KILL "$(<"$BATS_FILE_TMPDIR/kafka/pid")"
    wait_until '! broker_runs'
}

broker_runs() {
    kill -0 "$(<"$BATS_FILE_TMPDIR/kafka/pid")" 2>/dev/null
}

start_broker() {
    "$ROOT/test/kafka/start" "$BATS_FILE_TMPDIR/kafka" 3>&-
}

kafka_tool() { # CLASS ARG...
    java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -cp "${KAFKA_JARS:-$ROOT/build/kafka/lib}/*" "org.apache.kafka.tools.$1" \
        --bootstrap-server "$KAFKA_BROKERS" "${@:2}"
}

counters() { # NAME: its sum over the pipelines
    metrics "[.pipelines[].counters.$1] | add"
}

sum_of_starts() { # TOOL
    metrics "[.pipelines[].tools[\"$1\"].starts] | add"
}

# The load has ended: all of it is a row once, and nothing else came of it.
all_is_well() { # [SECONDS]
    end_load
    all_is_safe "$published" "${1:-30}"
    commits_were_safe
    assert_equal "$(rows_and_serials)" "$published $published"
    assert_equal "$(count_records "$TOPIC-dlq")" 0
    wait_until sum_comes_out
}

# ---- the broker

@test "Kafka killed -9 and started again under load: nothing lost, nothing double, nothing in the DLQ" {
    start_load
    watch_commits
    start_pipeline --pipelines 2
    wait_for_more_rows 500
    kill_broker
    start_broker
    wait_for_more_rows 500
    all_is_well 60
    stop run
    assert_equal "$status" 0
}

@test "Kafka away for longer than the session, with rows and dead letters in flight: they wait, and it goes on by itself" {
    local stopped
    serial_events 1 300 | produce "$TOPIC" -p 0
    yes '{"agent_name":"nobody"}' | head -n 20 | produce "$TOPIC" -p 1
    mkfifo lock.in
    exec 9<>lock.in
    background lock psql -Xq
    echo 'BEGIN; LOCK TABLE agent_actions IN EXCLUSIVE MODE;' >&9
    wait_until '[[ $(sql "SELECT count(*) FROM pg_locks WHERE relation = '\''agent_actions'\''::regclass AND granted AND mode = '\''ExclusiveLock'\''") == 1 ]]'
    start_pipeline
    wait_until '[[ $(counters records_in_flight) == 320 ]]'
    kill_broker
    echo 'ROLLBACK;' >&9
    # The rows are stored all the same; the dead letters stay with dlq, and no offset is committed.
    wait_until '[[ $(count_rows) == 300 && $(counters rejects_pending) == 20 ]]'
    wait_until '[[ $(counters partitions_lost) == 4 && $(counters kafka_connected) == 0 ]]'
    # The session is over; once more as long, for retries of all kinds.
    stopped=$(now_ms)
    wait_until "((\$(now_ms) - $stopped > 4000))"
    assert_equal "$(counters rejects_pending)" 20
    start_broker
    serial_events 301 400 | produce "$TOPIC" -p 2
    all_is_safe 420 60
    assert_equal "$(rows_and_serials)" "400 400"
    assert_equal "$(consume "$TOPIC-dlq" -f '%s\n' | jq -r '"\(.source.partition) \(.source.offset)"' | sort -u |
        awk '{ print $1 }' | uniq -c | xargs)" "20 1"
    stop run
    assert_equal "$status" 0
}

# ---- topics

@test "a topic that grows: records of its new partitions are rows within seconds, from the first on" {
    local grown
    serial_events 1 40 | produce "$TOPIC" -p 0
    start_pipeline
    all_is_safe 40
    kafka_tool TopicCommand --alter --topic "$TOPIC" --partitions 6
    grown=$(now_ms)
    serial_events 41 50 | produce "$TOPIC" -p 4
    serial_events 51 60 | produce "$TOPIC" -p 5
    wait_until '[[ $(rows_and_serials) == "60 60" ]]'
    # topic.metadata.refresh.interval.ms, and a rebalance
    (($(now_ms) - grown < 10000))
    all_is_safe 60
    assert_equal "$(counters rows_duplicate)" 0
    assert_equal "$(counters partitions_assigned)" 6
}

@test "records that left the log before a pipeline read them: said as an error, counted, and the rest is stored" {
    serial_events 1 10 | produce "$TOPIC" -p 0
    start_pipeline
    all_is_safe 10
    stop run
    assert_equal "$status" 0
    serial_events 11 30 | produce "$TOPIC" -p 0
    printf '{"version":1,"partitions":[{"topic":"%s","partition":0,"offset":20}]}' "$TOPIC" >delete.json
    kafka_tool DeleteRecordsCommand --offset-json-file delete.json
    start_pipeline
    wait_until '[[ $(rows_and_serials) == "20 20" ]]'
    wait_until committed_to_the_end
    assert_contains "$(<run.log)" "records may be lost, they left the log before they were read"
    assert_equal "$(counters offset_resets)" 1
    assert_equal "$(count_records "$TOPIC-dlq")" 0
}

@test "a topic deleted and made again while a pipeline runs: it goes on with the new one's records" {
    serial_events 1 10 | produce "$TOPIC" -p 0
    start_pipeline
    all_is_safe 10
    kafka_tool TopicCommand --delete --topic "$TOPIC"
    wait_until "kcat -L -b '$KAFKA_BROKERS' -J | jq -e 'all(.topics[]; .topic != \"$TOPIC\")' || make_topic '$TOPIC'"
    make_topic "$TOPIC"
    serial_events 11 15 | produce "$TOPIC" -p 0
    wait_until '[[ $(rows_and_serials) == "15 15" ]]' 40
    wait_until committed_to_the_end
}

@test "a codec that is not known: what came before is stored, then it ends with 78 and says why" {
    serial_events 1 10 | produce "$TOPIC" -p 0
    serial_events 11 20 | produce "$TOPIC" -p 0 -z gzip
    background proxy codec-proxy "${KAFKA_BROKERS##*:}"
    wait_until '[[ -s proxy.out ]]'
    KAFKA_BROKERS=127.0.0.1:$(<proxy.out) background run "$AGENT_ACTIONS" run
    await run
    assert_equal "$status" 78
    assert_contains "$(<run.log)" "this librdkafka lacks a codec that the records need"
    assert_equal "$(rows_and_serials)" "10 10"
    assert_equal "$(committed_records "$GROUP" "$TOPIC")" 10
    assert_equal "$(count_records "$TOPIC-dlq")" 0
    start_pipeline # without the proxy
    all_is_safe 20
    assert_equal "$(rows_and_serials)" "20 20"
}

# ---- tools that stand still for longer than a session

@test "kcat-actions stopped until another pipeline has its partitions, and then going on: no row double, no unsafe commit" {
    local pid
    start_load
    watch_commits
    start_pipeline --pipelines 2
    wait_until '[[ $(metrics "[.pipelines[].counters.partitions_assigned]") == "[2,2]" ]]'
    wait_for_more_rows 500
    pid=$(tool_pid kcat-actions 0)
    kill -STOP "$pid"
    wait_until '[[ $(metrics ".pipelines[1].counters.partitions_assigned") == 4 ]]'
    wait_for_more_rows 500
    kill -CONT "$pid"
    wait_until '[[ $(metrics "[.pipelines[].counters.partitions_assigned]") == "[2,2]" ]]'
    wait_for_more_rows 500
    all_is_well
    ((($(counters partitions_lost)) > 0))
}

@test "batch, pgsink and dlq stopped for longer than the session: no partition is lost, and no record read twice" {
    local stopped
    local -a pids
    echo max.poll.interval.ms=5000 >>kafka.conf
    start_load
    watch_commits
    start_pipeline --pipelines 3
    wait_until '[[ $(metrics "[.pipelines[].counters.partitions_assigned] | sort") == "[1,1,2]" ]]'
    wait_for_more_rows 500
    pids=("$(tool_pid batch 0)" "$(tool_pid pgsink 1)" "$(tool_pid dlq 2)")
    kill -STOP "${pids[@]}"
    stopped=$(now_ms)
    wait_until "((\$(now_ms) - $stopped > 6000))"
    kill -CONT "${pids[@]}"
    all_is_well
    assert_equal "$(counters partitions_lost)" 0
    assert_equal "$(counters records_consumed)" "$published"
    assert_equal "$(counters rows_duplicate)" 0
    for tool in kcat-actions batch pgsink dlq; do
        assert_equal "$(sum_of_starts "$tool")" 3
    done
}

@test "two tools killed -9 at once, of one pipeline and of two: nothing lost, nothing double" {
    start_load
    watch_commits
    start_pipeline --pipelines 2
    wait_for_more_rows 500 # of the backlog: much is in flight
    kill -KILL "$(tool_pid kcat-actions 0)" "$(tool_pid pgsink 0)"
    wait_until '[[ $(metrics ".pipelines[0].tools.pgsink.starts") == 2 ]]'
    wait_for_more_rows 500
    kill -KILL "$(tool_pid dlq 0)" "$(tool_pid pgsink 1)"
    wait_until '[[ $(sum_of_starts pgsink) == 5 ]]'
    wait_for_more_rows 500
    all_is_well 60
}
