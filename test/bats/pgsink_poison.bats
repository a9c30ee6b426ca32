#!/usr/bin/env bats
# pgsink_poison.bats - many bad rows close together, which only the server can refuse: they go row by row then, in
# one transaction still, and nobody may see it by anything but the speed. Single bad rows are in pgsink.bats.
bats_require_minimum_version 1.5.0
load ../support/helpers

setup_file() { make_file_database; }
teardown_file() { drop_file_database; }

setup() {
    helpers_setup
    use_file_database
    export AGENT_ACTIONS_STATS=$BATS_TEST_TMPDIR/stats
    sql 'SET client_min_messages = error; DROP SCHEMA IF EXISTS public CASCADE; CREATE SCHEMA public;
         GRANT ALL ON SCHEMA public TO PUBLIC'
}
teardown() {
    exec 9>&-
    helpers_teardown
}

# ---- the cast

# A table that refuses in many ways; `seq` is the order of insertion.
refusing_table() {
    sql "CREATE TABLE parent (k int PRIMARY KEY); INSERT INTO parent VALUES (1); CREATE SEQUENCE arrival;
         CREATE TABLE t (n int PRIMARY KEY, c int CHECK (c < 100), nn int NOT NULL DEFAULT 0, fk int REFERENCES parent,
             dfk int REFERENCES parent DEFERRABLE INITIALLY DEFERRED, j jsonb, v varchar(5), big text,
             u int UNIQUE, room int, EXCLUDE USING btree (room WITH =), b int, a int, seq bigint, w int);
         CREATE INDEX ON t (big);
         INSERT INTO t (n, u, room, seq) VALUES (0, 1, 1, 0);
         CREATE FUNCTION t_before() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
             IF NEW.b = 666 THEN RAISE EXCEPTION 'before'; END IF;
             IF NEW.b = 668 THEN NEW.nn := NULL; END IF;
             NEW.seq := nextval('arrival');
             RETURN NEW; END \$\$;
         CREATE TRIGGER before BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION t_before();
         CREATE FUNCTION t_after() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
             IF NEW.a = 666 THEN RAISE EXCEPTION 'after'; END IF; RETURN NULL; END \$\$;
         CREATE TRIGGER after AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION t_after()"
}

# Members that spoil an event, and the SQLSTATE that comes of it.
poisons() {
    printf '%s\t%s\n' '"c":100' 23514 '"b":668' 23502 '"fk":2' 23503 '"dfk":2' 23503 '"b":666' P0001 '"a":666' P0001 \
        '"room":1' 23P01 "\"big\":\"$(head -c 9000 /dev/urandom | base64 -w 0)\"" 54000 '"j":{"x":1e200000}' 22003 \
        '"j":{"x":"\u0000"}' 22P05 '"v":"abcdef"' 22001
}

# N events into `input`, every second one bad, of all kinds in turn; what comes of it into rows.expected and
# rejects.expected. MEMBERS are added to each.
half_poison() { # N [MEMBERS]
    poisons >poisons.tsv
    awk -F '\t' -v count="$1" -v more="${2:+,$2}" '
        { members[NR - 1] = $1; code[NR - 1] = $2 }
        END {
            for (n = 1; n <= count; n++) {
                kind = int(n / 2) % NR
                print "{\"n\":" n more (n % 2 ? "," members[kind] : "") "}"
                if (n % 2) print n, code[kind] >"rejects.expected"
                else print n >"rows.expected"
            }
        }' poisons.tsv >input
}

# A trigger that does this once, when row N is inserted by itself.
once_at() { # N STATEMENT
    sql "CREATE SEQUENCE once;
         CREATE FUNCTION strike() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
             IF NEW.n = $1 AND current_query() LIKE 'INSERT INTO%VALUES%' AND nextval('once') = 1 THEN $2; END IF;
             RETURN NEW; END \$\$;
         CREATE TRIGGER strike BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION strike()"
}

# Runs pgsink -T t on `input`; stdout into `out`, stderr into `log`. All is one transaction, unless told.
sink() { # [OPTION...]
    timeout 60 pgsink -T t --max-rows 100000 --max-bytes 100M "$@" <input >out 2>log
}

