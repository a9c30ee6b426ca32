#!/usr/bin/env bats
# pgsink.bats - from a line to a row: which member fills which column, what is rejected, what is told.
# What happens when the database fails is in pgsink_faults.bats.
# shellcheck disable=SC2016 # conditions for wait_until are expanded there
bats_require_minimum_version 1.5.0
load ../support/helpers

setup_file() { make_file_database; }
teardown_file() { drop_file_database; }

setup() {
    helpers_setup
    use_file_database
    export AGENT_ACTIONS_STATS=$BATS_TEST_TMPDIR/stats
}
teardown() {
    exec 9>&- 8>&-
    helpers_teardown
}

# ---- the cast

# An event of agent_actions; further members as JSON text: event 7 '"duration_ms":3'
event() { # N [MEMBERS]
    printf '{"id":"00000000-0000-4000-8000-%012d","correlation_id":"00000000-0000-4000-8000-00000000000c","agent_name":"a","action_type":"error","action_name":"n%d"%s}\n' \
        "$1" "$1" "${2:+,$2}"
}

# An event as an envelope.
envelope() { # TOPIC PARTITION OFFSET EVENT
    printf '{"topic":"%s","partition":%d,"offset":%d,"tstype":"create","ts":1761000000000,"broker":1,"key":null,"payload":%s}\n' "$@"
}

# An empty schema `public`.
empty_schema() {
    sql 'SET client_min_messages = error; DROP SCHEMA IF EXISTS public, app, "My Schema" CASCADE; CREATE SCHEMA public;
         GRANT ALL ON SCHEMA public TO PUBLIC'
}

# A table `t` of these columns.
table() { # COLUMNS
    empty_schema
    sql "CREATE TABLE t ($1)"
}

# A role of the test's own in ROLE, with these rights on t; drop_role at the end.
make_role() { # RIGHTS [TABLE]
    ROLE=$(unique role)
    sql "CREATE ROLE \"$ROLE\" LOGIN; GRANT $1 ON ${2:-t} TO \"$ROLE\""
}
drop_role() {
    sql "DROP OWNED BY \"$ROLE\"; DROP ROLE \"$ROLE\""
}

# Runs pgsink -T t on the lines of stdin; stdout into `out`, stderr into `log`, the exit status into `exit-status`.
# It gives up in 15 seconds.
sink() { # [OPTION...]
    local code=0
    timeout 15 pgsink -T t "$@" >out 2>log || code=$?
    printf '%s\n' "$code" >exit-status
}

assert_exit() { # STATUS, after sink
    [[ $(<exit-status) == "$1" ]] && return
    printf 'expected exit status %s, got %s, with:\n%s\n' "$1" "$(<exit-status)" "$(cat log out)" >&2
    return 1
}

lines() { # LINE...
    printf '%s\n' "$@"
}

# Starts pgsink with stdin held open: lines go in by `>&9`.
start_sink() { # [OPTION...]
    mkfifo pgsink.in
    exec 9<>pgsink.in
    background pgsink pgsink "$@" 9>&-
}

# Another session locks t, until release_lock.
hold_lock() {
    [[ -e locker.in ]] || mkfifo locker.in
    exec 8<>locker.in
    background locker psql -Xq 9>&- 8>&-
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
    await locker 5
}

# Until pgsink waits for that lock.
wait_until_blocked() {
    wait_until '[[ $(locks waiting) == 1 ]]' 5
}

# The values of t in order, a row a line.
rows() { # COLUMNS [TABLE]
    sql "SELECT $1 FROM ${2:-t}"
}

# Of the rejects in `out`: payload's member n and the error's SQLSTATE.
rejects() {
    jq -r 'select(.error) | "\(.payload.n? // .payload.action_name? // .payload) \(.error.sqlstate)"' out
}

# ---- columns

@test "pgsink: a member fills the column of its name, wherever it stands in the event" {
    table 'a int, b text, c bool'
    lines '{"c":true,"a":1,"b":"x"}' '{"b":"y","c":false,"a":2}' | sink
    assert_exit 0
    assert_equal "$(rows 'a, b, c')" $'1|x|t\n2|y|f'
    assert_equal "$(<out)" ""
}

@test "pgsink: agent_actions is the table if none is named, and created_at comes from timestamp" {
    fresh_database
    event 1 '"timestamp":"2026-11-23T18:00:00.123456","created_at":"2001-01-01T00:00:00"' | pgsink
    assert_equal "$(sql "SELECT created_at AT TIME ZONE 'UTC' FROM agent_actions")" "2026-11-23 18:00:00.123456"
}

@test "pgsink: in another table created_at is the member of that name" {
    table 'n int, created_at timestamptz'
    lines '{"n":1,"timestamp":"2026-11-23T18:00:00","created_at":"2001-01-01T00:00:00"}' | sink
    assert_equal "$(rows "created_at AT TIME ZONE 'UTC'")" "2001-01-01 00:00:00"
}

@test "pgsink --map: a dotted path leads into an object" {
    table 'a int, b text, c jsonb'
    lines '{"m":{"n":{"o":7}},"b":{"c":"deep"}}' '{"m":{"n":5}}' '{"m":7}' '{"m":{"n":{"o":8,"o":9}}}' |
        sink --map a=m.n.o --map b=.b.c --map c=m
    assert_exit 0
    assert_equal "$(rows 'a, b, c')" $'7|deep|{"n": {"o": 7}}\n||{"n": 5}\n||7\n9||{"n": {"o": 9}}'
}

@test "pgsink --map: any other jq program runs on the whole event" {
    table 'a int, b text, c jsonb'
    lines '{"x":2,"y":3,"tags":["p","q"]}' '{"x":1,"y":1}' |
        sink --map 'a=.x + .y' --map 'b=.tags[1]?' --map 'c={x, y}'
    assert_exit 0
    assert_equal "$(rows 'a, b, c')" $'5|q|{"x": 2, "y": 3}\n2||{"x": 1, "y": 1}'
}

@test "pgsink --map: a program's output ends where it ends, whatever the event before gave" {
    table 'n bigint'
    lines '{"a":1.7976931348623157e308}' '{"a":1e18}' | sink --map 'n=.a + 0'
    assert_exit 0
    assert_equal "$(rows n)" 1000000000000000000
}

@test "pgsink --map: an event that a jq program fails on, or jq cannot read, is rejected alone, and one whose output is nested too deeply" {
    table 'n int, a int'
    lines '{"n":1,"x":1}' '{"n":2,"x":"a"}' '{"n":3,"x":3}' '{"n":4,"x":4,"half":"\ud800"}' |
        sink --map 'a=.x * 2 + 1'
    assert_exit 0
    assert_equal "$(rows 'n, a')" $'1|3\n3|7'
    assert_equal "$(jq -R 'capture("\"column\":\"(?<column>[^\"]*)").column' out)" $'"a"\n"a"'
    table 'n int, j jsonb'
    lines '{"n":513}' '{"n":2}' | sink --map 'j=reduce range(.n) as $i (1; [.])'
    assert_equal "$(rows 'n, j')" '2|[[1]]'
    assert_equal "$(rejects)" "513 22000"
}

@test "pgsink --map: a mapping to a column that is not there stops it with 78" {
    table 'n int'
    lines '{"n":1}' | sink --map nosuch=n
    assert_exit 78
    assert_contains "$(<log)" "has no column nosuch"
    lines '{"n":1}' | sink --map 'n=.['
    assert_exit 78
}

@test "pgsink: odd names of columns and tables, and a schema" {
    empty_schema
    sql 'CREATE SCHEMA "My Schema"; CREATE TABLE "My Schema"."Odd ""Table" (
         "select" int, "a b" text, "q""uote" int, "dotted.name" int, "Größe" int, "'"o'clock"'" int)'
    lines '{"select":1,"a b":"x","q\"uote":2,"dotted.name":3,"Gr\u00f6\u00dfe":4,"o'"'"'clock":5}' |
        pgsink -T '"My Schema"."Odd ""Table"'
    assert_equal "$(sql 'TABLE "My Schema"."Odd ""Table"')" "1|x|2|3|4|5"
    # and when each row is in its place already
    sql 'ALTER TABLE "My Schema"."Odd ""Table" ADD PRIMARY KEY ("select")'
    lines '{"select":1,"a b":"y"}' '{"select":2,"a b":"z"}' | pgsink -T '"My Schema"."Odd ""Table"' --on-conflict update
    assert_equal "$(sql 'SELECT "select", "a b" FROM "My Schema"."Odd ""Table" ORDER BY 1')" $'1|y\n2|z'
}

@test "pgsink -T: names fold and are searched as in SQL" {
    empty_schema
    sql 'CREATE SCHEMA app; CREATE TABLE app.mine (n int)'
    lines '{"n":1}' | pgsink -T APP.Mine
    lines '{"n":2}' | PGOPTIONS='-c search_path=app' pgsink -T mine
    assert_equal "$(sql 'TABLE app.mine')" $'1\n2'
}

@test "pgsink: generated columns are left to PostgreSQL" {
    table 'a int, twice int GENERATED ALWAYS AS (a * 2) STORED, n bigint GENERATED ALWAYS AS IDENTITY'
    lines '{"a":4,"twice":5,"n":77}' | sink
    assert_exit 0
    assert_equal "$(rows 'a, twice, n')" "4|8|1"
}

@test "pgsink: a partitioned table, written to directly, with duplicates and with updates" {
    empty_schema
    sql 'CREATE TABLE t (id uuid, n int, PRIMARY KEY (id, n)) PARTITION BY RANGE (n);
         CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10);
         CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (10) TO (20)'
    lines '{"n":1,"id":"00000000-0000-4000-8000-000000000001"}' '{"n":99}' '{"n":11}' >input
    sink <input
    assert_equal "$(rejects)" "99 23514"
    sink <input
    assert_equal "$(rejects)" "99 23514"
    sink --on-conflict update <input
    assert_equal "$(rejects)" "99 23514"
    assert_equal "$(rows n | sort -n)" $'1\n11'
    assert_equal "$(counter rows_updated)" 2
}

# ---- absent, null, given twice

