#!/usr/bin/env bats
# security.bats - TLS, logins and rights, at a real Kafka and a real PostgreSQL: what is right is let in, what is
# wrong is refused with the cure, and nothing is lost by it. The servers are the file's own.
# shellcheck disable=SC2016,SC2030,SC2031,SC2094,SC2154 # conditions are evaluated by wait_until; $status is set by run
bats_require_minimum_version 1.5.0
load ../../support/helpers
load ../../support/pipeline
load ../../support/certificates

# Whom the broker lets do what: the certificate's CN=client and alice all with topics and groups ok-…, and read
# topics read-…; mallory nothing.
allow() { # ACL_OPTION...
    java -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData \
        -cp "${KAFKA_JARS:-$ROOT/build/kafka/lib}/*" org.apache.kafka.tools.AclCommand \
        --bootstrap-server "${PLAIN_BROKERS:-$KAFKA_BROKERS}" --add --resource-pattern-type prefixed "$@" >/dev/null
}

secure_postgres() { # DIR
    local data=$1/cluster/data certificates=$SERVERS/kafka/certificates
    make_certificate "$certificates" ca postgres DNS:localhost
    make_certificate "$certificates" ca certified
    cp "$certificates/ca.crt" "$certificates/postgres.crt" "$certificates/postgres.key" "$data/"
    chown --reference="$data/PG_VERSION" "$data"/{ca.crt,postgres.crt,postgres.key}
    chmod 600 "$data/postgres.key"
    {
        printf '%s\n' 'hostssl all writer all scram-sha-256' 'hostnossl all writer all reject' \
            'hostssl all certified all cert'
        cat "$data/pg_hba.conf"
    } >"$1/hba"
    cat "$1/hba" >"$data/pg_hba.conf"
    psql -Xq -v ON_ERROR_STOP=1 <<SQL
ALTER SYSTEM SET ssl_ca_file = 'ca.crt';
ALTER SYSTEM SET ssl_cert_file = 'postgres.crt';
ALTER SYSTEM SET ssl_key_file = 'postgres.key';
ALTER SYSTEM SET ssl = on;
SELECT pg_reload_conf() \g /dev/null
\i $ROOT/sql/schema.sql
\i $ROOT/sql/roles.sql
CREATE ROLE writer LOGIN PASSWORD 'writer & secret' IN ROLE agent_actions_writer;
CREATE ROLE certified LOGIN IN ROLE agent_actions_writer;
SQL
    wait_until 'PGSSLMODE=require psql -XAtqc "SELECT 1"'
}

setup_file() {
    SERVERS=$(mktemp -d "${TMPDIR:-/tmp}/security.XXXXXX")
    export SERVERS
    chmod 711 "$SERVERS"
    "$ROOT/test/kafka/start" --secured "$SERVERS/kafka" 3>&-
    "$ROOT/scripts/dev-postgres" --fast "$SERVERS/postgres" 3>&-
    # shellcheck disable=SC1091 # written by the servers
    . "$SERVERS/kafka/env" && . "$SERVERS/postgres/env"
    secure_postgres "$SERVERS/postgres"
    allow --allow-principal User:CN=client --allow-principal User:alice --operation All --topic ok- --group ok-
    allow --allow-principal User:CN=client --operation Read --topic read-
}

teardown_file() {
    "$ROOT/test/kafka/start" --destroy "$SERVERS/kafka"
    "$ROOT/scripts/dev-postgres" --destroy "$SERVERS/postgres"
    rm -rf "$SERVERS"
}

setup() {
    helpers_setup
    # shellcheck disable=SC1091
    . "$SERVERS/kafka/env" && . "$SERVERS/postgres/env"
    PLAIN_BROKERS=$KAFKA_BROKERS # where all is allowed: for the test's own look
    CERTIFICATES=$KAFKA_CERTIFICATES
    unset KAFKA_CONFIG_FILE PGHOST PGPORT PGUSER PGDATABASE
    export XDG_RUNTIME_DIR=$BATS_TEST_TMPDIR HEALTH_CHECK_PORT=0 BATCH_TIMEOUT_MS=100
    printf '%s' 'writer & secret' >postgres-secret
    printf '%s\n' 'alice-secret' >kafka-secret
    use_tls
    use_postgres
    use_topic "$(unique ok)" "$(unique ok)"
    as_superuser 'TRUNCATE agent_actions'
}
teardown() { helpers_teardown; }

use_topic() { # TOPIC GROUP
    TOPIC=$1 GROUP=$2
    export TOPIC GROUP KAFKA_TOPIC=$1 KAFKA_GROUP_ID=$2
    KAFKA_BROKERS=$PLAIN_BROKERS make_topic "$1"
    KAFKA_BROKERS=$PLAIN_BROKERS make_topic "$1-dlq"
}

