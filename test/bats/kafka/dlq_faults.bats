#!/usr/bin/env bats
# dlq_faults.bats - a dead letter queue that refuses: no topic, too few replicas, a dead broker, messages too
# large, a full disk. No ack passes before the reject is safe, the reason is told, and dlq goes on as soon as
# it can. The brokers that are broken here are the file's own; the whole pipelines run on the shared one.
# shellcheck disable=SC2016,SC2154 # conditions are evaluated by wait_until; $status is set by run
bats_require_minimum_version 1.5.0
load ../../support/helpers
load ../../support/pipeline

# One broker; the test that needs a second one, so that it can be missing, starts it.
setup_file() {
    OWN=$(mktemp -d "${TMPDIR:-/tmp}/dlq-faults.XXXXXX")
    export OWN
    "$ROOT/test/kafka/start" -c auto.create.topics.enable=false "$OWN/first"
    OWN_BROKERS=$(sed -n 's/^export KAFKA_BROKERS=//p' "$OWN/first/env")
    export OWN_BROKERS
}

teardown_file() {
    [[ ! -d $OWN/second ]] || "$ROOT/test/kafka/start" --destroy "$OWN/second"
    "$ROOT/test/kafka/start" --destroy "$OWN/first"
    rm -rf "$OWN"
}

setup() {
    helpers_setup
    FULL_DISK=''
}
teardown() {
    exec 9>&-
    helpers_teardown
    # The next test finds the first broker alone.
    [[ ! -e $OWN/second/pid ]] || "$ROOT/test/kafka/start" --stop "$OWN/second"
    kill -0 "$(<"$OWN/first/pid")" 2>/dev/null || "$ROOT/test/kafka/start" "$OWN/first"
    [[ -z $FULL_DISK ]] || umount "$FULL_DISK"
}

# ---- Kafka

kafka_tool() { # CLASS ARG...
    java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -cp "${KAFKA_JARS:-$ROOT/build/kafka/lib}/*" \
        "$1" --bootstrap-server "$OWN_BROKERS" "${@:2}"
}

create_topic() { # TOPIC [OPTION...]
    kafka_tool org.apache.kafka.tools.TopicCommand --create --topic "$1" --partitions 1 "${@:2}"
}

# A broker of the first one's cluster; the listener of the controller is elsewhere.
start_second_broker() {
    "$ROOT/test/kafka/start" -c node.id=2 -c process.roles=broker -c controller.listener.names=REMOTE \
        -c listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,REMOTE:PLAINTEXT \
        -c "$(grep '^controller.quorum.voters=' "$OWN/first/server.properties")" "$OWN/second"
}

own_letters() { # TOPIC: the offsets of what the dead letters are about
    consume "$1" -b "$OWN_BROKERS" -f '%s\n' | jq .source.offset
}

# ---- lines

reject() { # OFFSET [TEXT]
    printf '{"topic":"events","partition":0,"offset":%d,"key":null,"payload":{"correlation_id":"id-%d","text":"%s"},"error":{"tool":"pgsink","class":"data","message":"bad"}}\n' \
        "$1" "$1" "${2-}"
}

ack() { # NEXT
    printf '{"ack":[{"topic":"events","partition":0,"next":%d}]}\n' "$1"
}

# Starts dlq with its stdin held open: lines go in by `>&9`.
start_dlq() { # OPTION...
    mkfifo dlq.in
    exec 9<>dlq.in
    background dlq dlq "$@" 9>&-
}

# Both end well, and what was held back has come.
has_gone_on() { # ACK
    wait_until "[[ \$(tail -n 1 dlq.out) == '$1' ]]" 40
    stop dlq
    assert_status 0
}

# ---- the broker refuses

