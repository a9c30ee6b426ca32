#!/usr/bin/env bats
# postgres_faults.bats - what PostgreSQL can do to a pipeline that is at work, on the real Kafka. A fault of the
# infrastructure is waited for: no dead letter, no rebalance, every event one row in its partition's order. A fault
# of the set-up ends the tool with what mends it, and all goes on from there when it is mended.
# shellcheck disable=SC2016,SC2030,SC2031,SC2094,SC2154 # conditions are evaluated by wait_until; $status is set by run
bats_require_minimum_version 1.5.0
load ../../support/helpers
load ../../support/pipeline
load ../../support/delivery

# A server of the file's own: what it has committed outlives its crash.
setup_file() {
    export SERVER=$BATS_FILE_TMPDIR/server
    "$ROOT/scripts/dev-postgres" --fast -c synchronous_commit=on -c max_connections=12 "$SERVER" 3>&- 4>&-
}
teardown_file() {
    "$ROOT/scripts/dev-postgres" --destroy "$SERVER" 3>&- 4>&-
}

setup() {
    helpers_setup
    kill -0 "$(<"$SERVER/pid")" 2>/dev/null || start_server # a test that failed has left it so
    # shellcheck source=/dev/null
    . "$SERVER/env"
    PUBLISHED=0 PLACE='' READ_ONLY=''
    pipeline_setup
    number_arrivals
}
teardown() {
    exec 8>&-
    [[ -z $READ_ONLY ]] || set_read_only ''
    helpers_teardown
    [[ -z $PLACE ]] || { umount "$PLACE"; rmdir "$PLACE"; }
}

# ---- the cast

# Publishes so many more events, one in a hundred of which cannot be stored.
publish() { # N [POISON]
    numbered_events $((PUBLISHED + 1)) $((PUBLISHED + $1)) "${2:-1}" | produce "$TOPIC" -K "$(printf '\t')"
    PUBLISHED=$((PUBLISHED + $1))
}

# A pipeline that has stored some events.
start_well() { # N [POISON]
    publish "$@"
    start_pipeline
    all_is_safe "$PUBLISHED"
}

# All that was published is where it belongs, by the tools that were there at the start: no other event became a
# dead letter, and no partition changed hands.
end_well() {
    all_is_safe "$PUBLISHED"
    delivered_exactly "$PUBLISHED"
    wait_until sum_comes_out
    assert_equal "$(metrics '[.pipelines[0].tools[].starts]')" "[1,1,1,1]"
    assert_equal "$(counters '[.rebalances, .partitions_lost]')" "[1,0]"
    stop run
    assert_equal "$status" 0
}

counters() { # JQ
    metrics ".pipelines[0].counters | $1"
}

# One's own SQL, whatever the test has set for others.
admin() { # STATEMENT
    PGUSER=postgres PGOPTIONS='-c default_transaction_read_only=off -c lock_timeout=0' sql "$1"
}

# Another session, to which statements go by `>&8`.
start_session() {
    mkfifo session.in
    exec 8<>session.in
    background session psql -Xq 8>&-
}

# Somebody else holds the table: pgsink waits within its COPY.
hold_copy() {
    start_session
    echo 'BEGIN; LOCK TABLE agent_actions IN EXCLUSIVE MODE; SELECT 1;' >&8
    wait_until '[[ -s session.out ]]'
    publish 200
    wait_until "[[ \$(waiting_copies) == 1 ]]"
}

waiting_copies() {
    sql "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY%'
        AND application_name LIKE '%pgsink%' AND wait_event_type = 'Lock'"
}

let_go() {
    printf 'ROLLBACK;\n\\q\n' >&8
    exec 8>&-
    await session 5
}

end_sessions_of_pgsink() {
    admin "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '$PGDATABASE' AND application_name LIKE '%pgsink%'" >/dev/null
}

log_says() { # REGEX
    wait_until "grep -Eq '$1' run.log"
}

crash_server() {
    local pid
    pid=$(<"$SERVER/pid")
    kill -QUIT "$pid" # as pg_ctl stop -m immediate
    wait_until "! kill -0 $pid" 10
}

start_server() {
    "$ROOT/scripts/dev-postgres" "$SERVER" 3>&- 4>&- 8>&-
}

# A role that may only do what pgsink needs; from then on the pipelines are it.
become_writer() { # [OPTIONS]
    WRITER=$(unique writer)
    sql "CREATE ROLE \"$WRITER\" LOGIN ${1-}; GRANT INSERT, SELECT ON agent_actions TO \"$WRITER\"; GRANT USAGE ON SEQUENCE arrivals TO \"$WRITER\""
    export POSTGRES_USER=$WRITER
}

# ---- the server goes away

@test "an immediate stop within COPY, and a start: all is stored once, in order" {
    start_well 300
    hold_copy
    crash_server
    exec 8>&-
    wait_until '[[ $(counters .database_connected) == 0 ]]'
    publish 300
    start_server
    end_well
    log_says 'connected to PostgreSQL again'
}

