#!/usr/bin/env bats
# pgsink_overlap.bats - two transactions under way at once: where the database is slower than the stream, pgsink
# sends the next batch on a second connection. Nobody may see it by anything but the speed.
# shellcheck disable=SC2016 # conditions for wait_until are expanded there
bats_require_minimum_version 1.5.0
load ../support/helpers

# It notes when each transaction was committed.
setup_file() {
    export SERVER=$BATS_FILE_TMPDIR/server
    "$ROOT/scripts/dev-postgres" --fast -c synchronous_commit=on -c track_commit_timestamp=on "$SERVER" 3>&- 4>&-
}
teardown_file() {
    "$ROOT/scripts/dev-postgres" --destroy "$SERVER" 3>&- 4>&-
}

setup() {
    helpers_setup
    # shellcheck source=/dev/null
    . "$SERVER/env"
    export AGENT_ACTIONS_STATS=$BATS_TEST_TMPDIR/stats
    ROLE=''
}
teardown() {
    exec 8>&-
    helpers_teardown
    [[ -z $ROLE ]] || PGDATABASE=postgres sql "DROP ROLE \"$ROLE\""
}

# ---- the cast

table() { # COLUMNS
    empty_database
    sql "CREATE TABLE t ($1)"
}

# The records of partition 0 with the offsets and numbers FROM to TO.
records() { # FROM TO
    seq "$1" "$2" | awk '{ printf "{\"topic\":\"x\",\"partition\":0,\"offset\":%d,\"key\":null,\"payload\":{\"n\":%d}}\n", $1, $1 }'
}

# Starts pgsink on the file `input`, ten rows a transaction.
start_sink() { # [OPTION...]
    cp input pgsink.in
    background pgsink pgsink -T t --max-rows 10 "$@"
}

# Another session, to which statements go by `say`.
start_session() {
    mkfifo session.in
    exec 8<>session.in
    background session psql -XAtq 8>&-
}
say() { # STATEMENT
    printf '%s;\n' "$1" >&8
}
end_session() {
    printf '\\q\n' >&8
    exec 8>&-
    await session
    rm session.in
}

# Holds pgsink's first batch: its row 5 waits for the end of the session's transaction.
hold_older() {
    start_session
    say 'BEGIN'
    say 'INSERT INTO t (n) VALUES (5)'
    wait_until "[[ \$(sessions \"psql' AND state = 'idle in transaction\") == 1 ]]"
}

# How many sessions of this database a program has.
sessions() { # PROGRAM, and more of a condition
    sql "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = '$1'"
}

# The second batch is in the table, for itself alone.
wait_for_younger() {
    wait_until "[[ \$(sessions \"pgsink' AND state = 'idle in transaction\") == 1 ]]"
}

assert_committed_in_order() {
    assert_equal "$(sql 'SELECT count(*) FROM (SELECT n, pg_xact_commit_timestamp(xmin) AS at,
        lag(pg_xact_commit_timestamp(xmin)) OVER (ORDER BY n) AS before FROM t) s WHERE at < before')" 0
}

# Acks never go back, and come behind the rejects of what they cover.
assert_acks_in_order() {
    jq -r 'if .ack then "ack \(.ack[0].next)" else "reject \(.offset)" end' pgsink.out | awk '
        $1 == "ack" { if ($2 <= next_offset) bad = 1; next_offset = $2 }
        $1 == "reject" { if ($2 < next_offset) bad = 1 }
        END { exit bad }'
}

# ---- the speed, and nothing else

@test "pgsink: a backlog goes by two connections, is committed in its order and acknowledged in its order" {
    table 'n int PRIMARY KEY'
    records 1 50000 >input
    start_sink --max-rows 500
    await pgsink
    assert_status 0
    assert_equal "$(sql 'SELECT count(*), min(n), max(n) FROM t')" "50000|1|50000"
    (($(counter batches_overlapped) > 0))
    assert_committed_in_order
    assert_acks_in_order
    assert_equal "$(tail -n 1 pgsink.out | jq '.ack[0].next')" 50001
}

@test "pgsink: a replay goes by two connections too: nothing is added, and the rest is stored in order" {
    table 'n int PRIMARY KEY'
    sql 'INSERT INTO t SELECT generate_series(1, 30000)'
    records 1 50000 >input
    start_sink --max-rows 500
    await pgsink
    assert_status 0
    assert_equal "$(count_rows t) $(counter rows_duplicate) $(counter rows_inserted)" "50000 30000 20000"
    (($(counter batches_overlapped) > 20))
    (($(counter copies_staged) > 40))
    assert_committed_in_order
    assert_acks_in_order
}