use_tls() {
    export KAFKA_BROKERS=$KAFKA_TLS_BROKERS KAFKA_SECURITY_PROTOCOL=SSL KAFKA_SSL_CA_LOCATION=$CERTIFICATES/ca.crt
    export KAFKA_SSL_CERTIFICATE_LOCATION=$CERTIFICATES/client.crt KAFKA_SSL_KEY_LOCATION=$CERTIFICATES/client.key
    unset "${!KAFKA_SASL_M@}" "${!KAFKA_SASL_U@}" "${!KAFKA_SASL_P@}"
}

use_sasl() { # MECHANISM
    export KAFKA_BROKERS=$KAFKA_SASL_BROKERS KAFKA_SECURITY_PROTOCOL=SASL_SSL KAFKA_SSL_CA_LOCATION=$CERTIFICATES/ca.crt
    export KAFKA_SASL_MECHANISM=$1 KAFKA_SASL_USERNAME=alice KAFKA_SASL_PASSWORD_FILE=$PWD/kafka-secret
    unset KAFKA_SSL_CERTIFICATE_LOCATION KAFKA_SSL_KEY_LOCATION
}

use_postgres() {
    export POSTGRES_HOST=localhost POSTGRES_USER=writer POSTGRES_PASSWORD_FILE=$PWD/postgres-secret
    export POSTGRES_SSLMODE=verify-full POSTGRES_SSLROOTCERT=$CERTIFICATES/ca.crt
    unset POSTGRES_SSLCERT POSTGRES_SSLKEY POSTGRES_PASSWORD
}

as_superuser() { # STATEMENT
    PGHOST=127.0.0.1 PGPORT=${POSTGRES_PORT-} PGUSER=postgres PGDATABASE=$POSTGRES_DATABASE sql "$1"
}

publish_plainly() { # events of stdin, to partition 0
    kcat -P -b "$PLAIN_BROKERS" -t "$TOPIC" -p 0
}

stored() { # ROWS: so many are in the table and so many records are committed
    wait_until "[[ \$(group_offsets_plainly) == $1 ]]" 30
    assert_equal "$(as_superuser 'SELECT count(*) FROM agent_actions')" "$1"
}

group_offsets_plainly() {
    KAFKA_BROKERS=$PLAIN_BROKERS committed_records "$GROUP" "$TOPIC"
}

# The check tells the fault, and ends with the status.
check_tells() { # STATUS PART...
    local expected=$1 part
    shift
    run --separate-stderr "$AGENT_ACTIONS" run --check
    assert_status "$expected"
    for part; do assert_contains "$output" "$part"; done
}

# A tool ends with the status and one line that has the part.
tool_ends() { # STATUS PART TOOL...
    local expected=$1 part=$2
    shift 2
    run --separate-stderr timeout 30 "$@"
    assert_status "$expected"
    assert_contains "$stderr" "$part"
}

reject() { # of the topic
    printf '{"topic":"%s","partition":0,"offset":0,"key":null,"payload":"x","error":{"tool":"pgsink","class":"data","message":"m"}}\n' "$TOPIC"
}

# ---- let in

@test "mutual TLS, and PostgreSQL with verify-full and SCRAM: all is stored; secrets are in no argument and no message" {
    { serial_events 1 50 && echo nonsense && serial_events 51 99; } | publish_plainly
    check_tells 0 "may be read" "TLSv1.3" "takes events" "All is well."
    start_pipeline
    wait_until '[[ $(group_offsets_plainly) == 100 ]]' 30
    assert_equal "$(as_superuser 'SELECT count(*) FROM agent_actions')" 99
    assert_equal "$(KAFKA_BROKERS=$PLAIN_BROKERS count_records "$TOPIC-dlq")" 1
    assert_equal "$(as_superuser "SELECT DISTINCT usename, ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'writer'")" 'writer|t'
    if grep -rlsF 'writer & secret' /proc/[0-9]*/cmdline; then return 1; fi
    # Each has what it needs: no tool of Kafka has PostgreSQL's, and the other way round.
    if tr '\0' '\n' <"/proc/$(tool_pid kcat-actions)/environ" | grep -F 'writer & secret'; then return 1; fi
    tr '\0' '\n' <"/proc/$(tool_pid pgsink)/environ" | grep -qF 'writer & secret'
    stop run
    assert_equal "$status" 0
    if grep -F 'writer & secret' run.log; then return 1; fi
}

