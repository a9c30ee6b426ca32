#!/usr/bin/env bats
# kcat-actions.bats - what kcat-actions prints, where it begins and ends, and what it commits. KAFKA_BROKERS
# names the broker, an embedded or a real one.
# shellcheck disable=SC2016,SC2030,SC2031,SC2094,SC2154 # conditions are evaluated by wait_until; $status is set by run
bats_require_minimum_version 1.5.0
load ../support/helpers

setup() {
    helpers_setup
    TOPIC=$(unique actions)
    GROUP=$(unique group)
    export TOPIC GROUP
    make_topic "$TOPIC"
}
teardown() {
    exec 9>&-
    helpers_teardown
}

# ---- reading and publishing

# All of the topic, or what the options say.
read_topic() { # OPTION...
    kcat-actions ${KAFKA_CONFIG_FILE:+-F "$KAFKA_CONFIG_FILE"} -b "$KAFKA_BROKERS" -t "$TOPIC" -e "$@"
}

# The files' contents, a record each, to partition 0; further options of kcat before them.
produce_files() { # [OPTION...] FILE...
    kcat -P -b "$KAFKA_BROKERS" -t "$TOPIC" -p 0 "$@"
}

# N small events {"n":FIRST}, {"n":FIRST + 1} … to partition 0.
produce_numbers() { # N [FIRST]
    seq "${2:-0}" $((${2:-0} + $1 - 1)) | sed 's/.*/{"n":&}/' | produce "$TOPIC" -p 0
}

# The offsets of the envelopes in a file, in order, apart by commas.
offsets_of() { # FILE
    jq .offset "$1" | paste -sd,
}

# ---- a consumer with a fifo of acks. Descriptor 9 is the end that acks are written to.

start_with_acks() { # OPTION...
    mkfifo -m 600 acks
    exec 9<>acks
    background kcat kcat-actions -b "$KAFKA_BROKERS" -t "$TOPIC" -g "$GROUP" --acks acks "$@" 9>&-
}

# A reader that can be stopped: `reader` copies what goes into kcat.out to reader.out. Descriptor 9 keeps the
# fifo open until there is a writer.
start_reader() {
    mkfifo kcat.out
    exec 9<>kcat.out
    background reader cat kcat.out 9>&-
    wait_until 'readlink /proc/$(pid_of reader)/fd/* | grep -q kcat.out'
}

ack() { # NEXT [PARTITION]
    printf '{"ack":[{"topic":"%s","partition":%d,"next":%d}]}\n' "$TOPIC" "${2:-0}" "$1" >&9
}

lines_are() { # N: so many lines have come
    wait_until "((\$(wc -l <kcat.out) >= $1))"
}

# What the group has committed of a partition; "-" if nothing.
committed() { # [PARTITION]
    group_offsets "$GROUP" "$TOPIC" | awk -v partition="${1:-0}" '$1 == partition { print $2 }'
}

committed_is() { # OFFSET [PARTITION]
    wait_until "[[ \$(committed ${2:-0}) == $1 ]]"
}

# ---- the envelope

@test "a record is one line: kcat's members in kcat's order, the payload as it is" {
    echo '{"z":1.50,"a":{"x":[1E400,12345678901234567890]},"t":"é\u00e9\/"}' |
        produce "$TOPIC" -p 2 -k 'the "key"' -H one=1 -H 'two=a "b"'
    local ts
    ts=$(consume "$TOPIC" -f '%T')
    run --separate-stderr read_topic
    assert_status 0
    # shellcheck disable=SC2154 # set by run
    assert_equal "$stderr" ""
    assert_equal "$output" '{"topic":"'"$TOPIC"'","partition":2,"offset":0,"tstype":"create","ts":'"$ts"',"broker":1,"headers":["one","1","two","a \"b\""],"key":"the \"key\"","payload":{"z":1.50,"a":{"x":[1E400,12345678901234567890]},"t":"é\u00e9\/"}}'
}

@test "the envelope says what kcat -J says, payload apart" {
    echo '{"n":1}' | produce "$TOPIC" -p 1 -k key -H name=value
    echo '{"n":2}' | produce "$TOPIC" -p 1
    consume "$TOPIC" -J | jq -c 'del(.payload)' >expected
    read_topic | jq -c 'del(.payload)' >actual
    # kcat has an empty list where there are no headers; here the member is left out.
    diff <(jq -c 'del(.headers | select(. == []))' expected) actual
    assert_equal "$(jq -s length actual)" 2
    assert_equal "$(read_topic | jq -c .payload)" "$(consume "$TOPIC")"
}

