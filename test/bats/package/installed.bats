#!/usr/bin/env bats
# installed.bats - the package in a fresh Debian 12 with systemd as its first process: what an administrator
# does, from installation to purge, one test after the other. Kafka and PostgreSQL are outside, on loopback.
#
# Not among the default stages, since it needs root, mounts and namespaces, and takes two minutes, most of
# them for the Debian:  ./scripts/test package
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # conditions are evaluated by wait_until; $output is set by run
bats_require_minimum_version 1.5.0
load ../../support/helpers
load ../../support/pipeline
load ../../support/debian_root

setup_file() {
    local deb
    export DEBIAN=$BATS_FILE_TMPDIR/debian TOPIC GROUP
    TOPIC=$(unique actions) GROUP=$(unique group)
    chmod 711 "$BATS_FILE_TMPDIR"
    deb=$("$ROOT/test/support/build-package" "$BATS_FILE_TMPDIR/package")
    root_make "$DEBIAN" "$deb"
    list_files >"$BATS_FILE_TMPDIR/before"
    cp "$deb" "$DEBIAN/root/agent-actions.deb"
    root_boot "$DEBIAN"
    export ROOT_INIT ROOT_UNSHARE ROOT_CGROUP
    make_topic "$TOPIC"
    make_topic "$TOPIC-dlq"
    own_postgres
}

teardown_file() {
    root_stop "$DEBIAN"
    "$ROOT/scripts/dev-postgres" --destroy "$BATS_FILE_TMPDIR/postgres"
}

setup() { helpers_setup; }

teardown() {
    [[ -n ${BATS_TEST_COMPLETED-} ]] || root_do journalctl --no-pager -n 20 || true
    helpers_teardown
}

# A PostgreSQL that asks for passwords: consumer has "right & proper", keeper "keep".
own_postgres() {
    local postgres=$BATS_FILE_TMPDIR/postgres
    "$ROOT/scripts/dev-postgres" --fast "$postgres" >&2
    # shellcheck disable=SC1091 # written by dev-postgres
    . "$postgres/env"
    sql "CREATE ROLE consumer LOGIN SUPERUSER PASSWORD 'right & proper'"
    sed -i 's/trust$/scram-sha-256/' "$postgres/cluster/data/pg_hba.conf"
    sql 'SELECT pg_reload_conf()' >&2
    export PGHOST PGPORT PGDATABASE PGUSER=consumer PGPASSWORD='right & proper'
    wait_until '[[ $(sql "SELECT current_user") == consumer ]] && ! PGPASSWORD=wrong sql "SELECT 1"'
}

# What is on the disk but for the package manager's own books, and those of the users.
list_files() {
    find "$DEBIAN" -xdev -printf '/%P\n' | sort | grep -vE \
        '^/(proc|sys|dev|run|tmp|root|var/(log|cache|tmp|lib/(dpkg|apt|systemd|dbus)))(/|$)|^/etc/((passwd|group|shadow|gshadow|subuid|subgid)-|\.pwd\.lock|machine-id)|^/var/lib/private$'
}

outside() { # PATH: as we see it
    printf '%s\n' "/proc/$ROOT_INIT/root$1"
}

# The unit's environment file; the password is a credential.
configure() {
    printf '%s\n' "KAFKA_BROKERS=$KAFKA_BROKERS" "KAFKA_TOPIC=$TOPIC" "KAFKA_GROUP_ID=$GROUP" \
        "POSTGRES_HOST=$PGHOST" "POSTGRES_PORT=$PGPORT" "POSTGRES_DATABASE=$PGDATABASE" POSTGRES_USER=consumer \
        BATCH_TIMEOUT_MS=100 HEALTH_CHECK_PORT=0 >"$(outside /etc/agent-actions/agent-actions.env)"
}

set_password() { # PASSWORD
    root_do install -d -m 700 /etc/credstore
    (umask 077 && printf '%s\n' "$1" >"$(outside /etc/credstore/agent-actions.postgres_password)")
}

property() { # UNIT NAME
    root_do systemctl show "$1" -p "$2" --value
}

# As the guide does it: with the unit's user and environment.
as_service() { # COMMAND...
    root_do systemd-run --quiet --wait --pipe --uid=agent-actions \
        -p EnvironmentFile=/etc/agent-actions/agent-actions.env \
        -p LoadCredential=postgres_password:agent-actions.postgres_password "$@"
}

