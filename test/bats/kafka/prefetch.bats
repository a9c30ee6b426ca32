#!/usr/bin/env bats
# prefetch.bats - how far kcat-actions reads ahead: little memory, and no time lost when there is room again.
# shellcheck disable=SC2016,SC2030,SC2031,SC2094,SC2154 # conditions are evaluated by wait_until; $status is set by run
bats_require_minimum_version 1.5.0
load ../../support/helpers

setup() {
    helpers_setup
    TOPIC=$(unique actions)
    export TOPIC
    make_topic "$TOPIC"
}
teardown() {
    exec 9>&-
    helpers_teardown
}

milliseconds_of() { # COMMAND...
    local start
    start=$(now_ms)
    "$@" >&2
    printf '%s\n' $(($(now_ms) - start))
}

# jq takes less than Kafka gives, so the queue is full again and again: each time a librdkafka that sleeps
# would cost a second.
@test "a reader that is slower than Kafka never waits for it" {
    local alone
    events 40000 >events
    produce "$TOPIC" <events
    kcat-actions -b "$KAFKA_BROKERS" -t "$TOPIC" -e >envelopes
    alone=$(milliseconds_of eval 'jq -c .offset <envelopes | wc -l')
    through=$(milliseconds_of eval 'kcat-actions -b "$KAFKA_BROKERS" -t "$TOPIC" -e | jq -c .offset | wc -l')
    printf 'jq alone %s ms, behind kcat-actions %s ms\n' "$alone" "$through"
    ((through < 2 * alone + 3000))
}

@test "a backlog does not fill the memory of a kcat-actions whose reader stands still" {
    events 60000 >events
    produce "$TOPIC" <events
    mkfifo kcat.out
    exec 9<>kcat.out
    background kcat kcat-actions -b "$KAFKA_BROKERS" -t "$TOPIC"
    # It has done all that it can when its time of CPU stands still.
    wait_until 'read -r -n 1 <&9'
    wait_until 'at=$(cut -d" " -f14,15 /proc/$(pid_of kcat)/stat); sleep 1
        [[ $(cut -d" " -f14,15 /proc/$(pid_of kcat)/stat) == "$at" ]]' 20
    grep VmHWM "/proc/$(pid_of kcat)/status"
    (($(awk '/^VmHWM/ { print $2 }' "/proc/$(pid_of kcat)/status") < 32000))
}