@test "-C and -J are taken, as kcat's users type them" {
    produce_numbers 1
    assert_equal "$(read_topic -C -J | jq -c .payload)" '{"n":0}'
}

@test "line breaks between the tokens of a payload become spaces, those in strings stay escaped" {
    printf '{\n  "a" :\r\n\t[1,\n2],\n"s":"x\\ny"}\n' >pretty
    produce_files pretty
    assert_equal "$(read_topic --bare)" $'{   "a" :  \t[1, 2], "s":"x\\ny"} '
    assert_equal "$(read_topic | wc -l)" 1
    assert_equal "$(read_topic | jq -c .payload)" '{"a":[1,2],"s":"x\ny"}'
}

@test "a record without a key has the key null, an empty key is empty" {
    echo '1' | produce "$TOPIC" -p 0
    printf ':2\n' | produce "$TOPIC" -p 0 -K :
    assert_equal "$(read_topic | jq -c '[.key, .payload]')" $'[null,1]\n["",2]'
}

@test "any JSON value is a payload; white space around it does no harm" {
    printf '%s\n' 'null' '"text"' ' [1, 2] ' '-0.0e-10' 'true' | produce "$TOPIC" -p 0
    run read_topic
    assert_status 0
    assert_equal "$(grep -c '"error":' <<<"$output")" 0
    assert_equal "$(sed 's/.*"payload"://; s/}$//' <<<"$output")" $'null\n"text"\n [1, 2] \n-0.0e-10\ntrue'
}

@test "what is no JSON is a string, with an error last that says why and where" {
    printf '%s\n' 'not "JSON"' '{"a":1' '{"a":01}' '{"a":1}}' | produce "$TOPIC" -p 0
    read_topic >out
    assert_equal "$(jq -c .payload out)" $'"not \\"JSON\\""\n"{\\"a\\":1"\n"{\\"a\\":01}"\n"{\\"a\\":1}}"'
    assert_equal "$(jq -r 'keys_unsorted | last' out | sort -u)" error
    assert_equal "$(jq -r '.error | "\(.tool) \(.class)"' out | sort -u)" "kcat-actions decode"
    [[ $(jq -r '.error.message' out) == *"the payload is not JSON: "*" at byte "* ]]
    [[ $(jq -r '.error.at' out | head -n 1) =~ ^20[0-9-]+T[0-9:]+\.[0-9]{3}Z$ ]]
}

@test "however many headers a record has, all are there" {
    local i
    local -a headers=()
    for ((i = 0; i < 300; i++)); do headers+=(-H "h$i=$i"); done
    echo '{"n":1}' | produce "$TOPIC" "${headers[@]}"
    assert_equal "$(read_topic | jq -c '.headers | [length, .[0], .[598], .[599]]')" '[600,"h0","h299","299"]'
}

@test "a payload, key or header that is not UTF-8 is base64, and says so" {
    printf '\377\000{}' >bytes
    produce_files -k $'\xfe' -H $'h=\xfd' -H plain=text bytes
    read_topic >out
    assert_equal "$(jq -r .payload out | base64 -d | od -An -tx1)" "$(od -An -tx1 bytes)"
    assert_equal "$(jq -r .payload_encoding out)" base64
    assert_equal "$(jq -r '.key, .key_encoding' out)" $'/g==\nbase64'
    assert_equal "$(jq -c '[.headers, .headers_encoding]' out)" '[["h","/Q==","plain","dGV4dA=="],"base64"]'
    assert_equal "$(jq -r .error.class out)" decode
    assert_equal "$(jq -c keys_unsorted out)" \
        '["topic","partition","offset","tstype","ts","broker","headers","headers_encoding","key","key_encoding","payload","payload_encoding","error"]'
}

@test "a JSON payload with bytes that are not UTF-8 in a string is no JSON" {
    printf '{"a":"\303("}' >broken
    produce_files broken
    assert_equal "$(read_topic | jq -r '.payload' | base64 -d)" "$(cat broken)"
    assert_equal "$(read_topic | jq -r .error.class)" decode
}

@test "a tombstone has the payload null, an empty payload is the empty string; both are errors" {
    printf 'k:\n' | produce "$TOPIC" -p 0 -Z -K :
    printf 'k:\n' | produce "$TOPIC" -p 0 -K :
    read_topic >out
    assert_equal "$(jq -c '[.key, .payload, .error.class]' out)" $'["k",null,"decode"]\n["k","","decode"]'
    assert_equal "$(jq -r .error.message out)" $'tombstone: the record has no payload\nthe payload is empty'
}