@test "dlq: a topic that is not there and may not be made: said, no ack; it goes on when the topic is made" {
    start_dlq -b "$OWN_BROKERS" -t late
    { ack 1; reject 1; ack 2; } >&9
    wait_until 'grep -q "could not publish to topic late: .*Unknown topic or partition; trying again (does the topic exist?" dlq.log' 15
    assert_equal "$(<dlq.out)" "$(ack 1)"
    create_topic late
    has_gone_on "$(ack 2)"
    assert_equal "$(own_letters late)" 1
}

@test "dlq: too few replicas in sync: the reason is said, no ack; all goes on when they are back" {
    start_second_broker
    create_topic replicated --replication-factor 2 --config min.insync.replicas=2
    "$ROOT/test/kafka/start" --stop "$OWN/second"
    start_dlq -b "$OWN_BROKERS" -t replicated
    ack 1 >&9
    for i in {1..2000}; do reject "$i"; done >&9
    ack 2001 >&9
    wait_until 'grep -q "could not publish to topic replicated: Broker: Not enough in-sync replicas; trying again" dlq.log'
    assert_equal "$(<dlq.out)" "$(ack 1)"
    "$ROOT/test/kafka/start" "$OWN/second"
    has_gone_on "$(ack 2001)"
    assert_equal "$(own_letters replicated | sort -nu | wc -l)" 2000
}

@test "dlq: the broker is killed while rejects wait: no ack; all is published when it is back" {
    create_topic down
    start_dlq -v -b "$OWN_BROKERS" -t down
    { reject 1; ack 2; } >&9
    wait_until '[[ $(<dlq.out) == "$(ack 2)" ]]'
    kill -KILL "$(<"$OWN/first/pid")"
    wait_until '! kcat -L -b "$OWN_BROKERS" -m 1'
    for i in {2..1001}; do reject "$i"; done >&9
    ack 1002 >&9
    wait_until 'grep -q "Connection refused" dlq.log'
    assert_equal "$(<dlq.out)" "$(ack 2)"
    "$ROOT/test/kafka/start" "$OWN/first"
    has_gone_on "$(ack 1002)"
    assert_equal "$(own_letters down | sort -nu | wc -l)" 1001
}

@test "dlq: what a topic takes in no form waits, and is said; it goes when the limit is raised" {
    create_topic narrow --config max.message.bytes=100
    start_dlq -b "$OWN_BROKERS" -t narrow
    { ack 1; reject 1 "$(head -c 40000 /dev/zero | tr '\0' x)"; ack 2; } >&9
    wait_until 'grep -q "id-1 is too large for topic narrow: sending it with its first 256 bytes only" dlq.log'
    wait_until 'grep -q "could not publish to topic narrow: Broker: Message size too large; trying again" dlq.log'
    assert_equal "$(<dlq.out)" "$(ack 1)"
    kafka_tool kafka.admin.ConfigCommand --alter --entity-type topics --entity-name narrow --add-config max.message.bytes=3000
    has_gone_on "$(ack 2)"
    assert_equal "$(consume narrow -b "$OWN_BROKERS" -f '%s\n' | jq -c '[.source.offset, .original_event_size, (.original_event | length)]')" \
        '[1,40035,256]'
}

# ---- whole pipelines

@test "poison records of 1 MB whose dead letter the broker refuses come raw or cut; neighbours and offsets go on" {
    pipeline_setup
    head -c 1000000 /dev/zero | tr '\0' '\377' >binary # base64 in the JSON format: beyond the limit
    { printf '{"correlation_id":"long","text":"' && head -c 1048300 /dev/zero | tr '\0' x && printf '"}'; } >text
    serial_events 1 1 | produce "$TOPIC" -p 0
    produce "$TOPIC" -p 0 -k the-key -H h=v -X message.max.bytes=2000000 binary
    produce "$TOPIC" -p 0 -X message.max.bytes=2000000 text # with headers that say what it is, it is beyond it too
    { echo '{"correlation_id":"small"}' && serial_events 2 2; } | produce "$TOPIC" -p 0
    start_pipeline
    all_is_safe 5
    assert_equal "$(rows_and_serials)" "2 2"
    assert_equal "$(consume "$TOPIC-dlq" -f '%h\n' | sed -E 's/.*dlq.format=([a-z]+).*dlq.source.offset=([0-9]+).*/\2 \1/' | sort | xargs)" \
        "1 raw 2 cut 3 json"
    consume "$TOPIC-dlq" -f '%k:%s\n' | grep -a '^the-key:' | cmp - <(printf 'the-key:' && cat binary && echo)
    assert_equal "$(consume "$TOPIC-dlq" -f '%s\n' | grep -a original_event_size | jq -c '[.source.offset, .original_event_size, (.original_event | startswith("{\"correlation_id\":\"long\""))]')" \
        "[2,$(stat -c %s text),true]"
    stop run
    assert_equal "$status" 0
}