@test "pgsink: an absent member takes the column's default, beside events that have it" {
    table "n int, k int DEFAULT 7, s text DEFAULT 'it''s', j jsonb DEFAULT '{\"a\": 1}', d numeric(6,2) DEFAULT 1.5,
           ts timestamptz DEFAULT '2020-01-01 00:00:00+00', b bool DEFAULT true, v varchar(3) DEFAULT 'abc'"
    lines '{"n":1,"k":1,"s":"x","j":{},"d":2,"ts":"2021-01-01T00:00:00","b":false,"v":"y"}' '{"n":2}' '{"n":3,"k":2}' | sink
    assert_exit 0
    assert_equal "$(rows "n, k, s, j, d, ts AT TIME ZONE 'UTC', b, v")" \
        '1|1|x|{}|2.00|2021-01-01 00:00:00|f|y
2|7|it'"'"'s|{"a": 1}|1.50|2020-01-01 00:00:00|t|abc
3|2|it'"'"'s|{"a": 1}|1.50|2020-01-01 00:00:00|t|abc'
}

@test "pgsink: an event that fills no column is a row of defaults" {
    table 'a int, b text'
    { envelope x 0 1 '{}'; envelope x 0 2 '{"other":1}'; envelope x 0 3 '{"b":"x"}'; } | sink
    assert_exit 0
    assert_equal "$(rows 'a, b')" $'|\n|\n|x'
    table "s serial, b text DEFAULT 'y'"
    lines '{}' 'no json' '{}' | sink
    assert_exit 0
    assert_equal "$(rows 's, b')" $'1|y\n2|y'
}

@test "pgsink: defaults that the server computes: now(), serial, identity, gen_random_uuid(), an expression" {
    table "n int, at timestamptz DEFAULT now(), s serial, i int GENERATED BY DEFAULT AS IDENTITY (START 100),
           u uuid DEFAULT gen_random_uuid(), x int DEFAULT ('5'::int - length('abc'))"
    lines '{"n":1}' \
        '{"n":2,"at":"2001-01-01T00:00:00","s":50,"i":60,"u":"00000000-0000-4000-8000-000000000001","x":70}' \
        '{"n":3}' '{"n":4,"s":51}' | sink
    assert_exit 0
    assert_equal "$(rows "n, at > now() - interval '1 minute', s < 50, i >= 100, u IS NOT NULL, x")" \
        $'1|t|t|t|t|2\n2|f|f|f|t|70\n3|t|t|t|t|2\n4|t|f|t|t|2'
    assert_equal "$(rows 'count(DISTINCT s), count(DISTINCT i), count(DISTINCT u)')" "4|4|4"
    assert_equal "$(rows 's, i, u' | wc -l)" 4
}

@test "pgsink: computed defaults in COPY text too, and with poison beside them" {
    table "n int CHECK (n <> 2), s serial, at timestamptz DEFAULT now(), tags text[] DEFAULT ARRAY['x', 'y']"
    lines '{"n":1,"tags":["a"]}' '{"n":2}' '{"n":3,"s":9}' '{"n":4,"at":"2001-01-01T00:00:00"}' | sink
    assert_equal "$(rows "n, tags, at > '2020-01-01'")" $'1|{a}|t\n3|{x,y}|t\n4|{x,y}|f'
    assert_equal "$(rows 'count(DISTINCT s)')" 3
}

@test "pgsink: a domain's default and its check hold" {
    empty_schema
    sql "CREATE DOMAIN grade AS int DEFAULT 3 CHECK (VALUE BETWEEN 1 AND 6); CREATE TABLE t (n int, g grade)"
    lines '{"n":1}' '{"n":2,"g":5}' '{"n":3,"g":7}' '{"n":4}' | sink
    assert_equal "$(rows 'n, g')" $'1|3\n2|5\n4|3'
    assert_equal "$(rejects)" "3 23514"
}

@test "pgsink: null is NULL, but for a NOT NULL column with a default it counts as absent" {
    table "n int, a int DEFAULT 5, b int NOT NULL DEFAULT 6, c int NOT NULL DEFAULT length('abcdefg')"
    lines '{"n":1,"a":null,"b":null,"c":null}' '{"n":2,"a":1,"b":2,"c":3}' | sink
    assert_exit 0
    assert_equal "$(rows 'n, a, b, c')" $'1||6|7\n2|1|2|3'
}

@test "pgsink: null or nothing for a NOT NULL column without a default is a reject" {
    table 'n int, a int NOT NULL'
    lines '{"n":1,"a":1}' '{"n":2,"a":null}' '{"n":3}' '{"n":4,"a":4}' | sink
    assert_equal "$(rows n)" $'1\n4'
    assert_equal "$(rejects)" $'2 23502\n3 23502'
    assert_equal "$(jq -r .error.column out)" $'a\na'
}

@test "pgsink: a member given twice: the last one counts" {
    table 'a int, b jsonb, c text'
    lines '{"a":1,"c":"x","a":2,"b":{"k":1,"k":2},"c":null}' '{"\u0061":3,"a":4}' '{"a":5,"\u0061":6}' | sink
    assert_equal "$(rows 'a, b, c')" $'2|{"k": 2}|\n4||\n6||'
}

@test "pgsink: a member whose name is written with escapes is the same member" {
    table 'name text'
    lines '{"n\u0061me":"x"}' | sink
    assert_equal "$(rows name)" "x"
    # and the other way round: the column's name is no escape
    table '"n\u0061me" text, b text'
    lines '{"n\\u0061me":"x"}' '{"n\u0061me":"y","b":"z"}' | sink
    assert_equal "$(rows '*')" $'x|\n|z'
}

@test "pgsink --map: a dotted path finds names that are written with escapes" {
    table 'who text'
    lines '{"user":{"n\u0061me":"x"}}' '{"us\u0065r":{"n\u0061me":"y"}}' '{"user":{"name":"z","n\\u0061me":"no"}}' |
        sink --map who=user.name
    assert_equal "$(rows who)" $'x\ny\nz'
}

# ---- members that no column takes

@test "pgsink: members with no column are ignored, and counted" {
    table 'n int'
    lines '{"n":1,"x":1,"y":{"z":2}}' '{"n":2,"x":1}' | sink
    assert_exit 0
    assert_equal "$(rows n)" $'1\n2'
    assert_equal "$(counter members_unknown)" 3
}

@test "pgsink --unknown reject: an event with such a member is rejected, which is named" {
    table 'n int'
    lines '{"n":1}' '{"n":2,"timestamp":"2026-11-23T18:00:00"}' '{"n":3,"extra":1}' | sink --unknown reject
    assert_equal "$(rows n)" 1
    assert_equal "$(rejects)" $'2 42703\n3 42703'
    assert_contains "$(<out)" 'no column takes the member \"extra\"'
}

@test "pgsink --unknown COLUMN: such members are collected, as they are" {
    table 'n int, rest jsonb'
    lines '{"n":1,"x":1.50,"timestamp":"t","rest":[1],"o":{"n":2}}' '{"n":2}' '{"n":3,"\"q\"":"\u00e9"}' |
        sink --unknown rest
    assert_exit 0
    assert_equal "$(rows 'n, rest')" $'1|{"o": {"n": 2}, "x": 1.50, "rest": [1], "timestamp": "t"}\n2|\n3|{"\\"q\\"": "é"}'
    sink --unknown n </dev/null
    assert_exit 78
}

@test "pgsink: a column is filled from one place: --map twice, or --map and --unknown or --id, is 78" {
    table 'n int, j jsonb'
    lines '{"n":1,"x":2}' | sink --map j=x --map j=y
    assert_exit 78
    assert_contains "$(<log)" "column j is given twice"
    lines '{"n":1,"x":2}' | sink --map j=x --unknown j
    assert_exit 78
    assert_contains "$(<log)" "--unknown j: the column is filled by --map already"
    table 'id uuid'
    lines '{"x":2}' | sink --map id=x --id content
    assert_exit 78
    assert_contains "$(<log)" "--id: the column is filled by --map already"
    assert_equal "$(count_rows t)" 0
}

# ---- ids

# The id of DESIGN, computed by other programs: time in ms (empty: none) and the compact text.
derived_id() { # MILLISECONDS TEXT
    local hash time rest variant
    hash=$(printf '%s' "$2" | sha256sum)
    if [[ -n $1 ]]; then printf -v time '%012x' "$1"; else time=${hash:20:12}; fi
    rest=${hash:0:20}
    printf -v variant '%x' $((0x${rest:4:1} & 3 | 8))
    printf '%s-%s-8%s-%s%s-%s\n' "${time:0:8}" "${time:8:4}" "${rest:1:3}" "$variant" "${rest:5:3}" "${rest:8:12}"
}

@test "pgsink: an event without an id gets one from its time and its compact text" {
    table 'id uuid PRIMARY KEY, n int'
    local text='{"n":1,"timestamp":"2026-11-23T18:00:00.123456"}'
    lines "$text" | sink
    assert_equal "$(rows id)" "$(derived_id 1795456800123 "$text")"
    assert_equal "$(rows id)" 019ab1cb-be5b-"$(rows id | cut -d- -f3-)" || true
}

@test "pgsink: derived ids: vectors that anyone can compute with sha256sum" {
    table 'id uuid PRIMARY KEY, n int'
    # sha256 of {"n":1} is 4bf17f09f6ba7d67e2c0c9ae19c1df0e... : checked here against sha256sum, not against us
    lines '{"n":1}' '{ "n" : 2 , "timestamp" : "1970-01-01T00:00:00.001Z" }' '{"n":3,"timestamp":"1969-12-31T23:59:59Z"}' \
        '{"n":4,"timestamp":"2026-11-23T18:00:00.9999+01:00"}' '{"n":5,"timestamp":"no time"}' '{"n":6,"timestamp":7}' | sink
    assert_equal "$(rows id 't ORDER BY n')" "$(
        derived_id '' '{"n":1}'
        derived_id 1 '{"n":2,"timestamp":"1970-01-01T00:00:00.001Z"}'
        derived_id '' '{"n":3,"timestamp":"1969-12-31T23:59:59Z"}'
        derived_id 1795453200999 '{"n":4,"timestamp":"2026-11-23T18:00:00.9999+01:00"}'
        derived_id '' '{"n":5,"timestamp":"no time"}'
        derived_id '' '{"n":6,"timestamp":7}'
    )"
}

@test "pgsink: the same event has the same id as an event, as an envelope, with other white space, in another table" {
    table 'id uuid, n int, created_at timestamptz, note text'
    local text='{"n":1,"timestamp":"2026-11-23T18:00:00","s":"two  words\u00e9"}'
    lines "$text" | sink
    envelope x 0 5 "$text" | sink
    lines '{ "n":1 , "timestamp":"2026-11-23T18:00:00",	"s" : "two  words\u00e9" }' | sink
    assert_equal "$(rows id)" "$(for _ in 1 2 3; do derived_id 1795456800000 "$text"; done)"
}