@test "its backend is terminated within COPY: the batch goes in by another one" {
    start_well 300
    hold_copy
    end_sessions_of_pgsink
    log_says '57P01.*trying again'
    publish 300
    let_go
    wait_until '[[ $(counters .reconnects) -ge 1 ]]'
    end_well
}

# The memory of the tools in KiB, a line each.
memory() {
    local tool
    for tool in kcat-actions batch pgsink dlq; do
        awk -v tool="$tool" '$1 == "VmRSS:" { print tool, $2 }' "/proc/$(tool_pid "$tool")/status"
    done
}

# How long PostgreSQL has refused so far, as pgsink counts it, in seconds.
refused_for() {
    local since
    since=$(counters .database_refused_since | tr -d '"')
    [[ $since != null ]] && printf '%s\n' $((EPOCHSECONDS - $(date -d "$since" +%s)))
}

@test "connections refused for twice max.poll.interval.ms and more: still the same member, memory flat, no dead letter" {
    local -A before=()
    local tool size members
    printf '%s\n' max.poll.interval.ms=8000 >>kafka.conf
    start_well 300
    members=$(group-members "$KAFKA_BROKERS" "$GROUP")
    crash_server
    # More than fits into all buffers: kcat-actions gets stuck, as it does in a long outage.
    publish 20000
    wait_until '[[ $(counters .database_connected) == 0 ]]'
    wait_until '[[ $(counters .pauses) == 1 ]]'
    while read -r tool size; do before[$tool]=$size; done < <(memory)
    wait_until '(($(refused_for) > 20))' 30
    grep -q 'Connection refused; trying again' run.log
    assert_equal "$(group-members "$KAFKA_BROKERS" "$GROUP")" "$members"
    assert_equal "$(wc -l <<<"$members") $(head -n 1 <<<"$members")" "2 Stable"
    while read -r tool size; do
        printf '%s: %d KiB, then %d\n' "$tool" "${before[$tool]}" "$size"
        ((size - before[$tool] < 2048 && before[$tool] - size < 2048))
    done < <(memory)
    start_server
    end_well
}

# How many connections the server has refused since there were too many.
refusals() {
    grep -cE 'FATAL: .*(too many clients|remaining connection slots)' "$SERVER/log"
}

@test "no connection is free (53300): it tries again until one is" {
    local pid refused
    become_writer
    start_well 300
    pid=$(tool_pid pgsink)
    kill -STOP "$pid"
    end_sessions_of_pgsink
    # Two more than there are: whatever pgsink leaves is taken.
    for _ in {1..14}; do
        PGUSER=$WRITER background session psql -Xq -c 'SELECT pg_sleep(600)'
    done
    wait_until '! PGUSER=$WRITER sql "SELECT 1"'
    publish 300
    refused=$(refusals)
    kill -CONT "$pid"
    wait_until "((\$(refusals) >= $refused + 3))"
    grep -qE '(too many clients|remaining connection slots).*trying again' run.log
    assert_equal "$(counters .database_connected)" 0
    admin "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(600)%' AND pid <> pg_backend_pid()" >/dev/null
    end_well
}

# ---- the server refuses

# For all sessions, those that are there too.
set_read_only() { # on, or empty: no longer
    READ_ONLY=$1
    admin "ALTER SYSTEM SET default_transaction_read_only = ${1:-default}"
    admin 'SELECT pg_reload_conf()' >/dev/null
}

@test "default_transaction_read_only on for a while: no event is blamed" {
    start_well 300
    set_read_only on
    wait_until '[[ $(sql "SHOW default_transaction_read_only") == on ]]'
    publish 300
    wait_until '[[ $(counters .batches_failed) -ge 3 ]]'
    log_says '25006'
    assert_equal "$(committed_records "$GROUP" "$TOPIC")" 300
    set_read_only ''
    end_well
}

@test "a full disk: no event is blamed, and all goes in when there is room" {
    local name
    PLACE=$(mktemp -d /tmp/full-disk.XXXXXX)
    mount -t tmpfs -o size=6M,mode=777 tmpfs "$PLACE"
    mkdir "$PLACE/space"
    [[ $EUID != 0 ]] || chown "$(stat -Lc %u "$SERVER/cluster/data")" "$PLACE/space"
    name=$(unique full)
    sql "CREATE TABLESPACE \"$name\" LOCATION '$PLACE/space'"
    sql "ALTER TABLE agent_actions SET TABLESPACE \"$name\""
    start_well 300
    dd if=/dev/zero of="$PLACE/ballast" bs=8k status=none || true # it takes what there is
    publish 2000
    wait_until '[[ $(counters .batches_failed) -ge 3 ]]'
    log_says '53100'
    rm "$PLACE/ballast"
    end_well
    sql 'DROP TABLE agent_actions CASCADE'
    sql "DROP TABLESPACE \"$name\""
}

