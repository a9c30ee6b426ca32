#!/usr/bin/env bats
# dlq.bats - what dlq does without a broker: its input, its acknowledgements, its file, its ends.
# shellcheck disable=SC2016,SC2154 # conditions for wait_until; $stderr is set by run
bats_require_minimum_version 1.5.0
load ../support/helpers

setup() { helpers_setup; }
teardown() {
    exec 9>&-
    helpers_teardown
}

# ---- lines

reject() { # OFFSET [CORRELATION_ID]
    printf '{"topic":"events","partition":0,"offset":%d,"key":null,"payload":{"correlation_id":"%s"},"error":{"tool":"pgsink","class":"data","message":"bad"}}\n' \
        "$1" "${2:-id-$1}"
}

ack() { # NEXT
    printf '{"ack":[{"topic":"events","partition":0,"next":%d}]}\n' "$1"
}

# Starts dlq with its stdin held open: lines go in by `>&9`.
start_dlq() { # OPTION...
    mkfifo dlq.in
    exec 9<>dlq.in
    background dlq dlq "$@"
}

# ---- the file of -o

@test "dlq -o: a reject is written to the file as it is, and the ack behind it is passed on" {
    { reject 41; ack 42; } >lines
    run --separate-stderr dlq -o rejects.ndjson <lines
    assert_status 0
    assert_equal "$output" "$(ack 42)"
    assert_equal "$(<rejects.ndjson)" "$(reject 41)"
    assert_contains "$stderr" "WARNING - Event sent to DLQ: id-41"
}

@test "dlq: acks keep their order and their bytes, blank lines are left out" {
    { ack 1; echo; reject 2; printf '%s\n' '{ "ack" : [ ] }'; echo '   '; reject 3; ack 4; } >lines
    run --separate-stderr dlq -q -o rejects.ndjson <lines
    assert_status 0
    assert_equal "$output" "$(ack 1; printf '%s\n' '{ "ack" : [ ] }'; ack 4)"
    assert_equal "$(<rejects.ndjson)" "$(reject 2; reject 3)"
}

@test "dlq: a reject with no correlation id is named by its place in Kafka, or by its line" {
    {
        printf '%s\n' '{"topic":"events","partition":3,"offset":7,"key":null,"payload":[],"error":{}}'
        printf '%s\n' '{"topic":"events","partition":3,"offset":8,"key":"the-key","payload":[],"error":{}}'
        printf '%s\n' '{"payload":{},"error":{}}'
    } >lines
    run --separate-stderr dlq -o rejects.ndjson <lines
    assert_status 0
    assert_contains "$stderr" "Event sent to DLQ: events/3/7"
    assert_contains "$stderr" "Event sent to DLQ: the-key"
    assert_contains "$stderr" "Event sent to DLQ: line 3"
}

@test "dlq -o: a full disk leaves no half line in the file, and is waited for; no ack before" {
    reject 40 >rejects.ndjson
    start_dlq --drain-timeout 60 -o rejects.ndjson
    prlimit --pid "$(pid_of dlq)" --fsize=1000:
    local long
    long=$(head -c 2000 /dev/zero | tr '\0' x)
    { reject 41 "$long"; ack 42; } >&9
    wait_until 'grep -q "could not write to rejects.ndjson: File too large" dlq.log'
    assert_equal "$(<rejects.ndjson)" "$(reject 40)"
    assert_equal "$(<dlq.out)" ""
    prlimit --pid "$(pid_of dlq)" --fsize=unlimited:
    wait_until '[[ -s dlq.out ]]'
    assert_equal "$(<dlq.out)" "$(ack 42)"
    assert_equal "$(<rejects.ndjson)" "$(reject 40; reject 41 "$long")"
    stop dlq
    assert_status 0
}

@test "dlq -o: a line that a crash has cut off does not swallow the next one" {
    printf '%s' '{"topic":"ev' >rejects.ndjson
    reject 1 | dlq -o rejects.ndjson 2>errors
    assert_equal "$(tail -n 1 rejects.ndjson)" "$(reject 1)"
    assert_equal "$(head -n 1 rejects.ndjson)" '{"topic":"ev'
    grep -q "rejects.ndjson ends within a line" errors
}