@test "pgsink: the time of a derived id is the member mapped to created_at" {
    table 'id uuid, n int, created_at timestamptz'
    lines '{"n":1,"when":"2026-11-23T18:00:00"}' | sink --map created_at=when
    assert_equal "$(rows id)" "$(derived_id 1795456800000 '{"n":1,"when":"2026-11-23T18:00:00"}')"
}

@test "pgsink --id auto: the event's own id counts, whatever way it is written; null is none" {
    table 'id uuid, n int'
    lines '{"n":1,"id":"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"}' '{"n":2,"id":"{a0eebc999c0b4ef8bb6d6bb9bd380a12}"}' '{"n":3,"id":null}' | sink
    assert_equal "$(rows 'n, id')" "1|a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11
2|a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12
3|$(derived_id '' '{"n":3,"id":null}')"
}

@test "pgsink --id auto: an own id that is no uuid is a reject" {
    table 'id uuid, n int'
    lines '{"n":1,"id":"abc"}' '{"n":2,"id":7}' '{"n":3,"id":"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}' '{"n":4,"id":""}' | sink
    assert_equal "$(rows n)" 3
    assert_equal "$(rejects)" $'1 22P02\n2 22P02\n4 22P02'
}

@test "pgsink --id content: the event's own id does not count" {
    table 'id uuid, n int'
    lines '{"n":1,"id":"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}' '{"n":2,"id":"no uuid"}' | sink --id content
    assert_equal "$(rows id)" "$(derived_id '' '{"n":1,"id":"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}'
        derived_id '' '{"n":2,"id":"no uuid"}')"
}

@test "pgsink --id offset: the id says where the record stands; a bare event is a reject" {
    table 'id uuid, n int'
    { envelope events 3 41 '{"n":1}'; lines '{"n":2}'; } | sink --id offset
    assert_equal "$(rows 'n, id')" "1|$(derived_id 1761000000000 events/3/41)"
    assert_contains "$(<out)" "--id offset needs envelopes"
}

@test "pgsink --id none: the column is like any other" {
    table "id uuid DEFAULT '00000000-0000-4000-8000-000000000009', n int"
    lines '{"n":1}' '{"n":2,"id":"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}' | sink --id none
    assert_equal "$(rows id)" $'00000000-0000-4000-8000-000000000009\na0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'
}

@test "pgsink: an id column of another type is like any other, and --id content refuses it" {
    table 'id bigserial PRIMARY KEY, n int'
    lines '{"n":1}' '{"n":2}' | sink
    assert_equal "$(rows 'id, n')" $'1|1\n2|2'
    sink --id content </dev/null
    assert_exit 78
}

# ---- values

@test "pgsink: numbers keep their digits" {
    table 'j jsonb, js json, num numeric, t text, b bigint'
    local digits=1234567890123456789012345678901234567890
    lines "{\"j\":{\"v\":$digits},\"js\":[$digits, 1.10],\"num\":$digits.10,\"t\":1.50,\"b\":9007199254740993}" \
        '{"j":0.1000,"js":1E400,"num":"1e-20","t":"1e5","b":-9223372036854775808}' | sink
    assert_exit 0
    assert_equal "$(rows 'j, js, num, t, b')" "{\"v\": $digits}|[$digits, 1.10]|$digits.10|1.50|9007199254740993
0.1000|1E400|0.00000000000000000001|1e5|-9223372036854775808"
}

@test "pgsink: a time without a zone is UTC, wherever the server is" {
    empty_database
    sql "ALTER DATABASE \"$PGDATABASE\" SET timezone = 'Asia/Tokyo'; ALTER DATABASE \"$PGDATABASE\" SET datestyle = 'SQL, DMY'"
    local column more=''
    for column in '' ', tags text[]'; do # binary and text
        [[ -z $column ]] || more=',"tags":[],"many":["2026-11-23T18:00:00"]'
        sql "SET client_min_messages = error; DROP TABLE IF EXISTS t; CREATE TABLE t (n int, tz timestamptz, ts timestamp, d date$column, many timestamptz[])"
        lines '{"n":1,"tz":"2026-11-23T18:00:00","ts":"2026-11-23T18:00:00","d":"2026-11-23"'"$more"'}' \
            '{"n":2,"tz":"2026-11-23T18:00:00+02:00","ts":"2026-11-23T18:00:00+02:00","d":"2026-11-23T23:30:00-05:00"}' | sink
        assert_exit 0
        assert_equal "$(sql "SET datestyle = ISO; SET timezone = 'UTC'; SELECT n, tz, ts, d FROM t")" \
            $'1|2026-11-23 18:00:00+00|2026-11-23 18:00:00|2026-11-23\n2|2026-11-23 16:00:00+00|2026-11-23 16:00:00|2026-11-24'
        [[ -z $column ]] || assert_equal "$(sql "SET timezone = 'UTC'; SELECT many[1] AT TIME ZONE 'UTC' = '2026-11-23 18:00:00' FROM t LIMIT 1")" t
    done
}

@test "pgsink: what a role or the connection has set does not change what is read: encoding, arrays, XML, floats" {
    table "n int, s text, many text[], x xml, f float8 DEFAULT 0.1234567890123456"
    lines '{"n":1,"s":"é€","many":["ä",null],"x":"<a/><b/>"}' >input
    local settings='-c array_nulls=off -c xmloption=document -c standard_conforming_strings=off -c extra_float_digits=-10'
    PGOPTIONS=$settings PGCLIENTENCODING=LATIN1 sink <input
    assert_exit 0
    PGOPTIONS=$settings sink -d client_encoding=LATIN1 <input
    assert_exit 0
    assert_equal "$(rows 'n, s, many, x, f')" \
        $'1|é€|{ä,NULL}|<a/><b/>|0.1234567890123456\n1|é€|{ä,NULL}|<a/><b/>|0.1234567890123456'
}

# Values of each type that has a binary form, as JSON.
values_of() { # TYPE
    case $1 in
    uuid) lines '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"' '"{A0EE-BC99-9C0B-4EF8-BB6D-6BB9-BD38-0A11}"' '"a0eebc999c0b4ef8bb6d6bb9bd380a11"' '"a0eebc999c0b4ef8bb6d6bb9bd380a1"' '""' '"{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"' '" a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"' ;;
    smallint) lines 0 -1 32767 -32768 32768 -32769 '"12"' '" 12 "' '"+5"' '"+-5"' '"x"' '""' 99999999999999999999 ;;
    int) lines 0 2147483647 -2147483648 2147483648 '"007"' '"1 2"' '"-"' '"- 1"' true ;;
    bigint) lines 9223372036854775807 -9223372036854775808 9223372036854775808 -9223372036854775809 '"9223372036854775807"' ;;
    real) lines 1.5 1.00000005960464477540 1.17549435e-38 3.4028235e38 3.5e38 1e-46 1e-45 '"NaN"' '"Infinity"' '"-inf"' '" 2.5 "' '"x"' '""' '"1e"' -0.0 16777217 ;;
    'double precision') lines 1.5 1e308 1e309 4.9e-324 1e-325 0.1 123456789012345678901234567890 '"nan"' '"-Infinity"' '"1_0"' 2.2250738585072011e-308 ;;
    bool) lines true false '"t"' '"YES"' '"of"' '"o"' '"on"' '"1"' '"0"' '" true "' '"truex"' '""' '"2"' ;;
    text) lines '"x"' '""' '"tab\tnewline\nback\\slash quote\" é \u20ac \ud83d\ude00"' '"\\N"' '"\\."' true 12 '[1, 2]' '{"a":"\\"}' ;;
    'varchar(3)') lines '"abc"' '"abcd"' '"abc  "' '"é€😀"' 1234 ;;
    'char(4)') lines '"ab"' '"abcd"' '"abcde"' '"abcd "' ;;
    timestamptz) lines '"2026-11-23T18:00:00.123456Z"' '"2026-11-23 18:00:00+05:30"' '"20261123T180000"' '"2026-11-23"' '"2026-02-29T00:00:00"' '"2024-02-29T23:59:60"' '"2026-11-23T24:00:00"' '"2026-11-23T18:00:00.1234565"' '"9999-12-31T23:59:59.999999Z"' '"0001-01-01T00:00:00"' '"2026-13-01T00:00:00"' '""' '"x"' ;;
    timestamp) lines '"2026-11-23T18:00:00.000001"' '"1999-12-31T23:59:59.999999"' '"0001-01-01T00:00:00"' ;;
    date) lines '"2026-11-23"' '"1999-12-31"' '"0001-01-01"' '"9999-12-31"' '"2026-02-30"' ;;
    jsonb) lines '{"b":1,"a":[null,true,1.10,"\u00e9\\n"]}' '"s"' 12 '[]' '{}' '{"a":1,"a":2}' 1e3 ;;
    json) lines '{"b": 1,"a":[null]}' '"s"' 12.0 ;;
    colour) lines '"red"' '"dark blue"' '"green"' '""' ;;
    percent) lines 5 0 101 '"x"' ;;
    'numeric(8,3)') lines 1.5 12345.6789 99999.9994 99999.9996 -0.0005 '"NaN"' '"Infinity"' '"x"' '""' 1e4 '"1e-3"' true 1e-16383 && random_numbers 100 ;;
    numeric) spelled_numbers && random_numbers 400 && endless_numbers ;;
    amount) lines 0 0.01 -0.01 1000000.005 99999999.99 1e8 '"12.50"' '"NaN"' && random_numbers 50 ;;
    esac
}

# What may be written differently: zeros, exponents, blanks and signs.
spelled_numbers() {
    lines 0 -0 0.0 -0.00 0e5 0.0e5 0e-3 1 -1 10 100 1000 9999 10000 10001 99999999 100000000 100010001 \
        1.50 0.1 0.01 0.001 0.0001 0.00001 0.00010001 -0.5 1.0001 1.00001 12345.6789 12345.67891 \
        1e3 1E3 1e+3 1.5e-3 1.50e1 1.5E+20 1e-7 123456e-3 123456e-6 123456e-9 1000000e-3 1e0 1e-0 1e0000002 \
        9007199254740993 0.1000000000000000055511151231257827 \
        '"12.50"' '"  12.50 "' '"\t\n\r12.50\u000b\f"' '"\u0031\u0032"' '"+1"' '"-1"' '"007"' '"-007.70"' '".5"' '"-.5"' '"5."' '"5.e1"' '"+.5E-1"' \
        '"NaN"' '"nan"' '" NaN "' '"Infinity"' '"-infinity"' '"+Infinity"' '"inf"' '"-INF"' '"+inf"' \
        '""' '" "' '"x"' '"."' '"-"' '"+-1"' '"--1"' '"- 1"' '"1 2"' '"1,5"' '"1.2.3"' '"e5"' '"1e"' '"1e+"' '"1e5x"' '"1e5.0"' '"1e+-5"' \
        '"-NaN"' '"+NaN"' '"infinit"' '"Infinity1"' '"NaN 1"' '"\u00a01"' '"1\u0663"' true false '[1]' '{"v":1}'
}

