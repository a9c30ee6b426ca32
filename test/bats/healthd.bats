#!/usr/bin/env bats
# healthd.bats - what healthd says about pipelines that stats-writer plays.
# shellcheck disable=SC2016,SC2094 # conditions for wait_until are expanded there; a fifo is opened at both ends
bats_require_minimum_version 1.5.0
load ../support/helpers

setup() {
    helpers_setup
    export AGENT_ACTIONS_STATS=$BATS_TEST_TMPDIR/stats
}
teardown() { helpers_teardown; }

# ---- the cast

# Plays a tool of a pipeline as long as the test runs: NAME is our name for it.
play() { # NAME PIPELINE TOOL [SETTING...]
    local name=$1 pipeline=$2
    shift 2
    AGENT_ACTIONS_PIPELINE=$pipeline background "$name" stats-writer "$AGENT_ACTIONS_STATS" "$@"
    wait_until "grep -q ready $name.out"
}

# The same, with settings to come: tell NAME SETTING.
play_with_changes() { # NAME PIPELINE TOOL [SETTING...]
    mkfifo "$1.in"
    exec 9<>"$1.in"
    play "$@"
}

tell() { # NAME SETTING
    local before
    before=$(grep -c ok "$1.out" || true)
    printf '%s\n' "$2" >&9
    wait_until "((\$(grep -c ok $1.out) > $before))"
}

play_pipeline() { # PIPELINE [SETTING of kcat-actions...]
    local pipeline=$1
    shift
    play "kcat$pipeline" "$pipeline" kcat-actions kafka_connected=1 partitions_assigned=1 "$@"
    play "batch$pipeline" "$pipeline" batch
    play "pgsink$pipeline" "$pipeline" pgsink database_connected=1
    play "dlq$pipeline" "$pipeline" dlq
}

# A tool dies without a word.
die() { # NAME
    stop "$1" KILL
}

serve() { # [OPTION...]
    rm -f port
    background healthd healthd -l 127.0.0.1:0 --port-file port "$@"
    wait_until '[[ -s port ]]'
    URL=http://127.0.0.1:$(<port)
}

# Prints the body; sets nothing. Status alone: status_of.
get() { # PATH [CURL OPTION...]
    local path=$1
    shift
    curl -sS --max-time 20 "$@" "$URL$path"
}

status_of() { # PATH [CURL OPTION...]
    get "$@" -o /dev/null -w '%{http_code}'
}

content_type_of() { # PATH [CURL OPTION...]
    get "$@" -o /dev/null -w '%{content_type}'
}

once() { # JQ PROGRAM
    healthd --once | jq -c "$1"
}

# ---- health

@test "healthd: a pipeline whose tools all run is healthy, and the consumer running" {
    play_pipeline 0
    serve
    assert_equal "$(status_of /health)" 200
    assert_contains "$(get /health)" '{"status":"healthy","consumer":"running"'
    assert_equal "$(get /health | jq -c '[.consumer_processes, .pipelines_running, .reasons]')" '[1,1,null]'
}

@test "healthd: before a pipeline has started it says so, and notices the first" {
    serve
    assert_equal "$(status_of /health)" 503
    assert_contains "$(get /health)" '{"status":"unhealthy","consumer":"stopped","reasons":["no pipeline has started"]'
    assert_equal "$(get /metrics)" '{"error":"no pipeline has started"}'
    assert_equal "$(status_of /metrics) $(status_of /readyz) $(status_of /livez)" '503 503 200'
    play_pipeline 0
    assert_equal "$(status_of /health)" 200
}

@test "healthd: a tool that died makes it unhealthy, and the consumer stopped" {
    play_pipeline 0
    serve
    die pgsink0
    assert_equal "$(status_of /health)" 503
    assert_contains "$(get /health)" \
        '{"status":"unhealthy","consumer":"stopped","reasons":["pipeline 0: pgsink is gone"],"consumer_processes":1'
}

@test "healthd: with no kcat-actions running nothing is healthy" {
    play_pipeline 0
    for name in kcat0 batch0 pgsink0 dlq0; do die $name; done
    run -1 healthd --once --health
    assert_contains "$output" '"no kcat-actions is running"'
}