@test "lock_timeout with a held lock: it tries again until the lock is gone" {
    sql "ALTER DATABASE \"$PGDATABASE\" SET lock_timeout = '100ms'"
    start_well 300
    start_session
    echo 'BEGIN; LOCK TABLE agent_actions IN EXCLUSIVE MODE; SELECT 1;' >&8
    wait_until '[[ -s session.out ]]'
    publish 300
    wait_until '[[ $(counters .batches_failed) -ge 3 ]]'
    log_says '55P03'
    let_go
    end_well
}

@test "a deadlock: pgsink gives way, and stores all when the other has ended" {
    local insert="INSERT INTO agent_actions SELECT * FROM twin WHERE action_name = "
    start_well 300
    # The rows as they will be, by the same way from event to row.
    sql 'CREATE TABLE twin (LIKE agent_actions INCLUDING ALL)'
    numbered_events 301 302 | cut -f 2 | pgsink -T twin --map created_at=timestamp
    assert_equal "$(count_rows twin)" 2
    start_session
    echo "SET deadlock_timeout = '1h'; BEGIN; $insert'serial-302-good'; SELECT 1;" >&8
    wait_until '[[ -s session.out ]]'
    # Both of one partition, so that they come in order, and in one batch.
    numbered_events 301 302 | produce "$TOPIC" -K "$(printf '\t')" -p 0 -X linger.ms=500
    PUBLISHED=302
    wait_until "[[ \$(waiting_copies) == 1 ]]"
    echo "$insert'serial-301-good';" >&8
    log_says '40P01'
    publish 300
    let_go
    end_well
}

# ---- the table changes

@test "columns are added, renamed and dropped under way: it goes on with what there is, nobody is blamed" {
    start_well 300 0
    sql "ALTER TABLE agent_actions ADD COLUMN host text, ADD COLUMN tenant text NOT NULL DEFAULT 'none'"
    publish 300 0
    all_is_safe 600
    sql 'ALTER TABLE agent_actions RENAME COLUMN duration_ms TO milliseconds'
    publish 300 0
    all_is_safe 900
    sql 'ALTER TABLE agent_actions DROP COLUMN host, DROP COLUMN action_details'
    publish 300 0
    end_well
    assert_equal "$(sql "SELECT count(*), count(milliseconds), count(tenant) FROM agent_actions")" '1200|600|1200'
    assert_equal "$(grep -c 'has changed' run.log)" 2
}

@test "the table is dropped: 78 and what makes it; made anew, the next start goes on from there" {
    start_well 300 0
    sql 'DROP TABLE agent_actions CASCADE'
    publish 300 0
    await run
    assert_equal "$status" 78
    assert_contains "$(<run.log)" "there is no table agent_actions in database $PGDATABASE; \`agent-actions init\` makes"
    assert_equal "$(committed_records "$GROUP" "$TOPIC")" 300
    "$AGENT_ACTIONS" init
    start_pipeline
    all_is_safe 600
    assert_equal "$(sql 'SELECT count(*), count(DISTINCT action_name) FROM agent_actions')" '300|300'
    assert_equal "$(count_records "$TOPIC-dlq")" 0
}

@test "a pipeline that has run before waits for a table that is being replaced, and goes on" {
    start_well 300
    kill -KILL "$(tool_pid batch)"
    wait_until '[[ $(metrics ".pipelines[0].tools.pgsink.starts") == 2 && $(counters .database_connected) == 1 ]]'
    sql 'ALTER TABLE agent_actions RENAME TO agent_actions_old'
    publish 300
    log_says 'pipeline 0 ended with status 78 \(configuration\)'
    is_running run
    sql 'ALTER TABLE agent_actions_old RENAME TO agent_actions'
    all_is_safe 600
    delivered_exactly 600
    stop run
    assert_equal "$status" 0
}

@test "the password is changed: 77 and where to put it; with the right one it goes on" {
    local hba
    become_writer "PASSWORD 'first-secret'"
    hba=$(readlink -f "$SERVER/cluster")/data/pg_hba.conf
    sed -i "1i host all \"$WRITER\" 127.0.0.1/32 scram-sha-256" "$hba"
    sql 'SELECT pg_reload_conf()' >/dev/null
    export PGPASSFILE=/dev/null POSTGRES_PASSWORD=first-secret
    start_well 300
    sql "ALTER ROLE \"$WRITER\" PASSWORD 'second-secret'"
    end_sessions_of_pgsink
    publish 300
    await run
    assert_equal "$status" 77
    assert_contains "$(<run.log)" 'password authentication failed'
    assert_contains "$(<run.log)" 'check the user, and the password in PGPASSWORD'
    [[ $(<run.log) != *secret* ]]
    POSTGRES_PASSWORD=second-secret start_pipeline
    all_is_safe 600
    delivered_exactly 600
}

# ---- how long a restart takes

@test "kill -9 of pgsink: what is published after it is stored within seconds" {
    local start rows
    start_well 300
    rows=$(count_rows)
    start=$(now_ms)
    kill -KILL "$(tool_pid pgsink)"
    publish 100
    wait_until "((\$(count_rows) > $rows))"
    printf '# storing again %d ms after the kill\n' "$(($(now_ms) - start))" >&3
    all_is_safe 400
    delivered_exactly 400
}