@test "a header may have no value, and a name may come twice" {
    echo 1 | produce "$TOPIC" -p 0 -H a=1 -H b -H a=2
    assert_equal "$(read_topic | jq -c .headers)" '["a","1","b",null,"a","2"]'
}

@test "--bare prints the payload alone; what is no JSON is wrapped with its error" {
    printf '%s\n' '{"a":1.0}' 'nonsense' | produce "$TOPIC" -p 0 -k key
    run read_topic --bare
    assert_status 0
    assert_equal "${lines[0]}" '{"a":1.0}'
    assert_equal "$(jq -c '[keys_unsorted, .payload, .error.class]' <<<"${lines[1]}")" \
        '[["payload","error"],"nonsense","decode"]'
}

# ---- where it begins and ends

@test "-p reads that partition alone, given twice two of them" {
    for partition in 0 1 2 3; do echo "$partition" | produce "$TOPIC" -p "$partition"; done
    assert_equal "$(read_topic --bare | sort | paste -sd,)" 0,1,2,3
    assert_equal "$(read_topic --bare -p 2)" 2
    assert_equal "$(read_topic --bare -p 3 -p 1 | sort | paste -sd,)" 1,3
}

@test "-p of a partition that the topic does not have ends with 69" {
    run read_topic -p 77
    assert_status 69
    assert_contains "$output" "there is no partition 77"
}

@test "-o: beginning, N, -N, and end for what is still to come" {
    produce_numbers 10
    assert_equal "$(read_topic -p 0 -o beginning | offsets_of -)" 0,1,2,3,4,5,6,7,8,9
    assert_equal "$(read_topic -p 0 -o 7 | offsets_of -)" 7,8,9
    assert_equal "$(read_topic -p 0 -o -2 | offsets_of -)" 8,9
    run read_topic -p 0 -o end
    assert_status 0
    assert_equal "$output" ""
}

@test "-o end prints what is published from now on" {
    produce_numbers 3
    background kcat kcat-actions -v -b "$KAFKA_BROKERS" -t "$TOPIC" -p 0 -o end -c 1
    # The position is known to the broker before the first fetch: publish until one comes through.
    wait_until 'produce_numbers 1 100; [[ -s kcat.out ]]'
    await kcat
    assert_equal "$status" 0
    assert_equal "$(jq -c .payload kcat.out)" '{"n":100}'
}

@test "-c ends after so many records, and prints not one more" {
    produce_numbers 50
    run --separate-stderr kcat-actions -b "$KAFKA_BROKERS" -t "$TOPIC" -c 7
    assert_status 0
    assert_equal "$(offsets_of - <<<"$output")" 0,1,2,3,4,5,6
}

@test "-e ends at the end of an empty topic too" {
    run read_topic
    assert_status 0
    assert_equal "$output" ""
}

@test "a topic that is given twice is read once" {
    produce_numbers 3
    assert_equal "$(read_topic -t "$TOPIC" | offsets_of -)" 0,1,2
}

@test "several topics are read at once" {
    local other
    other=$(new_topic)
    echo '"one"' | produce "$TOPIC"
    echo '"two"' | produce "$other"
    assert_equal "$(read_topic -t "$other" --bare | sort | paste -sd,)" '"one","two"'
}

@test "-X sets a property of librdkafka, with kcat's topic. prefix too; -F reads them from a file" {
    printf '# a comment\n\nbootstrap.servers = %s\nclient.id=from-the-file\n' "$KAFKA_BROKERS" >good.conf
    sed -i 's/ = /=/' good.conf
    produce_numbers 1
    assert_equal "$(KAFKA_BROKERS=127.0.0.1:1 kcat-actions -F good.conf -t "$TOPIC" -e --bare)" '{"n":0}'
    assert_equal "$(read_topic --bare -X topic.auto.offset.reset=earliest -X fetch.wait.max.ms=50)" '{"n":0}'
    run read_topic -X no.such.property=1
    assert_status 64
    assert_contains "$output" "no.such.property"
    echo 'fetch.wait.max.ms=never' >bad.conf
    run read_topic -F bad.conf
    assert_status 64
    assert_contains "$output" "bad.conf, line 1"
}

@test "\$KAFKA_BROKERS is the default of -b" {
    produce_numbers 1
    assert_equal "$(kcat-actions -t "$TOPIC" -e --bare)" '{"n":0}'
}

# ---- --select

@test "--select keeps the records for which the program is true" {
    printf '%s\n' '{"action_type":"error","n":1}' '{"action_type":"success","n":2}' '{"action_type":"error","n":3}' |
        produce "$TOPIC" -p 0
    assert_equal "$(read_topic --select '.action_type == "error"' | jq .payload.n | paste -sd,)" 1,3
}