@test "healthd: a tool that takes its slot again mends it" {
    play_pipeline 0
    die pgsink0
    run -1 healthd --once --health
    play again 0 pgsink
    run -0 healthd --once --health
    assert_equal "$(once '.pipelines[0].tools.pgsink | [.alive, .starts]')" '[true,2]'
}

@test "healthd: a heartbeat older than its limit is unhealthy" {
    play_pipeline 0
    play_with_changes slow 1 batch heartbeat=-20s
    serve
    assert_equal "$(status_of /health)" 200
    tell slow heartbeat=-45s
    assert_equal "$(get /health | jq -c .reasons)" '["pipeline 1: the last heartbeat of batch is 45 s old"]'
    run -0 healthd --once --health --heartbeat-timeout 2m
}

@test "healthd: a database that refuses for a minute is unhealthy, one that has just begun is not" {
    play kcat 0 kcat-actions
    play_with_changes pgsink 0 pgsink database_refused_since=-30s
    serve
    assert_equal "$(status_of /health)" 200
    tell pgsink database_refused_since=-75s
    assert_equal "$(get /health | jq -c .reasons)" '["pipeline 0: PostgreSQL has refused for 75 s"]'
    run -0 healthd --once --health --database-timeout 90s
    tell pgsink database_refused_since=0
    assert_equal "$(status_of /health)" 200
}

@test "healthd: a dead letter queue that refuses for a minute is unhealthy" {
    play_pipeline 0
    play refused 1 dlq dlq_refused_since=-75s
    run -1 healthd --once --health
    assert_contains "$output" 'pipeline 1: the dead letter queue has refused for 75 s'
    run -0 healthd --once --health --dlq-timeout 90s
}

@test "healthd: records in flight and none acknowledged is no progress" {
    play_with_changes kcat 0 kcat-actions records_in_flight=50 records_acked=100
    serve --progress-timeout 1s
    assert_equal "$(status_of /health)" 200
    wait_until '[[ $(status_of /health) == 503 ]]' 10
    assert_contains "$(get /health)" 'pipeline 0: no record was acknowledged for '
    assert_contains "$(get /health)" 'with 50 in flight and a lag of 0'
    tell kcat records_acked=101
    wait_until '[[ $(status_of /health) == 200 ]]' 5
}

@test "healthd: lag and none acknowledged is no progress" {
    play kcat 0 kcat-actions agent-actions/0=10,10,500
    serve --progress-timeout 1s
    wait_until '[[ $(get /health) == *"0 in flight and a lag of 490"* ]]' 10
}

@test "healthd: with nothing to do there need be no progress" {
    play_with_changes kcat 0 kcat-actions records_acked=100 agent-actions/0=10,10,10
    serve --progress-timeout 1s
    wait_until '(($(get /history | jq ".samples | length") >= 4))' 10
    assert_equal "$(status_of /health)" 200
}

@test "healthd: --once --health knows a stuck pipeline by its times" {
    play kcat 0 kcat-actions started=-300s records_in_flight=50 last_record_time=-70s last_commit_time=-90s
    run -1 healthd --once --health
    assert_contains "$output" 'no record was acknowledged for 70 s'
    run -0 healthd --once --health --progress-timeout 2m
}

@test "healthd: a second pipeline that died is missed, one that was drained is not" {
    play_pipeline 0
    play kcat1 1 kcat-actions draining=1
    play pgsink1 1 pgsink
    die kcat1
    die pgsink1
    run -0 healthd --once --health
    play kcat2 2 kcat-actions
    play pgsink2 2 pgsink
    die kcat2
    die pgsink2
    run -1 healthd --once --health
    assert_equal "$(jq -c .reasons <<<"$output")" \
        '["pipeline 2: kcat-actions is gone","pipeline 2: pgsink is gone"]'
}

@test "healthd: in a drain the tools end one behind the other, which is no fault, and it is not ready" {
    play_pipeline 0 draining=1 records_in_flight=7
    serve --progress-timeout 1s
    die batch0
    wait_until '(($(get /history | jq ".samples | length") >= 4))' 10
    assert_equal "$(get /health | jq -c '[.status, .draining, .reasons, .warnings]')" \
        '["healthy",true,null,["pipeline 0: draining, with 7 in flight"]]'
    assert_equal "$(status_of /readyz)" 503
}

