#!/usr/bin/env bats
# package.bats - the Debian package builds without network and without complaints, and has what it shall; and
# `make install` alone. Installed and run it is by package/installed.bats.
# shellcheck disable=SC2154 # $output, $status and $stderr are set by run
bats_require_minimum_version 1.5.0
load ../support/helpers

setup_file() {
    DEB=$("$ROOT/test/support/build-package" "$BATS_FILE_TMPDIR")
    export DEB
    dpkg-deb -x "$DEB" "$BATS_FILE_TMPDIR/root"
}

setup() { helpers_setup; }
teardown() { helpers_teardown; }

installed() { # PATH
    printf '%s\n' "$BATS_FILE_TMPDIR/root$1"
}

@test "package: lintian finds no error and no warning" {
    run lintian --allow-root --tag-display-limit 0 --fail-on error,warning "$BATS_FILE_TMPDIR"/*.changes
    assert_status 0
    assert_equal "$output" ''
}

@test "package: it depends on the libraries that its tools link, and on jq" {
    local library depends
    depends=$(dpkg-deb -f "$DEB" Depends)
    for library in jq libjq1 libmicrohttpd12 libpq5 librdkafka1 libssl3; do
        assert_contains ", $depends" ", $library"
    done
}

@test "package: the tools, the manuals, the table and the units are in it" {
    local tool
    for tool in kcat-actions batch pgsink dlq healthd; do
        [[ -x $(installed "/usr/libexec/agent-actions/$tool") ]]
        [[ -s $(installed "/usr/share/man/man1/agent-actions-$tool.1.gz") ]]
    done
    [[ -s $(installed /usr/share/agent-actions/sql/schema.sql) ]]
    [[ -s $(installed /lib/systemd/system/agent-actions@.service) ]]
    [[ -s $(installed /usr/lib/sysusers.d/agent-actions.conf) ]]
    run "$(installed /usr/bin/agent-actions)" --version
    assert_contains "$output" "agent-actions $(dpkg-deb -f "$DEB" Version)"
}

@test "package: the configuration is root's alone, and an administrator's once it is there" {
    assert_equal "$(stat -c %a "$(installed /etc/agent-actions/agent-actions.env)")" 600
    assert_equal "$(dpkg-deb -I "$DEB" conffiles)" /etc/agent-actions/agent-actions.env
}

@test "package: its scripts start and enable nothing; removal stops all instances" {
    if dpkg-deb -I "$DEB" postinst | grep -E "invoke.* start|helper enable .*\|\| *exit"; then return 1; fi
    assert_contains "$(dpkg-deb -I "$DEB" postinst)" try-restart
    assert_contains "$(dpkg-deb -I "$DEB" prerm)" "agent-actions@*.service"
}

@test "make install puts all below PREFIX, the units name it, and make uninstall takes it away again" {
    # (With AddressSanitizer the programs of that build are not these.)
    run make -s -C "$ROOT" install install-systemd DESTDIR="$PWD/root" PREFIX=/opt/aa
    assert_status 0
    "$PWD/root/opt/aa/bin/agent-actions" pgsink --version
    assert_equal "$(grep -h ^ExecStart= "$PWD"/root/opt/aa/lib/systemd/system/* | sort -u)" \
        $'ExecStart=/opt/aa/bin/agent-actions run $AGENT_ACTIONS_OPTIONS\nExecStart=/opt/aa/libexec/agent-actions/cleanup'
    echo KAFKA_TOPIC=mine >root/etc/agent-actions/agent-actions.env
    make -s -C "$ROOT" install-systemd DESTDIR="$PWD/root" PREFIX=/opt/aa
    make -s -C "$ROOT" uninstall DESTDIR="$PWD/root" PREFIX=/opt/aa
    assert_equal "$(find root -type f -exec cat {} +)" KAFKA_TOPIC=mine
}

# What Tab offers behind these words.
offers() { # WORD...
    PATH=$ROOT/scripts:$PATH bash -euc '. "$0/scripts/completion.bash"
        COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
        _agent_actions
        echo "${COMPREPLY[*]}"' "$ROOT" "$@"
}

@test "completion: commands, tools and their options, as --help has them" {
    assert_equal "$(offers agent-actions p)" 'publish pgsink'
    assert_contains "$(offers agent-actions run --)" '--drain-timeout'
    assert_contains "$(offers agent-actions pgsink --on)" '--on-conflict'
    assert_equal "$(offers agent-actions publish --action-type '')" 'tool_call decision error success'
    assert_equal "$(offers agent-actions backfill ev)" ''
}
