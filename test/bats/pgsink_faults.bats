#!/usr/bin/env bats
# pgsink_faults.bats - what pgsink does when the database fails, and what it says when something is not set
# up: the first is waited for, the second ends it, and no event is rejected for either.
# shellcheck disable=SC2016 # conditions for wait_until are expanded there
bats_require_minimum_version 1.5.0
load ../support/helpers

# A server of the file's own, to be stopped and started again: what it has committed outlives it.
setup_file() {
    export SERVER=$BATS_FILE_TMPDIR/server
    "$ROOT/scripts/dev-postgres" --fast -c synchronous_commit=on "$SERVER" 3>&- 4>&-
}
teardown_file() {
    "$ROOT/scripts/dev-postgres" --destroy "$SERVER" 3>&- 4>&-
}

setup() {
    helpers_setup
    # shellcheck source=/dev/null
    . "$SERVER/env"
    export AGENT_ACTIONS_STATS=$BATS_TEST_TMPDIR/stats
}
teardown() {
    exec 9>&- 8>&-
    helpers_teardown
}

# ---- the cast

table() { # COLUMNS
    empty_database
    sql "CREATE TABLE t ($1)"
}

# Starts pgsink -T t with stdin held open: lines go in by `>&9`.
start_sink() {
    mkfifo pgsink.in
    exec 9<>pgsink.in
    background pgsink pgsink -T t 9>&-
}

# One record of partition 0, and the same as a batch of its own.
record() { # OFFSET PAYLOAD
    printf '{"topic":"x","partition":0,"offset":%d,"key":null,"payload":%s}\n' "$@"
}
batch_of() { # OFFSET PAYLOAD
    record "$@" && echo
}

wait_for_ack() { # NEXT
    wait_until "[[ \$(tail -n 1 pgsink.out | jq -c '.ack[0].next') == $1 ]]" 15
}

assert_no_rejects() {
    assert_equal "$(grep '"error"' pgsink.out)" ""
}

# Ends the input and waits for the end; nothing may have been rejected.
end_well() {
    exec 9>&-
    await pgsink
    assert_status 0
    assert_no_rejects
}

# Another session, to which statements go by `>&8`.
start_session() {
    mkfifo session.in
    exec 8<>session.in
    background session psql -Xq 9>&- 8>&-
}

hold_lock() {
    start_session
    printf 'BEGIN; LOCK TABLE t;\n' >&8
    wait_until '[[ $(locks granted) == 1 ]]' 5
}

# How many sessions have an exclusive lock of t, or wait for a lock of it.
locks() { # granted | waiting
    local condition="NOT granted"
    [[ $1 != granted ]] || condition="granted AND mode = 'AccessExclusiveLock'"
    sql "SELECT count(*) FROM pg_locks WHERE relation = 't'::regclass AND $condition"
}

release_lock() {
    printf 'COMMIT;\n\\q\n' >&8
    await session 5
}

# Runs pgsink on one event, at most 10 seconds.
try_sink() { # [OPTION...]
    run timeout 10 pgsink "$@" < <(printf '{"n":1}\n')
}

# The name of a role that is dropped with the server.
new_role() { # OPTIONS
    local role
    role=$(unique role)
    sql "CREATE ROLE \"$role\" LOGIN $1"
    printf '%s\n' "$role"
}

start_server() {
    "$ROOT/scripts/dev-postgres" "$SERVER" 3>&- 4>&- 8>&- 9>&-
}

# Ends the server as a crash does.
crash_server() {
    local pid
    pid=$(<"$SERVER/pid")
    kill -QUIT "$pid"
    wait_until "! kill -0 $pid" 10
}

# ---- set-up: an end, with the cure in the message

@test "pgsink: a table that is not there: 78, and what makes it" {
    empty_database
    try_sink
    assert_status 78
    assert_contains "$output" "there is no table agent_actions in database $PGDATABASE"
    assert_contains "$output" "agent-actions init"
    try_sink -T no.such
    assert_status 78
}