@test "healthd: no broker that answers is a warning at first, and unhealthy after a minute" {
    play_with_changes kcat 0 kcat-actions kafka_refused_since=-30s partitions_assigned=1
    play pgsink 0 pgsink database_connected=1
    serve
    assert_contains "$(get /health)" '"warnings":["pipeline 0: no broker of Kafka has answered for 3'
    assert_equal "$(status_of /health) $(status_of /readyz)" '200 503'
    tell kcat kafka_refused_since=-75s
    assert_equal "$(get /health | jq -c '[.reasons, (.what_to_do | length)]')" \
        '[["pipeline 0: no broker of Kafka has answered for 75 s"],1]'
}

@test "healthd: a backfill that ended is not missed" {
    play_pipeline 0
    play batch1 1 batch
    play pgsink1 1 pgsink rows_inserted=1000
    die batch1
    die pgsink1
    run -0 healthd --once --health
    assert_equal "$(once .messages_inserted)" 1000
}

@test "healthd: of two processes with one name and number the living one counts" {
    play_pipeline 0
    play look 0 kcat-actions records_consumed=10
    die look
    run -0 healthd --once --health
    assert_equal "$(once '[.messages_consumed, .pipelines[0].tools["kcat-actions"].alive]')" '[10,true]'
}

@test "healthd: ready when a whole pipeline is connected at both ends" {
    play kcat 0 kcat-actions partitions_assigned=3
    play_with_changes pgsink 0 pgsink
    serve
    assert_equal "$(status_of /readyz)" 503
    tell pgsink database_connected=1
    assert_equal "$(status_of /readyz)" 200
    die kcat
    assert_equal "$(status_of /readyz)" 503
}

# ---- metrics

@test "healthd: /metrics has what the original had, first and in its order" {
    play_pipeline 0
    serve
    assert_equal "$(get /metrics | jq -c 'keys_unsorted[:8]')" \
        '["uptime_seconds","messages_consumed","messages_inserted","messages_failed","batches_processed","avg_batch_processing_ms","messages_per_second","last_commit_time"]'
    assert_equal "$(get /metrics | jq -c '[.avg_batch_processing_ms + 0, .last_commit_time]')" '[0,null]'
}

@test "healthd: counters are summed over pipelines, and kept apart below" {
    play kcat0 0 kcat-actions records_consumed=100 records_filtered=4 records_in_flight=5 records_abandoned=1
    play pgsink0 0 pgsink rows_inserted=80 rows_duplicate=6 rows_updated=1 rows_rejected=2 rejects_passed=1
    play kcat1 1 kcat-actions records_consumed=1000
    play pgsink1 1 pgsink rows_inserted=998 rows_rejected=2 batches_processed=10
    assert_equal "$(once '[.messages_consumed, .messages_inserted, .messages_failed, .batches_processed]')" \
        '[1100,1078,5,10]'
    assert_equal "$(once '[.messages_duplicate, .messages_updated, .messages_filtered, .messages_in_flight, .messages_abandoned]')" \
        '[6,1,4,5,1]'
    assert_equal "$(once '[.pipelines[] | [.pipeline, .counters.records_consumed, .counters.rows_rejected]]')" \
        '[[0,100,2],[1,1000,2]]'
    # I10, for the first: consumed is the sum of all that became of it.
    assert_equal "$(once '.pipelines[0].counters | .records_consumed == .records_filtered + .rows_inserted +
        .rows_updated + .rows_duplicate + .rows_rejected + .rejects_passed + .records_in_flight + .records_abandoned')" true
}

@test "healthd: each counter of the table is there by name, times as ISO 8601 or null" {
    play pgsink 0 pgsink last_batch_time=1761000000123456
    assert_equal "$(once '.pipelines[0].counters | [.last_batch_time, .last_commit_time]')" \
        '["2025-10-20T22:40:00.123Z",null]'
    local names
    names=$(grep -oP '^    X\(\K[a-z_]+(?=, +(COUNTER|GAUGE|TIME))' "$ROOT/lib/common/counters.h" | jq -Rsc 'split("\n")[:-1]')
    (($(jq length <<<"$names") > 40))
    assert_equal "$(once '.pipelines[0].counters | keys_unsorted')" "$names"
}