@test "--select: \$record is the envelope without its payload; null and false do not keep" {
    printf 'a:{"n":1}\nb:{"n":2}\na:{"n":null}\n' | produce "$TOPIC" -p 0 -K : -H h=v
    assert_equal "$(read_topic --select '$record.key == "a" and $record.offset > 0' | offsets_of -)" 2
    assert_equal "$(read_topic --select .n | offsets_of -)" 0,1
    assert_equal "$(read_topic --select '$record | has("payload") or .headers != ["h","v"]')" ""
}

@test "--select cannot ask what is no JSON: it goes its way as a reject" {
    printf '%s\n' '{"n":1}' 'nonsense' | produce "$TOPIC" -p 0
    assert_equal "$(read_topic --select false | jq -c '[.payload, .error.class]')" '["nonsense","decode"]'
}

@test "--select cannot ask what jq cannot read: deep nesting and half a surrogate pair are kept" {
    {
        printf '{"n":1,"deep":%s%s}\n' "$(printf '[%.0s' {1..300})" "$(printf ']%.0s' {1..300})"
        printf '%s\n' '{"n":2,"half":"\ud800"}' '{"n":3}'
    } | produce "$TOPIC" -p 0
    run --separate-stderr read_topic --select false --bare --stats stats
    assert_status 0
    assert_equal "$(cut -c -6 <<<"$output")" $'{"n":1\n{"n":2'
    assert_equal "$(counter records_filtered stats)" 1
}

@test "--select: a record on which the program fails is left out, with a warning; -c counts what is kept" {
    printf '%s\n' '"text"' '{"n":1}' '{"n":2}' | produce "$TOPIC" -p 0
    run --separate-stderr read_topic --select '.n > 0' -c 1
    assert_status 0
    assert_equal "$(offsets_of - <<<"$output")" 1
    # shellcheck disable=SC2154 # set by run
    assert_contains "$stderr" "--select:"
}

@test "--select: a program with a fault is a usage error" {
    run read_topic --select '.a ==='
    assert_status 64
    assert_contains "$output" "--select"
}

@test "what --select leaves out counts as safe: offsets are committed past it" {
    produce_numbers 20
    start_with_acks --select '.n == 4' -e
    lines_are 1
    ack 5
    await kcat
    assert_equal "$status" 0
    assert_equal "$(offsets_of kcat.out)" 4
    assert_equal "$(committed)" 20
}

@test "what --select leaves out behind a record that is not acknowledged is not committed" {
    produce_numbers 20
    start_with_acks --select '.n == 4 or .n == 15' --drain-timeout 1s
    lines_are 2
    ack 5
    committed_is 15
    stop kcat
    assert_equal "$status" 75
    assert_equal "$(committed)" 15
}

@test "--select that keeps nothing commits all the same" {
    produce_numbers 20
    start_with_acks --select false -e
    await kcat
    assert_equal "$status" 0
    assert_equal "$(committed)" 20
}

# ---- groups and commits

@test "-g without --acks commits nothing" {
    produce_numbers 5
    run kcat-actions ${KAFKA_CONFIG_FILE:+-F "$KAFKA_CONFIG_FILE"} -b "$KAFKA_BROKERS" -t "$TOPIC" -g "$GROUP" -e -X auto.commit.interval.ms=100
    assert_status 0
    assert_equal "$(jq -s length <<<"$output")" 5
    assert_equal "$(committed)" -
    assert_equal "$(read_topic -g "$GROUP" | wc -l)" 5
}

@test "--commit-on-write commits what stdout has taken, and the next one goes on from there" {
    produce_numbers 5
    assert_equal "$(read_topic -g "$GROUP" --commit-on-write | offsets_of -)" 0,1,2,3,4
    assert_equal "$(committed)" 5
    produce_numbers 2 5
    assert_equal "$(read_topic -g "$GROUP" --commit-on-write | offsets_of -)" 5,6
    assert_equal "$(committed)" 7
}

@test "-o stored begins where the group stands" {
    produce_numbers 5
    start_with_acks
    lines_are 5
    ack 3
    committed_is 3
    ack 4
    ack 5
    stop kcat
    produce_numbers 1 5
    assert_equal "$(read_topic -g "$GROUP" -p 0 -o stored | offsets_of -)" 5
}

@test "--acks: the committed offset is what the acks say, and never more" {
    produce_numbers 10
    start_with_acks -X auto.commit.interval.ms=100
    lines_are 10
    assert_equal "$(committed)" -
    ack 4
    committed_is 4
    ack 2 # late news change nothing
    ack 7
    committed_is 7
    [[ $(committed 1) == - || $(committed 1) == 0 ]]
}