@test "dlq -o: several may append to one file" {
    for writer in 1 2 3; do
        for i in {1..2000}; do reject "$i" "writer-$writer"; done >"dlq$writer.in"
        background "dlq$writer" dlq -q -o rejects.ndjson
    done
    for writer in 1 2 3; do
        await "dlq$writer"
        assert_status 0
    done
    assert_equal "$(jq -r .payload.correlation_id rejects.ndjson | sort | uniq -c | awk '{ print $1 }' | xargs)" \
        "2000 2000 2000"
}

@test "dlq -o: a file that cannot be made ends it with 73" {
    run dlq -o no/such/directory/file </dev/null
    assert_status 73
    assert_contains "$output" "could not open no/such/directory/file: No such file or directory"
}

@test "dlq -o: of a line longer than --max-line the beginning is kept, with an error" {
    { reject 1 "$(head -c 5000 /dev/zero | tr '\0' x)"; ack 2; } >lines
    run --separate-stderr dlq -o rejects.ndjson --max-line 1000 <lines
    assert_status 0
    assert_equal "$output" "$(ack 2)"
    assert_equal "$(jq -c '[.topic, .partition, .offset, .error.class]' rejects.ndjson)" '["events",0,1,"decode"]'
    assert_contains "$stderr" "line 1 is longer than --max-line"
}

# ---- lines that do not belong there

@test "dlq: an event means a wrong pipeline: 65, and nothing behind it is acknowledged" {
    { reject 1; ack 2; echo '{"correlation_id":"x"}'; reject 3; ack 4; } >lines
    run --separate-stderr dlq -q -o rejects.ndjson <lines
    assert_status 65
    assert_equal "$output" "$(ack 2)"
    assert_equal "$(<rejects.ndjson)" "$(reject 1)"
    assert_contains "$stderr" "line 3 is an event"
}

@test "dlq: an envelope with no error, and a line that is no JSON, are refused as well" {
    { echo '{"topic":"events","partition":0,"offset":1,"key":null,"payload":{}}'; ack 2; } >lines
    run --separate-stderr dlq -o rejects.ndjson <lines
    assert_status 65
    assert_equal "$output" ""
    assert_contains "$stderr" "line 1 is an envelope with no error"
    { ack 1; echo '{"topic":'; ack 2; } >lines
    run --separate-stderr dlq -o rejects.ndjson <lines
    assert_status 65
    assert_equal "$output" "$(ack 1)"
    assert_contains "$stderr" "line 2 is no JSON"
}

@test "dlq: a last line that was cut off is not taken; one that just lacks its line feed is" {
    reject 1 | head -c 40 >lines
    run --separate-stderr dlq -o rejects.ndjson <lines
    assert_status 65
    assert_equal "$(<rejects.ndjson)" ""
    { reject 1; printf '%s' "$(ack 2)"; } >lines
    run --separate-stderr dlq -o rejects.ndjson <lines
    assert_status 0
    assert_equal "$output" "$(ack 2)"
}

# ---- ends

@test "dlq: SIGTERM and SIGINT end it when what it has read is acknowledged" {
    start_dlq -o rejects.ndjson
    { reject 1; ack 2; } >&9
    wait_until '[[ -s dlq.out ]]'
    stop dlq TERM
    assert_status 0
    background dlq dlq -o rejects.ndjson
    { reject 3; ack 4; } >&9
    wait_until '[[ -s dlq.out ]]'
    # A shell's background job ignores SIGINT until the program says otherwise, as dlq does.
    stop dlq INT
    assert_status 0
    assert_equal "$(<dlq.out)" "$(ack 4)"
}

@test "dlq: with no broker, SIGTERM ends it after --drain-timeout with 75 and no ack" {
    start_dlq -b 127.0.0.1:1 --drain-timeout 200ms
    { ack 1; reject 2; ack 3; } >&9
    wait_until '[[ -s dlq.out ]]'
    wait_until 'grep -q "no Kafka broker answers" dlq.log'
    stop dlq
    assert_status 75
    assert_equal "$(<dlq.out)" "$(ack 1)"
    grep -q '1 messages are not confirmed within --drain-timeout' dlq.log
}