@test "healthd: mean batch time, uptime and rate" {
    play kcat 0 kcat-actions started=-100s records_consumed=1000
    play pgsink 0 pgsink started=-50s batch_duration=2000*3 batch_duration=10000*1
    assert_equal "$(once '.avg_batch_processing_ms + 0')" 4
    assert_equal "$(once '(.uptime_seconds | . >= 100 and . < 110) and (.messages_per_second | . > 9 and . <= 10)')" true
}

@test "healthd: messages a second are the average at first, then those of the last ten seconds" {
    play_with_changes kcat 0 kcat-actions started=-1000s records_consumed=1000000
    serve
    assert_equal "$(get /metrics | jq -c '.messages_per_second | . > 990 and . <= 1000')" true
    wait_until '[[ $(get /metrics | jq ".messages_per_second + 0") == 0 ]]' 20
    tell kcat records_consumed=1000100
    wait_until '[[ $(get /metrics | jq ".messages_per_second | . > 5 and . <= 110") == true ]]' 10
}

@test "healthd: gauges of a dead tool count as 0, but what it had in flight stays so" {
    play kcat 0 kcat-actions records_in_flight=7 bytes_in_flight=700 kafka_connected=1 partitions_assigned=4 topic/0=1,2,9
    die kcat
    assert_equal "$(once '.pipelines[0].counters | [.records_in_flight, .bytes_in_flight, .kafka_connected, .partitions_assigned]')" \
        '[7,700,0,0]'
    assert_equal "$(once '[.consumer_lag, .partitions, .uptime_seconds + 0]')" '[0,[],0]'
    assert_equal "$(once '.pipelines[0].tools["kcat-actions"] | [.pid, .alive, .starts, .uptime_seconds, .rss_bytes]')" \
        '[null,false,1,null,null]'
}

@test "healthd: lag is the end less what is committed, else less the position" {
    play kcat 0 kcat-actions b/1=40,50,100 b/0=-1,70,100 a/0=-1,-1,100 a/1=5,5,-1 a/2=9,9,7 gone/0=0,0,1000 gone/0=-
    assert_equal "$(once '[.partitions[] | [.topic, .partition, .committed, .position, .high_watermark, .lag]]')" \
        '[["a",0,null,null,100,null],["a",1,5,5,null,null],["a",2,9,9,7,0],["b",0,null,70,100,30],["b",1,40,50,100,60]]'
    assert_equal "$(once .consumer_lag)" 90
}

@test "healthd: a tool's resident memory is that of its process" {
    play kcat 0 kcat-actions
    local pages
    pages=$(cut -d' ' -f2 "/proc/$(pid_of kcat)/statm")
    assert_equal "$(once '.pipelines[0].tools["kcat-actions"] | [.pid, .rss_bytes]')" \
        "[$(pid_of kcat),$((pages * $(getconf PAGESIZE)))]"
}

# ---- Prometheus

@test "healthd: promtool finds nothing to complain about" {
    play_pipeline 0 records_consumed=5 last_commit_time=-1s agent-actions/0=1,2,3
    play_pipeline 1 records_consumed=5 agent-actions/1=1,2,3
    healthd --once --format prometheus >metrics
    run -0 promtool check metrics <metrics
    assert_equal "$output" ''
}

