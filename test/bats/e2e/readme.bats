#!/usr/bin/env bats
# README's commands run as they are printed, one block after the other, in one shell.

bats_require_minimum_version 1.5.0
load ../../support/helpers

setup() {
    helpers_setup
    fresh_database
}

teardown() {
    helpers_teardown
}

@test "README: every command in it runs as printed" {
    {
        echo 'set -euo pipefail'
        awk '/^```/ { inside = ($0 == "```sh"); next } inside' "$ROOT/README.md"
    } >blocks
    assert_contains "$(<blocks)" "kcat-actions -t agent-actions -g try-it --acks build/acks"
    cd "$ROOT"
    rm -f build/acks build/stats build/rejects.ndjson
    run -0 --separate-stderr bash "$BATS_TEST_TMPDIR/blocks" </dev/null
    # shellcheck disable=SC2154 # of --separate-stderr
    assert_contains "$output$stderr" '"messages_duplicate":'
    assert_contains "$output" 'not JSON'
    assert_contains "$output" '"success":true'
    # Whoever published to that topic before has left more.
    (($(count_rows) >= 1000))
}