@test "SASL_SSL with PLAIN, the password in a file; a certificate in place of PostgreSQL's password" {
    use_sasl PLAIN
    unset POSTGRES_PASSWORD_FILE
    export POSTGRES_USER=certified POSTGRES_SSLCERT=$CERTIFICATES/certified.crt POSTGRES_SSLKEY=$CERTIFICATES/certified.key
    serial_events 1 100 | publish_plainly
    check_tells 0 "All is well."
    start_pipeline
    stored 100
    if grep -rlsF alice-secret /proc/[0-9]*/cmdline; then return 1; fi
    if tr '\0' '\n' <"/proc/$(tool_pid pgsink)/environ" | grep -F alice-secret; then return 1; fi
    stop run
    assert_equal "$status" 0
    if grep -F alice-secret run.log; then return 1; fi
}

@test "the same by --config FILE" {
    serial_events 1 10 | publish_plainly
    (umask 077 && jq -n '$ENV | {kafka_brokers: .KAFKA_SASL_BROKERS, topic: .TOPIC, group_id: .GROUP,
        kafka_security_protocol: "SASL_SSL", kafka_sasl_mechanism: "PLAIN", kafka_sasl_username: "alice",
        kafka_sasl_password: "alice-secret", kafka_ssl_ca_location: .KAFKA_SSL_CA_LOCATION,
        postgres_host: "localhost", postgres_user: "writer", postgres_password_file: .POSTGRES_PASSWORD_FILE,
        postgres_sslmode: "verify-full", postgres_sslrootcert: .POSTGRES_SSLROOTCERT}' >config.json)
    unset "${!KAFKA_S@}" POSTGRES_USER POSTGRES_SSLMODE POSTGRES_PASSWORD_FILE POSTGRES_SSLROOTCERT
    export KAFKA_BROKERS=127.0.0.1:1
    background run "$AGENT_ACTIONS" run --config config.json
    stored 10
    stop run
    assert_equal "$status" 0
}

@test "SCRAM-SHA-256 and -512: let in by a librdkafka of today; one older than 2.6.1 is refused, and the message says so" {
    local mechanism version newer
    version=$(KAFKA_SECURITY_PROTOCOL='' kcat -V | grep -oE 'librdkafka [0-9.]+' | cut -d' ' -f2)
    newer=$("$ROOT/test/kafka/newer-librdkafka")
    for mechanism in SCRAM-SHA-256 SCRAM-SHA-512; do
        use_sasl "$mechanism"
        LD_LIBRARY_PATH=$newer run kcat-actions --check -t "$TOPIC" -g "$GROUP"
        assert_status 0
        if [[ $(printf '%s\n' 2.6.1 "$version" | sort -V | head -n 1) != 2.6.1 ]]; then
            tool_ends 77 "needs librdkafka 2.6.1" kcat-actions -t "$TOPIC" -g "$GROUP"
        fi
    done
    serial_events 1 20 | LD_LIBRARY_PATH=$newer dlq --publish -t "$TOPIC"
    LD_LIBRARY_PATH=$newer start_pipeline
    stored 20
    stop run
    assert_equal "$status" 0
}

# ---- Kafka refuses

@test "a broker whose certificate another CA signed: 78, the cure names KAFKA_SSL_CA_LOCATION" {
    export KAFKA_SSL_CA_LOCATION=$CERTIFICATES/another-ca.crt
    reject >reject
    tool_ends 78 KAFKA_SSL_CA_LOCATION kcat-actions -t "$TOPIC" -g "$GROUP"
    tool_ends 78 KAFKA_SSL_CA_LOCATION dlq <reject
    assert_equal "$output" ""
    check_tells 78 KAFKA_SSL_CA_LOCATION "takes events"
    tool_ends 78 KAFKA_SSL_CA_LOCATION "$AGENT_ACTIONS" run
}

@test "a host name that is not in the broker's certificate: 78, the cure names KAFKA_BROKERS" {
    export KAFKA_BROKERS=${KAFKA_BROKERS/localhost/127.0.0.1}
    reject >reject
    tool_ends 78 "host name that stands in it" kcat-actions -t "$TOPIC" -g "$GROUP"
    tool_ends 78 "host name that stands in it" dlq <reject
    check_tells 78 KAFKA_BROKERS
}

@test "no certificate of ours, or one of another CA: 78, the cure names KAFKA_SSL_CERTIFICATE_LOCATION" {
    export KAFKA_SSL_CERTIFICATE_LOCATION=$CERTIFICATES/stranger.crt KAFKA_SSL_KEY_LOCATION=$CERTIFICATES/stranger.key
    reject >reject
    tool_ends 78 KAFKA_SSL_CERTIFICATE_LOCATION kcat-actions -t "$TOPIC" -g "$GROUP"
    tool_ends 78 KAFKA_SSL_CERTIFICATE_LOCATION dlq <reject
    unset KAFKA_SSL_CERTIFICATE_LOCATION KAFKA_SSL_KEY_LOCATION
    check_tells 78 KAFKA_SSL_CERTIFICATE_LOCATION
}