@test "--acks: properties of librdkafka change nothing of that, and are named" {
    produce_numbers 10
    echo enable.auto.commit=false >shared.conf
    start_with_acks -X enable.auto.offset.store=true -F shared.conf -X auto.commit.interval.ms=100
    lines_are 10
    ack 4
    committed_is 4
    ack 5
    committed_is 5
    assert_contains "$(<kcat.log)" "WARNING - enable.auto.offset.store=true is not taken"
    assert_contains "$(<kcat.log)" "WARNING - enable.auto.commit=false is not taken"
}

@test "--acks: an ack for more than was read commits no more than was read" {
    produce_numbers 10
    start_with_acks -X auto.commit.interval.ms=100
    lines_are 10
    ack 999
    committed_is 10
    stop kcat
    assert_equal "$(committed)" 10
}

@test "--acks: kill -9 loses no record: what was not acknowledged is read again" {
    produce_numbers 10
    start_with_acks -X auto.commit.interval.ms=100 -X session.timeout.ms=6000
    lines_are 10
    ack 6
    committed_is 6
    stop kcat KILL
    assert_equal "$(read_topic -g "$GROUP" -X session.timeout.ms=6000 | offsets_of -)" 6,7,8,9
}

@test "--acks: one line acknowledges several partitions" {
    produce_numbers 3
    seq 4 | produce "$TOPIC" -p 3
    start_with_acks
    lines_are 7
    printf '{"ack":[{"topic":"%s","partition":0,"next":2},{"topic":"%s","partition":3,"next":4}]}\n' "$TOPIC" "$TOPIC" >&9
    committed_is 2
    committed_is 4 3
}

@test "--acks of a fifo that is not there, or is no fifo, ends at once" {
    run kcat-actions -b "$KAFKA_BROKERS" -t "$TOPIC" -g "$GROUP" --acks missing
    assert_status 66
    assert_contains "$output" "mkfifo"
    : >file
    run kcat-actions -b "$KAFKA_BROKERS" -t "$TOPIC" -g "$GROUP" --acks file
    assert_status 64
    assert_contains "$output" "not a fifo"
}

@test "--acks: a reject that comes back stops it, and nothing past it is committed" {
    produce_numbers 10
    start_with_acks -X auto.commit.interval.ms=100
    lines_are 10
    ack 3
    printf '{"topic":"%s","partition":0,"offset":3,"key":null,"payload":{"n":3},"error":{"class":"data","message":"m"}}\n' "$TOPIC" >&9
    ack 10
    await kcat
    assert_equal "$status" 65
    assert_contains "$(<kcat.log)" "put dlq before the fifo"
    assert_equal "$(committed)" 3
}

@test "--acks: a line that is no ack stops it" {
    produce_numbers 1
    start_with_acks
    lines_are 1
    echo 'what is this' >&9
    ack 1
    await kcat
    assert_equal "$status" 65
    [[ $(committed) == - || $(committed) == 0 ]]
}

@test "--acks: when the writer of the acks ends, it ends; half an ack does not count" {
    produce_numbers 20
    start_with_acks
    lines_are 20
    ack 2
    printf '{"ack":[{"topic":"%s","partition":0,"next":1' "$TOPIC" >&9 # …9}]} was to follow
    exec 9>&-
    await kcat
    assert_equal "$status" 69
    assert_equal "$(committed)" 2
}

@test "--acks: the writer of the acks may come later than a thousand records" {
    produce_numbers 3000
    mkfifo -m 600 acks
    background kcat kcat-actions -b "$KAFKA_BROKERS" -t "$TOPIC" -g "$GROUP" --acks acks
    lines_are 3000
    exec 9>acks
    ack 3000
    committed_is 3000
}

@test "--max-in-flight: no more records are out than that" {
    produce_numbers 500
    start_with_acks --max-in-flight 100 -X auto.commit.interval.ms=100
    lines_are 100
    ack 50
    committed_is 50
    lines_are 150
    ack 80
    committed_is 80
    lines_are 180
    # Had it taken more it would have written more long before this commit.
    assert_equal "$(wc -l <kcat.out)" 180
}

@test "--max-in-flight-bytes: no more bytes are out than that, one record always is" {
    head -c 5000 /dev/zero | tr '\0' x | sed 's/.*/"&"/' >large
    produce_files large large large large
    start_with_acks --max-in-flight-bytes 6000 -X auto.commit.interval.ms=100
    lines_are 2
    ack 1
    committed_is 1
    lines_are 3
    ack 2
    committed_is 2
    lines_are 4
    assert_equal "$(wc -l <kcat.out)" 4
    assert_equal "$(jq -s '[.[] | .payload | length] | unique' -c kcat.out)" '[5000]'
}