@test "pgsink: without a backlog, or with --connections 1, there is one connection" {
    table 'n int PRIMARY KEY'
    sql 'CREATE TABLE seen (n int)'
    records 1 5000 >input
    hold_older
    start_sink --connections 1
    wait_until '[[ $(sessions "pgsink'\'' AND wait_event = '\''transactionid") == 1 ]]'
    assert_equal "$(sessions pgsink)" 1
    say ROLLBACK
    await pgsink
    assert_equal "$(counter batches_overlapped) $(count_rows t)" "0 5000"
    sql 'TRUNCATE t'
    records 1 19 >input # no second batch that is full
    start_sink
    await pgsink
    assert_equal "$(counter batches_overlapped) $(count_rows t)" "0 19"
}

@test "pgsink: the order of insertion can be seen by a sequence, a trigger or a clock: then one by one" {
    local columns
    empty_database
    sql "CREATE FUNCTION number() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.seq := nextval(''numbers''); RETURN NEW; END';
         CREATE SEQUENCE numbers"
    records 1 5000 >input
    for columns in 'seq bigserial' 'seq bigint GENERATED ALWAYS AS IDENTITY' \
        'seq bigint GENERATED BY DEFAULT AS IDENTITY' 'seq timestamptz DEFAULT clock_timestamp()' 'seq bigint'; do
        sql "DROP TABLE IF EXISTS t; CREATE TABLE t (n int PRIMARY KEY, $columns)"
        [[ $columns != 'seq bigint' ]] ||
            sql 'CREATE TRIGGER number BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION number()'
        start_sink --max-rows 100
        await pgsink
        assert_status 0
        assert_equal "$(counter batches_overlapped) $(count_rows t)" "0 5000"
        assert_equal "$(sql 'SELECT count(*) FROM (SELECT seq, lag(seq) OVER (ORDER BY n) AS before FROM t) s
            WHERE seq < before')" 0
    done
}

@test "pgsink: a role that may have one connection goes on with it" {
    table 'n int PRIMARY KEY'
    ROLE=$(unique role)
    sql "CREATE ROLE \"$ROLE\" LOGIN CONNECTION LIMIT 1; GRANT INSERT, SELECT ON t TO \"$ROLE\""
    records 1 5000 >input
    PGUSER=$ROLE start_sink -v
    await pgsink
    assert_status 0
    assert_equal "$(counter batches_overlapped) $(count_rows t)" "0 5000"
    assert_equal "$(grep -c 'going on with one connection: .*too many connections' pgsink.log)" 1
    sql "DROP OWNED BY \"$ROLE\""
}

# ---- the younger one waits

@test "pgsink: a transaction that is ready is not seen before the older one, and goes when pgsink is killed" {
    table 'n int PRIMARY KEY'
    records 1 100 >input
    hold_older
    start_sink
    wait_for_younger
    assert_equal "$(count_rows t)" 0
    assert_equal "$(<pgsink.out)" ""
    signal pgsink KILL
    wait_until '[[ $(sessions "pgsink'\'' AND state <> '\''active") == 0 ]]'
    say ROLLBACK
    wait_until '[[ $(sessions pgsink) == 0 ]]' # the one that waited for row 5 ends when it gets it
    (($(count_rows t) == 0 || $(count_rows t) == 10))
    assert_equal "$(count_rows 't WHERE n > 10')" 0
}

@test "pgsink: somebody who holds the older transaction up and waits for the younger one does not hang us both" {
    table 'n int PRIMARY KEY'
    records 1 100 >input
    hold_older
    start_sink
    wait_for_younger
    say 'INSERT INTO t (n) VALUES (15)' # the younger one has it
    wait_until '[[ $(sessions "psql'\'' AND wait_event = '\''transactionid") == 1 ]]'
    say COMMIT # when it gets it
    await pgsink
    assert_status 0
    assert_equal "$(count_rows t) $(counter rows_inserted) $(counter rows_duplicate)" "100 98 2"
    assert_acks_in_order
}

# ---- one of them fails

@test "pgsink: when the older of two transactions meets a duplicate, both are stored, each row once" {
    table 'n int PRIMARY KEY'
    records 1 100 >input
    hold_older
    start_sink
    wait_for_younger
    say COMMIT # row 5 is there: the older COPY fails
    await pgsink
    assert_status 0
    assert_equal "$(count_rows t) $(counter rows_inserted) $(counter rows_duplicate)" "100 99 1"
    assert_equal "$(grep -c '"error"' pgsink.out)" 0
    assert_acks_in_order
}