# The same ones each time: up to 40 digits on each side of the point, exponents, zeros in front and behind.
random_numbers() { # HOW_MANY
    awk -v count="$1" '
        function digits(most,    text, length_left) {
            text = ""
            for (length_left = int(rand() * (most + 1)); length_left > 0; length_left--)
                text = text (rand() < 0.4 ? 0 : int(rand() * 10))
            return text
        }
        BEGIN {
            srand(20261123)
            while (count-- > 0) {
                quote = rand() < 0.3 ? "\"" : ""
                whole = digits(rand() < 0.5 ? 6 : 40)
                fraction = rand() < 0.6 ? digits(rand() < 0.5 ? 4 : 40) : ""
                if (!quote)
                    sub(/^0+/, "", whole)
                if (whole == "")
                    whole = "0"
                exponent = rand() < 0.4 ? (rand() < 0.5 ? "e" : "E") int(rand() * 90 - 45) : ""
                print quote (rand() < 0.4 ? "-" : "") whole (fraction == "" ? "" : "." fraction) exponent quote
            }
        }'
}

# On both sides of numeric's limits: 131072 digits before the point and 16383 behind it.
endless_numbers() {
    row_of() { head -c "$2" /dev/zero | tr '\0' "$1"; } # DIGIT COUNT
    lines "$(row_of 9 131072)" "$(row_of 9 131073)" "-$(row_of 1 131071).$(row_of 7 16383)" "0.$(row_of 3 16384)" \
        "1.$(row_of 0 16383)" "1.$(row_of 0 16384)" "0.$(row_of 0 16382)1" "0.$(row_of 0 16383)1" \
        "\"$(row_of 0 200000)1\"" "$(row_of 4 140000)e-8928" "0.$(row_of 0 20000)5e4000" "0.$(row_of 0 20000)5e40000" \
        1e131071 9.99e131071 1e131072 -1e131072 1e-16383 1e-16384 15e-16384 0e-16383 0e-16384 0e131072 \
        0e1073741822 0e1073741824 0e-1073741824 1e999999999 -1e999999999 1e-999999999 1e2147483648 1e-2147483649 \
        1e9223372036854775808 1e99999999999999999999999 1e-99999999999999999999999
}

# What PostgreSQL's own input makes of the member v of each event in `events`: the row, or its SQLSTATE. By
# way of a table, since an explicit cast cuts.
expected_rows() { # TYPE
    local text="event::json->>'v'"
    [[ $1 != json* ]] || text="(event::json->'v')::text"
    psql -XAtq -v ON_ERROR_STOP=1 <<SQL
SET client_min_messages = error;
CREATE OR REPLACE FUNCTION input_of(value text) RETURNS text LANGUAGE plpgsql AS \$\$
DECLARE v text;
BEGIN
    EXECUTE format('INSERT INTO expected SELECT %L RETURNING v::text', value) INTO v;
    RETURN v;
EXCEPTION WHEN OTHERS THEN
    RETURN replace(SQLSTATE, '22008', '22007'); -- no such day: the one says out of range, the other no date
END \$\$;
DROP TABLE IF EXISTS expected, events;
CREATE TABLE expected (v $1);
CREATE TABLE events (event text);
\copy events FROM events WITH (FORMAT csv, QUOTE E'\x01', DELIMITER E'\x02')
SELECT event::json->>'n' || '|' || input_of($text) FROM events;
SQL
}

compare_type() { # TYPE
    local type=$1 value n=0 column
    while IFS= read -r value; do
        printf '{"n":%d,"v":%s,"tags":[]}\n' "$((++n))" "$value"
    done < <(values_of "$type") >events
    expected_rows "$type" | sort -n >wanted
    [[ -s wanted ]]
    for column in '' ', tags text[]'; do # binary and text
        sql "SET client_min_messages = error; DROP TABLE IF EXISTS t; CREATE TABLE t (n int, v $type$column)"
        sink <events
        assert_exit 0
        {
            sql "SELECT n || '|' || v::text FROM t"
            jq -r '"\(.payload.n)|\(.error.sqlstate)"' out
        } | sort -n >got
        # a value's own newlines make lines of their own in both
        diff -u wanted got || { printf 'type %s%s\n' "$type" "$column" >&2; return 1; }
    done
}

@test "pgsink: every type that has a binary form stores what PostgreSQL's own input would, or rejects with its SQLSTATE" {
    empty_schema
    sql "CREATE TYPE colour AS ENUM ('red', 'dark blue'); CREATE DOMAIN percent AS int CHECK (VALUE <= 100);
         CREATE DOMAIN money_amount AS numeric(10,2); CREATE DOMAIN amount AS money_amount CHECK (VALUE >= 0)"
    local type
    for type in uuid smallint int bigint real 'double precision' bool 'varchar(3)' 'char(4)' date timestamp \
        jsonb json colour percent numeric 'numeric(8,3)' amount; do
        compare_type "$type"
    done
}

@test "pgsink: text and times store what PostgreSQL's own input would" {
    empty_database
    sql "ALTER DATABASE \"$PGDATABASE\" SET timezone = 'UTC'"
    compare_type timestamptz
    compare_type text
}

@test "pgsink: all types in one row, the binary way and the text way, are equal" {
    empty_schema
    local columns='a uuid, b text, c varchar(9), d char(5), e bool, f smallint, g int, h bigint, i real, j float8,
        k timestamptz, l timestamp, m date, o json, p jsonb, q numeric'
    sql "CREATE TABLE b ($columns); CREATE TABLE x ($columns, z inet)"
    lines '{"a":"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11","b":"t\\x\t\n","c":"v","d":"c","e":true,"f":-1,"g":2,"h":3,"i":0.1,"j":0.1,"k":"2026-11-23T18:00:00.1+01:00","l":"2026-11-23T18:00:00","m":"2026-11-23","o":{"a":1},"p":{"a":[1]},"q":1.10,"z":"10.0.0.1"}' \
        '{"z":"::1"}' >input
    pgsink -T b <input
    pgsink -T x <input
    assert_equal "$(sql 'SELECT row(b.*)::text FROM b')" \
        "$(sql 'SELECT row(a, b, c, d, e, f, g, h, i, j, k, l, m, o, p, q)::text FROM x')"
    assert_equal "$(sql 'SELECT z FROM x')" $'10.0.0.1\n::1'
}

@test "pgsink: JSON knows one kind of number: 45, 45.0 and 4.5e1 are the same integer, 4.5 is none" {
    table 'n int, v int'
    lines '{"n":1,"v":45}' '{"n":2,"v":45.0}' '{"n":3,"v":4.5e1}' '{"n":4,"v":4.5}' '{"n":5,"v":4500e-2}' '{"n":6,"v":1e99999}' '{"n":7,"v":0e99999}' '{"n":8,"v":-0}' \
        '{"n":9,"v":0e9223372036854775807}' '{"n":10,"v":1e9223372036854775807}' '{"n":11,"v":0.05e-9223372036854775808}' \
        '{"n":12,"v":450000000000000000000000000000e-28}' '{"n":13,"v":450.0000000000000000000000000000e-1}' | sink
    assert_equal "$(rows 'n, v')" $'1|45\n2|45\n3|45\n5|45\n7|0\n8|0\n9|0\n12|45\n13|45'
    assert_equal "$(rejects)" $'4 22P02\n6 22003\n10 22003\n11 22P02'
}

@test "pgsink: numeric takes decimal numbers only, whatever the version of PostgreSQL and the format" {
    local column
    for column in '' ', a inet'; do # binary and text
        table "n int, v numeric$column"
        lines '{"n":1,"v":"1_000"}' '{"n":2,"v":"0x1F"}' '{"n":3,"v":"1e 5"}' '{"n":4,"v":"1e1_0"}' '{"n":5,"v":5}' \
            '{"n":6,"v":1e131072}' '{"n":7,"v":"1\u00002"}' | sink
        assert_exit 0
        assert_equal "$(rows 'n, v')" '5|5'
        assert_equal "$(rejects)" $'1 22P02\n2 22P02\n3 22P02\n4 22P02\n6 22003\n7 22P05'
        assert_contains "$(jq -r .error.message out)" 'value overflows numeric format: 1e131072'
    done
}

@test "pgsink: a table with numeric columns and domains over them goes by COPY BINARY" {
    empty_schema
    sql "CREATE DOMAIN amount AS numeric(10,2);
         CREATE TABLE t (n int, v numeric, d amount DEFAULT 0.5, CHECK (current_query() LIKE '%(FORMAT binary)%'))"
    lines '{"n":1,"v":1.50,"d":1.234}' '{"n":2,"v":"NaN"}' | sink
    assert_exit 0
    assert_equal "$(rows 'n, v, d')" $'1|1.50|1.23\n2|NaN|0.50'
    sql 'ALTER TABLE t ADD a inet' # has no binary form here
    lines '{"n":3,"v":1.50,"a":"::1"}' | sink
    assert_equal "$(rejects)" '3 23514'
}

@test "pgsink: arrays" {
    table 'n int, i int[], s text[], j jsonb[]'
    lines '{"n":1,"i":[1,2,null],"s":["a","b\"c","d\\e","{f}","NULL","",null," ",","],"j":[{"a":"\"x\""},1]}' \
        '{"n":2,"i":[[1,2],[3,4]],"s":[],"j":[]}' '{"n":3,"i":"{7,8}"}' '{"n":4,"i":["x"]}' '{"n":5,"i":[[1],[2,3]]}' | sink
    assert_equal "$(rows "n, i, array_length(s, 1), s[2], s[3], s[5], s[6] = '', s[7] IS NULL, j[1]->>'a'" 't WHERE n = 1')" \
        '1|{1,2,NULL}|9|b"c|d\e|NULL|t|t|"x"'
    assert_equal "$(rows 'n, i' 't WHERE n > 1')" $'2|{{1,2},{3,4}}\n3|{7,8}'
    assert_equal "$(rejects)" $'4 22P02\n5 22P02'
}

