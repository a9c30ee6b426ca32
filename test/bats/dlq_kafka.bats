#!/usr/bin/env bats
# dlq_kafka.bats - what dlq publishes, and when it believes the broker. KAFKA_BROKERS names the broker; where
# one must stop answering, the test has its own.
# shellcheck disable=SC2016,SC2154 # conditions for wait_until; $stderr is set by run
bats_require_minimum_version 1.5.0
load ../support/helpers

setup() {
    helpers_setup
    SOURCE=$(unique events)
    export SOURCE
}
teardown() {
    exec 9>&-
    helpers_teardown
}

# ---- lines

# The reject of a record: its members behind the offset, then the error's class.
reject() { # OFFSET MEMBERS [CLASS]
    printf '{"topic":"%s","partition":0,"offset":%d,%s,"error":{"tool":"pgsink","class":"%s","message":"bad \\"value\\"","at":"2026-11-23T18:00:00.123Z"}}\n' \
        "$SOURCE" "$1" "$2" "${3:-data}"
}

plain_reject() { # OFFSET
    reject "$1" '"key":"k","payload":{"correlation_id":"id-'"$1"'"}'
}

ack() { # NEXT
    printf '{"ack":[{"topic":"%s","partition":0,"next":%d}]}\n' "$SOURCE" "$1"
}

# An envelope of a dead letter queue: the rest of its members.
envelope() { # PARTITION OFFSET MEMBERS
    printf '{"topic":"%s-dlq","partition":%d,"offset":%d,%s}\n' "$SOURCE" "$1" "$2" "$3"
}

json_letter() { # EVENT
    printf '"key":"k","payload":{"original_event":%s,"error":"bad","failed_at":"2026-11-23T18:00:00.123Z","source":{"topic":"%s","partition":0,"offset":1}}' \
        "$1" "$SOURCE"
}

# A broker of the test's own, which can be stopped: sets KAFKA_BROKERS.
own_broker() {
    background broker dev-broker
    wait_until '[[ -s broker.out ]]'
    KAFKA_BROKERS=$(<broker.out)
    export KAFKA_BROKERS
}

# Stops the broker; each of its threads takes a moment.
freeze_broker() {
    signal broker STOP
    wait_until "! grep -L '^State:[[:space:]]*T' /proc/$(pid_of broker)/task/*/status | grep -q ."
}

start_dlq() { # OPTION...
    mkfifo dlq.in
    exec 9<>dlq.in
    background dlq dlq "$@"
}

# ---- the message

@test "dlq: a reject becomes a message in the format that users know, key and headers kept" {
    { reject 41 '"tstype":"create","ts":1761000000000,"headers":["h","v","h","w"],"key":"the key","payload":{"n":1.0e400,"correlation_id":"c"}'; ack 42; } |
        dlq -g the-group >acks 2>errors
    assert_equal "$(<acks)" "$(ack 42)"
    assert_equal "$(consume "$SOURCE-dlq" -f '%s')" \
        '{"original_event":{"n":1.0e400,"correlation_id":"c"},"error":"bad \"value\"","failed_at":"2026-11-23T18:00:00.123Z","consumer_group":"the-group","source":{"topic":"'"$SOURCE"'","partition":0,"offset":41,"timestamp":1761000000000},"details":{"tool":"pgsink","class":"data","message":"bad \"value\"","at":"2026-11-23T18:00:00.123Z"}}'
    assert_equal "$(consume "$SOURCE-dlq" -f '%k')" "the key"
    assert_equal "$(consume "$SOURCE-dlq" -f '%h' | tr , '\n' | grep -v '^dlq.error.details\|^"')" \
        "$(printf '%s\n' h=v h=w dlq.format=json 'dlq.error.message=bad "value"' dlq.error.class=data \
            dlq.failed_at=2026-11-23T18:00:00.123Z dlq.consumer_group=the-group "dlq.source.topic=$SOURCE" \
            dlq.source.partition=0 dlq.source.offset=41 dlq.source.timestamp=1761000000000)"
    assert_contains "$(<errors)" "WARNING - Event sent to DLQ: c"
}