@test "pgsink: two transactions by the stage: a bad row and a session that ends cost nothing else" {
    table 'n int PRIMARY KEY CHECK (n <> 56)'
    sql 'INSERT INTO t SELECT generate_series(1, 10)'
    records 1 100 >input
    start_session
    say 'BEGIN'
    say 'INSERT INTO t (n) VALUES (35)' # the fourth batch waits for it
    wait_until "[[ \$(sessions \"psql' AND state = 'idle in transaction\") == 1 ]]"
    start_sink
    wait_for_younger
    (($(counter copies_staged) >= 4))
    sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()
         AND application_name = 'pgsink' AND state = 'idle in transaction'" >/dev/null
    say COMMIT
    await pgsink
    assert_status 0
    assert_equal "$(jq -r 'select(.error) | .offset' pgsink.out | paste -sd ' ')" 56
    assert_equal "$(count_rows t) $(counter rows_duplicate) $(counter rows_rejected)" "99 11 1"
    assert_acks_in_order
}

@test "pgsink: bad rows in both of two transactions are rejected alone, in order" {
    table 'n int PRIMARY KEY CHECK (n NOT IN (7, 13, 14))'
    records 1 100 >input
    hold_older
    start_sink
    # the older one may have failed by row 7 before there is a younger one
    wait_until '[[ $(sessions "pgsink'\'' AND wait_event = '\''transactionid") == 1 ]]'
    say ROLLBACK
    await pgsink
    assert_status 0
    assert_equal "$(jq -r 'select(.error) | .offset' pgsink.out | paste -sd ' ')" "7 13 14"
    assert_equal "$(count_rows t) $(counter rows_rejected)" "97 3"
    assert_committed_in_order
    assert_acks_in_order
}

@test "pgsink: a row that only the younger transaction's COMMIT refuses is rejected alone" {
    table 'n int PRIMARY KEY'
    sql 'CREATE TABLE parent (n int PRIMARY KEY);
         INSERT INTO parent SELECT generate_series(1, 100); DELETE FROM parent WHERE n = 15;
         ALTER TABLE t ADD FOREIGN KEY (n) REFERENCES parent DEFERRABLE INITIALLY DEFERRED'
    records 1 100 >input
    hold_older
    start_sink
    wait_for_younger
    say ROLLBACK
    await pgsink
    assert_status 0
    assert_equal "$(jq -r 'select(.error) | .offset' pgsink.out | paste -sd ' ')" 15
    assert_equal "$(count_rows t) $(counter rows_rejected)" "99 1"
    assert_acks_in_order
}

@test "pgsink: a row is not blamed for what it could not see of the older transaction" {
    empty_database
    sql "CREATE TABLE t (n int PRIMARY KEY, parent int);
         CREATE FUNCTION is_there(int) RETURNS bool LANGUAGE sql AS 'SELECT EXISTS (SELECT FROM t WHERE n = \$1)';
         ALTER TABLE t ADD CHECK (parent IS NULL OR is_there(parent))"
    records 1 100 | jq -c '.payload.parent = if .payload.n > 10 then .payload.n - 10 else null end' >input
    hold_older
    start_sink
    wait_until '(($(counter batches_overlapped) > 0))'
    say ROLLBACK
    await pgsink
    assert_status 0
    assert_equal "$(grep -c '"error"' pgsink.out)" 0
    assert_equal "$(count_rows t)" 100
}

@test "pgsink: whichever of two sessions is ended by the server, every row is stored once and none is rejected" {
    local which
    table 'n int PRIMARY KEY'
    records 1 100 >input
    for which in "wait_event = 'transactionid'" "state = 'idle in transaction'" true; do
        sql 'TRUNCATE t'
        hold_older
        start_sink
        wait_for_younger
        sql "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'pgsink' AND $which"
        say ROLLBACK
        end_session
        await pgsink
        assert_status 0
        assert_equal "$(grep -c '"error"' pgsink.out)" 0
        assert_equal "$(count_rows t)" 100
        assert_acks_in_order
    done
}

@test "pgsink: SIGTERM with two transactions under way ends when both are safe" {
    table 'n int PRIMARY KEY'
    records 1 100 >input
    hold_older
    start_sink
    wait_for_younger
    signal pgsink TERM
    say ROLLBACK
    await pgsink
    assert_status 0
    assert_equal "$(tail -n 1 pgsink.out | jq '.ack[0].next')" "$(($(count_rows t) + 1))"
    assert_acks_in_order
}