# ---- topics that come and go

@test "-t ^REGEX needs a group" {
    run kcat-actions -b "$KAFKA_BROKERS" -t '^x' -e
    assert_status 64
}

# ---- usage and faults

@test "usage errors end with 64 and name what is wrong" {
    while IFS='|' read -r words part; do
        # shellcheck disable=SC2086 # words
        run kcat-actions -b "$KAFKA_BROKERS" $words
        [[ $status == 64 ]] || { printf '%s: status %s\n' "$words" "$status" >&2 && return 1; }
        assert_contains "$output" "$part"
    done <<'CASES'
-e|no topic
-t x --acks f|-g
-t x --commit-on-write|-g
-t x -g g --acks f --commit-on-write|exclude
-t x -g g --acks f --bare|--bare
-t x -g g -o 5|-p
-t x -o stored|-g
-t x -o yesterday|yesterday
-t x -o -0|-0
-t x -c 0|-c
-t x -p one|-p
-t x -g g --max-in-flight 0|--max-in-flight
-t x --drain-timeout soon|--drain-timeout
-t x -X nonsense|nonsense
-t x stray|stray
-t x --no-such-option|no-such-option
CASES
}

@test "--help and --version say so and end with 0" {
    run kcat-actions --help
    assert_status 0
    assert_contains "$output" "--max-in-flight"
    run kcat-actions --version
    assert_status 0
    assert_contains "$output" "kcat-actions (agent-actions)"
}

@test "a broker whose name nobody knows ends with 69 and one clear line" {
    run --separate-stderr kcat-actions -b no-such-host.invalid:9092 -t x -e
    assert_status 69
    # shellcheck disable=SC2154 # set by run
    assert_contains "$stderr" "no broker's host name can be resolved"
    assert_equal "$(grep -c ERROR <<<"$stderr")" 1
    run kcat-actions -b no-such-host.invalid:9092 -t x -g "$GROUP"
    assert_status 69
}

@test "-e of a topic that is not there ends with 69" {
    # The embedded broker makes a topic when it is asked for: then it is there, and empty.
    TOPIC=$(unique nowhere) run read_topic -X allow.auto.create.topics=false
    [[ $status == 0 || $output == *"there is no such topic"* && $status == 69 ]]
}

@test "a broker that does not answer is waited for; SIGTERM ends the waiting" {
    background kcat kcat-actions -b 127.0.0.1:1 -t x -g "$GROUP"
    wait_until 'grep -q "trying again" kcat.log'
    stop kcat
    assert_equal "$status" 0
    background adhoc kcat-actions -b 127.0.0.1:1 -t x
    wait_until 'grep -q "trying again" adhoc.log'
    stop adhoc TERM 10
    assert_equal "$status" 0
}

@test "a reader that goes away ends it with 74, not with a crash" {
    produce_numbers 10
    start_reader
    background kcat kcat-actions -b "$KAFKA_BROKERS" -t "$TOPIC" 9>&-
    exec 9>&-
    wait_until '(($(wc -l <reader.out) == 10))'
    stop reader
    produce_numbers 10
    await kcat
    assert_equal "$status" 74
}

@test "a closed stdout ends it with a status that is not 0, not with a crash" {
    produce_numbers 10
    run bash -c 'kcat-actions -t "$TOPIC" -e >&-'
    [[ $status -ne 0 && $status -lt 128 ]]
}

@test "a full disk ends it with 74" {
    produce_numbers 10
    run bash -c 'kcat-actions -t "$TOPIC" -e >/dev/full'
    assert_status 74
    assert_contains "$output" "No space left on device"
}

# ---- the end

@test "SIGTERM drains: what is in flight is waited for and committed, then it ends with 0" {
    produce_numbers 10
    start_with_acks
    lines_are 10
    ack 4
    signal kcat TERM
    produce_numbers 5 10
    ack 10
    await kcat
    assert_equal "$status" 0
    assert_equal "$(committed)" 10
    assert_equal "$(wc -l <kcat.out)" 10
}

@test "SIGINT does the same" {
    produce_numbers 3
    start_with_acks
    lines_are 3
    # A background child of a script ignores SIGINT; the tool takes it all the same.
    signal kcat INT
    ack 3
    await kcat
    assert_equal "$status" 0
    assert_equal "$(committed)" 3
}

