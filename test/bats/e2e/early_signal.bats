#!/usr/bin/env bats
# early_signal.bats - SIGTERM while a pipeline is only just starting: it ends well and soon, at whatever moment it
# comes. The moments are hit by what runs at them: bash's start-up file, mkfifo, the tool itself.
# shellcheck disable=SC2016,SC2030,SC2031,SC2154 # conditions are evaluated by wait_until; $status is set by run
bats_require_minimum_version 1.5.0
load ../../support/helpers
load ../../support/pipeline

setup() {
    helpers_setup
    pipeline_setup
    mkdir path
    export PATH=$PWD/path:$PATH
}
teardown() { helpers_teardown; }

# A program of this name that first does what stdin says, and then is the real one.
wrap() { # NAME REAL
    { printf '#!/bin/bash\n' && cat && printf 'exec %q "$@"\n' "$2"; } >"path/$1"
    chmod +x "path/$1"
}

# One run of one pipeline, in the background as `pipeline`.
start_one() { # EXEC_PATH
    local option
    local -a options=(-b "$KAFKA_BROKERS" -F "$KAFKA_CONFIG_FILE")
    for option in BATCH_SIZE=100 BATCH_TIMEOUT_MS=100 AGENT_ACTIONS_PIPELINE=0; do export "${option?}"; done
    background pipeline "$ROOT/scripts/lib/pipeline" "$1" "$PWD/pipeline-0" 30 "${options[@]}"
}

@test "before the pipeline's script can take signals: run ends with 0" {
    # It kills the supervisor, and waits for what that does about it.
    cat >start-up <<'BASH'
if [[ $0 == */pipeline ]]; then
    : >started
    kill -TERM "$PPID"
    while :; do sleep 0.05; done
fi
BASH
    BASH_ENV=$PWD/start-up background run "$AGENT_ACTIONS" run
    await run
    [[ -e started ]]
    assert_equal "$status" 0
    if grep ERROR run.log; then return 1; fi
}

@test "while the pipes are made and the tools are started: it drains at once, with 0" {
    local number
    for number in 1 2 3 4; do # the calls of mkfifo
        wrap mkfifo "$(command -v mkfifo)" <<BASH
echo >>calls.$number
[[ \$(wc -l <calls.$number) != $number ]] || kill -TERM "\$PPID"
BASH
        start_one "$BUILD/bin"
        await pipeline 10
        assert_equal "$status" 0
        (($(wc -l <"calls.$number") >= number))
        rm path/mkfifo
    done
}

@test "before kcat-actions can take signals: it drains at once, with 0" {
    mkdir tools
    ln -s "$BUILD"/bin/* tools/
    rm tools/kcat-actions
    printf '%s\n' '#!/bin/bash' ': >started' 'kill -TERM "$PPID"' 'while :; do sleep 0.05; done' >tools/kcat-actions
    chmod +x tools/kcat-actions
    start_one "$PWD/tools"
    await pipeline 10
    [[ -e started ]]
    assert_equal "$status" 0
}