@test "pgsink: a view that takes no rows: 78" {
    table 'n int'
    sql 'CREATE VIEW v AS SELECT n FROM t'
    try_sink -T v
    assert_status 78
}

@test "pgsink: no right to insert: 77, and the GRANT that mends it" {
    table 'n int'
    local role
    role=$(new_role '')
    PGUSER=$role try_sink -T t
    assert_status 77
    assert_contains "$output" "GRANT INSERT, SELECT ON t TO $role"
}

@test "pgsink: a right that is taken away while it runs: 77, and nothing is rejected" {
    table 'n int'
    local role
    role=$(new_role '')
    sql "GRANT INSERT, SELECT ON t TO \"$role\""
    PGUSER=$role start_sink
    batch_of 0 '{"n":1}' >&9
    wait_for_ack 1
    sql "REVOKE INSERT ON t FROM \"$role\""
    batch_of 1 '{"n":2}' >&9
    await pgsink 10
    assert_status 77
    assert_no_rejects
    assert_equal "$(wc -l <pgsink.out)" 1
}

@test "pgsink: a wrong password, or none: 77" {
    table 'n int'
    local role hba
    role=$(new_role "PASSWORD 'right'")
    sql "GRANT INSERT ON t TO \"$role\""
    hba=$(readlink -f "$SERVER/cluster")/data/pg_hba.conf
    sed -i "1i host all \"$role\" 127.0.0.1/32 scram-sha-256" "$hba"
    sql 'SELECT pg_reload_conf()' >/dev/null
    export PGPASSFILE=/dev/null
    PGUSER=$role PGPASSWORD=wrong try_sink -T t
    assert_status 77
    assert_contains "$output" "password authentication failed"
    [[ $output != *wrong* ]]
    PGUSER=$role try_sink -T t
    assert_status 77
    PGUSER=$role PGPASSWORD=right try_sink -T t
    assert_status 0
}

@test "pgsink: an unknown database: 78; an unknown host: 69; what libpq does not take: 78" {
    PGDATABASE=no_such_database try_sink
    assert_status 78
    assert_contains "$output" 'database "no_such_database" does not exist'
    PGHOST=no-such-host.invalid try_sink
    assert_status 69
    assert_contains "$output" "no-such-host.invalid"
    PGPORT=99999 try_sink
    assert_status 78
    PGSSLMODE=bogus try_sink
    assert_status 78
    PGSERVICE=bogus try_sink
    assert_status 78
}

@test "pgsink: a table dropped while it runs: 78, and nothing is rejected or acknowledged" {
    table 'n int'
    start_sink
    batch_of 0 '{"n":1}' >&9
    wait_for_ack 1
    sql 'DROP TABLE t'
    batch_of 1 '{"n":2}' >&9
    await pgsink 10
    assert_status 78
    assert_equal "$(wc -l <pgsink.out)" 1
    assert_contains "$(<pgsink.log)" "there is no table t"
}

# ---- tables that change

@test "pgsink: events made for a table's new columns are not rejected for its old ones" {
    table 'n int, a text NOT NULL'
    start_sink
    batch_of 0 '{"n":1,"a":"x"}' >&9
    wait_for_ack 1
    sql 'ALTER TABLE t RENAME a TO b'
    batch_of 1 '{"n":2,"b":"y"}' >&9 # has no "a", which the table as it was must have
    wait_for_ack 2
    assert_equal "$(sql 'SELECT n, b FROM t ORDER BY n')" $'1|x\n2|y'
    end_well
}

@test "pgsink: a column dropped or renamed while it runs: goes on with the others" {
    table 'n int, a int, b int'
    start_sink
    batch_of 0 '{"n":1,"a":1,"b":1}' >&9
    wait_for_ack 1
    sql 'ALTER TABLE t DROP COLUMN a'
    batch_of 1 '{"n":2,"a":2,"b":2}' >&9
    wait_for_ack 2
    sql 'ALTER TABLE t RENAME COLUMN b TO c'
    batch_of 2 '{"n":3,"a":3,"b":3,"c":4}' >&9
    wait_for_ack 3
    assert_equal "$(sql 'SELECT n, c FROM t')" $'1|1\n2|2\n3|4'
    assert_contains "$(<pgsink.log)" "has changed"
    end_well
}