@test "5,000 poison events of 5,000: each is a dead letter, all offsets are committed, memory is bounded" {
    pipeline_setup
    # Every other is found by pgsink itself; the rest is what the table refuses.
    serial_events 1 5000 | sed 's/"tool_call"/"dance"/;n;s/\("duration_ms":\)[0-9]*/\1"long"/' | produce "$TOPIC"
    start_pipeline
    all_is_safe 5000 60
    committed_to_the_end
    assert_equal "$(count_rows)" 0
    assert_equal "$(consume "$TOPIC-dlq" -f '%s\n' | jq .original_event.action_details.serial | sort -nu | wc -l)" 5000
    assert_equal "$(metrics '[.messages_consumed, .messages_failed]')" '[5000,5000]'
    local tool
    for tool in pgsink dlq; do
        [[ $BUILD == */san ]] || (($(awk '/^VmHWM/ { print $2 }' "/proc/$(tool_pid "$tool")/status") < 49152))
    done
    stop run
    assert_equal "$status" 0
}

# ---- the file of -o

@test "dlq -o: on a full disk no ack passes, the reason is said; when there is space all is in the file" {
    FULL_DISK=$PWD/disk
    mkdir "$FULL_DISK"
    mount -t tmpfs -o size=64k tmpfs "$FULL_DISK" || { FULL_DISK='' && false; }
    start_dlq -o "$FULL_DISK/rejects.ndjson"
    { reject 1; ack 2; } >&9
    wait_until '[[ $(<dlq.out) == "$(ack 2)" ]]'
    head -c 60000 /dev/zero >"$FULL_DISK/ballast" || true
    local long
    long=$(head -c 20000 /dev/zero | tr '\0' x)
    { reject 2 "$long"; ack 3; reject 3; ack 4; } >&9
    wait_until 'grep -q "could not write to .*/rejects.ndjson: No space left on device; trying again" dlq.log'
    assert_equal "$(<dlq.out)" "$(ack 2)"
    cmp "$FULL_DISK/rejects.ndjson" <(reject 1)
    rm "$FULL_DISK/ballast"
    has_gone_on "$(ack 4)"
    cmp "$FULL_DISK/rejects.ndjson" <(reject 1; reject 2 "$long"; reject 3)
    assert_equal "$(<dlq.out)" "$(ack 2; ack 3; ack 4)"
}

@test "dlq -o: no ack passes between the write and fsync" {
    mkfifo dlq.in
    exec 9<>dlq.in
    background dlq env LD_PRELOAD="$BUILD/lib/halt.so" HALT_AT=file-unsynced HALT_MARK="$PWD/reached" \
        ASAN_OPTIONS=verify_asan_link_order=0 dlq -o rejects.ndjson 9>&-
    # (as it opens a new file it syncs the directory)
    wait_until '[[ -e reached ]]'
    rm reached
    { reject 1; ack 2; } >&9
    signal dlq CONT
    wait_until '[[ -e reached ]] && grep -q "^State:[[:space:]]*T" /proc/$(pid_of dlq)/status'
    assert_equal "$(<rejects.ndjson)" "$(reject 1)"
    assert_equal "$(<dlq.out)" ""
    signal dlq CONT
    has_gone_on "$(ack 2)"
}