@test "SIGTERM closes stdout, so that the tools behind it finish" {
    produce_numbers 10
    mkfifo acks kcat.out
    exec 9<>acks
    background reader cat kcat.out
    background kcat kcat-actions -b "$KAFKA_BROKERS" -t "$TOPIC" -g "$GROUP" --acks acks 9>&-
    wait_until '(($(wc -l <reader.out) == 10))'
    signal kcat TERM
    await reader
    is_running kcat
    ack 10
    await kcat
    assert_equal "$status" 0
}

@test "after --drain-timeout it ends anyway, with 75, and what is not safe is not committed" {
    produce_numbers 10
    start_with_acks --drain-timeout 500ms
    lines_are 10
    ack 6
    stop kcat
    assert_equal "$status" 75
    assert_contains "$(<kcat.log)" "4 records were not acknowledged"
    assert_equal "$(committed)" 6
}

# An embedded broker of the test's own, as `broker`, with the topic: it can be frozen.
start_broker() { # OPTION...
    background broker dev-broker "$@"
    wait_until '[[ -s broker.out ]]'
    KAFKA_BROKERS=$(<broker.out)
    export KAFKA_BROKERS
    make_topic "$TOPIC"
}

@test "SIGTERM while the broker is frozen: it ends in a bounded time, with 75 for what is not confirmed" {
    start_broker
    produce_numbers 10
    start_with_acks -X auto.commit.interval.ms=3600000
    lines_are 10
    signal broker STOP
    ack 10
    stop kcat TERM 25
    assert_equal "$status" 75
    assert_contains "$(<kcat.log)" "did not confirm the last commit in time"
    signal broker CONT
    assert_equal "$(committed)" -
}

# Who leaves disturbs the other, whose last commit the broker refuses until it has joined again.
@test "two members that end one upon the other, each with something left to commit, have committed it and end with 0" {
    local name
    for name in first second; do
        background "$name" kcat-actions -b "$KAFKA_BROKERS" -t "$TOPIC" -g "$GROUP" --commit-on-write --stats "$name" \
            -X auto.commit.interval.ms=3600000 -X session.timeout.ms=6000 -X heartbeat.interval.ms=300
    done
    wait_until '[[ $(counter partitions_assigned first) == 2 && $(counter partitions_assigned second) == 2 ]]' 30
    local partition
    for partition in 0 1 2 3; do
        seq 10 | produce "$TOPIC" -p "$partition"
    done
    wait_until '(($(cat first.out second.out | wc -l) == 40))'
    signal first TERM
    wait_until "! is_running first || grep -q 'Final statistics' first.log"
    signal second TERM
    for name in first second; do
        await "$name"
        assert_equal "$name $status" "$name 0"
    done
    assert_equal "$(committed_records "$GROUP" "$TOPIC")" 40
}

@test "SIGTERM while the group is being joined ends it with 0" {
    start_broker --delay 500
    background kcat kcat-actions -vv -b "$KAFKA_BROKERS" -t "$TOPIC" -g "$GROUP" -X debug=cgrp
    wait_until 'grep -q "changed join state .* -> wait-sync" kcat.log'
    stop kcat
    assert_equal "$status" 0
    run ! grep Assertion kcat.log
}

@test "a second SIGTERM ends it at once" {
    produce_numbers 10
    start_with_acks
    lines_are 10
    signal kcat TERM
    wait_until '! timeout 0.2 cat /proc/'"$(pid_of kcat)"'/fd/1 2>/dev/null' 5 || true
    stop kcat TERM 5
    assert_equal "$status" 143
    assert_equal "$(committed)" -
}

@test "-c with acks: it waits for their acks, commits them and no more" {
    produce_numbers 10
    start_with_acks -c 5
    lines_are 5
    ack 5
    await kcat
    assert_equal "$status" 0
    assert_equal "$(committed)" 5
    assert_equal "$(wc -l <kcat.out)" 5
}

@test "-e with acks: it waits for the last ack; the acks' writer may end first" {
    produce_numbers 5
    start_with_acks -e --stats stats
    lines_are 5
    wait_until '[[ $(counter draining stats) == 1 ]]' # it has seen the ends of all partitions
    ack 5
    exec 9>&-
    await kcat
    assert_equal "$status" 0
    assert_equal "$(committed)" 5
}

