#!/usr/bin/env bats
# check.bats - what `agent-actions run --check` and `--print-config` say, and how the configuration is read.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # conditions are evaluated by wait_until; $status is set by run
bats_require_minimum_version 1.5.0
load ../support/helpers
load ../support/pipeline

setup() {
    helpers_setup
    pipeline_setup
}
teardown() {
    [[ -z ${ROLE-} ]] || { drop_database && PGDATABASE=postgres sql "DROP ROLE \"$ROLE\""; }
    helpers_teardown
}

# The check ends with the status, and each part is in a line of its own that begins with the kind.
check_tells() { # STATUS KIND PART [KIND PART]...
    local expected=$1
    shift
    run --separate-stderr "$AGENT_ACTIONS" run --check
    assert_status "$expected"
    while (($#)); do
        grep -E "^$1 " <<<"$output" | grep -qF "$2" || { printf 'no %s with "%s" in:\n%s\n' "$1" "$2" "$output" >&2 && return 1; }
        shift 2
    done
}

faults() {
    grep -c '^fault ' <<<"$output" || true
}

@test "all is well: 0, nothing is read, made or stored" {
    serial_events 1 3 | produce "$TOPIC"
    check_tells 0 ok "topic $TOPIC: 4 partition(s), may be read" ok "group $GROUP" ok "topic $TOPIC-dlq for dead letters" \
        ok "agent_actions: takes events"
    assert_contains "$output" "All is well."
    assert_equal "$(count_rows)" 0
    assert_equal "$(committed_records "$GROUP" "$TOPIC")" 0
    assert_equal "$(count_records "$TOPIC-dlq")" 0
}

@test "a broker that does not answer: 69, and what the database has to say is told besides" {
    export KAFKA_BROKERS=127.0.0.1:1
    check_tells 69 fault "are KAFKA_BROKERS (host:port)" ok "takes events"
    assert_equal "$(faults)" 1
    export KAFKA_BROKERS=no-such-host.invalid:9092
    check_tells 69 fault "check the host name in KAFKA_BROKERS"
}

@test "a database that does not answer, is not there, or a host that is not: 69 and 78, what Kafka has to say is told besides" {
    PGPORT=1 POSTGRES_PORT=1 check_tells 69 fault "are POSTGRES_HOST and POSTGRES_PORT right" ok "may be read"
    POSTGRES_HOST=no-such-host.invalid check_tells 69 fault "check POSTGRES_HOST"
    POSTGRES_DATABASE=no-such-database check_tells 78 fault "check POSTGRES_DATABASE"
}

@test "a missing table: 78, with the command that makes it" {
    sql 'DROP TABLE agent_actions CASCADE'
    check_tells 78 fault '`agent-actions init` makes agent_actions'
}

@test "rights that are missing: 77, each with its GRANT, and wrong columns at the same time" {
    ROLE=$(unique role)
    sql "CREATE ROLE \"$ROLE\" LOGIN"
    sql "REVOKE TEMP ON DATABASE \"$PGDATABASE\" FROM PUBLIC"
    sql 'ALTER TABLE agent_actions ALTER duration_ms TYPE uuid USING NULL'
    POSTGRES_USER=$ROLE check_tells 78 fault "GRANT INSERT, SELECT ON agent_actions TO $ROLE" fault "GRANT SELECT" \
        fault "ALTER COLUMN duration_ms TYPE integer" warning "GRANT TEMPORARY"
    sql 'ALTER TABLE agent_actions ALTER duration_ms TYPE integer USING NULL'
    POSTGRES_USER=$ROLE check_tells 77 fault "GRANT INSERT, SELECT"
    sql "GRANT INSERT, SELECT ON agent_actions TO \"$ROLE\""
    POSTGRES_USER=$ROLE check_tells 0 warning "GRANT TEMPORARY" ok "takes events"
}

@test "columns of a wrong type, missing ones and a missing key: all at once, each with its ALTER TABLE" {
    sql 'DROP VIEW recent_debug_traces'
    sql 'ALTER TABLE agent_actions DROP CONSTRAINT agent_actions_pkey, DROP COLUMN action_name,
        ALTER created_at DROP DEFAULT, ALTER created_at TYPE uuid USING NULL, ALTER duration_ms TYPE smallint,
        ALTER agent_name TYPE varchar(20)'
    check_tells 78 fault "ALTER COLUMN created_at TYPE timestamp with time zone" fault "ALTER COLUMN duration_ms TYPE integer" \
        fault "ADD COLUMN action_name text" fault "ADD PRIMARY KEY (id)" warning "ALTER COLUMN agent_name TYPE text"
    assert_equal "$(faults)" 4
}

@test "what the table refuses otherwise: a column that no event fills, a read-only database" {
    sql 'ALTER TABLE agent_actions ADD COLUMN tenant text NOT NULL'
    check_tells 78 fault 'refuses an event: null value in column "tenant"'
    sql 'ALTER TABLE agent_actions DROP COLUMN tenant'
    PGOPTIONS='-c default_transaction_read_only=on' check_tells 69 fault "the database is read-only"
}

@test "a port for the health page that is taken is warned of" {
    HEALTH_CHECK_PORT=$PGPORT check_tells 0 warning "set HEALTH_CHECK_PORT"
}

@test "pgsink --check of a table of one's own, and of a --map that does not fit it" {
    sql 'CREATE TABLE logins (at timestamptz, who text)'
    run pgsink --check -T logins --map who=user.name
    assert_status 0
    assert_contains "$output" "table logins: 2 columns"
    run pgsink --check -T logins --map whom=user.name
    assert_status 78
    assert_contains "$output" whom
}

# ---- the configuration

@test "--print-config: each value with its source; no secret" {
    (umask 077 && echo '{"topic":"of-the-file","kafka_sasl_password":"kafka & secret","batch_size":7}' >config.json)
    unset BATCH_TIMEOUT_MS
    PGPORT='' POSTGRES_PORT='' POSTGRES_PASSWORD='postgres & secret' run --separate-stderr "$AGENT_ACTIONS" run --config config.json --print-config
    assert_status 0
    assert_contains "$(tr -s ' ' <<<"$output")" "KAFKA_TOPIC of-the-file file's topic"
    assert_contains "$(tr -s ' ' <<<"$output")" "KAFKA_GROUP_ID $GROUP environment's KAFKA_GROUP_ID"
    assert_contains "$(tr -s ' ' <<<"$output")" "POSTGRES_PORT 5436 default"
    assert_contains "$(tr -s ' ' <<<"$output")" "BATCH_SIZE 7 file's batch_size"
    assert_contains "$(tr -s ' ' <<<"$output")" "KAFKA_SASL_PASSWORD (secret) file's kafka_sasl_password"
    assert_contains "$(tr -s ' ' <<<"$output")" "POSTGRES_PASSWORD (secret) environment's POSTGRES_PASSWORD"
    if [[ $output$stderr == *' & secret'* ]]; then return 1; fi
}

@test "every fault of the configuration is named at once, with the cure: 78" {
    local part
    KAFKA_SECURITY_PROTOCOL=TLS KAFKA_SASL_PASSWORD_FILE=/nonexistent/secret KAFKA_SSL_CERTIFICATE_LOCATION=/etc/hostname \
        POSTGRES_SSLMODE=verify-full POSTGRES_PORT=0 KAFKA_CONFIG_FILE='' HOME=/nonexistent run "$AGENT_ACTIONS" run
    assert_status 78
    for part in "must be PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL" "KAFKA_SASL_PASSWORD_FILE: /nonexistent/secret could not be read" \
        "needs KAFKA_SSL_KEY_LOCATION beside it" "set POSTGRES_SSLROOTCERT to its file" "must be a number from 1 to 65535"; do
        assert_contains "$output" "$part"
    done
    KAFKA_SECURITY_PROTOCOL=SASL_SSL KAFKA_SASL_MECHANISM=PLAIN KAFKA_CONFIG_FILE='' run "$AGENT_ACTIONS" run
    assert_status 78
    assert_contains "$output" "needs KAFKA_SASL_USERNAME"
    assert_contains "$output" "needs KAFKA_SASL_PASSWORD"
}

@test "a secret's file: its first line; the file wins over the environment, a member over a member's file" {
    printf 'first\r\nsecond\n' >secret
    printf '%s' '{"postgres_password_file":"secret"}' >file.json
    printf '%s' '{"postgres_password_file":"secret","postgres_password":"member"}' >both.json
    chmod 600 ./*.json
    # shellcheck disable=SC2329 # called by run
    password() { # FILE
        PROGRAM=agent-actions bash -c '. "$ROOT/scripts/lib/log.bash"; . "$ROOT/scripts/lib/config.bash"; load_config "$1"; printf %s "$PGPASSWORD"' - "$1"
    }
    assert_equal "$(POSTGRES_PASSWORD_FILE=secret password '')" first
    assert_equal "$(POSTGRES_PASSWORD_FILE=secret POSTGRES_PASSWORD='set' password '')" set
    assert_equal "$(POSTGRES_PASSWORD='set' password file.json)" first
    assert_equal "$(POSTGRES_PASSWORD='set' password both.json)" member
}

@test "the Kafka tools alone read the same names, and a secret's file; what is wrong with it is named: 78" {
    echo '{}' >event
    KAFKA_SASL_PASSWORD_FILE=/nonexistent/secret run dlq --publish -t "$TOPIC" <event
    assert_status 78
    assert_contains "$output" "KAFKA_SASL_PASSWORD_FILE: could not read /nonexistent/secret"
    KAFKA_SECURITY_PROTOCOL=TLS run kcat-actions -t "$TOPIC" -e
    assert_status 78
    assert_contains "$output" KAFKA_SECURITY_PROTOCOL
    KAFKA_SECURITY_PROTOCOL=PLAINTEXT run kcat-actions -t "$TOPIC" -e
    assert_status 0
}

@test "the manual and the guide have every setting" {
    local name
    # shellcheck disable=SC1091
    # shellcheck disable=SC2034 # for config.bash
    LIBRARY=$ROOT/scripts/lib
    . "$ROOT/scripts/lib/config.bash"
    for name in "${CONFIG_TABLE[@]%%|*}"; do
        grep -q "^$name|" "$ROOT/scripts/agent-actions.1" || { echo "manual: $name" >&2 && return 1; }
        grep -q "^| \`$name\`" "$ROOT/doc/deployment/configuration.md" || { echo "guide: $name" >&2 && return 1; }
    done
}