@test "pgsink: COPY text keeps backslashes, tabs, line breaks and what looks like its marks" {
    table 'n int, s text, a inet'
    lines '{"n":1,"s":"\\N"}' '{"n":2,"s":"\\."}' '{"n":3,"s":"a\tb\nc\rd\\e\bf"}' '{"n":4,"s":""}' '{"n":5,"a":"10.0.0.1"}' | sink
    assert_exit 0
    assert_equal "$(rows 'n, encode(convert_to(s, $$UTF8$$), $$hex$$)')" \
        $'1|5c4e\n2|5c2e\n3|6109620a630d645c650866\n4|\n5|'
}

@test "pgsink --nul: \\u0000 is rejected, stripped or replaced, in text and in jsonb" {
    table 'n int, s text, j jsonb'
    lines '{"n":1,"s":"a\u0000b"}' '{"n":2,"j":{"k\u0000":"a\u0000b"}}' '{"n":3,"s":"\\u0000"}' >input
    sink <input
    assert_equal "$(rejects)" $'1 22P05\n2 22P05'
    assert_equal "$(rows 'n, s')" '3|\u0000'
    sql 'TRUNCATE t'
    sink --nul strip <input
    assert_equal "$(rows 'n, s, j')" $'1|ab|\n2||{"k": "ab"}\n3|\\u0000|'
    sql 'TRUNCATE t'
    sink --nul replace <input
    assert_equal "$(rows 'n, s, j')" $'1|a\xef\xbf\xbdb|\n2||{"k\xef\xbf\xbd": "a\xef\xbf\xbdb"}\n3|\\u0000|'
}

@test "pgsink: a json column keeps \\u0000 and lone surrogates, whatever --nul says, also where it collects" {
    local column
    for column in '' ', tags text[]'; do # binary and text
        table "n int, j json, rest json$column"
        lines '{"n":1,"j":"\u0000","tags":[]}' '{"n":2,"j":{"\ud800":"a\udc00"},"k\u0000":"\ud800"}' >input
        sink --unknown rest <input
        assert_exit 0
        assert_equal "$(rows 'n, j, rest' 't ORDER BY n' | sed 's/{"tags":\[\]}//')" \
            $'1|"\\u0000"|\n2|{"\\ud800":"a\\udc00"}|{"k\\u0000":"\\ud800"}'
        sink --nul strip <input
        assert_equal "$(rows 'count(DISTINCT j::text)')" 2
    done
}

