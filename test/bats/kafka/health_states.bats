#!/usr/bin/env bats
# health_states.bats - each state of health, provoked on a real pipeline with a Kafka and a PostgreSQL of its
# own, and seen: on /health, on /readyz and on the page, of which Chromium takes a picture in each state.
# The pictures go to $ARTEFACTS, else build/screenshots. The tests go on from each other, in order; each ends
# with all well again. This healthd has short limits, so that nothing waits for a minute.
# shellcheck disable=SC2016,SC2030,SC2031,SC2034,SC2054,SC2094,SC2154 # conditions for wait_until are expanded there
bats_require_minimum_version 1.5.0
load ../../support/helpers
load ../../support/pipeline

setup_file() {
    export BATS_TEST_TMPDIR=$BATS_FILE_TMPDIR STATES=$BATS_FILE_TMPDIR
    export SHOTS=${ARTEFACTS:-$ROOT/build/screenshots}
    mkdir -p "$SHOTS"
    helpers_setup
    "$ROOT/scripts/dev-postgres" --fast "$STATES/postgres" >/dev/null 3>&- &
    "$ROOT/test/kafka/start" "$STATES/kafka" >/dev/null 3>&-
    wait $!
    # shellcheck disable=SC1091 # written by the servers
    . "$STATES/postgres/env"
    # shellcheck disable=SC1091
    . "$STATES/kafka/env"
    pipeline_setup
    start_pipeline --drain-timeout 20
    AGENT_ACTIONS_STATS=$STATES/$(runtime)/stats
    export AGENT_ACTIONS_STATS
    background health healthd -l 127.0.0.1:0 --port-file "$STATES/port" --kafka-timeout 2s --database-timeout 2s \
        --dlq-timeout 2s --progress-timeout 3s
    pid_of run >"$STATES/run.pid"
    pid_of health >"$STATES/health.pid"
    wait_until '[[ -s $STATES/port ]]'
    URL=http://127.0.0.1:$(<"$STATES/port")
    export URL
}

teardown_file() {
    local name
    kill -CONT "$(<"$STATES/run.pid")" 2>/dev/null || true
    for name in run health; do
        kill -TERM "$(<"$STATES/$name.pid")" 2>/dev/null || true
    done
    wait_until '! kill -0 "$(<"$STATES/run.pid")"' 30 || kill -KILL "$(<"$STATES/run.pid")"
    "$ROOT/test/kafka/start" --destroy "$STATES/kafka"
    "$ROOT/scripts/dev-postgres" --destroy "$STATES/postgres"
}

setup() {
    cd "$STATES" || return
    BACKGROUND=()
}
teardown() {
    exec 9>&-
    [[ -n ${BATS_TEST_COMPLETED-} ]] || { curl -s "$URL/health"; tail -n 30 "$STATES/run.log"; }
}

# ---- what is seen

health() { # [JQ]
    curl -s --max-time 5 "$URL/health" | jq -c "${1:-.}"
}

is_healthy() {
    [[ $(health .status) == '"healthy"' ]]
}

# Well and ready, with nothing but the rejects of before to warn of.
all_is_well() {
    wait_until 'is_healthy && [[ $(curl -s -o /dev/null -w "%{http_code}" $URL/readyz) == 200 ]] &&
        [[ $(health "[.warnings // [] | .[] | select(test(\"rejected\") | not)]") == "[]" ]]' 30
}

# /health says so, with a cure, and so does the page: STATUS, a part of the REASON, the page's word.
is_seen() { # STATUS REASON WORD
    wait_until "[[ \$(health '[.reasons // [], .warnings // []] | add | join(\"; \")') == *'$2'* &&
        \$(curl -s -o /dev/null -w '%{http_code}' '$URL/health') == $1 ]]" 30
    health '.what_to_do | length > 0' | grep -qx true
    curl -s "$URL/" >page
    assert_contains "$(<page)" "data-word=\"$3\""
    assert_contains "$(<page)" "$2"
}

browser() { # OPTION...
    timeout 90 chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --hide-scrollbars \
        --user-data-dir="$STATES/chromium" --virtual-time-budget=4000 "$@" "$URL/" 2>chromium.log 3>&- </dev/null
}

picture() { # NAME [OPTION...]
    local name=$1
    shift
    rm -f "$SHOTS/$name.png"
    browser --window-size=1200,1500 "$@" --screenshot="$SHOTS/$name.png" >/dev/null
    (($(stat -c %s "$SHOTS/$name.png") > 20000))
}

dark=(--blink-settings=preferredColorScheme=0)
phone=(--window-size=390,1800)

# ---- what is done

# Events of now, so that the latency is that of the pipeline.
publish() { # FIRST LAST
    serial_events "$1" "$2" | with_key | produce "$TOPIC" -K "$(printf '\t')"
}

lock_table() {
    rm -f lock.in
    mkfifo lock.in
    exec 9<>lock.in
    background lock psql -Xq 9>&-
    echo 'BEGIN; LOCK TABLE agent_actions IN EXCLUSIVE MODE;' >&9
    wait_until "[[ \$(sql \"SELECT count(*) FROM pg_locks WHERE mode = 'ExclusiveLock' AND granted AND relation = 'agent_actions'::regclass\") == 1 ]]"
}

unlock_table() {
    echo 'ROLLBACK; \q' >&9
    await lock
}