@test "healthd: Prometheus text has base units and labels" {
    play kcat 3 kcat-actions records_consumed=123 last_record_time=1761000000500000 agent-actions/7=10,20,30
    play pgsink 3 pgsink batch_duration=4000*2 batch_duration=70000000*1
    healthd --once --format prometheus >metrics
    local line
    for line in 'agent_actions_records_consumed_total{pipeline="3"} 123' \
        '# TYPE agent_actions_records_consumed_total counter' \
        'agent_actions_last_record_timestamp_seconds{pipeline="3"} 1761000000.500000' \
        'agent_actions_consumer_lag{pipeline="3",topic="agent-actions",partition="7"} 20' \
        'agent_actions_high_watermark_offset{pipeline="3",topic="agent-actions",partition="7"} 30' \
        'agent_actions_tool_up{tool="pgsink",pipeline="3"} 1' \
        'agent_actions_batch_duration_seconds_bucket{pipeline="3",le="0.0025"} 0' \
        'agent_actions_batch_duration_seconds_bucket{pipeline="3",le="0.005"} 2' \
        'agent_actions_batch_duration_seconds_bucket{pipeline="3",le="60"} 2' \
        'agent_actions_batch_duration_seconds_bucket{pipeline="3",le="+Inf"} 3' \
        'agent_actions_batch_duration_seconds_sum{pipeline="3"} 70.008000' \
        'agent_actions_batch_duration_seconds_count{pipeline="3"} 3' \
        'agent_actions_healthy 1'; do
        grep -qxF "$line" metrics || { printf 'no line: %s\n' "$line" && false; }
    done
    # A time that never was has no sample.
    run -1 grep -E '^agent_actions_last_commit_timestamp_seconds' metrics
    die pgsink
    healthd --once --format prometheus >metrics
    grep -qxF 'agent_actions_tool_up{tool="pgsink",pipeline="3"} 0' metrics
    grep -qxF 'agent_actions_healthy 0' metrics
}

@test "healthd: the Accept header chooses the format, ?format= overrides it" {
    play_pipeline 0
    serve
    local accept text='text/plain; version=0.0.4; charset=utf-8' json=application/json
    for accept in text/plain 'TEXT/PLAIN;q=0.5' 'application/json;q=0.2, text/plain;q=0.3' 'text/*, application/json;q=0.9' \
        'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1' \
        'application/openmetrics-text' 'application/json;q=0, */*'; do
        assert_equal "$accept: $(content_type_of /metrics -H "Accept: $accept")" "$accept: $text"
    done
    for accept in '*/*' application/json 'application/json, text/plain' 'application/*;q=0.9, */*;q=0.1' \
        'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' 'text/plain;q=0' image/png ',;q=/,' '/'; do
        assert_equal "$accept: $(content_type_of /metrics -H "Accept: $accept")" "$accept: $json"
    done
    assert_equal "$(content_type_of /metrics -H 'Accept:')" "$json"
    assert_equal "$(content_type_of '/metrics?format=prometheus')" "$text"
    assert_equal "$(content_type_of '/metrics?format=json' -H 'Accept: text/plain')" "$json"
    assert_equal "$(status_of '/metrics?format=xml')" 400
}

# ---- history and page

@test "healthd: /history has a sample each second, and leaves out what one has" {
    play kcat 0 kcat-actions records_consumed=10 records_in_flight=3 topic/0=1,1,9
    play_with_changes pgsink 0 pgsink rows_inserted=6 rows_rejected=1 rejects_value=1
    serve
    wait_until '(($(get /history | jq ".samples | length") >= 1))' 5
    assert_equal "$(get /history | jq -c '[.interval_seconds, .members, .samples[0][1:13]]')" \
        '[1,["time","consumed","inserted","failed","lag","in_flight","batch_ms","latency_p50_ms","latency_p99_ms","rejects_undecodable","rejects_value","rejects_constraint","rejects_other","memory_kib"],[10,6,1,8,3,null,null,null,0,1,0,0]]'
    tell pgsink batch_duration=5000*2
    wait_until '[[ $(get /history | jq -c "[.samples[][6]] | map(values + 0)") == "[5]" ]]' 5
    wait_until '(($(get /history | jq ".samples | length") >= 3))' 5
    get /history >history
    assert_equal "$(jq '[.samples | .[:-1], .[1:]] | transpose | all(.[1][0] - .[0][0] | . > 500 and . < 1900)' history)" true
    local second
    second=$(jq '.samples[1][0]' history)
    assert_equal "$(get "/history?since=$second" | jq -c '.samples[0]')" "$(jq -c '.samples[2]' history)"
    assert_equal "$(status_of '/history?since=yesterday')" 400
}