@test "pgsink: a NOT NULL column added while it runs is filled, no event is rejected for it" {
    table 'n int'
    start_sink
    batch_of 0 '{"n":1,"tenant":"a"}' >&9
    wait_for_ack 1
    sql "ALTER TABLE t ADD tenant text NOT NULL DEFAULT 'old'; ALTER TABLE t ALTER tenant DROP DEFAULT"
    batch_of 1 '{"n":2,"tenant":"b"}' >&9
    wait_for_ack 2
    assert_equal "$(sql 'SELECT n, tenant FROM t')" $'1|old\n2|b'
    end_well
}

@test "pgsink: a column whose type changes while it runs is written as its new type, no event is rejected for it" {
    table 'n int PRIMARY KEY, a int, j json, v text'
    start_sink
    local offset=0 type
    for type in 'a TYPE bigint' 'a TYPE text' 'j TYPE jsonb' 'a TYPE smallint USING a::smallint' 'v TYPE uuid USING v::uuid' 'a TYPE numeric' 'j TYPE text'; do
        batch_of "$offset" "{\"n\":$offset,\"a\":7,\"j\":{\"k\":1},\"v\":\"00000000-0000-4000-8000-000000000001\"}" >&9
        wait_for_ack $((++offset))
        sql "ALTER TABLE t ALTER $type"
    done
    batch_of "$offset" "{\"n\":$offset,\"a\":7,\"j\":{\"k\":1},\"v\":\"00000000-0000-4000-8000-000000000001\"}" >&9
    wait_for_ack $((offset + 1))
    assert_equal "$(sql 'SELECT count(*), min(a), max(a), count(DISTINCT v), count(DISTINCT j::jsonb) FROM t')" "8|7|7|1|1"
    end_well
}

# What a value becomes in a column that has another type when the event comes, by each way of writing.
assert_follows() { # TYPE NEW-TYPE VALUE WANTED
    local other=9 # another event's key
    table "n int PRIMARY KEY, a $1${columns-}"
    [[ $way != staged ]] || sql 'INSERT INTO t VALUES (0)'
    [[ $way != 'stage made later' ]] || other=0 # a duplicate
    start_sink
    batch_of 0 "{\"n\":0,\"a\":$3}" >&9
    wait_for_ack 1
    sql "ALTER TABLE t ALTER a TYPE $2"
    { record 1 "{\"n\":$other,\"a\":$3}" && batch_of 2 "{\"n\":1,\"a\":$3}"; } >&9
    wait_for_ack 3
    end_well
    rm pgsink.in
    assert_equal "$1 to $2, $way: $(sql 'SELECT a FROM t WHERE n = 1')" "$1 to $2, $way: $4"
}

# The old type's bytes are a value of the new type too, another one.
@test "pgsink: what was encoded for a column's old type is never taken for a value of its new type" {
    local way
    for way in direct staged 'stage made later'; do
        assert_follows bigint numeric 7 7
        assert_follows bigint 'double precision' 7 7
        assert_follows 'double precision' bigint 7 7
        assert_follows jsonb text '[1]' '[1]'
        assert_follows uuid text '"00000000-0000-4000-8000-000000000001"' 00000000-0000-4000-8000-000000000001
        # Types that the server itself would turn into each other, and lose something.
        assert_follows date timestamptz '"2026-01-01T10:11:12Z"' '2026-01-01 10:11:12+00'
        assert_follows 'numeric(10,2)' 'numeric(10,4)' 1.2345 1.2345
        assert_follows 'timestamptz(0)' 'timestamptz(3)' '"2026-01-01T10:11:12.345Z"' '2026-01-01 10:11:12.345+00'
    done
}

@test "pgsink: nor in COPY text, which a column without a binary form makes of it" {
    local way columns=', i interval'
    for way in direct staged 'stage made later'; do
        assert_follows date timestamptz '"2026-01-01T10:11:12Z","i":"1 day"' '2026-01-01 10:11:12+00'
        assert_follows boolean text 'true,"i":"1 day"' true
    done
}