@test "health states: all well under load, light and dark, on a phone, and without JavaScript as plain figures" {
    local first
    all_is_well
    for ((first = 1; first < 4000; first += 200)); do publish "$first" $((first + 199)); done
    all_is_safe 4000
    # Two samples later the plots have it.
    wait_until "[[ \$(curl -s $URL/history | jq '[.samples[-2:][][2]] | unique == [4000]') == true ]]"
    assert_equal "$(health '[.status, .consumer, .pipelines_running, .draining, .reasons, .warnings]')" \
        '["healthy","running",1,false,null,null]'
    picture 1-all-well
    picture 1-all-well-dark "${dark[@]}"
    picture 1-all-well-phone "${phone[@]}"
    picture 1-all-well-phone-dark "${phone[@]}" "${dark[@]}"
    # Plots are drawn: lines with points, of throughput and of the latency from record to commit.
    browser --dump-dom >dom
    assert_contains "$(<dom)" '<title>Agent Actions</title>'
    (($(grep -o '<path d="M[0-9.]* [0-9.]*h0L[^"]*"' dom | wc -l) >= 4))
    curl -s "$URL/" >page
    assert_contains "$(<page)" 'data-word="Healthy"'
    grep -q '<dt>Inserted</dt><dd>4&#8239;000</dd>' page
    grep -A1 -E '<td>Record to commit, p50</td>' page | grep -qE '[0-9.]+ m?s'
    # The histogram has each record once, and none took a minute.
    curl -s "$URL/metrics?format=prometheus" >metrics
    grep -qxF 'agent_actions_end_to_end_latency_seconds_count{pipeline="0"} 4000' metrics
    grep -qxF 'agent_actions_end_to_end_latency_seconds_bucket{pipeline="0",le="60"} 4000' metrics
    grep -qxF 'agent_actions_up{tool="pgsink",pipeline="0"} 1' metrics
    promtool check metrics <metrics
}

@test "health states: the dead letter queue fills, and the page tells why by class" {
    all_is_well
    printf '%s\n' 'not json' 'nor this' '[1]' '{"agent_name":"a"}' \
        "$(serial_events 9001 9001 | sed 's/"tool_call"/"dance"/')" \
        "$(serial_events 9002 9002 | sed 's/"duration_ms":[0-9]*/"duration_ms":"long"/')" | produce "$TOPIC"
    is_seen 200 '6 events were rejected in the last 5 minutes' 'Running, with warnings'
    assert_equal "$(metrics '.pipelines[0].counters | [.rejects_undecodable, .rejects_value, .rejects_constraint, .rejects_other, .rejects_passed]')" \
        '[1,1,2,0,2]'
    assert_contains "$(tr -d '\n' <page)" '<td>Rejects: no JSON object</td><td class="number">3</td>'
    picture 2-dead-letters
}

@test "health states: PostgreSQL is down, and well again" {
    all_is_well
    "$ROOT/scripts/dev-postgres" --stop "$STATES/postgres"
    publish 4001 4100
    is_seen 503 'PostgreSQL has refused for' Unhealthy
    assert_equal "$(curl -s -o /dev/null -w '%{http_code}' "$URL/readyz")" 503
    picture 3-database-down
    picture 3-database-down-phone-dark "${phone[@]}" "${dark[@]}"
    "$ROOT/scripts/dev-postgres" --fast "$STATES/postgres" 3>&-
    all_is_well
    all_is_safe 4106
}

@test "health states: Kafka is down, and well again though nothing is published" {
    all_is_well
    "$ROOT/test/kafka/start" --stop "$STATES/kafka"
    is_seen 503 'no broker of Kafka has answered for' Unhealthy
    assert_equal "$(curl -s -o /dev/null -w '%{http_code}' "$URL/readyz")" 503
    picture 4-kafka-down
    "$ROOT/test/kafka/start" "$STATES/kafka" 3>&-
    all_is_well
}

@test "health states: a tool is killed, and started again" {
    all_is_well
    # The supervising script is held, or it would be too quick for a picture.
    kill -STOP "$(<run.pid)"
    kill -KILL "$(tool_pid pgsink)"
    is_seen 503 'pipeline 0: pgsink is gone' Unhealthy
    picture 5-tool-killed
    kill -CONT "$(<run.pid)"
    all_is_well
}

@test "health states: stalled with a lag, by a table that somebody has locked" {
    all_is_well
    lock_table
    publish 4101 4300
    is_seen 503 'pipeline 0: no record was acknowledged for' Unhealthy
    picture 6-stalled
    unlock_table
    all_is_well
    all_is_safe 4306
}

@test "health states: neither a flood of requests nor healthd's death disturbs the pipeline" {
    all_is_well
    local starts
    starts=$(health '[.pipelines_running]')
    background flood http-load "$(<port)" 200 2 4 / /health /metrics /history
    publish 4301 6300
    all_is_safe 6306
    await flood
    assert_equal "$(jq -c '.refused' flood.out)" 0
    assert_equal "$(health '[.pipelines_running]')" "$starts"
    # Its own healthd, of the supervising script: killed, and started again, with the pipeline untouched.
    local before
    before=$(tool_pid pgsink)
    kill -KILL "$(pgrep -P "$(<run.pid)" -x healthd)"
    publish 6301 6500
    all_is_safe 6506
    wait_until 'pgrep -P "$(<run.pid)" -x healthd'
    assert_equal "$(tool_pid pgsink)" "$before"
    all_is_well
}

@test "health states: draining, with what is in flight" {
    all_is_well
    lock_table
    publish 6501 6600
    wait_until "[[ \$(curl -s $URL/metrics | jq .messages_in_flight) == 100 ]]"
    kill -TERM "$(<run.pid)"
    is_seen 200 'pipeline 0: draining, with 100 in flight' Draining
    assert_equal "$(health '[.status, .draining]')" '["healthy",true]'
    assert_equal "$(curl -s -o /dev/null -w '%{http_code}' "$URL/readyz")" 503
    picture 7-draining
    unlock_table
    wait_until '! kill -0 "$(<run.pid)"' 30
    is_seen 503 'no kcat-actions is running' Unhealthy
    picture 8-ended
}