@test "healthd: the page shows the figures without JavaScript, and needs nothing from elsewhere" {
    play_pipeline 0 records_consumed=1234567 agent-actions/0=100,150,200
    die dlq0
    serve
    get / >page.html
    assert_equal "$(content_type_of /)" 'text/html; charset=utf-8'
    grep -qF '<dt>Consumed</dt><dd>1&#8239;234&#8239;567</dd>' page.html
    grep -qF 'pipeline 0: dlq is gone' page.html
    grep -qF '<td>agent-actions</td>' page.html
    run -1 grep -F '{{' page.html
    run -1 grep -nE '(src|href)="?(https?:)?//|@import|url\(' page.html
}

@test "healthd: the page names a topic, whatever is in its name" {
    play kcat 0 kcat-actions '<b>&"x"/0=1,1,1'
    serve
    assert_contains "$(get /)" '<td>&lt;b>&amp;&quot;x&quot;</td>'
    assert_contains "$(get /metrics)" '"topic":"<b>&\"x\""'
    assert_contains "$(get '/metrics?format=prometheus')" 'topic="<b>&\"x\"",partition="0"'
}

# ---- HTTP

@test "healthd: other paths are 404, other methods 405, HEAD is served" {
    play_pipeline 0
    serve
    assert_equal "$(status_of /nothing)" 404
    assert_contains "$(get /nothing)" '{"error":'
    local method
    for method in POST PUT DELETE OPTIONS; do
        assert_equal "$(status_of /health -X $method -d some=body)" 405
    done
    assert_contains "$(get /health -X POST -D -)" 'Allow: GET, HEAD'
    local path
    for path in /health /metrics /history /; do
        assert_contains "$(get $path --head)" 'HTTP/1.1 200 OK'
    done
}

@test "healthd: malformed requests and headers too long are refused, and it goes on" {
    play_pipeline 0
    serve
    printf 'NONSENSE\r\n\r\n' >"/dev/tcp/127.0.0.1/$(<port)"
    head -c 100000 /dev/urandom >"/dev/tcp/127.0.0.1/$(<port)" || true
    printf 'X: %070000d' 0 >long
    run status_of /health -H @long
    [[ $output == 431 || $output == 413 || $output == 000* ]]
    assert_equal "$(status_of /health)" 200
}

@test "healthd: clients that ask for nothing are put out, and cost no memory" {
    play_pipeline 0
    serve
    local clients=() fd i
    for ((i = 0; i < 40; i++)); do
        exec {fd}<>"/dev/tcp/127.0.0.1/$(<port)"
        clients+=("$fd")
        printf 'GET /health HTTP/1.1\r\nX-Slow: ' >&"$fd"
    done
    wait_until '[[ $(status_of /health) == 200 ]]' 25
    for fd in "${clients[@]}"; do exec {fd}>&-; done
    [[ $BUILD == */san ]] ||
        (($(awk '/^VmHWM/ { print $2 }' "/proc/$(pid_of healthd)/status") < 10240))
}

@test "healthd: a port in use is one clear line and exit 69" {
    play_pipeline 0
    serve
    run -69 healthd -l "127.0.0.1:$(<port)"
    assert_equal "${#lines[@]}" 1
    assert_contains "$output" "could not listen on 127.0.0.1, port $(<port): Address already in use"
}

@test "healthd: the default port is in HEALTH_CHECK_PORT" {
    HEALTH_CHECK_PORT=0 background healthd healthd --port-file port -v
    wait_until '[[ -s port ]]'
    assert_equal "$(curl -s "http://127.0.0.1:$(<port)/livez")" '{"status":"alive"}'
    assert_contains "$(<healthd.log)" "INFO - listening on 127.0.0.1, port $(<port)"
    HEALTH_CHECK_PORT=http run -78 healthd
    assert_contains "$output" 'HEALTH_CHECK_PORT "http" is no port'
}

@test "healthd: listens on IPv6 too, and says so where there is none" {
    if ! grep -qs . /proc/net/if_inet6; then # a kernel without it
        run -69 timeout 10 healthd -l '[::1]:0'
        assert_contains "$output" '::1'
        return
    fi
    background healthd healthd -l '[::1]:0' --port-file port
    wait_until '[[ -s port ]]'
    assert_equal "$(curl -s "http://[::1]:$(<port)/livez")" '{"status":"alive"}'
}

