#!/usr/bin/env bats
# deploy_systemd.bats - the units as systemd's own tools see them, and what `agent-actions run` tells systemd.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # conditions are evaluated by wait_until; $output is set by run
bats_require_minimum_version 1.5.0
load ../support/helpers
load ../support/pipeline

UNITS=$ROOT/deploy/systemd

setup() { helpers_setup; }
teardown() { helpers_teardown; }

@test "systemd: the units are clean" {
    make -s -C "$ROOT" install-systemd DESTDIR="$PWD/root" PREFIX=/usr
    # verify looks for the programs and manuals too: those of the checkout.
    sed -i "s|=/usr/bin/agent-actions|=$ROOT/scripts/agent-actions|; s|=/usr/libexec/agent-actions|=$ROOT/scripts/lib|
        s|=man:agent-actions(1)|=file:$ROOT/scripts/agent-actions.1|" root/usr/lib/systemd/system/*
    run systemd-analyze verify root/usr/lib/systemd/system/agent-actions{.service,@.service,-cleanup.service,-cleanup.timer}
    assert_status 0
    assert_equal "$output" ''
}

@test "systemd: the exposure of each service is at most 1.5 of 10" {
    local unit
    for unit in "$UNITS"/*.service; do
        run systemd-analyze security --offline=yes --threshold=15 "$unit"
        assert_status 0
        assert_contains "$output" 'Overall exposure level'
    done
}

@test "systemd: what a deployment asks for is in each service that runs for long" {
    local unit directive
    for unit in "$UNITS"/agent-actions.service "$UNITS"/agent-actions@.service; do
        for directive in Type=notify NotifyAccess=all KillMode=mixed Restart=on-failure WatchdogSec= \
            NoNewPrivileges=yes PrivateTmp=yes ProtectSystem=strict ProtectHome=yes LimitNOFILE= MemoryMax=; do
            grep -q "^$directive" "$unit" || { echo "$unit: $directive" && return 1; }
        done
    done
}

@test "systemd: an instance differs from the service in its name and its places alone" {
    run diff <(sed '1,2d; s/, instance %i$//; s/@%i//; s/%i\.env/agent-actions.env/' "$UNITS/agent-actions@.service") \
        <(sed 1,2d "$UNITS/agent-actions.service")
    assert_status 0
}

@test "systemd: a stop may take as long as the drain and what comes behind it" {
    local drain margin
    drain=$(sed -n 's/.*drain_timeout=\([0-9][0-9]*\).*/\1/p' "$ROOT/scripts/lib/run.bash" | head -n 1)
    margin=$(sed -n 's/^readonly DRAIN_MARGIN=\([0-9]*\).*/\1/p' "$ROOT/scripts/lib/run.bash")
    (($(sed -n 's/^TimeoutStopSec=//p' "$UNITS/agent-actions.service") >= drain + margin + 10))
}

@test "systemd: the configuration's example is read as systemd reads it, and holds the defaults" {
    local line name
    # Each name once commented out, NAME=VALUE, as EnvironmentFile= wants it.
    run grep -vE '^#|^$' "$UNITS/agent-actions.env"
    assert_equal "$output" ''
    while IFS= read -r line; do
        name=${line%%=*}
        [[ $name == AGENT_ACTIONS_OPTIONS || $name == PGSSL* || $name == LOG_FORMAT ]] ||
            grep -q "|$name" <(sed "s/'\([A-Z]\)/|\1/" "$ROOT/scripts/lib/config.bash") ||
            { echo "$name is unknown" && return 1; }
    done < <(sed -n 's/^#\([A-Z_]*=\)/\1/p' "$UNITS/agent-actions.env")
    # All of them set, with values that need quotes: the program gets what was meant.
    sed -n 's/^#\([A-Z_]*=\)/\1/p' "$UNITS/agent-actions.env" |
        sed "s/^POSTGRES_PASSWORD=.*/POSTGRES_PASSWORD='a b\"#c'/; /^KAFKA_CONFIG_FILE/d" >set.env
    run env -i PATH="$PATH" PGPASSWORD=unused bash -euc 'set -a; . ./set.env; set +a; unset PGPASSWORD
        LIBRARY=$0/scripts/lib; PROGRAM=test; . "$LIBRARY/log.bash"; . "$LIBRARY/config.bash"; load_config ""
        echo "$PGPASSWORD $PGPORT $BATCH_SIZE $AGENT_ACTIONS_OPTIONS"' "$ROOT"
    assert_equal "$output" 'a b"#c 5436 100 --pipelines 1 --drain-timeout 30'
}

# ---- credentials