@test "dlq: a payload that is no JSON is marked as text or base64, a tombstone is null" {
    {
        reject 1 '"key":null,"payload":"not \"JSON\""' decode
        reject 2 '"key":null,"payload":"/wA=","payload_encoding":"base64"' decode
        reject 3 '"key":null,"payload":null' decode
        reject 4 '"key":null,"payload":"a JSON string"' data
    } | dlq -q
    assert_equal "$(consume "$SOURCE-dlq" | jq -c '[.source.offset, .original_event, .original_event_encoding]' | sort)" \
        "$(printf '%s\n' '[1,"not \"JSON\"","text"]' '[2,"/wA=","base64"]' '[3,null,null]' '[4,"a JSON string",null]')"
}

@test "dlq --format raw: the value is the original, byte for byte" {
    {
        reject 1 '"key":"a","payload":"/wAK","payload_encoding":"base64"' decode
        reject 2 '"key":"b","payload":null' decode
        reject 3 '"key":"","payload":""' decode
        reject 4 '"key":"/wA=","key_encoding":"base64","payload": { "x" : 1 } ' data
    } | dlq -q --format raw -t "$SOURCE-raw"
    assert_equal "$(consume "$SOURCE-raw" -f '%K %S\n' | sort)" "$(printf '%s\n' '0 0' '1 -1' '1 3' '2 13')"
    consume "$SOURCE-raw" -f '%k:%s\n' | grep -a '^a:' | cmp - <(printf 'a:\377\000\n\n' | head -n 1)
    consume "$SOURCE-raw" -f '%s\n' | grep -axF ' { "x" : 1 } '
    assert_equal "$(consume "$SOURCE-raw" -f '%h\n' | grep -c 'dlq.format=raw')" 4
}

@test "dlq: a reject of a bare event goes to \$KAFKA_TOPIC-dlq, and -t names another topic" {
    local line='{"payload":{"correlation_id":"c"},"error":{"class":"data","message":"m"}}'
    echo "$line" | KAFKA_TOPIC=$SOURCE dlq -q
    assert_equal "$(count_records "$SOURCE-dlq")" 1
    assert_equal "$(consume "$SOURCE-dlq" | jq -c '[.original_event.correlation_id, .source, .consumer_group]')" \
        '["c",null,"agent-actions-postgres"]'
    echo "$line" | dlq -q -t "$SOURCE-other"
    assert_equal "$(count_records "$SOURCE-other")" 1
}

@test "dlq: what is too large goes raw, then cut; its neighbours and the acks are not touched" {
    local raw cut
    raw=$(head -c 6000 /dev/zero | tr '\0' '\377' | base64 -w 0) # a third longer in the JSON format
    cut=$(head -c 50000 /dev/zero | tr '\0' c)
    {
        plain_reject 1
        reject 2 '"key":"k","payload":"'"$raw"'","payload_encoding":"base64"' decode
        reject 3 '"key":"k","payload":{"correlation_id":"C","x":"'"$cut"'"}'
        plain_reject 4
        ack 5
    } | dlq -X message.max.bytes=7200 >acks 2>errors
    assert_equal "$(<acks)" "$(ack 5)"
    assert_equal "$(consume "$SOURCE-dlq" -f '%h\n' | grep -o 'dlq.format=[a-z]*' | sort | uniq -c | xargs)" \
        "1 dlq.format=cut 2 dlq.format=json 1 dlq.format=raw"
    assert_equal "$(consume "$SOURCE-dlq" -f '%s\n' | grep -a '^{' | jq -c 'select(.original_event_size) | [.source.offset, .original_event_size, (.original_event | length), .original_event_encoding]')" \
        '[3,50029,256,"text"]'
    grep -q "k is too large for topic $SOURCE-dlq: sending it in the raw format" errors
    assert_equal "$(grep -c "Event sent to DLQ" errors)" 4
}

# ---- acks and the broker

@test "dlq: an ack waits until the broker has confirmed every reject before it" {
    own_broker
    start_dlq -t queue
    { plain_reject 1; ack 2; } >&9
    wait_until '[[ $(<dlq.out) == "$(ack 2)" ]]'
    freeze_broker
    { ack 3; plain_reject 3; ack 4; ack 5; plain_reject 5; ack 6; } >&9
    # The ack with no reject before it shows that all of this has been read.
    wait_until '[[ $(tail -n 1 dlq.out) == "$(ack 3)" ]]'
    wait_until 'grep -q "messages wait for the broker" dlq.log'
    assert_equal "$(tail -n 1 dlq.out)" "$(ack 3)"
    signal broker CONT
    wait_until '[[ $(tail -n 1 dlq.out) == "$(ack 6)" ]]' 60
    assert_equal "$(<dlq.out)" "$(for next in 2 3 4 5 6; do ack "$next"; done)"
    assert_equal "$(consume queue | jq -c .source.offset | sort -u | xargs)" "1 3 5"
    stop dlq
    assert_status 0
}