# A role of its own that may not make temporary tables: rows go single behind a duplicate.
user_for() { # staged | single
    local role
    if [[ $1 == single ]]; then
        role=$(new_role '')
        sql "REVOKE TEMP ON DATABASE \"$PGDATABASE\" FROM PUBLIC; GRANT ALL ON t TO \"$role\""
        printf '%s\n' "$role"
    else
        printf '%s\n' "$PGUSER"
    fi
}

@test "pgsink: a value that a column's new type refuses is a reject, not rounded by way of the old type" {
    local way
    for way in staged single; do
        table 'n int PRIMARY KEY, a numeric'
        sql 'INSERT INTO t VALUES (0)'
        PGUSER=$(user_for $way) start_sink
        batch_of 0 '{"n":0,"a":1.5}' >&9
        wait_for_ack 1
        sql 'ALTER TABLE t ALTER a TYPE int'
        { record 1 '{"n":0,"a":1}' && batch_of 2 '{"n":1,"a":1.5}'; } >&9
        wait_for_ack 3
        exec 9>&-
        await pgsink
        rm pgsink.in
        assert_equal "$way: $(sql 'SELECT * FROM t')" "$way: 0|"
        assert_equal "$way: $(jq -r 'select(.error) | .error.sqlstate' pgsink.out)" "$way: 22P02"
    done
}

@test "pgsink: a default that changes while it runs is that of the rows behind, a second later at most" {
    table "n int PRIMARY KEY, s text DEFAULT 'old', a int"
    start_sink
    batch_of 0 '{"n":0,"s":"own"}' >&9
    wait_for_ack 1
    sql "ALTER TABLE t ALTER s SET DEFAULT 'new'"
    local offset=0
    until [[ $(count_rows "t WHERE s = 'new'") -gt 0 ]]; do # one batch after the other, until one has asked
        ((++offset < 1000))
        batch_of $offset "{\"n\":$offset}" >&9
        wait_for_ack $((offset + 1))
    done
    end_well
}

@test "pgsink: a sequence that the table gets while two transactions are under way at once shows the order of arrival" {
    table 'n int PRIMARY KEY'
    start_sink
    local sent=0
    send() { # COUNT
        seq -f '{"n":%.0f}' $((sent + 1)) $((sent += $1)) >&9
    }
    send 50000
    wait_until '(($(count_rows t) > 0))'
    sql 'ALTER TABLE t ADD k bigserial'
    until grep -q 'table public.t has changed' pgsink.log; do # within a second, while events come
        ((sent < 10000000))
        send 10000
    done
    local before=$sent
    send 100000
    exec 9>&-
    await pgsink 60
    assert_status 0
    assert_equal "$(count_rows t)" $sent
    assert_equal "$(sql "SELECT count(*) FROM (SELECT n, lag(n) OVER (ORDER BY k) AS other FROM t WHERE n > $before) AS x WHERE n < other")" 0
}

@test "pgsink: a key that changes while it runs is the one by which rows are updated" {
    table 'k int PRIMARY KEY, n int NOT NULL, v text'
    mkfifo pgsink.in
    exec 9<>pgsink.in
    background pgsink pgsink -T t --on-conflict update 9>&-
    batch_of 0 '{"k":1,"n":1,"v":"a"}' >&9
    wait_for_ack 1
    sql 'ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (k, n)'
    { record 1 '{"k":1,"n":2,"v":"b"}' && batch_of 2 '{"k":1,"n":1,"v":"c"}'; } >&9
    wait_for_ack 3
    assert_equal "$(sql 'SELECT k, n, v FROM t ORDER BY n')" $'1|1|c\n1|2|b'
    end_well
}

