#!/usr/bin/env bats
# The examples of the manuals run as they are printed. (Those of dlq and healthd are run by their own tests.)

bats_require_minimum_version 1.5.0
load ../../support/helpers

setup() {
    helpers_setup
    fresh_database
    "$ROOT/test/support/events" 200 >events.ndjson
}

teardown() {
    helpers_teardown
}

# The commands under EXAMPLES of a manual, as man shows them.
examples() { # TOOL
    awk '/^\.SH/ { in_examples = ($2 == "EXAMPLES") }
        /^\.RE/ { inside = 0; print "" }
        inside && in_examples
        /^\.RS/ { inside = 1 }' "$ROOT/tools/$1/$1.1" | sed 's/\\-/-/g; s/\\(dq/"/g; s/\\e/\\/g'
}

run_examples() { # TOOL
    {
        echo 'set -euo pipefail'
        examples "$1"
    } >blocks
    run -0 --separate-stderr bash blocks </dev/null
}

@test "manual of batch: its examples run as printed" {
    run_examples batch
    assert_contains "$output" $'1\n2\n\n3\n4\n\n5'
    assert_equal "$(count_rows)" 200
}

@test "manual of pgsink: its examples run as printed" {
    sql 'CREATE SCHEMA audit; CREATE TABLE audit.logins (at timestamptz NOT NULL, who text NOT NULL)'
    printf '%s\n' '{"timestamp":"2026-11-23T18:00:00","user":{"name":"ada"}}' >logins.ndjson
    run_examples pgsink
    # shellcheck disable=SC2154 # of --separate-stderr
    assert_contains "$stderr" "created_at"
    assert_equal "$(count_rows)" 200
    assert_equal "$(sql 'SELECT who, at FROM audit.logins')" 'ada|2026-11-23 18:00:00+00'
    assert_equal "$(<rejects.ndjson)" ''
}

@test "manual of kcat-actions: its examples run as printed" {
    dlq --publish -t agent-actions <events.ndjson
    run_examples kcat-actions
    assert_contains "$output" '"action_type":'
    (($(count_rows) >= 200))
}