@test "dlq: SIGTERM with messages in flight waits for the broker" {
    own_broker
    start_dlq -v -t queue
    { plain_reject 1; ack 2; } >&9
    wait_until '[[ $(<dlq.out) == "$(ack 2)" ]]'
    freeze_broker
    { ack 3; plain_reject 3; ack 4; } >&9
    wait_until '[[ $(tail -n 1 dlq.out) == "$(ack 3)" ]]'
    signal dlq TERM
    wait_until 'grep -q "waiting for what is pending" dlq.log'
    is_running dlq
    signal broker CONT
    await dlq 60
    assert_status 0
    assert_equal "$(tail -n 1 dlq.out)" "$(ack 4)"
}

@test "dlq: beyond --max-pending it reads no further" {
    own_broker
    make_topic queue
    freeze_broker
    start_dlq --max-pending 10 -t queue
    { for i in {1..10}; do ack "$i"; plain_reject "$i"; done; ack 11; plain_reject 11; } >&9
    wait_until '[[ $(tail -n 1 dlq.out) == "$(ack 1)" ]]'
    # Ten are pending: these do not leave the pipe.
    local filler
    filler=$(head -c 1000 /dev/zero | tr '\0' ' ')
    background writer bash -c 'for i in {1..2000}; do printf "%s\n" "$1" || exit; done >dlq.in' - "$filler"
    wait_until 'grep -q "messages wait for the broker" dlq.log'
    is_running writer
    signal broker CONT
    await writer 60
    wait_until '[[ $(tail -n 1 dlq.out) == "$(ack 11)" ]]'
}

# ---- replay

@test "dlq --replay: original key, value and headers go back to their topic, each record is acknowledged" {
    {
        envelope 0 5 '"headers":["h","v","dlq.format","json","dlq.error.message","bad"],'"$(json_letter '{"a":1}')"
        envelope 1 8 '"headers":["h","w","dlq.format","raw","dlq.source.topic","'"$SOURCE"'"],"key":"k2","payload":"/wA=","payload_encoding":"base64","error":{"class":"decode"}'
        echo
        envelope 1 9 '"headers":["dlq.format","raw","dlq.source.topic","'"$SOURCE"'"],"key":"k3","payload":null,"error":{"class":"decode"}'
    } | dlq --replay >acks
    assert_equal "$(consume "$SOURCE" -f '%k %S %h\n' | sort)" "$(printf '%s\n' 'k 7 h=v' 'k2 2 h=w' 'k3 -1 ')"
    assert_equal "$(consume "$SOURCE" -f '%k %s\n' | grep -a '^k ')" 'k {"a":1}'
    # Acks may come one by one or together; the last of each partition counts.
    assert_equal "$(jq -rs '[.[].ack[]] | group_by(.partition)[] | last | [.topic, .partition, .next] | join(" ")' acks)" \
        "$(printf '%s\n' "$SOURCE-dlq 0 6" "$SOURCE-dlq 1 10")"
}

@test "dlq --replay: -t sends them elsewhere; letters of other publishers and without envelope are taken" {
    {
        envelope 0 5 "$(json_letter '{"a":1}')"
        echo '{"original_event": {"b": 2}, "error": "old", "failed_at": "2025-01-01T00:00:00"}'
    } | dlq --replay -t "$SOURCE-elsewhere" >acks
    assert_equal "$(consume "$SOURCE-elsewhere" -f '%s\n' | sort)" "$(printf '%s\n' '{"a":1}' '{"b": 2}')"
    assert_equal "$(<acks)" '{"ack":[{"topic":"'"$SOURCE"'-dlq","partition":0,"next":6}]}'
}

@test "dlq --replay: a record that is no dead letter ends it with 65, and is not acknowledged" {
    { envelope 0 5 "$(json_letter 1)"; envelope 0 6 '"key":null,"payload":{"foreign":1}'; envelope 0 7 "$(json_letter 2)"; } >lines
    run --separate-stderr dlq --replay <lines
    assert_status 65
    assert_equal "$output" '{"ack":[{"topic":"'"$SOURCE"'-dlq","partition":0,"next":6}]}'
    assert_equal "$(consume "$SOURCE" -f '%s\n')" 1
    assert_contains "$stderr" "could not replay $SOURCE-dlq/0/6: it is no dead letter"
}