@test "pgsink: a partition that somebody has locked does not keep it from starting" {
    empty_database
    sql "CREATE TABLE t (n int PRIMARY KEY) PARTITION BY LIST (n);
         CREATE TABLE one PARTITION OF t FOR VALUES IN (1); CREATE TABLE two PARTITION OF t FOR VALUES IN (2);
         CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
         CREATE TRIGGER late AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION nothing()"
    start_session
    printf 'BEGIN; LOCK TABLE two;\n' >&8
    wait_until "[[ \$(sql \"SELECT count(*) FROM pg_locks WHERE relation = 'two'::regclass AND granted\") == 1 ]]" 5
    start_sink
    batch_of 0 '{"n":1}' >&9
    wait_for_ack 1
    release_lock
    end_well
}

@test "pgsink: the stage follows a table that changes" {
    table 'n int PRIMARY KEY, a int, b int'
    sql 'INSERT INTO t VALUES (1)'
    start_sink
    { record 0 '{"n":1}'; batch_of 1 '{"n":2,"a":2,"b":2}'; } >&9
    wait_for_ack 2
    sql 'ALTER TABLE t DROP COLUMN b; ALTER TABLE t ALTER a TYPE text'
    { record 2 '{"n":1}'; batch_of 3 '{"n":3,"a":3,"b":3}'; } >&9
    wait_for_ack 4
    assert_equal "$(sql 'SELECT n, a FROM t ORDER BY n')" $'1|\n2|2\n3|3'
    assert_equal "$(counter rows_duplicate)" 2
    end_well
}

@test "pgsink: the stage follows a table of which our encoder has noticed the change" {
    table 'n int PRIMARY KEY, a smallint'
    start_sink
    batch_of 0 '{"n":1,"a":1}' >&9
    wait_for_ack 1
    batch_of 1 '{"n":1,"a":1}' >&9 # there already: from here on through the stage
    wait_for_ack 2
    sql 'ALTER TABLE t ALTER a TYPE int'
    batch_of 2 '{"n":2,"a":100000}' >&9
    wait_for_ack 3
    assert_equal "$(sql 'SELECT n, a FROM t ORDER BY n')" $'1|1\n2|100000'
    end_well
}

@test "pgsink: a check that the table has no longer refuses nothing, though the stage was made with it" {
    table 'n int PRIMARY KEY, a int CONSTRAINT small CHECK (a < 10)'
    start_sink
    batch_of 0 '{"n":1,"a":1}' >&9
    wait_for_ack 1
    batch_of 1 '{"n":1,"a":1}' >&9 # there already: from here on through the stage
    wait_for_ack 2
    sql 'ALTER TABLE t DROP CONSTRAINT small'
    batch_of 2 '{"n":2,"a":50}' >&9
    wait_for_ack 3
    assert_equal "$(sql 'SELECT n, a FROM t ORDER BY n')" $'1|1\n2|50'
    end_well
}

@test "pgsink: what was read ahead for the old table fits the new one" {
    table 'n int, gone int, late int'
    start_sink
    batch_of 0 '{"n":1,"gone":1}' >&9
    wait_for_ack 1
    start_session
    printf 'BEGIN; ALTER TABLE t DROP COLUMN gone;\n' >&8
    wait_until '[[ $(locks granted) == 1 ]]' 5
    batch_of 1 '{"n":2,"late":2}' >&9
    wait_until '[[ $(locks waiting) == 1 ]]' 5
    record 2 '{"n":3,"gone":3}' >&9 # read ahead, of the batch behind
    wait_until '[[ $(counter events_read) == 3 ]]' 5
    release_lock
    wait_for_ack 2
    { record 3 '{"n":4}'; batch_of 4 '{"n":5,"late":5}'; } >&9
    wait_for_ack 5
    assert_equal "$(sql 'SELECT n, late FROM t')" $'1|\n2|2\n3|\n4|\n5|5'
    end_well
}

# ---- infrastructure: waited for