health() {
    as_service agent-actions status --stats /run/agent-actions/stats
}

@test "package: its installation makes the user, and starts and enables nothing" {
    root_do dpkg -i /root/agent-actions.deb
    assert_equal "$(property agent-actions ActiveState)/$(property agent-actions UnitFileState)" inactive/disabled
    assert_equal "$(property agent-actions-cleanup.timer ActiveState)" inactive
    assert_equal "$(root_do getent passwd agent-actions | cut -d: -f6,7)" /:/usr/sbin/nologin
    assert_equal "$(root_do stat -c '%a %U' /etc/agent-actions/agent-actions.env)" '600 root'
    assert_contains "$(root_do agent-actions --version)" 'agent-actions 0.'
    root_do sh -c 'PATH=$(agent-actions --exec-path):$PATH; for tool in kcat-actions batch pgsink dlq healthd; do $tool --version; done'
}

@test "package: the service user makes the table with the unit's environment and credential" {
    configure
    set_password 'right & proper'
    run as_service agent-actions init
    assert_status 0
    assert_contains "$output" "The table agent_actions is ready in database $PGDATABASE"
    assert_equal "$(count_rows)" 0
}

@test "package: the service is ready, stores events, and tells systemd its figures" {
    # Sooner than in production: reports each second, and an end of what hangs.
    mkdir -p "$(outside /etc/systemd/system/agent-actions.service.d)"
    printf '[Service]\nWatchdogSec=3\nTimeoutAbortSec=2\nRestartSec=100ms\n' \
        >"$(outside /etc/systemd/system/agent-actions.service.d/test.conf)"
    root_do systemctl daemon-reload
    root_do systemctl start agent-actions
    assert_equal "$(property agent-actions ActiveState)" active
    { events 300 && echo nonsense; } | produce "$TOPIC" -p 0
    wait_until '[[ $(committed_records "$GROUP" "$TOPIC") == 301 ]]' 30
    assert_equal "$(count_rows)" 300
    run health
    assert_contains "$output" 'inserted     300'
    wait_until '[[ $(property agent-actions StatusText) == "301 consumed, 300 inserted, "* ]]' 40
    # As what they are: the journal knows a warning from what informs.
    assert_contains "$(root_do journalctl -u agent-actions -p warning..warning -o cat)" 'WARNING - Event sent to DLQ: '
    if root_do journalctl -u agent-actions -p warning -o cat | grep ' - INFO - '; then return 1; fi
    if root_do journalctl -u agent-actions -o cat | grep '^<'; then return 1; fi
}

@test "package: nobody sees the password, and the service can write nowhere" {
    local pid
    pid=$(property agent-actions MainPID)
    if root_do grep -rlsF 'right & proper' /proc/"$pid"/environ /proc/"$pid"/cmdline; then return 1; fi
    if root_do journalctl --no-pager | grep -F 'right & proper'; then return 1; fi
    assert_equal "$(root_do grep -h '^Seccomp:\|^NoNewPrivs:\|^CapBnd:' /proc/"$pid"/status | tr -s '\t\n' ' ')" \
        'CapBnd: 0000000000000000 NoNewPrivs: 1 Seccomp: 2 '
    run root_do nsenter --target "$pid" --mount touch /etc/x /usr/x /var/x
    assert_status 1
    [[ $(grep -c 'Read-only file system' <<<"$output") == 3 ]]
}

@test "package: systemd kills a supervisor that hangs, and starts it again" {
    local pid
    pid=$(property agent-actions MainPID)
    # It is not killed while it works: two times its limit.
    wait_until '(($(property agent-actions WatchdogTimestampMonotonic)
        - $(property agent-actions ExecMainStartTimestampMonotonic) > 6000000))' 15
    assert_equal "$(property agent-actions MainPID)" "$pid"
    root_do sh -c "kill -STOP $pid"
    wait_until '[[ $(property agent-actions NRestarts) == 1 && $(property agent-actions ActiveState) == active ]]' 30
    events 100 --seed 2 | produce "$TOPIC" -p 1
    wait_until '[[ $(count_rows) == 400 ]]' 30
}