@test "a wrong password at Kafka: 77, the cure names KAFKA_SASL_PASSWORD; nothing is acknowledged" {
    use_sasl PLAIN
    echo wrong >kafka-secret
    { reject && printf '{"ack":[{"topic":"%s","partition":0,"next":1}]}\n' "$TOPIC"; } >reject
    tool_ends 77 KAFKA_SASL_PASSWORD kcat-actions -t "$TOPIC" -g "$GROUP"
    tool_ends 77 KAFKA_SASL_PASSWORD dlq <reject
    assert_equal "$output" ""
    check_tells 77 KAFKA_SASL_PASSWORD
    tool_ends 77 KAFKA_SASL_PASSWORD "$AGENT_ACTIONS" run
    KAFKA_SASL_MECHANISM=GSSAPI run "$AGENT_ACTIONS" run --check
    ((status == 77 || status == 78))
}

@test "a topic or a group that the user may not use: 77, for kcat-actions and dlq" {
    use_sasl PLAIN
    reject >reject
    export KAFKA_SASL_USERNAME=mallory
    echo mallory-secret >kafka-secret
    tool_ends 77 "authorization failed" kcat-actions -t "$TOPIC" -g "$GROUP"
    tool_ends 77 "opic authorization failed" kcat-actions -t "$TOPIC" -e
    tool_ends 77 "opic authorization failed" dlq <reject
    assert_equal "$output" ""
    tool_ends 77 "opic authorization failed" dlq --publish -t "$TOPIC" <reject
    check_tells 77 "topic $TOPIC may not be read" "group $GROUP may not be used" "$TOPIC-dlq for dead letters may not be used" "takes events"
    use_tls
    tool_ends 77 "roup authorization failed" kcat-actions -t "$TOPIC" -g another-group
}

@test "a topic that is not there: 69, with the command that makes it; to look makes neither it nor the dead letters'" {
    unset "${!KAFKA_S@}"
    export KAFKA_BROKERS=$PLAIN_BROKERS KAFKA_TOPIC=no-such-topic
    local try
    for try in 1 2; do
        check_tells 69 "kafka-topics.sh --create --topic no-such-topic" \
            "no-such-topic-dlq for dead letters: is not there yet; the broker creates it" "takes events"
    done
    ((try == 2))
}

@test "dead letters that may not be written: run ends with 77, and nothing past the bad event is committed; allowed, all is safe" {
    use_topic "$(unique read)" "$(unique ok)"
    { serial_events 1 10 && echo nonsense && serial_events 11 20; } | publish_plainly
    tool_ends 77 "opic authorization failed" "$AGENT_ACTIONS" run
    (($(group_offsets_plainly) <= 10))
    allow --allow-principal User:CN=client --operation Write --topic "$TOPIC-dlq"
    start_pipeline
    wait_until '[[ $(group_offsets_plainly) == 21 ]]' 30
    assert_equal "$(as_superuser 'SELECT count(*), count(DISTINCT action_details) FROM agent_actions')" '20|20'
    assert_equal "$(KAFKA_BROKERS=$PLAIN_BROKERS count_records "$TOPIC-dlq")" 1
}

# ---- PostgreSQL refuses

pgsink_ends() { # STATUS PART: the tool as run gives it its environment
    serial_events 1 5 | publish_plainly
    tool_ends "$1" "$2" "$AGENT_ACTIONS" run
    assert_equal "$(group_offsets_plainly)" 0
    assert_equal "$(as_superuser 'SELECT count(*) FROM agent_actions')" 0
}

@test "a server whose certificate another CA signed: 78, the cure names POSTGRES_SSLROOTCERT; nothing is committed" {
    export POSTGRES_SSLROOTCERT=$CERTIFICATES/another-ca.crt
    check_tells 78 POSTGRES_SSLROOTCERT "may be read"
    pgsink_ends 78 "certificate verify failed"
}

@test "a host name that is not in the server's certificate: 78, the cure names POSTGRES_HOST; nothing is committed" {
    export POSTGRES_HOST=127.0.0.1
    check_tells 78 POSTGRES_HOST
    pgsink_ends 78 "does not match host name"
}

@test "a wrong password at PostgreSQL: 77, the cure names POSTGRES_PASSWORD; nothing is committed" {
    echo wrong >postgres-secret
    check_tells 77 POSTGRES_PASSWORD
    pgsink_ends 77 "password authentication failed"
}

@test "without TLS where the server wants it: 77, the cure names POSTGRES_SSLMODE" {
    export POSTGRES_SSLMODE=disable
    check_tells 77 POSTGRES_SSLMODE
}