@test "pgsink: the server crashes and comes back while events flow: none is lost, none is there twice" {
    fresh_database
    events 4000 --seed 11 | awk '{ printf "{\"topic\":\"x\",\"partition\":0,\"offset\":%d,\"key\":null,\"payload\":%s}\n", NR - 1, $0 } NR % 50 == 0 { print "" }' >lines
    mkfifo pgsink.in
    exec 9<>pgsink.in
    background pgsink pgsink --max-rows 100 9>&-
    head -n 2040 lines >&9
    wait_until '(($(counter rows_inserted) >= 500))' 10
    crash_server
    tail -n +2041 lines | head -n 1020 >&9
    wait_until 'grep -q "trying again" pgsink.log' 10
    start_server
    wait_until '(($(counter reconnects) >= 1))' 15
    crash_server
    start_server
    tail -n +3061 lines >&9
    wait_for_ack 4000
    assert_equal "$(sql 'SELECT count(*), count(DISTINCT id) FROM agent_actions')" "4000|4000"
    assert_equal "$(jq -s 'map(.ack[0].next) | . == sort' pgsink.out)" true
    assert_equal "$(($(counter rows_inserted) + $(counter rows_duplicate)))" 4000
    end_well
}

@test "pgsink: the server is down at the start: it is waited for" {
    table 'n int'
    crash_server
    start_sink
    batch_of 0 '{"n":1}' >&9
    wait_until 'grep -q "trying again" pgsink.log' 10
    assert_equal "$(counter database_connected)" 0
    start_server
    wait_for_ack 1
    assert_equal "$(count_rows t)" 1
    assert_equal "$(counter database_connected)" 1
    assert_equal "$(counter database_refused_since)" null
    end_well
}

@test "pgsink: SIGTERM while the database is down: 75, and nothing is acknowledged" {
    table 'n int'
    start_sink
    batch_of 0 '{"n":1}' >&9
    wait_for_ack 1
    crash_server
    batch_of 1 '{"n":2}' >&9
    wait_until 'grep -q "trying again" pgsink.log' 10
    wait_until '[[ $(counter database_refused_since) == \"20* ]]' 5
    stop pgsink TERM 5
    start_server
    assert_status 75
    assert_equal "$(wc -l <pgsink.out)" 1
}

@test "pgsink --retry-for: gives up after that time, with 75" {
    PGPORT=1 run timeout 10 pgsink --retry-for 300ms </dev/null
    assert_status 75
    assert_contains "$output" "Connection refused"
    assert_contains "$output" "longer than --retry-for"
}

@test "pgsink: its backend is terminated within COPY: the batch goes in by another one" {
    table 'n int PRIMARY KEY'
    start_sink
    hold_lock
    batch_of 0 '{"n":1}' >&9
    wait_until '[[ $(locks waiting) == 1 ]]' 5
    sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgsink' AND datname = current_database()" >/dev/null
    wait_until 'grep -q "trying again" pgsink.log' 5
    release_lock
    wait_for_ack 1
    assert_equal "$(count_rows t)" 1
    assert_equal "$(counter reconnects)" 1
    end_well
}

@test "pgsink: while no event comes it notices that its connection is gone, and has it again" {
    table 'n int'
    start_sink
    wait_until '[[ $(counter database_connected) == 1 ]]' 5
    sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = 'pgsink' AND datname = current_database()" >/dev/null
    wait_until '[[ $(counter reconnects) == 1 && $(counter database_connected) == 1 ]]' 10
    grep -q 'the connection to PostgreSQL is lost: ' pgsink.log
    end_well
}

@test "pgsink: with nothing to store it ends at the end of its input, whether or not the database is there" {
    table 'n int'
    start_sink
    wait_until '[[ $(counter database_connected) == 1 ]]' 5
    crash_server
    wait_until 'grep -q "trying again" pgsink.log' 10
    exec 9>&-
    await pgsink 5
    assert_status 0
    start_server
}

@test "pgsink: its COPY is cancelled: it tries again" {
    table 'n int PRIMARY KEY'
    start_sink
    hold_lock
    batch_of 0 '{"n":1}' >&9
    wait_until '[[ $(locks waiting) == 1 ]]' 5
    sql "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgsink' AND datname = current_database()" >/dev/null
    wait_until 'grep -q 57014 pgsink.log' 5
    release_lock
    wait_for_ack 1
    assert_equal "$(count_rows t) $(counter reconnects)" "1 0"
    end_well
}