@test "package: stopped under load it drains, and leaves nothing in /run" {
    events 3000 --seed 3 | produce "$TOPIC" -p 2
    wait_until '(($(count_rows) > 400))' 30
    root_do systemctl stop agent-actions
    assert_equal "$(property agent-actions Result)/$(property agent-actions ExecMainStatus)" success/0
    assert_contains "$(root_do journalctl -u agent-actions -n 30 -o cat)" 'INFO - Final statistics: '
    # All that was read is safe: rows and commits say the same.
    assert_equal "$(count_rows)" "$(($(committed_records "$GROUP" "$TOPIC") - 1))"
    root_do test ! -e /run/agent-actions
}

@test "package: a refused password is told and waits for a person" {
    set_password wrong
    root_do systemctl start agent-actions || true
    wait_until '[[ $(property agent-actions ActiveState) == failed ]]' 30
    assert_equal "$(property agent-actions ExecMainStatus)/$(property agent-actions NRestarts)" 77/0
    assert_contains "$(root_do journalctl -u agent-actions -n 30 -o cat)" 'password authentication failed'
    set_password 'right & proper'
    root_do systemctl start agent-actions
    wait_until '[[ $(count_rows) == 3400 ]]' 30
}

@test "package: an instance beside it has its own configuration and place" {
    {
        sed "s/^KAFKA_GROUP_ID=.*/KAFKA_GROUP_ID=$GROUP-second/" "$(outside /etc/agent-actions/agent-actions.env)"
        printf '%s\n' "POSTGRES_PASSWORD='right & proper'" LOG_FORMAT=json \
            "AGENT_ACTIONS_OPTIONS=--pipelines 2 --drain-timeout 20"
    } >"$(outside /etc/agent-actions/second.env)"
    root_do systemctl start agent-actions@second
    wait_until '[[ $(committed_records "$GROUP-second" "$TOPIC") == 3401 ]]' 40
    assert_equal "$(count_rows)" 3400
    root_do test -e /run/agent-actions@second/pipeline-1/pgsink.pid -a -e /run/agent-actions/stats
    root_do systemctl stop agent-actions@second
    assert_equal "$(property agent-actions@second Result)" success
    root_do journalctl _SYSTEMD_UNIT=agent-actions@second.service -o cat | jq -e .message >/dev/null
    root_do rm /etc/agent-actions/second.env
}

@test "package: the clean-up deletes what is old, by its timer" {
    sql "UPDATE agent_actions SET debug_mode = true, created_at = now() - interval '40 days'
        WHERE id IN (SELECT id FROM agent_actions LIMIT 7)"
    root_do systemctl enable --now agent-actions-cleanup.timer
    assert_equal "$(property agent-actions-cleanup.timer ActiveState)" active
    root_do systemctl start agent-actions-cleanup.service
    assert_contains "$(root_do journalctl -u agent-actions-cleanup -o cat)" 'INFO - deleted '
    assert_equal "$(count_rows "agent_actions WHERE created_at < now() - interval '35 days' AND debug_mode")" 0
}

@test "package: an upgrade restarts what runs, and keeps the configuration" {
    local pid
    pid=$(property agent-actions MainPID)
    root_do systemctl enable agent-actions
    root_do dpkg -i /root/agent-actions.deb
    wait_until '[[ $(property agent-actions ActiveState) == active ]]'
    [[ $(property agent-actions MainPID) != "$pid" ]]
    root_do grep -q "^KAFKA_TOPIC=$TOPIC" /etc/agent-actions/agent-actions.env
}

@test "package: removed it stops; purged it leaves nothing" {
    root_do dpkg --remove agent-actions
    assert_equal "$(root_do find /proc -maxdepth 1 -user agent-actions)" ''
    root_do test -e /etc/agent-actions/agent-actions.env
    root_do dpkg --purge agent-actions
    root_do rm -rf /etc/credstore /etc/systemd/system/agent-actions.service.d # the test's own
    run root_do getent passwd agent-actions
    assert_status 2
    run root_do getent group agent-actions
    assert_status 2
    list_files >"$BATS_FILE_TMPDIR/after"
    diff "$BATS_FILE_TMPDIR/before" "$BATS_FILE_TMPDIR/after"
}