@test "dlq: through the queue and back, a record is what it was" {
    make_topic "$SOURCE"
    printf 'k1|{"a": 1.50,\t"b":"\\u00e9"}\nk2|not JSON \377\001\nk3|"text"\nk4|null\nk5|\n' >records
    produce "$SOURCE" -p 0 -K '|' -H trace=1 -H trace=2 records
    consume "$SOURCE" -p 0 -f '%k|%S|%s|%h\n' >before
    kcat-actions -t "$SOURCE" -p 0 -o beginning -e |
        while IFS= read -r line; do
            [[ $line == *'"error":{'* ]] || line="${line%\}},\"error\":{\"tool\":\"test\",\"class\":\"data\",\"message\":\"m\"}}"
            printf '%s\n' "$line"
        done >rejects
    dlq -q <rejects
    dlq -q --format raw -t "$SOURCE-raw" <rejects
    local topic
    for topic in "$SOURCE-dlq" "$SOURCE-raw"; do
        kcat-actions -t "$topic" -o beginning -e | dlq --replay -t "$topic-back" >acks
        consume "$topic-back" -f '%k|%S|%s|%h\n' | sort | cmp - <(sort before)
    done
}

# ---- publish

@test "dlq --publish: events are published as they are, their correlation id the key" {
    printf '%s\n' '{"correlation_id":"a\u0062","n":1.50}' '' '{"n":2}' ' {"correlation_id":7} ' '{"correlation_id":null}' |
        dlq --publish -t "$SOURCE" -X compression.codec=gzip
    assert_equal "$(consume "$SOURCE" -f '%k|%K|%s\n' | sort)" \
        "$(printf '%s\n' '7|1|{"correlation_id":7}' 'ab|2|{"correlation_id":"a\u0062","n":1.50}' '|-1|{"correlation_id":null}' '|-1|{"n":2}' | sort)"
}

@test "dlq --publish: --key names another member; envelopes and rejects give their originals" {
    {
        echo '{"agent":"x","correlation_id":"c"}'
        echo '{"topic":"t","partition":0,"offset":1,"headers":["h","v"],"key":"own","payload":[1]}'
        reject 1 '"key":null,"payload":"raw bytes"' decode
    } | dlq --publish -t "$SOURCE" --key agent
    assert_equal "$(consume "$SOURCE" -f '%k|%s|%h\n' | sort)" \
        "$(printf '%s\n' 'own|[1]|h=v' 'x|{"agent":"x","correlation_id":"c"}|' '|raw bytes|' | sort)"
}

@test "dlq --publish: a line that is no JSON is told by its number and left out: 65" {
    printf '%s\n' '{"correlation_id":"a"}' '{"correlation_id":' '{"correlation_id":"b"}' "{\"x\":\"$(head -c 3000 /dev/zero | tr '\0' x)\"}" >lines
    run --separate-stderr dlq --publish -t "$SOURCE" -X message.max.bytes=2000 <lines
    assert_status 65
    assert_contains "$stderr" "line 2 is left out: "
    assert_contains "$stderr" "line 4 is left out: it is too large for topic $SOURCE"
    assert_equal "$(consume "$SOURCE" -f '%k\n' | sort | xargs)" "a b"
}

@test "dlq --publish: a hundred thousand events arrive, each once, those of a key in order" {
    make_topic "$SOURCE"
    seq 100000 | awk '{ printf "{\"correlation_id\":\"%d\",\"n\":%d}\n", $1 % 100, $1 }' >events
    dlq --publish -t "$SOURCE" <events
    consume "$SOURCE" -f '%s\n' | jq -r '"\(.correlation_id) \(.n)"' >got
    assert_equal "$(wc -l <got)" 100000
    sort -s -k 1,1 got | awk '$1 == key && $2 <= n { exit 1 } { key = $1; n = $2 }'
    assert_equal "$(sort -u got | wc -l)" 100000
}

@test "dlq --publish: a file written with -o is published again" {
    plain_reject 1 | dlq -q -o rejects.ndjson
    dlq --publish -t "$SOURCE" <rejects.ndjson
    assert_equal "$(consume "$SOURCE" -f '%k %s\n')" 'k {"correlation_id":"id-1"}'
}