# What load_config finds, with the environment given as NAME=VALUE.
configured() { # ASSIGNMENT...
    env -u KAFKA_CONFIG_FILE "$@" bash -euc 'LIBRARY=$0/scripts/lib; PROGRAM=test; . "$LIBRARY/log.bash"; . "$LIBRARY/config.bash"
        load_config ""; echo "${PGPASSWORD-none} ${KAFKA_OPTIONS[*]:2}"; env | grep -c "^POSTGRES_PASSWORD=" || true' "$ROOT"
}

@test "credentials: a password from a file, from systemd, or from the environment, which goes before" {
    mkdir credentials
    printf 'of the file\n' >file
    printf 'of systemd' >credentials/postgres_password
    echo security.protocol=ssl >credentials/kafka_config
    assert_equal "$(configured POSTGRES_PASSWORD_FILE=file)" $'of the file \n0'
    assert_equal "$(configured CREDENTIALS_DIRECTORY="$PWD/credentials")" \
        "of systemd -F $PWD/credentials/kafka_config"$'\n0'
    assert_equal "$(configured POSTGRES_PASSWORD_FILE=file CREDENTIALS_DIRECTORY="$PWD/credentials" KAFKA_CONFIG_FILE=file)" \
        $'of the file -F file\n0'
    assert_equal "$(configured POSTGRES_PASSWORD_FILE=file POSTGRES_PASSWORD=mine)" $'mine \n0'
    assert_equal "$(configured CREDENTIALS_DIRECTORY="$PWD")" $'none \n0'
}

@test "credentials: a file that cannot be read is named, with the other faults" {
    run configured POSTGRES_PASSWORD_FILE=missing BATCH_SIZE=x
    assert_status 78
    assert_contains "$output" 'POSTGRES_PASSWORD_FILE: missing could not be read'
    assert_contains "$output" 'BATCH_SIZE "x"'
}

# ---- what systemd is told

# A listener in systemd's place: writes each message as a line into `told`.
listen_as_systemd() {
    background systemd python3 -c '
import array, os, socket
listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listener.bind("notify")
told = open("told", "w")
while True:
    text, ancillary, _, _ = listener.recvmsg(4096, socket.CMSG_SPACE(64))
    for level, kind, data in ancillary:
        if kind == socket.SCM_RIGHTS:  # the barrier: closing it lets the sender go
            for fd in array.array("i", data): os.close(fd)
    told.write(text.decode().replace("\n", " ").strip() + "\n"); told.flush()'
    wait_until '[[ -S notify ]]'
    export NOTIFY_SOCKET=$PWD/notify
}

@test "systemd is told of readiness, life, figures and the end" {
    pipeline_setup
    listen_as_systemd
    WATCHDOG_USEC=1500000 start_pipeline --drain-timeout 20
    wait_until 'grep -qx READY=1 told'
    events 50 | produce "$TOPIC"
    all_is_safe 50
    wait_until '(($(grep -c WATCHDOG=1 told) >= 3))'
    wait_until 'grep -q "^STATUS=50 consumed, 50 inserted, 0 duplicates, 0 failed" told'
    assert_equal "$(head -n 1 told)" READY=1
    stop run
    assert_status 0
    assert_contains "$(<told)" 'STOPPING=1 STATUS=draining EXTEND_TIMEOUT_USEC=50000000'
    assert_contains "$(<run.log)" 'Final statistics: 50 consumed, 50 inserted'
}

@test "systemd hears nothing more from a supervisor that hangs" {
    local heard uptime
    pipeline_setup
    listen_as_systemd
    WATCHDOG_USEC=900000 start_pipeline
    wait_until 'grep -q WATCHDOG=1 told'
    signal run STOP
    wait_until 'grep -q "^State:.*stopped" /proc/$(pid_of run)/status'
    heard=$(grep -c WATCHDOG=1 told)
    # Its children are well: healthd answers all the while, for longer than the unit's limit.
    uptime=$(metrics '.uptime_seconds | ceil')
    wait_until '(($(metrics ".uptime_seconds | floor") > '"$uptime"'))'
    (($(grep -c WATCHDOG=1 told) <= heard + 1)) # one may have been under way
    signal run CONT
    wait_until '(($(grep -c WATCHDOG=1 told) > '"$heard"' + 1))'
}

# ---- the clean-up

@test "clean-up: deletes old debug rows, and says how many" {
    fresh_database
    events 20 | pgsink
    sql "UPDATE agent_actions SET debug_mode = false"
    sql "UPDATE agent_actions SET debug_mode = true, created_at = now() - interval '31 days' WHERE id IN (SELECT id FROM agent_actions LIMIT 6)"
    run "$ROOT/scripts/lib/cleanup"
    assert_status 0
    assert_contains "$output" 'agent-actions-cleanup - INFO - deleted 6 debug rows older than 30 days'
    assert_equal "$(count_rows)" 14
    POSTGRES_PORT=1 run "$ROOT/scripts/lib/cleanup"
    assert_status 69
    assert_contains "$output" 'ERROR - could not clean up in database'
}