@test "dlq: a second signal ends it at once" {
    start_dlq -b 127.0.0.1:1 -v --drain-timeout 1h
    reject 2 >&9
    wait_until 'grep -q "no Kafka broker answers" dlq.log'
    signal dlq TERM
    wait_until 'grep -q "waiting for what is pending" dlq.log'
    stop dlq TERM
    assert_status 143
}

# dlq with its stdin on fd 9 and its acks on fd 8; the first ack has come through.
start_with_a_reader() {
    mkfifo acks dlq.in
    exec 9<>dlq.in
    exec 8<>acks
    dlq -o rejects.ndjson <dlq.in >acks 2>dlq.log 8>&- 9>&- 3>&- &
    BACKGROUND+=("dlq $!")
    ack 1 >&9
    read -r line <&8
    assert_equal "$line" "$(ack 1)"
}

@test "dlq: when nobody reads the acks it ends with 74" {
    start_with_a_reader
    exec 8>&-
    ack 2 >&9
    await dlq
    assert_status 74
    grep -q "nobody reads the acknowledgements" dlq.log
}

@test "dlq: whoever reads the acks may leave when it has them all" {
    start_with_a_reader
    exec 8>&- 9>&-
    await dlq
    assert_status 0
}

@test "dlq: a broker's name that nobody knows ends it with 69 and one line" {
    mkfifo dlq.in
    exec 9<>dlq.in
    background dlq dlq -b no-such-host.invalid:9092
    await dlq
    assert_status 69
    assert_equal "$(wc -l <dlq.log)" 1
    grep -q "no broker can be found: no-such-host.invalid:9092" dlq.log
}

# ---- a fifo of -o

# The condition that it is about to open the fifo: it has a handler for SIGTERM.
catches_signals() {
    printf '%s' 'grep -q "^SigCgt:.*[4-7c-f]...\$" /proc/$(pid_of dlq)/status'
}

@test "dlq -o FIFO: nothing is acknowledged before there is a reader, and 74 when it has gone" {
    mkfifo rejects
    start_dlq -q -o rejects
    { reject 1; ack 2; } >&9
    wait_until "$(catches_signals)"
    assert_equal "$(<dlq.out)" ""
    exec 8<rejects
    read -r line <&8
    assert_equal "$line" "$(reject 1)"
    wait_until '[[ $(<dlq.out) == "$(ack 2)" ]]'
    exec 8<&-
    { reject 3; ack 4; } >&9
    await dlq
    assert_equal "$status" 74
    assert_equal "$(<dlq.out)" "$(ack 2)"
}

@test "dlq -o FIFO: a reader that waits already gets all" {
    mkfifo rejects
    background reader cat rejects
    { reject 1; ack 2; } >lines
    run dlq -q -o rejects <lines
    assert_status 0
    assert_equal "$output" "$(ack 2)"
    await reader
    assert_equal "$(<reader.out)" "$(reject 1)"
}

@test "dlq -o FIFO: SIGTERM ends the waiting for a reader" {
    mkfifo rejects
    start_dlq -o rejects
    { reject 1; ack 2; } >&9
    wait_until "$(catches_signals)"
    stop dlq
    assert_equal "$status" 75
    assert_equal "$(<dlq.out)" ""
}

# ---- options

@test "dlq: wrong usage ends with 64" {
    local options
    for options in "--replay --publish" "-o file --replay" "-o file -t topic" "--format xml" "--key a" "argument" \
        "--format raw --publish" "-X no-assignment" "-X no.such.property=1" "--max-pending 0" "-F no-such-file"; do
        # shellcheck disable=SC2086 # several words
        run dlq $options </dev/null
        [[ $status == 64 ]] || { echo "$options: $status" && return 1; }
    done
}

@test "dlq: --version and --help" {
    run dlq --version
    assert_status 0
    assert_contains "$output" "dlq (agent-actions) "
    run dlq --help
    assert_status 0
    assert_contains "$output" "dead letter queue"
}

@test "dlq(1): the example with -o runs as it is printed" {
    man -l "$ROOT/tools/dlq/dlq.1" | sed -n '/Keep what the database/,/jq -r/p' | tail -n +2 >example.sh
    run --separate-stderr bash -eu example.sh
    assert_status 0
    assert_equal "$output" "no id"
}