@test "healthd: SIGTERM and SIGINT end it with 0, quietly" {
    local name
    for name in TERM INT; do
        serve
        stop healthd "$name"
        assert_status 0
        assert_equal "$(<healthd.log)" ''
    done
}

# ---- the file of counters

@test "healthd: it follows a file that takes the other's place" {
    play_pipeline 0 records_consumed=1
    serve
    assert_equal "$(get /metrics | jq .messages_consumed)" 1
    rm "$AGENT_ACTIONS_STATS"
    assert_equal "$(get /metrics | jq .messages_consumed)" 1
    play new 0 kcat-actions records_consumed=2
    assert_equal "$(get /metrics | jq .messages_consumed)" 2
}

@test "healthd: a file that is cut short, or of another version, does not end it" {
    play kcat 0 kcat-actions
    serve
    assert_equal "$(status_of /health)" 200
    die kcat
    : >"$AGENT_ACTIONS_STATS"
    assert_contains "$(get /health)" 'no pipeline has started'
    printf 'something else' >"$AGENT_ACTIONS_STATS"
    assert_contains "$(get /health)" 'of another version'
    assert_equal "$(status_of /metrics)" 503
    run -65 healthd --once
    assert_contains "$output" 'of another version'
    assert_equal "$(grep -c WARNING healthd.log)" 1
}

@test "healthd: it never writes to the file" {
    play_pipeline 0 records_consumed=1 topic/0=1,2,3
    cp "$AGENT_ACTIONS_STATS" before
    serve
    local path
    for path in / /health /readyz /metrics '/metrics?format=prometheus' /history; do get "$path" >/dev/null; done
    cmp "$AGENT_ACTIONS_STATS" before
    run -1 grep -F 'rw-s' "/proc/$(pid_of healthd)/maps"
}

# ---- --once and usage

@test "healthd: --once without a file of counters is exit 66 and says why" {
    run -66 healthd --once
    assert_contains "$output" "could not read the counters in $AGENT_ACTIONS_STATS: No such file or directory"
    run -1 healthd --once --health
    assert_contains "$output" 'no pipeline has started'
}

@test "healthd: --once to a closed pipe is no crash" {
    play_pipeline 0
    mkfifo pipe
    exec 8<>pipe 7>pipe 8>&-
    status=0
    healthd --once >&7 2>errors || status=$?
    assert_status 74
    assert_contains "$(<errors)" 'could not write to standard output: Broken pipe'
}

@test "healthd: usage errors are exit 64" {
    local options
    for options in '--once --format xml' '--format json' '--health' '--once --health --format json' '--once -l 80' \
        '-l 1.2.3.4' '-l 127.0.0.1:70000' '-l :8080' '-l [::1]' '--progress-timeout soon' '--nonsense'; do
        # shellcheck disable=SC2086 # words on purpose
        run -64 healthd $options
    done
    unset AGENT_ACTIONS_STATS
    run -64 healthd
    assert_contains "$output" 'give --stats FILE, or set AGENT_ACTIONS_STATS'
}

@test "healthd: the examples of its manual run as printed" {
    play_pipeline 0 records_consumed=100 agent-actions/0=90,100,100
    local manual=$ROOT/tools/healthd/healthd.1 count example
    # Each text between .EX and .EE, in a file of its own, without roff's escapes.
    awk '/^\.EE/ { on = 0 } on { gsub(/\\\(aq/, "\047"); gsub(/\\-/, "-"); print > ("example" n) } /^\.EX/ { on = 1; n++ }' "$manual"
    count=$(grep -c '^\.EX' "$manual")
    ((count >= 5))
    for ((example = 1; example <= count; example++)); do
        bash -euo pipefail "example$example" >"output$example" 3>&- || { printf 'example %d\n' "$example" && false; }
    done
    assert_equal "$(jq -c . output1)" '{"messages_consumed":100,"messages_inserted":0,"consumer_lag":10}'
    assert_contains "$(<output2)" $'0\tkcat-actions\ttrue\t'
    assert_contains "$(<output3)" '"healthy"'
    grep -q '^agent_actions_healthy 1' agent_actions.prom
    assert_contains "$(<output5)" 'agent_actions_tool_up{tool="dlq",pipeline="0"} 1'
}