rejects() {
    jq -r 'select(.error) | "\(.payload.n) \(.error.sqlstate)"' out
}

assert_as_expected() {
    rejects | diff - rejects.expected
    sql 'SELECT n FROM t WHERE n > 0 ORDER BY seq' | diff - rows.expected
    (($(counter rows_single) > 0))
}

# ---- which row, why, and in which order

@test "pgsink: every second row is bad, of many kinds: each is rejected alone, the others are stored in order" {
    refusing_table
    half_poison 4000
    sink
    assert_as_expected
    assert_equal "$(counter rows_inserted) $(counter rows_rejected)" "2000 2000"
}

@test "pgsink: the same in ordinary batches, through the stage, in COPY text, and without a temporary table" {
    refusing_table
    half_poison 2000
    pgsink -T t --max-rows 300 <input >out
    assert_as_expected

    sql 'DELETE FROM t WHERE n > 0'
    printf '{"n":0}\n' | cat - input >both && mv both input
    sink
    assert_as_expected
    (($(counter copies_staged) > 0))

    sql "DELETE FROM t WHERE n > 0; ALTER TABLE t ADD tags text[] DEFAULT ARRAY[1::text]"
    half_poison 2000 '"tags":[]'
    sink
    assert_as_expected

    local role
    role=$(unique role)
    sql "DELETE FROM t WHERE n > 0; CREATE ROLE \"$role\" LOGIN;
         GRANT INSERT, SELECT (n, room) ON t TO \"$role\"; GRANT USAGE ON arrival TO \"$role\""
    printf '{"n":0,"tags":[]}\n' | cat - input >both && mv both input
    PGUSER=$role sink
    sql "DROP OWNED BY \"$role\"; DROP ROLE \"$role\""
    assert_as_expected
}

@test "pgsink: runs of bad rows between runs of good ones: no way of finding them misses one" {
    refusing_table
    poisons >poisons.tsv
    awk -F '\t' '{ members[NR - 1] = $1; code[NR - 1] = $2 }
        END {
            srand(11)
            for (n = 1; n <= 6000; n++) {
                if (rand() < 0.004) is_dense = !is_dense
                is_bad = rand() < (is_dense ? 0.6 : 0.002)
                kind = int(rand() * NR)
                print "{\"n\":" n (is_bad ? "," members[kind] : "") "}"
                if (is_bad) print n, code[kind] >"rejects.expected"
                else print n >"rows.expected"
            }
        }' poisons.tsv >input
    sink
    assert_as_expected
    (($(counter rows_single) < 6000))
}

@test "pgsink: behind the last of many bad rows COPY is enough again" {
    refusing_table
    half_poison 400
    seq -f '{"n":%g}' 401 3000 >>input
    seq 401 3000 >>rows.expected
    sink
    assert_as_expected
    (($(counter rows_single) < 800))
}

@test "pgsink: what a reject says does not depend on whether its row went by itself" {
    refusing_table
    seq -f '{"n":%g,"c":100}' 1000 1400 >input
    sink
    assert_equal "$(jq -c '.error | [.sqlstate, .column, (.message | gsub("1[0-9]{3}"; "N") | gsub("N, 100.*"; "N"))]' out | sort -u)" \
        '["23514",null,"new row for relation \"t\" violates check constraint \"t_c_check\": Failing row contains (N"]'
    (($(counter rows_single) > 300 && $(counter rows_single) < 401))
    seq -f '{"n":%g,"b":668}' 1000 1400 >input
    sink
    assert_equal "$(jq -r .error.column out | sort | uniq -c | xargs)" "401 nn"
}

@test "pgsink: rows that go one by one need no more rights than COPY" {
    refusing_table
    half_poison 1000
    local role
    role=$(unique role)
    sql "CREATE ROLE \"$role\" LOGIN; GRANT INSERT ON t TO \"$role\"; GRANT USAGE ON arrival TO \"$role\""
    PGUSER=$role sink
    sql "DROP OWNED BY \"$role\"; DROP ROLE \"$role\""
    assert_as_expected
}

# ---- what is there already