@test "pgsink: lone surrogates and text that is no UTF-8 are rejects" {
    table 'n int, s text, j jsonb'
    { lines '{"n":1,"s":"\ud800"}' '{"n":2,"j":["\udc00x"]}' && printf '{"n":3,"s":"\xff"}\n' && lines '{"n":4,"s":"ok"}'; } | sink
    assert_equal "$(rows n)" 4
    # (jq 1.6 does not take the surrogates)
    assert_equal "$(grep -o '"sqlstate":"[^"]*"' out | cut -d'"' -f4)" $'22P05\n22P05\n22P02'
}

@test "pgsink: what is no JSON, or no object, is a reject of class decode or data" {
    table 'n int'
    lines '{"n":1}' 'not json' '{"n":2' '[1]' '"text"' '7' '{"n":3}' | sink
    assert_exit 0
    assert_equal "$(rows n)" $'1\n3'
    assert_equal "$(jq -r '"\(.payload | tojson) \(.error.class) \(.error.tool)"' out)" \
        '"not json" decode pgsink
"{\"n\":2" decode pgsink
[1] data pgsink
"text" data pgsink
7 data pgsink'
}

# An event that is nested one deeper than its array.
nested() { # N DEPTH_OF_ARRAY
    # shellcheck disable=SC2046 # a word each
    printf '{"n":%d,"j":%s1%s}\n' "$1" "$(printf '[%.0s' $(seq "$2"))" "$(printf ']%.0s' $(seq "$2"))"
}

@test "pgsink --map: libjq takes 256 levels, of which an object is two; events nested deeper are rejects" {
    table 'n int, j jsonb'
    { nested 1 254; nested 2 255; nested 3 1; } | sink --map 'n=.n + 0'
    assert_exit 0
    assert_equal "$(rows n)" $'1\n3'
    assert_equal "$(grep -o '"n":[0-9]*\|"sqlstate":"[^"]*"' out | paste -sd ' ')" '"n":2 "sqlstate":"22000"' # too deep for jq too
}

@test "pgsink: nesting deeper than 512 is a reject, 512 is none" {
    table 'n int, j jsonb'
    { nested 1 511; nested 2 512; nested 3 5000; nested 4 1; } | sink
    assert_equal "$(rows n)" $'1\n4'
    assert_equal "$(jq -r .error.class out | sort | uniq -c | tr -s ' ')" " 2 decode"
}

@test "pgsink --max-line: a longer line is a reject that keeps its place in Kafka; its neighbours are stored" {
    table 'n int, s text'
    {
        envelope x 0 1 '{"n":1,"s":"a"}'
        envelope x 0 2 "{\"n\":2,\"s\":\"$(head -c 5000 /dev/zero | tr '\0' y)\"}"
        envelope x 0 3 '{"n":3,"s":"c"}'
    } | sink --max-line 1000
    assert_exit 0
    assert_equal "$(rows n)" $'1\n3'
    assert_equal "$(jq -c 'select(.error) | [.topic, .partition, .offset]' out)" '["x",0,2]'
    assert_equal "$(tail -n 1 out)" '{"ack":[{"topic":"x","partition":0,"next":4}]}'
}

@test "pgsink: an event of 20 MB goes in" {
    table 'n int, s text'
    { printf '{"n":1,"s":"' && head -c 20000000 /dev/zero | tr '\0' x && printf '"}\n{"n":2}\n'; } | sink
    assert_exit 0
    assert_equal "$(rows 'n, length(s)')" $'1|20000000\n2|'
}

@test "pgsink: a last line without a newline counts if it is JSON, else it is torn and the exit status is 65" {
    table 'n int'
    printf '{"n":1}\n{"n":2}' | sink
    assert_exit 0
    printf '{"n":3}\n{"n":4' | sink
    assert_exit 65
    assert_contains "$(<log)" "dropped as torn"
    assert_equal "$(rows n)" $'1\n2\n3'
    assert_equal "$(<out)" ""
}

# ---- one bad row

@test "pgsink: a bad row early in a large batch: what the server says while rows are still being sent is heard" {
    # until it refuses row 7 the rows behind pile up, and pgsink cannot send
    table 'n int PRIMARY KEY CHECK (n <> 7 OR pg_sleep(1) IS NULL), filler text'
    seq 1 40000 | awk -v filler="$(printf '%0700d' 0)" '{ print "{\"n\":" $1 ",\"filler\":\"" filler "\"}" }' >pgsink.in
    background pgsink pgsink -T t --max-rows 1000000 --max-bytes 100M # more than any socket's buffer
    await pgsink 15
    assert_status 0
    assert_equal "$(jq -c '[.payload.n, .error.sqlstate]' pgsink.out)" '[7,"23514"]'
    assert_equal "$(rows 'count(*)')" 39999
}

# A table that refuses in many ways; p says how.
poison_table() {
    empty_schema
    sql "CREATE TABLE parent (k int PRIMARY KEY); INSERT INTO parent VALUES (1);
         CREATE TABLE t (n int PRIMARY KEY, c int CHECK (c < 100), nn int NOT NULL DEFAULT 0, fk int REFERENCES parent,
             dfk int REFERENCES parent DEFERRABLE INITIALLY DEFERRED, j jsonb, v varchar(5), big text, room int,
             EXCLUDE USING btree (room WITH =), b int, a int, i smallint);
         CREATE INDEX ON t (big);
         CREATE FUNCTION t_before() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
             IF NEW.b = 666 THEN RAISE EXCEPTION 'before'; END IF;
             IF NEW.b = 667 THEN RAISE EXCEPTION 'own code' USING ERRCODE = 'MY001'; END IF;
             IF NEW.b = 668 THEN NEW.nn := NULL; END IF;
             RETURN NEW; END \$\$;
         CREATE TRIGGER before BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION t_before();
         CREATE FUNCTION t_after() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
             IF NEW.a = 666 THEN RAISE EXCEPTION 'after'; END IF; RETURN NULL; END \$\$;
         CREATE TRIGGER after AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION t_after()"
}

# Long, and not to be compressed: an index row that is too large.
huge() {
    head -c 9000 /dev/urandom | base64 -w 0
}

# Members that spoil an event, and the SQLSTATE that comes of it.
poisons() {
    printf '%s\t%s\n' '"c":100' 23514 '"b":668' 23502 '"fk":2' 23503 '"dfk":2' 23503 '"b":666' P0001 '"a":666' P0001 \
        '"room":1' 23P01 "\"big\":\"$(huge)\"" 54000 '"j":{"x":1e200000}' 22003 '"v":"abcdef"' 22001 '"i":40000' 22003
}

# The poison in the middle of good rows, and what comes of it; $1 is a WHERE that holds for all of them.
check_alone() { # MEMBERS SQLSTATE [OPTION...]
    local members=$1 code=$2
    shift 2
    {
        lines '{"n":101,"room":1,"c":1,"fk":1,"dfk":1,"v":"x","big":"b","j":{},"i":1,"a":1,"b":1}' '{"n":102}' '{"n":103}'
        printf '{"n":104,%s}\n' "$members"
        lines '{"n":105}' '{"n":106}'
    } | sink "$@"
    assert_exit 0
    assert_equal "$(rows n 't WHERE n > 100 ORDER BY ctid' | paste -sd ' ')" "101 102 103 105 106"
    assert_equal "$(rejects)" "104 $code"
    sql 'DELETE FROM t WHERE n > 100'
}

@test "pgsink: a row that the database refuses is rejected alone, its neighbours are stored in order, in the same run" {
    poison_table
    local members code
    while IFS=$'\t' read -r members code; do
        check_alone "$members" "$code"
    done < <(poisons)
    assert_equal "$(counter copies_staged)" 0
}

@test "pgsink: the same through the stage, beside duplicates" {
    poison_table
    sql 'INSERT INTO t (n) VALUES (1)'
    local members code
    while IFS=$'\t' read -r members code; do
        {
            lines '{"n":1}' '{"n":101,"room":1,"c":1,"fk":1,"dfk":1,"v":"x","big":"b","j":{},"i":1,"a":1,"b":1}' '{"n":102}' '{"n":103}'
            printf '{"n":104,%s}\n' "$members"
            lines '{"n":105}' '{"n":1}' '{"n":106}'
        } | sink
        assert_equal "$(rows n 't WHERE n > 100 ORDER BY ctid' | paste -sd ' ')" "101 102 103 105 106"
        assert_equal "$(rejects)" "104 $code"
        sql 'DELETE FROM t WHERE n > 100'
    done < <(poisons)
    (($(counter copies_staged) > 10))
    assert_equal "$(counter rows_duplicate)" 22
}

@test "pgsink: the same row by row, where no temporary table may be made, and with COPY text" {
    poison_table
    sql 'INSERT INTO t (n) VALUES (1)'
    make_role 'INSERT, SELECT (n)' # without the right to read all of it there is no stage
    local members code
    while IFS=$'\t' read -r members code; do
        {
            lines '{"n":1}' '{"n":101,"room":1,"c":1,"fk":1,"dfk":1,"v":"x","big":"b","j":{},"i":1,"a":1,"b":1}' '{"n":102}' '{"n":103}'
            printf '{"n":104,%s}\n' "$members"
            lines '{"n":105}' '{"n":106}'
        } | PGUSER=$ROLE sink
        assert_equal "$(rows n 't WHERE n > 100 ORDER BY ctid' | paste -sd ' ')" "101 102 103 105 106"
        assert_equal "$(rejects)" "104 $code"
        sql 'DELETE FROM t WHERE n > 100'
    done < <(poisons)
    (($(counter rows_single) > 50))
    assert_equal "$(counter copies_staged)" 0
    sql 'ALTER TABLE t ADD tags text[] DEFAULT ARRAY[1::text]'
    while IFS=$'\t' read -r members code; do
        check_alone "$members,\"tags\":[]" "$code"
    done < <(poisons)
    drop_role
}

@test "pgsink: several bad rows of several kinds in one batch, the first and the last among them" {
    poison_table
    {
        lines '{"n":1,"c":100}' '{"n":2,"c":100}' '{"n":3}' '{"n":4,"a":666}' '{"n":5}' '{"n":6,"dfk":9}' '{"n":7,"i":1e9}' 'no json' '{"n":8,"b":666}'
        seq -f '{"n":%g}' 10 500
        lines '{"n":501,"fk":9}'
    } | sink
    assert_exit 0
    assert_equal "$(rejects)" $'1 23514\n2 23514\n4 P0001\n6 23503\n7 22003\nno json 22P02\n8 P0001\n501 23503'
    assert_equal "$(rows 'string_agg(n::text, $$ $$ ORDER BY n)' 't WHERE n < 15')" "3 5 10 11 12 13 14"
    assert_equal "$(count_rows t)" 493
}

@test "pgsink: a batch of bad rows alone is rejected whole, and the next one is stored" {
    poison_table
    { seq -f '{"n":%g,"c":100}' 1 20; echo; seq -f '{"n":%g,"dfk":7}' 21 40; echo; lines '{"n":41}'; } | sink
    assert_exit 0
    assert_equal "$(rejects | wc -l)" 40
    assert_equal "$(rows n)" 41
    assert_equal "$(counter rows_rejected) $(counter rows_inserted)" "40 1"
}

@test "pgsink: an error behind the COPY, whose text names table and line, does not blame another row" {
    table 'n int'
    sql "CREATE FUNCTION t_3() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
             IF NEW.n = 5 THEN
                 RAISE EXCEPTION 'COPY t, line 1';
             END IF; RETURN NULL; END \$\$;
         CREATE TRIGGER a AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION t_3()"
    seq -f '{"n":%g}' 8 | sink
    assert_equal "$(rejects)" "5 P0001"
    assert_equal "$(rows n | paste -sd ' ')" "1 2 3 4 6 7 8"
}

@test "pgsink: a value that looks like COPY's own words does not blame another row" {
    table 'n int, a inet'
    lines '{"n":1,"a":"10.0.0.1"}' '{"n":2}' '{"n":3,"a":"x\nCOPY t, line 1"}' '{"n":4}' '{"n":5,"a":"COPY t, line 2"}' | sink
    assert_equal "$(rejects)" $'3 22P02\n5 22P02'
    assert_equal "$(rows n | paste -sd ' ')" "1 2 4"
}

@test "pgsink: a code that nobody has classified is tried again, then the row is rejected alone" {
    poison_table
    check_alone '"b":667' MY001
    (($(counter batches_failed) >= 3))
}

@test "pgsink: an internal error whatever the row is the server's fault: 69, and nothing is rejected" {
    table 'n int'
    sql "CREATE FUNCTION ill() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
             RAISE EXCEPTION 'index is corrupted' USING ERRCODE = 'XX002'; END \$\$;
         CREATE TRIGGER ill BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION ill()"
    seq -f '{"n":%g}' 3 | sink
    assert_exit 69
    assert_equal "$(<out)" ""
    assert_contains "$(<log)" "index is corrupted"
}

@test "pgsink: a reject carries what, where, why and when" {
    fresh_database
    envelope events 2 7 "$(event 1 '"duration_ms":"long"')" | pgsink >out
    head -n 1 out | jq -e '.topic == "events" and .partition == 2 and .offset == 7 and .payload.action_name == "n1"
        and .error.tool == "pgsink" and .error.class == "data" and .error.sqlstate == "22P02"
        and .error.column == "duration_ms" and (.error.message | contains("long"))
        and (.error.at | test("^20[0-9-]{8}T[0-9:]{8}\\.[0-9]{3}Z$")) and (keys_unsorted | last == "error")'
}

@test "pgsink: a reject's message is short, however long the value that it complains of" {
    table 'n int, a inet, k text'
    sql "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
             IF NEW.k IS NOT NULL THEN RAISE EXCEPTION '%', NEW.k; END IF; RETURN NEW; END \$\$;
         CREATE TRIGGER refuse BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION refuse()"
    local euros some
    euros=$(printf '€%.0s' {1..100000})
    some=$(printf '€%.0s' {1..340})
    lines "{\"n\":1,\"a\":\"$euros\"}" "{\"n\":2,\"k\":\"$euros\"}" "{\"n\":3,\"k\":\"$some\"}" '{"n":4}' | sink
    assert_exit 0
    assert_equal "$(rows n)" 4
    assert_equal "$(jq -r '"\(.payload.n) \(.error.message | utf8bytelength <= 1027 and endswith("€…"))"' out)" \
        $'1 true\n2 true\n3 false'
    assert_equal "$(jq -r 'select(.payload.n == 3).error.message' out)" "$some"
    # our own encoder's, and a member's name
    table 'n int, k int'
    lines "{\"n\":1,\"k\":\"$some\"}" | sink
    assert_equal "$(jq -r .error.message out)" "invalid input for type integer: \"$(printf '€%.0s' {1..13})…"
    lines "{\"n\":1,\"$some\":1}" | sink --unknown reject
    assert_equal "$(jq -r .error.message out)" "no column takes the member \"$(printf '€%.0s' {1..33})\""
}

@test "pgsink: varchar(n): too long is a reject, in every way of writing; spaces at the end are cut" {
    table 'n int PRIMARY KEY, v varchar(3)'
    sql 'INSERT INTO t VALUES (0)'
    local mode
    for mode in direct staged single; do
        sql 'DELETE FROM t WHERE n > 0'
        [[ $mode != single ]] || make_role INSERT
        {
            [[ $mode == direct ]] || lines '{"n":0}'
            lines '{"n":1,"v":"abc"}' '{"n":2,"v":"abcd"}' '{"n":3,"v":"abc  "}'
        } | PGUSER=$([[ $mode == single ]] && printf %s "$ROLE" || printf postgres) sink
        assert_equal "$(rejects)" "2 22001"
        assert_equal "$(rows 'n, v' 't WHERE n > 0')" $'1|abc\n3|abc'
    done
    (($(counter rows_single) > 0))
    drop_role
}

# ---- what is there already

@test "pgsink: a replay adds no row, and duplicates are counted apart" {
    fresh_database
    events 200 --seed 3 >input
    pgsink <input
    pgsink -v <input 2>log
    assert_equal "$(count_rows)" 200
    assert_equal "$(counter rows_inserted) $(counter rows_duplicate) $(counter rows_rejected)" "200 200 0"
    assert_contains "$(<log)" "INFO - Batch insert: 0 inserted, 200 duplicates (total: 200)"
    grep -Eq 'INFO - Batch processed: 200 messages, 0 inserted, 0 failed, [0-9]+\.[0-9][0-9] ms$' log
}

@test "pgsink: duplicates within one batch and beside new rows: the first one counts" {
    table 'n int PRIMARY KEY, v text'
    lines '{"n":1,"v":"a"}' '{"n":2,"v":"b"}' '{"n":1,"v":"c"}' '{"n":3,"v":"d"}' '{"n":3,"v":"e"}' | sink
    assert_exit 0
    assert_equal "$(<out)" ""
    assert_equal "$(rows 'n, v' 't ORDER BY n')" $'1|a\n2|b\n3|d'
    assert_equal "$(counter rows_inserted) $(counter rows_duplicate)" "3 2"
}

@test "pgsink: any unique constraint makes a row a duplicate, not the primary key alone" {
    table 'n int PRIMARY KEY, u int UNIQUE'
    lines '{"n":1,"u":1}' '{"n":2,"u":1}' '{"n":3,"u":3}' '{"n":3,"u":4}' | sink
    assert_exit 0
    assert_equal "$(rows 'n, u' 't ORDER BY n')" $'1|1\n3|3'
    assert_equal "$(counter rows_inserted) $(counter rows_duplicate)" "2 2"
}

@test "pgsink: a duplicate leads to the stage, three batches without one lead back" {
    table 'n int PRIMARY KEY'
    sql 'INSERT INTO t VALUES (0)'
    start_sink -T t
    local n
    for n in 1 0 2 3 4 5 6; do
        printf '{"n":%d}\n\n' "$n" >&9
        wait_until "[[ \$(counter batches_processed) == $((${batches:-0} + 1)) ]]" 5
        local batches=$((${batches:-0} + 1))
        printf '%s:%s ' "$n" "$(counter copies_staged)" >>staged
    done
    assert_equal "$(<staged)" "1:0 0:1 2:2 3:3 4:4 5:4 6:4 "
    assert_equal "$(counter copies_direct)" 4
    assert_equal "$(count_rows t)" 7
}

@test "pgsink: a row that a BEFORE trigger leaves out is not counted as inserted, whatever way it goes" {
    empty_database
    sql "CREATE TABLE t (n int PRIMARY KEY CHECK (n <> 113));
         CREATE FUNCTION odd() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN
             IF NEW.n % 2 = 0 THEN RETURN NULL; END IF; RETURN NEW; END \$\$;
         CREATE TRIGGER odd BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION odd();
         REVOKE TEMP ON DATABASE \"$PGDATABASE\" FROM PUBLIC"
    make_role ALL
    counts() { printf '%s %s %s\n' "$(counter rows_inserted)" "$(counter rows_duplicate)" "$(counter rows_rejected)"; }
    seq -f '{"n":%g}' 10 | sink
    assert_equal "$(counts)" "5 5 0" # direct
    { seq -f '{"n":%g}' 11 20; lines '{"n":"x"}' '{"n":113}' '{"n":22}'; } | sink
    assert_equal "$(counts)" "10 11 2" # with bad rows
    seq -f '{"n":%g}' 11 30 | sink
    assert_equal "$(counts)" "15 26 2" # through the stage
    seq -f '{"n":%g}' 21 40 | PGUSER=$ROLE sink
    assert_equal "$(counts)" "20 41 2" # row by row
    assert_equal "$(count_rows t)" 20
    drop_role
}

@test "pgsink: the stage keeps the order of arrival" {
    table 'n int PRIMARY KEY, s bigserial, v text'
    sql 'INSERT INTO t VALUES (0, 0)'
    # rows of very different lengths, so that gaps are left in the stage's pages
    { lines '{"n":0}' && awk 'BEGIN { srand(5); for (i = 1; i <= 2000; i++) { v = ""; l = int(rand() * 1900); while (length(v) < l) v = v sprintf("%08x", rand() * 4294967295); printf "{\"n\":%d,\"v\":\"%s\"}\n", i, v } }'; } | sink
    assert_equal "$(rows 'count(*)' '(SELECT n, lag(n) OVER (ORDER BY s) AS before FROM t) AS q WHERE before >= n')" 0
    assert_equal "$(count_rows t)" 2001
}

@test "pgsink --on-conflict update: the last of two wins, in one batch and across batches" {
    table 'n int PRIMARY KEY, v text, w int'
    lines '{"n":1,"v":"a","w":1}' '{"n":2,"v":"b"}' '{"n":1,"v":"c"}' '' '{"n":2,"v":"d"}' '{"n":3,"v":"e"}' | sink --on-conflict update --max-rows 3
    assert_exit 0
    assert_equal "$(rows 'n, v, w' 't ORDER BY n')" $'1|c|\n2|d|\n3|e|'
    assert_equal "$(counter rows_inserted) $(counter rows_updated)" "3 1"
}

@test "pgsink --on-conflict update: an event replaces the row whole, whatever came before it" {
    table 'id int PRIMARY KEY, a int, b int DEFAULT 7, s serial, at timestamptz DEFAULT now()'
    local before
    for before in '' '{"id":2,"b":0,"s":0,"at":"2001-01-01T00:00:00"}'; do
        sql "TRUNCATE t; INSERT INTO t VALUES (1, 1, 2, -1, '2001-01-01')"
        lines "$before" '{"id":1,"a":5}' | sink --on-conflict update
        assert_exit 0
        assert_equal "$(rows "id, a, b, s > 0, at > '2002-01-01'" 't WHERE id = 1')" '1|5|7|t|t'
    done
}

@test "pgsink --on-conflict update: the last of two wins among rows of very different lengths" {
    table 'n int PRIMARY KEY, seq int, v text'
    awk 'BEGIN { srand(7); for (i = 1; i <= 4000; i++) { v = ""; l = int(rand() * 1900); while (length(v) < l) v = v sprintf("%08x", rand() * 4294967295); printf "{\"n\":%d,\"seq\":%d,\"v\":\"%s\"}\n", i % 700, i, v } }' >input
    sink --on-conflict update --max-bytes 100M <input
    assert_equal "$(rows 'count(*)' 't WHERE seq <= 3300')" 0
    assert_equal "$(count_rows t)" 700
}

@test "pgsink --on-conflict update: the same row by row, and without a primary key it stops with 78" {
    empty_database
    sql "CREATE TABLE t (n int PRIMARY KEY, v text); REVOKE TEMP ON DATABASE \"$PGDATABASE\" FROM PUBLIC"
    make_role ALL
    lines '{"n":1,"v":"a"}' '{"n":2,"v":"b"}' '{"n":1,"v":"c"}' | PGUSER=$ROLE sink --on-conflict update
    assert_equal "$(rows 'n, v' 't ORDER BY n')" $'1|c\n2|b'
    assert_equal "$(counter rows_inserted) $(counter rows_updated)" "2 1"
    drop_role
    sql "ALTER TABLE t DROP CONSTRAINT t_pkey"
    lines '{"n":1}' | sink --on-conflict update
    assert_exit 78
    assert_contains "$(<log)" "needs a primary key"
}

@test "pgsink: without temporary tables a batch takes a few transaction ids, not one a row, and is checked as a whole" {
    empty_database
    sql "CREATE TABLE t (n int PRIMARY KEY, parent int REFERENCES t DEFERRABLE INITIALLY DEFERRED);
         REVOKE TEMP ON DATABASE \"$PGDATABASE\" FROM PUBLIC; INSERT INTO t VALUES (1)"
    make_role ALL
    # Each row refers to the one behind it; the first one is there already.
    awk 'BEGIN { for (n = 1; n <= 500; n++) printf "{\"n\":%d,\"parent\":%s}\n", n, n < 500 ? n + 1 : "null" }' |
        PGUSER=$ROLE sink
    assert_exit 0
    assert_equal "$(rejects)" ""
    assert_equal "$(count_rows t) $(counter rows_duplicate)" "500 1"
    assert_equal "$(rows 'count(DISTINCT xmin::text) < 10' t)" t
    drop_role
}

@test "pgsink --on-conflict error: a key that is there is a reject" {
    table 'n int PRIMARY KEY'
    sql 'INSERT INTO t VALUES (2)'
    lines '{"n":1}' '{"n":2}' '{"n":3}' '{"n":1}' | sink --on-conflict error
    assert_exit 0
    assert_equal "$(rejects)" $'2 23505\n1 23505'
    assert_equal "$(rows n 't ORDER BY n' | paste -sd ' ')" "1 2 3"
}

@test "pgsink: without the right to make temporary tables, or to read the table, duplicates are found row by row" {
    fresh_database
    events 300 --seed 5 >input
    head -n 150 input | pgsink
    make_role INSERT agent_actions
    PGUSER=$ROLE pgsink <input >out
    assert_equal "$(<out)" ""
    assert_equal "$(count_rows)" 300
    assert_equal "$(counter rows_single) $(counter rows_duplicate)" "300 150"
    drop_role
}

# What would only show at the first duplicate, and at each restart from then on.
@test "pgsink: where ON CONFLICT cannot be used it ends with 78 at the start, and --check says so; not with --on-conflict error" {
    local key
    for key in 'n int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED' 'n int PRIMARY KEY, u int UNIQUE DEFERRABLE' 'n int UNIQUE'; do
        table "$key"
        [[ $key != 'n int UNIQUE' ]] || sql 'CREATE RULE also AS ON INSERT TO t DO ALSO NOTHING'
        lines '{"n":1}' | sink
        assert_exit 78
        assert_equal "$(<out)" ""
        run pgsink -T t --check
        assert_status 78
        assert_contains "$output" "--on-conflict error"
        lines '{"n":1}' '{"n":2}' | sink --on-conflict error
        assert_exit 0
    done
    # By name of the key nothing else arbitrates.
    table 'n int PRIMARY KEY, u int UNIQUE DEFERRABLE'
    lines '{"n":1,"u":1}' '{"n":1,"u":2}' | sink --on-conflict update
    assert_exit 0
    assert_equal "$(sql 'SELECT * FROM t')" '1|2'
}

@test "pgsink: row-level security, which COPY does not go by, ends it with 78 at the start, and --check says so" {
    table 'n int PRIMARY KEY'
    make_role 'ALL'
    sql 'ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY all_rows ON t USING (true)'
    lines '{"n":1}' | PGUSER=$ROLE sink
    assert_exit 78
    PGUSER=$ROLE run pgsink -T t --check
    assert_status 78
    assert_contains "$output" BYPASSRLS
    sql "ALTER ROLE \"$ROLE\" BYPASSRLS"
    lines '{"n":1}' '{"n":1}' | PGUSER=$ROLE sink
    assert_exit 0
    assert_equal "$(<out)" ""
    drop_role
}

@test "pgsink: a column that a trigger fills, and a check that it sees to, refuse no row, the first time or again" {
    table "n int PRIMARY KEY, kind text CHECK (kind IN ('a', 'b')), who text NOT NULL"
    sql "CREATE FUNCTION mend() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN
             NEW.kind := lower(NEW.kind); NEW.who := coalesce(NEW.who, NEW.kind); RETURN NEW; END';
         CREATE TRIGGER mend BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION mend()"
    for _ in 1 2; do # the second time through the stage
        lines '{"n":1,"kind":"A"}' '{"n":2,"kind":"B","who":"me"}' '{"n":3,"kind":"X"}' '{"n":4,"kind":null}' | sink
        assert_equal "$(rejects)" $'3 23514\n4 23502'
        assert_equal "$(sql 'SELECT * FROM t')" $'1|a|a\n2|b|me'
    done
}

@test "pgsink: a check that names a whole row does not stop a replay" {
    table 'n int PRIMARY KEY, CHECK (t IS NOT NULL)'
    for _ in 1 2; do
        lines '{"n":1}' '{"n":2}' | sink
        assert_exit 0
        assert_equal "$(<out)" ""
    done
    assert_equal "$(count_rows t)" 2
}

# ---- acknowledgements

@test "pgsink: envelopes are acknowledged by partition, behind the batch's rejects" {
    table 'n int'
    {
        envelope a 0 5 '{"n":1}'
        envelope b 1 9 '{"n":2}'
        envelope a 0 7 '{"n":"x"}'
        envelope a 2 0 '{"n":3}'
        envelope a 0 6 '{"n":4}'
        echo
        envelope b 1 10 '{"n":5}'
    } | sink --max-rows 5
    assert_exit 0
    assert_equal "$(jq -c 'if .error then .offset else .ack end' out)" \
        '7
[{"topic":"a","partition":0,"next":8},{"topic":"b","partition":1,"next":10},{"topic":"a","partition":2,"next":1}]
[{"topic":"b","partition":1,"next":11}]'
}

@test "pgsink: rejects of earlier tools are passed on as they are, in order among its own, and are acknowledged" {
    table 'n int CHECK (n < 100)'
    local early='{"topic":"x","partition":0,"offset":2,"key":null,"payload":"no json","error":{"tool":"kcat-actions","class":"decode","message":"m"}}'
    { envelope x 0 0 '{"n":1}'; envelope x 0 1 '{"n":200}'; lines "$early"; envelope x 0 3 '{"n":201}'; envelope x 0 4 '{"n":2}'; } | sink
    assert_equal "$(jq -c 'if .error then .offset else .ack[0].next end' out | paste -sd ' ')" "1 2 3 5"
    assert_equal "$(sed -n 2p out)" "$early"
    assert_equal "$(rows n | paste -sd ' ')" "1 2"
    assert_equal "$(counter rejects_passed) $(counter rows_rejected) $(counter events_read)" "1 2 5"
}

@test "pgsink: a batch of passed rejects alone is acknowledged" {
    table 'n int'
    lines '{"topic":"x","partition":0,"offset":2,"payload":null,"error":{"message":"tombstone"}}' | sink
    assert_equal "$(tail -n 1 out)" '{"ack":[{"topic":"x","partition":0,"next":3}]}'
}

# What overflowed is seen with sanitizers (./scripts/test --san).
@test "pgsink: an envelope at the end of what an offset and a time can be; a larger offset makes it a bare event" {
    table 'n int, "offset" numeric'
    {
        lines '{"topic":"x","partition":0,"offset":9223372036854775806,"tstype":"create","ts":9223372036854775807,"key":null,"payload":{"n":1}}'
        envelope x 0 9223372036854775807 '{"n":2}'
    } | sink
    assert_exit 0
    assert_equal "$(rows 'n, "offset"')" $'1|\n|9223372036854775807'
    assert_equal "$(<out)" '{"ack":[{"topic":"x","partition":0,"next":9223372036854775807}]}'
}

@test "pgsink: bare events have nothing to acknowledge" {
    table 'n int'
    lines '{"n":1}' '{"n":"x"}' | sink
    assert_equal "$(wc -l <out)" 1
    assert_equal "$(rejects)" "2 22P02" || assert_equal "$(rejects)" "x 22P02"
}

@test "pgsink: an ack is written when the rows are there, not before the next batch" {
    table 'n int'
    start_sink -T t
    { envelope x 0 1 '{"n":1}'; echo; } >&9
    wait_until '[[ -s pgsink.out ]]' 5
    assert_equal "$(<pgsink.out)" '{"ack":[{"topic":"x","partition":0,"next":2}]}'
    assert_equal "$(count_rows t)" 1
}

# ---- batches

@test "pgsink: a paragraph is one transaction" {
    table 'n int'
    start_sink -T t
    local i
    for i in 1 2 3; do
        { seq -f '{"n":%g}' 50; echo; } >&9
        wait_until "[[ \$(count_rows t) == $((i * 50)) ]]" 5
    done
    assert_equal "$(rows 'count(DISTINCT xmin::text)')" 3
}

@test "pgsink: nothing is written before its paragraph has ended" {
    table 'n int'
    start_sink -T t
    seq -f '{"n":%g}' 50 >&9
    wait_until '[[ $(counter events_read) == 50 ]]' 5
    assert_equal "$(count_rows t)" 0
    echo >&9
    wait_until '[[ $(count_rows t) == 50 ]]' 5
}

@test "pgsink: paragraphs that wait already become one transaction, up to --max-rows" {
    table 'n int'
    seq -f '{"n":%g}' 1000 | batch -n 10 >input
    sink <input
    assert_equal "$(rows 'count(DISTINCT xmin::text)')" 1
    sql 'TRUNCATE t'
    sink --max-rows 200 <input
    assert_equal "$(rows 'count(*), xmin' 't GROUP BY xmin, xmin::text' | cut -d'|' -f1 | paste -sd ' ')" "200 200 200 200 200"
    sql 'TRUNCATE t'
    sink --max-bytes 1K <input
    (($(rows 'count(DISTINCT xmin::text)') >= 8))
    assert_equal "$(rows 'count(*), count(DISTINCT n)')" "1000|1000"
}

@test "pgsink: reads ahead while the database works" {
    table 'n int'
    start_sink -T t
    hold_lock
    printf '{"n":1}\n\n' >&9
    wait_until_blocked
    { seq -f '{"n":%g}' 2 500; echo; } >&9
    wait_until '[[ $(counter events_read) == 500 ]]' 5
    release_lock
    wait_until '[[ $(count_rows t) == 500 ]]' 5
    assert_equal "$(rows 'count(DISTINCT xmin::text)')" 2
}

@test "pgsink: a column that first appears in a later event of the batch is filled there, and NULL before" {
    table 'a int, b int, c text, tags text[]'
    { seq -f '{"a":%g}' 100; lines '{"a":101,"b":1}' '{"c":"x","a":102}'; seq -f '{"a":%g}' 103 110; lines '{"a":111,"tags":["x"],"c":"y"}'; } | sink
    assert_exit 0
    assert_equal "$(rows 'count(a), count(b), count(c), count(tags)')" "111|1|2|1"
    assert_equal "$(rows 'a, b, c, tags' 't WHERE a IN (100, 101, 102, 103, 111)')" $'100|||\n101|1||\n102||x|\n103|||\n111||y|{x}'
}

# ---- other options and ends

@test "pgsink --max-reject-ratio: stops with 65 when too much is rejected, and the last batch is not acknowledged" {
    table 'n int'
    {
        for i in {0..99}; do envelope x 0 "$i" "{\"n\":$i}"; done
        echo
        for i in {100..299}; do envelope x 0 "$i" '{"n":"foreign"}'; done
        echo
        for i in {300..310}; do envelope x 0 "$i" "{\"n\":$i}"; done
    } | sink --max-rows 100 --max-reject-ratio 0.5
    assert_exit 65
    assert_contains "$(<log)" "more than --max-reject-ratio allows"
    assert_equal "$(jq -c 'select(.ack) | .ack[0].next' out | paste -sd ' ')" "100 200"
    assert_equal "$(jq -r 'select(.error) | .offset' out | wc -l)" 100
}

@test "pgsink --dry-run: shows the mapping, checks the events and writes nothing" {
    fresh_database
    { event 1; event 2 '"duration_ms":"long"'; envelope x 0 1 "$(event 3)"; } | pgsink --dry-run --map 'action_name=.a + "x"' >out 2>log
    assert_equal "$(count_rows)" 0
    assert_equal "$(jq -r .error.column out)" duration_ms
    assert_contains "$(<log)" "3 events, 1 of them would be rejected"
    grep -Eq '^created_at +timestamp with time zone +<- timestamp, default now\(\), not null$' log
    grep -Eq '^id +uuid +<- id \(else derived\), not null$' log
    grep -Eq '^action_name +text +<- \.a \+ "x", not null$' log
    assert_equal "$(grep -c ack out)" 0
}

@test "pgsink: a reader that has gone is an ordinary end, with 74; the rows are safe" {
    table 'n int'
    mkfifo pgsink.in reader
    exec 9<>pgsink.in 8<>reader
    background pgsink bash -c 'exec pgsink -T t >reader' 9>&- 8>&-
    wait_until '[[ $(counter database_connected) == 1 ]]' 5
    exec 8>&-
    { envelope x 0 1 '{"n":1}'; echo; } >&9
    await pgsink 5
    assert_status 74
    assert_contains "$(<pgsink.log)" "could not write to stdout: Broken pipe"
    assert_equal "$(count_rows t)" 1
}

@test "pgsink: SIGTERM finishes the batch that it has, acknowledges it and exits with 0" {
    table 'n int'
    start_sink -T t
    { envelope x 0 1 '{"n":1}'; envelope x 0 2 '{"n":2}'; } >&9
    wait_until '[[ $(counter events_read) == 2 ]]' 5
    stop pgsink TERM 5
    assert_status 0
    assert_equal "$(rows n | paste -sd ' ')" "1 2"
    assert_equal "$(<pgsink.out)" '{"ack":[{"topic":"x","partition":0,"next":3}]}'
}

@test "pgsink: SIGTERM while the database works waits for it; a second one ends at once" {
    table 'n int'
    start_sink -T t
    hold_lock
    { envelope x 0 1 '{"n":1}'; echo; } >&9
    wait_until_blocked
    signal pgsink TERM
    release_lock
    await pgsink 5
    assert_status 0
    assert_equal "$(count_rows t)" 1
    rm pgsink.in
    start_sink -T t
    hold_lock
    { envelope x 0 2 '{"n":2}'; echo; } >&9
    wait_until_blocked
    wait_until 'signal pgsink TERM; ! is_running pgsink' 5
    await pgsink
    assert_status 143
}

@test "pgsink: what is wrong with the command line is named, with 64" {
    local wrong
    for wrong in '-d bogus=1' '-d postgresql://[x' '--id some' '--on-conflict skip' '--nul keep' '--map x' '--map =x' \
        '--max-rows 0' '--max-rows x' '--max-bytes x' '--max-line x' '--max-reject-ratio 2' '--max-reject-ratio x' '--max-reject-ratio nan' '--max-reject-ratio inf' '--retry-for x' 'file'; do
        # shellcheck disable=SC2086 # words
        run pgsink $wrong </dev/null
        assert_status 64
        assert_contains "$output" "pgsink: "
    done
}

@test "pgsink --help names every option" {
    run pgsink --help
    assert_status 0
    local option
    for option in -d -T --map --id --on-conflict --unknown --nul --max-rows --max-bytes --max-line --max-reject-ratio --retry-for --connections --dry-run --stats; do
        assert_contains "$output" "$option"
    done
}

@test "pgsink: stdin or stdout closed is said, not taken for the database's socket" {
    table 'n int'
    run bash -c 'pgsink -T t <&-'
    assert_status 74
    run bash -c 'printf "%s\n" "{\"n\":\"x\"}" | pgsink -T t >&-'
    assert_status 74
    assert_contains "$output" "stdin or stdout is closed"
}

@test "pgsink: is quiet when all is well" {
    table 'n int'
    lines '{"n":1}' | sink
    assert_equal "$(<log)" ""
}

@test "pgsink: input that comes faster than it is stored stays where it is, however small the batches are" {
    local start peak
    table 'n int, filler text'
    awk -v filler="$(head -c 1000 /dev/zero | tr '\0' x)" 'BEGIN {
        for (n = 1; n <= 40000; n++) print "{\"n\":" n ",\"filler\":\"" filler "\"}" }' >events
    head -n 10 events | took usage pgsink -T t --max-rows 10 >out
    read -r _ _ start <usage
    sql 'TRUNCATE t'
    took usage pgsink -T t --max-rows 10 <events >out
    assert_equal "$(count_rows t)" 40000
    read -r _ _ peak <usage
    ((peak - start < 10000)) || { echo "$((peak - start)) KB of 40 MB are held" && false; }
}