@test "pgsink: statement_timeout and lock_timeout: it tries again until the lock is gone" {
    local setting
    for setting in statement_timeout lock_timeout; do
        table 'n int'
        sql "ALTER DATABASE \"$PGDATABASE\" SET $setting = '100ms'"
        rm -f pgsink.in session.in pgsink.out
        start_sink
        hold_lock
        batch_of 0 '{"n":1}' >&9
        wait_until 'grep -q "trying again" pgsink.log' 5
        grep -Eq '57014|55P03' pgsink.log
        release_lock
        wait_for_ack 1
        assert_equal "$(count_rows t)" 1
        end_well
    done
}

@test "pgsink: a deadlock: it gives way and tries again" {
    table 'n int PRIMARY KEY'
    start_sink
    start_session
    printf "SET deadlock_timeout = '1h'; BEGIN; INSERT INTO t VALUES (2);\n" >&8
    wait_until "[[ \$(sql \"SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' AND query LIKE 'INSERT%' AND datname = current_database()\") == 1 ]]" 5
    { record 0 '{"n":1}'; batch_of 1 '{"n":2}'; } >&9
    wait_until "[[ \$(sql \"SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = 'pgsink' AND datname = current_database()\") == 1 ]]" 5
    printf 'INSERT INTO t VALUES (1);\n' >&8
    wait_until 'grep -q 40P01 pgsink.log' 10
    release_lock
    wait_for_ack 2
    assert_equal "$(count_rows t) $(counter rows_duplicate)" "2 2"
    end_well
}

@test "pgsink: a database that is read-only for a while, before it connects or while it runs" {
    table 'n int'
    sql "ALTER DATABASE \"$PGDATABASE\" SET default_transaction_read_only = on"
    start_sink
    batch_of 0 '{"n":1}' >&9
    wait_until 'grep -q 25006 pgsink.log' 5
    sql "BEGIN READ WRITE; ALTER DATABASE \"$PGDATABASE\" SET default_transaction_read_only = off; COMMIT"
    wait_for_ack 1
    assert_equal "$(count_rows t)" 1
    end_well
}

@test "pgsink: no connection is free for a while" {
    table 'n int'
    local role
    role=$(new_role 'CONNECTION LIMIT 0')
    sql "GRANT INSERT ON t TO \"$role\""
    PGUSER=$role start_sink
    batch_of 0 '{"n":1}' >&9
    wait_until 'grep -q "too many connections.*trying again" pgsink.log' 5
    sql "ALTER ROLE \"$role\" CONNECTION LIMIT 5"
    wait_for_ack 1
    end_well
}

@test "pgsink: the disk is full for a while" {
    local place
    place=$(mktemp -d /tmp/full-disk.XXXXXX)
    mount -t tmpfs -o size=2M,mode=777 tmpfs "$place" 2>/dev/null || { rmdir "$place"; skip "no right to mount a small file system"; }
    table 'n int'
    chmod 777 "$place"
    mkdir "$place/space"
    [[ $EUID != 0 ]] || chown "$(stat -Lc %u "$SERVER/cluster/data")" "$place/space"
    local name
    name=$(unique full)
    sql "CREATE TABLESPACE \"$name\" LOCATION '$place/space'"
    sql "DROP TABLE t; CREATE TABLE t (n int, v text) TABLESPACE \"$name\"; ALTER TABLE t ALTER v SET STORAGE EXTERNAL"
    head -c 1500000 /dev/zero >"$place/ballast"
    start_sink
    { printf '{"topic":"x","partition":0,"offset":0,"key":null,"payload":{"n":1,"v":"%s"}}\n\n' "$(head -c 1000000 /dev/zero | tr '\0' x)"; } >&9
    wait_until 'grep -q 53100 pgsink.log' 10
    rm "$place/ballast"
    wait_for_ack 1
    assert_equal "$(sql 'SELECT n, length(v) FROM t')" "1|1000000"
    end_well
    sql 'DROP TABLE t'
    sql "DROP TABLESPACE \"$name\""
    umount "$place"
    rmdir "$place"
}