@test "a slow reader gets all of it: --drain-timeout limits what a signal began, not -e" {
    events 3000 --seed 5 >events
    produce "$TOPIC" -p 0 <events
    start_reader
    signal reader STOP
    background kcat kcat-actions -v -b "$KAFKA_BROKERS" -t "$TOPIC" --bare -e --drain-timeout 100ms --stats stats 9>&-
    exec 9>&-
    wait_until '[[ $(counter draining stats) == 1 ]]'
    wait_until '! is_running kcat' 2 || true
    signal reader CONT
    await kcat
    assert_equal "$status" 0
    await reader
    cmp events reader.out
}

# ---- counters

@test "counters: read, left out, undecodable and committed are what happened" {
    printf '%s\n' '{"n":1}' '{"n":2}' nonsense '{"n":4}' | produce "$TOPIC" -p 0
    start_with_acks --stats stats --select '.n != 2' -e
    lines_are 3
    ack 4
    await kcat
    assert_equal "$status" 0
    assert_equal "$(healthd --once --stats stats | jq -c '.pipelines[0].counters
        | [.records_consumed, .records_filtered, .records_undecodable, .records_acked, .records_in_flight]')" '[4,1,1,3,0]'
    assert_equal "$(healthd --once --stats stats | jq '.pipelines[0].counters.commits > 0')" true
    assert_equal "$(healthd --once --stats stats | jq -r '.pipelines[0].counters | .last_record_time, .last_commit_time | type')" \
        $'string\nstring'
}

# ---- backpressure

@test "a reader that stops costs no memory and not the membership; it goes on with nothing missing or double" {
    # 16 MB, as much as the embedded broker keeps, and many times what may be held here.
    awk 'BEGIN { for (i = 0; i < 10000; i++) pad = pad "x"
                 for (i = 0; i < 1600; i++) printf "{\"n\":%d,\"pad\":\"%s\"}\n", i, pad > ("part." (i % 4)) }'
    for partition in 0 1 2 3; do produce "$TOPIC" -p "$partition" <"part.$partition"; done
    start_reader
    signal reader STOP
    background kcat kcat-actions -v -b "$KAFKA_BROKERS" -t "$TOPIC" -g "$GROUP" --stats stats \
        -X max.poll.interval.ms=7000 -X session.timeout.ms=6000 -X heartbeat.interval.ms=500 \
        -X queued.max.messages.kbytes=1024 -X fetch.message.max.bytes=262144 9>&-
    exec 9>&-
    wait_until '[[ $(counter records_consumed stats) -gt 0 ]]'
    local stopped
    stopped=$(now_ms)
    wait_until '[[ $(counter pauses stats) == 1 ]]'
    # Longer than max.poll.interval.ms: the group would have thrown out who does not poll.
    wait_until "((\$(now_ms) - $stopped > 9000))"
    assert_equal "$(counter partitions_lost stats)" 0
    assert_equal "$(counter partitions_assigned stats)" 4
    local kilobytes
    kilobytes=$(awk '/^VmHWM/ { print $2 }' "/proc/$(pid_of kcat)/status")
    ((kilobytes < 24576)) || { printf '%s kB\n' "$kilobytes" >&2 && return 1; }
    signal reader CONT
    wait_until '(($(wc -l <reader.out) >= 1600))' 30
    stop kcat
    assert_equal "$status" 0
    await reader
    assert_equal "$(jq .payload.n reader.out | sort -n | uniq -c | awk '$1 == 1' | wc -l)" 1600
    assert_equal "$(wc -l <reader.out)" 1600
    assert_equal "$(healthd --once --stats stats | jq '.pipelines[0].counters.rebalances <= 2')" true
}

@test "one large record after the other does not fill the memory: the output is bounded by bytes" {
    # 40 records of 100 kB: the reader has stopped before the first one. (The embedded broker keeps 5 MB.)
    awk 'BEGIN { for (i = 0; i < 100000; i++) pad = pad "x"; for (i = 0; i < 40; i++) printf "\"%d%s\"\n", i, pad }' |
        produce "$TOPIC" -p 0
    start_reader
    signal reader STOP
    background kcat kcat-actions -b "$KAFKA_BROKERS" -t "$TOPIC" -g "$GROUP" --stats stats --bare \
        -X queued.max.messages.kbytes=2048 -X fetch.message.max.bytes=262144 9>&-
    exec 9>&-
    wait_until '[[ $(counter pauses stats) == 1 ]]'
    # What was read and is in the pipe or waits for it: half a megabyte, a record, and a pipe of 1 MB.
    local consumed
    consumed=$(counter bytes_consumed stats)
    ((consumed > 0 && consumed < 2500000)) || { printf '%s bytes\n' "$consumed" >&2 && return 1; }
    signal reader CONT
    wait_until '(($(wc -l <reader.out) == 40))' 30
    stop kcat
    assert_equal "$status" 0
}