@test "pgsink: duplicates among bad rows: the first one counts, and each is counted" {
    refusing_table
    # every third one is bad; behind 200 all others come twice: the first of those is met row by row
    awk 'BEGIN { for (n = 1; n <= 1500; n++) {
            bad = n % 3 == 0 ? ",\"c\":100" : ""
            print "{\"n\":" n ",\"w\":1" bad "}"
            if (n % 3 && n > 200) print "{\"n\":" n ",\"w\":2}"
            if (n % 3) print n >"rows.expected"; else print n, 23514 >"rejects.expected" } }' >input
    sink
    assert_as_expected
    assert_equal "$(sql 'SELECT DISTINCT w FROM t WHERE n > 0')" 1
    assert_equal "$(counter rows_inserted) $(counter rows_duplicate) $(counter rows_rejected)" "1000 866 500"
}

@test "pgsink --on-conflict error: keys that are there, among them keys of the same batch, are rejects" {
    refusing_table
    awk 'BEGIN { for (n = 1; n <= 1500; n++) {
            print "{\"n\":" n ",\"w\":1" (n % 3 ? "" : ",\"u\":1") "}"
            if (n % 3 == 1) print "{\"n\":" n ",\"w\":2}"
            if (n % 3) print n >"rows.expected"
            if (n % 3 != 2) print n, 23505 >"rejects.expected" } }' >input
    sink --on-conflict error
    assert_as_expected
    assert_equal "$(sql 'SELECT DISTINCT w FROM t WHERE n > 0')" 1
}

@test "pgsink --on-conflict update: the last one counts among bad rows too" {
    refusing_table
    awk 'BEGIN { for (i = 0; i < 3000; i++) {
            bad = i % 2
            print "{\"n\":" 1 + int(i / 2) % 700 ",\"w\":" i (bad ? ",\"c\":100" : "") "}" } }' >input
    sink --on-conflict update
    assert_equal "$(rejects | wc -l)" 1500
    assert_equal "$(sql 'SELECT count(*), min(w), max(w) FROM t WHERE n > 0')" "700|1600|2998"
    assert_equal "$(sql 'SELECT count(*) FROM t WHERE n > 0 AND 1 + w / 2 % 700 <> n')" 0
    (($(counter rows_single) > 0))
}

# ---- faults that are no row's

@test "pgsink: its session ends in the midst of rows that go one by one: nothing is lost, doubled or blamed" {
    refusing_table
    half_poison 3000
    once_at 1500 'PERFORM pg_terminate_backend(pg_backend_pid())'
    sink
    assert_as_expected
    assert_contains "$(<log)" "trying again"
    assert_equal "$(counter reconnects) $(counter rows_inserted) $(counter rows_rejected)" "1 1500 1500"
}

@test "pgsink: a passing error in the midst of rows that go one by one: it tries again, and blames nobody" {
    local code
    for code in 53100 57014 40001 55P03; do
        sql 'DROP SCHEMA public CASCADE; CREATE SCHEMA public' 2>/dev/null
        rm -f rows.expected rejects.expected "$AGENT_ACTIONS_STATS"
        refusing_table
        half_poison 1000
        once_at 500 "RAISE EXCEPTION 'for now' USING ERRCODE = '$code'"
        sink
        assert_as_expected
        assert_contains "$(<log)" "for now ($code); trying again"
        assert_equal "$(counter rows_inserted) $(counter rows_rejected)" "500 500"
    done
}

@test "pgsink: among many bad rows, codes that nobody has classified are tried again before a row is blamed" {
    sql "CREATE TABLE t (n int);
         CREATE FUNCTION own() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
             IF NEW.n % 2 = 0 THEN RAISE EXCEPTION 'own' USING ERRCODE = 'MY001'; END IF; RETURN NEW; END \$\$;
         CREATE TRIGGER own BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION own()"
    seq -f '{"n":%g}' 500 >input
    sink
    assert_equal "$(rejects | grep -c ' MY001$') $(rejects | sort -un | wc -l) $(count_rows t)" "250 250 250"
    (($(counter batches_failed) >= 3 && $(counter rows_single) > 0))
}

