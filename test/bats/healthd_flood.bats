#!/usr/bin/env bats
# healthd_flood.bats - healthd under clients that come in crowds, or mean harm: it answers or refuses, stays
# below 10 MB, and those it looks at do not notice.
# shellcheck disable=SC2016,SC2030,SC2031 # conditions for wait_until are expanded there
bats_require_minimum_version 1.5.0
load ../support/helpers

MEMORY_KIB=9765 # 10 MB
PATHS=(/health / /metrics '/metrics?format=prometheus' /history /readyz)

setup() {
    helpers_setup
    export AGENT_ACTIONS_STATS=$BATS_TEST_TMPDIR/stats
    CLIENTS=()
}
teardown() { helpers_teardown; }

# A pipeline that stats-writer plays, with as many partitions.
play_pipeline() { # PIPELINE PARTITIONS
    local tool partition partitions=()
    for ((partition = 0; partition < $2; partition++)); do
        partitions+=("a-topic-with-a-name/$partition=100,150,200")
    done
    for tool in batch pgsink dlq; do
        AGENT_ACTIONS_PIPELINE=$1 background "$tool$1" stats-writer stats "$tool" database_connected=1
    done
    AGENT_ACTIONS_PIPELINE=$1 background "kcat$1" stats-writer stats kcat-actions kafka_connected=1 "${partitions[@]}"
    wait_until "grep -q ready kcat$1.out && grep -q ready dlq$1.out && grep -q ready pgsink$1.out && grep -q ready batch$1.out"
}

serve() { # [COMMAND BEFORE IT...]
    background healthd "$@" healthd -l 127.0.0.1:0 --port-file port
    wait_until '[[ -s port ]]'
    PORT=$(<port)
}

health() {
    curl -s -o /dev/null -w '%{http_code}' --max-time 5 "http://127.0.0.1:$PORT/health"
}

# A connection that sends TEXT and no more, and does not read.
client() { # TEXT
    local fd
    exec {fd}<>"/dev/tcp/127.0.0.1/$PORT"
    CLIENTS+=("$fd")
    printf '%s' "$1" >&"$fd"
} 2>/dev/null

peak_kib() {
    awk '/^VmHWM/ { print $2 }' "/proc/$(pid_of healthd)/status"
}

# Shown with `bats --show-output-of-passing-tests`; a sanitizer's memory is another matter.
stays_small() {
    printf 'healthd took at most %s KiB\n' "$(peak_kib)"
    [[ $BUILD == */san ]] || (($(peak_kib) < MEMORY_KIB))
}

@test "healthd: 200 clients that ask twice a second are all answered, by less than 10 MB" {
    play_pipeline 0 8
    play_pipeline 1 8
    serve
    http-load "$PORT" 200 2 5 "${PATHS[@]}" | tee load
    assert_equal "$(jq -c '[.answered > 1900, .refused, .longest_ms < 2000]' load)" '[true,0,true]'
    assert_equal "$(health)" 200
    stays_small
}

@test "healthd: slow clients, as many as come, keep nobody from an answer" {
    play_pipeline 0 8
    serve
    local i
    for ((i = 0; i < 400; i++)); do client $'GET /health HTTP/1.1\r\nX-Slow: '; done
    for ((i = 0; i < 5; i++)); do assert_equal "$(health)" 200; done
    # The slow ones dripping on.
    for ((i = 0; i < 400; i += 3)); do printf a >&"${CLIENTS[i]}" || true; done 2>/dev/null
    assert_equal "$(health)" 200
    stays_small
}

@test "healthd: clients that do not take their answers of megabytes are refused before memory runs out" {
    local i
    for ((i = 0; i < 8; i++)); do play_pipeline "$i" 256; done
    serve
    wait_until '(($(curl -s "http://127.0.0.1:$PORT/history" | jq ".samples | length") >= 2))'
    for ((i = 0; i < 60; i++)); do
        client $'GET /metrics?format=prometheus HTTP/1.1\r\nHost: x\r\n\r\n'
        client $'GET / HTTP/1.1\r\nHost: x\r\n\r\n'
        client $'GET /history HTTP/1.1\r\nHost: x\r\n\r\n'
    done
    assert_equal "$(health)" 200
    stays_small
    # Once they are gone all is as before.
    for i in "${CLIENTS[@]}"; do exec {i}>&-; done
    wait_until '[[ $(curl -s -o page -w "%{http_code}" "http://127.0.0.1:$PORT/") == 200 ]]' 5
    (($(curl -s "http://127.0.0.1:$PORT/metrics?format=prometheus" | grep -c '^agent_actions_consumer_lag{') == 2048))
    stays_small
}

@test "healthd: malformed and endless requests are refused or put out" {
    play_pipeline 0 8
    serve
    local text i
    local -a malformed=($'\r\n\r\n\r\n' 'GET' $'GET  HTTP/1.1\r\n\r\n' $'GET / HTTP/9.9\r\n\r\n' $'get / http/1.1\n\n'
        $'GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n' $'GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\n'
        $'GET /%00%ff%zz?a=%&&=&= HTTP/1.1\r\nHost: x\r\n\r\n' $'\x16\x03\x01\x02\x00\x01' $'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
        $'POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n' $'GET / HTTP/1.1\r\n: \r\n\r\n')
    for text in "${malformed[@]}"; do client "$text"; done
    # Requests that never end: a path, a header, headers without number, a body.
    i=0
    for text in 'GET /' $'GET / HTTP/1.1\r\nA: ' $'POST /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n'; do
        background "endless$((i++))" timeout 3 bash -c 'exec 9<>"/dev/tcp/127.0.0.1/$1"; { printf "%s" "$2"; yes a | tr -d "\n"; } >&9' _ "$PORT" "$text"
    done
    background endless_headers timeout 3 bash -c 'exec 9<>"/dev/tcp/127.0.0.1/$1"; { printf "GET / HTTP/1.1\r\n"; yes $'\''A: b\r'\''; } >&9' _ "$PORT"
    for ((i = 0; i < 10; i++)); do assert_equal "$(health)" 200; done
    wait_until '! is_running endless0 && ! is_running endless1 && ! is_running endless2 && ! is_running endless_headers' 10
    assert_equal "$(health)" 200
    is_running healthd
    stays_small
}

@test "healthd: with few descriptors it serves who comes, and more than that wait or are put out" {
    play_pipeline 0 8
    serve prlimit --nofile=40:40
    local i
    for ((i = 0; i < 100; i++)); do client $'GET /health HTTP/1.1\r\nX-Slow: '; done
    for ((i = 0; i < 3; i++)); do assert_equal "$(health)" 200; done
    (($(find "/proc/$(pid_of healthd)/fd" -mindepth 1 | wc -l) <= 40))
    # It has not lost what it reads through descriptors: memory from /proc, the file of counters.
    curl -s "http://127.0.0.1:$PORT/metrics" | jq -e '.pipelines[0].tools.pgsink.rss_bytes > 0'
    rm stats
    play_pipeline 3 1
    assert_equal "$(curl -s "http://127.0.0.1:$PORT/metrics" | jq '.pipelines[].pipeline')" 3
}
