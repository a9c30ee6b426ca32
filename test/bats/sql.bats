#!/usr/bin/env bats
# sql.bats - the files of sql/ do what they say: roles, upkeep, partitions.
# shellcheck disable=SC2154 # $output is set by run
bats_require_minimum_version 1.5.0
load ../support/helpers
load ../support/pipeline

setup() {
    helpers_setup
    fresh_database
}
teardown() {
    drop_database # before its role
    [[ -z ${ROLE-} ]] || PGDATABASE=postgres sql "DROP ROLE \"$ROLE\""
    helpers_teardown
}

apply() { # FILE
    psql -Xq -v ON_ERROR_STOP=1 -f "$ROOT/sql/$1" 2>&1
}

# The line of maintenance.sql about a relation, its columns apart by |.
advice() { # RELATION
    psql -XAtq -v ON_ERROR_STOP=1 -f "$ROOT/sql/maintenance.sql" | grep "^$1|" || true
}

@test "roles.sql, twice: a writer stores events, duplicates too, and can do no more" {
    apply roles.sql
    apply roles.sql
    ROLE=$(unique writer)
    sql "CREATE ROLE \"$ROLE\" LOGIN IN ROLE agent_actions_writer"
    serial_events 1 20 >events
    PGUSER=$ROLE pgsink --check
    PGUSER=$ROLE pgsink <events
    PGUSER=$ROLE pgsink <events
    assert_equal "$(count_rows)" 20
    local forbidden
    for forbidden in 'DELETE FROM agent_actions' 'UPDATE agent_actions SET duration_ms = 1' 'TRUNCATE agent_actions' \
        'DROP TABLE agent_actions' 'SELECT cleanup_old_debug_logs()' 'CREATE TABLE other (a int)'; do
        PGUSER=$ROLE run sql "$forbidden"
        assert_contains "$output" ERROR
    done
}

@test "maintenance.sql: a table with many dead rows is to be vacuumed, an index with much room to be built anew" {
    sql "INSERT INTO agent_actions (id, correlation_id, agent_name, action_type, action_name, debug_mode, created_at)
        SELECT gen_random_uuid(), gen_random_uuid(), 'a', 'tool_call', 'n', false, now() - i * interval '1 s'
        FROM generate_series(1, 60000) i"
    sql 'VACUUM (ANALYZE) agent_actions'
    [[ $(psql -XAtqf "$ROOT/sql/maintenance.sql") != *VACUUM* ]]
    assert_contains "$(advice agent_actions_pkey)" "nothing to do"
    sql "DELETE FROM agent_actions WHERE duration_ms IS NULL AND ascii(right(id::text, 1)) % 10 <> 0"
    wait_until "[[ \$(psql -XAtqf $ROOT/sql/maintenance.sql) == *'VACUUM (ANALYZE) agent_actions;'* ]]"
    sql 'VACUUM (ANALYZE) agent_actions'
    assert_contains "$(advice agent_actions_pkey)" 'REINDEX INDEX CONCURRENTLY agent_actions_pkey;'
    sql 'REINDEX INDEX CONCURRENTLY agent_actions_pkey'
    assert_contains "$(advice agent_actions_pkey)" "nothing to do"
}

@test "partition.sql: what was there stays; pgsink stores on, and what comes twice is stored once" {
    apply roles.sql
    ROLE=$(unique writer)
    sql "CREATE ROLE \"$ROLE\" LOGIN IN ROLE agent_actions_writer"
    serial_events 1 100 >events
    pgsink <events
    apply partition.sql
    assert_equal "$(count_rows)" 100
    # Events of this month, of the next ones, of long ago and of far off.
    local month next
    month=$(date -u +%Y-%m) next=$(date -u -d "$(date -u +%Y-%m-01) +1 month" +%Y-%m)
    for time in "$month-01" "$next-01" "$next-28" 2001-01-01 2199-01-01; do
        serial_events 1 20 | sed "s/\"timestamp\":\"2026-11-23/\"timestamp\":\"$time/; s/serial\":/&7/"
    done >>events
    PGUSER=$ROLE pgsink --check
    PGUSER=$ROLE pgsink -v <events 2>log
    assert_equal "$(rows_and_serials | cut -d' ' -f1)" 200
    PGUSER=$ROLE pgsink -v <events >rejects 2>log
    assert_contains "$(<log)" '0 inserted, 200 duplicates'
    assert_equal "$(count_rows)" 200
    assert_equal "$(wc -c <rejects)" 0
    assert_equal "$(count_rows "agent_actions_default WHERE created_at > '2190-01-01'")" 20
    assert_equal "$(count_rows "agent_actions_${next/-/_}")" 40
    # A bad row alone, and an update.
    { serial_events 500 501 && serial_events 502 502 | sed s/tool_call/dance/ && serial_events 503 504; } | PGUSER=$ROLE pgsink >rejects
    assert_equal "$(wc -l <rejects)" 1
    assert_equal "$(count_rows)" 204
    serial_events 500 500 | sed 's/^{/{"id":"01a20990-957b-8d3e-8f74-bd41a5a2a700",/' >own_id
    pgsink <own_id
    sed 's/"duration_ms":500/"duration_ms":7/' own_id | pgsink --on-conflict update
    assert_equal "$(sql "SELECT duration_ms FROM agent_actions WHERE id = '01a20990-957b-8d3e-8f74-bd41a5a2a700'")" 7
    # The rest of the schema is about the new table.
    assert_equal "$(sql 'SELECT agent_actions_add_partitions(3)')" 0
    assert_equal "$(sql 'SELECT agent_actions_add_partitions(5)')" 2
    sql "UPDATE agent_actions SET created_at = now(), debug_mode = true WHERE id = '01a20990-957b-8d3e-8f74-bd41a5a2a700'"
    assert_equal "$(sql "SELECT count(*) FROM recent_debug_traces WHERE correlation_id::text LIKE '%0500'")" 1
    # Debug rows of 2001 and of last month, if this is not it, are older than 30 days.
    (($(sql 'SELECT cleanup_old_debug_logs()') >= 20))
    assert_equal "$(sql "SELECT count(*) FROM pg_index WHERE indrelid = 'agent_actions'::regclass")" 7
    psql -Xq -v ON_ERROR_STOP=1 -f "$ROOT/sql/maintenance.sql" >report
    grep -q agent_actions_past report
}