@test "pgsink: hundreds of rows that all meet an internal error are not blamed: 69" {
    sql "CREATE TABLE t (n int);
         CREATE FUNCTION ill() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
             RAISE EXCEPTION 'index is corrupted' USING ERRCODE = 'XX002'; END \$\$;
         CREATE TRIGGER ill BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION ill()"
    seq -f '{"n":%g}' 500 >input
    run ! sink
    assert_equal "$(<out)" ""
    assert_contains "$(<log)" "index is corrupted"
    (($(counter rows_single) > 0))
}

@test "pgsink: a right that is taken away: 77, though rows go one by one, and nothing is rejected" {
    refusing_table
    half_poison 1000
    once_at 500 "RAISE EXCEPTION 'no longer' USING ERRCODE = '42501'"
    local code=0
    sink || code=$?
    assert_equal "$code" 77
    assert_equal "$(<out)" ""
    assert_equal "$(sql 'SELECT count(*) FROM t WHERE n > 0')" 0
}

@test "pgsink: rows that go one by one are not blamed for a column that has come meanwhile" {
    sql 'CREATE TABLE t (n int PRIMARY KEY); INSERT INTO t VALUES (0)'
    local role
    role=$(unique role)
    sql "CREATE ROLE \"$role\" LOGIN; GRANT INSERT ON t TO \"$role\""
    mkfifo pgsink.in
    exec 9<>pgsink.in
    PGUSER=$role background pgsink pgsink -T t 9>&-
    printf '{"n":0}\n\n' >&9
    # shellcheck disable=SC2016 # expanded there
    wait_until '[[ $(counter batches_processed) == 1 ]]' 10
    sql 'DELETE FROM t; ALTER TABLE t ADD m int NOT NULL'
    { seq -f '{"n":%g,"m":1}' 1 300 && echo; } >&9
    exec 9>&-
    await pgsink
    sql "DROP OWNED BY \"$role\"; DROP ROLE \"$role\""
    assert_status 0
    assert_equal "$(<pgsink.out)" ""
    assert_equal "$(sql 'SELECT count(*), sum(m) FROM t')" "300|300"
    assert_equal "$(counter copies_staged)" 0
}

# ---- where rows belong together

@test "pgsink: a row that refers to a later one of its table is not rejected for going by itself" {
    sql 'CREATE TABLE t (n int PRIMARY KEY, parent int REFERENCES t, c int CHECK (c < 100))'
    # four bad ones, then children each before its parent
    { seq -f '{"n":%g,"c":100}' 1 4; awk 'BEGIN { for (n = 10; n < 200; n += 2) print "{\"n\":" n ",\"parent\":" n + 1 "}\n{\"n\":" n + 1 "}" }'; } >input
    sink
    assert_equal "$(rejects)" $'1 23514\n2 23514\n3 23514\n4 23514'
    assert_equal "$(count_rows t)" 190
}

@test "pgsink: a table whose rules COPY does not ask goes by COPY, however many rows are bad" {
    sql 'CREATE TABLE t (n int CHECK (n % 2 = 0)); CREATE TABLE other (n int);
         CREATE RULE away AS ON INSERT TO t DO INSTEAD INSERT INTO other VALUES (NEW.n)'
    seq -f '{"n":%g}' 100 >input
    sink
    assert_equal "$(rejects | wc -l) $(count_rows t) $(count_rows other)" "50 50 0"
}

# ---- large rows

@test "pgsink: large rows with large errors, more than any socket's buffer on both ways" {
    sql "CREATE TABLE t (n int PRIMARY KEY, v text);
         CREATE FUNCTION big() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
             IF NEW.n % 3 > 0 THEN RAISE EXCEPTION USING MESSAGE = NEW.v; END IF; RETURN NEW; END \$\$;
         CREATE TRIGGER big BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION big()"
    head -c 150000 /dev/zero | tr '\0' x >filler
    awk '{ for (n = 1; n <= 240; n++) print "{\"n\":" n ",\"v\":\"" $0 "\"}" }' filler >input
    sink
    assert_equal "$(sql 'SELECT count(*), sum(n % 3), min(length(v)) FROM t')" "80|0|150000"
    assert_equal "$(jq -c '[.error.sqlstate, (.error.message | length), (.payload.v | length)]' out | sort | uniq -c | xargs)" \
        "160 [P0001,1025,150000]"
    (($(counter rows_single) > 200))
}
