# shellcheck shell=bash disable=SC2016,SC2034,SC2154 # conditions are evaluated by wait_until; $status is set by await; `published` is for the test
# load.bash - a load that goes on while something happens to the pipelines, and a watch over what the group
# commits meanwhile. Load it behind pipeline.bash. The topic has four partitions, and each event one row: so
# the offset committed in a partition may never be more than the rows that came from it.

# Publishes to each partition, as publisher-0 to publisher-3, until end_load; returns when 5000 events are in
# each, so that who begins then has much in flight. Each serial is there once: kcat's own retries add nothing.
start_load() {
    local partition
    for partition in 0 1 2 3; do
        # shellcheck disable=SC2094 # fed by a process of its own
        background "publisher-$partition" publish_partition "$partition"
    done
    # (kcat -e may find no end of a topic that grows.)
    wait_until '(($(group_offsets "$GROUP" "$TOPIC" | awk "{ sum += \$4 } END { print sum }") >= 20000))'
}

publish_partition() { # PARTITION
    local next=$(($1 * 1000000 + 5001))
    {
        serial_events $((next - 5000)) $((next - 1)) "$1"
        until [[ -e enough ]]; do
            serial_events "$next" $((next + 99)) "$1"
            next=$((next + 100))
            sleep 0.2
        done
    } | kcat -P -E -q -b "$KAFKA_BROKERS" -t "$TOPIC" -p "$1" -X enable.idempotence=true -X linger.ms=5
}

# Sets `published` to how many events there are.
end_load() {
    local partition
    : >enough
    for partition in 0 1 2 3; do
        await "publisher-$partition" 60 && ((status == 0)) || return
    done
    published=$(count_records "$TOPIC")
}

# Waits until so many rows have come since now.
wait_for_more_rows() { # ROWS
    wait_until "((\$(count_rows) >= $(count_rows) + $1))" 40
}

# Compares what is committed with the rows, over and over, until commits_were_safe. The offsets are read first:
# a row that is there a moment later may have been there; one that is not there was not.
watch_commits() {
    touch samples unsafe offsets.before
    background watch compare_commits
}

compare_commits() {
    until [[ -e watched ]]; do
        if group_offsets "$GROUP" "$TOPIC" >offsets 2>/dev/null &&
            sql "SELECT action_details->>'partition', count(*) FROM agent_actions GROUP BY 1" >rows; then
            awk -v FS='[ |]' 'FILENAME == "rows" { rows[$1] = $2; next }
                FILENAME == "offsets.before" { before[$1] = $2; next }
                $2 == "-" { next }
                $2 > rows[$1] + 0 { print "partition " $1 ": " $2 " committed, of " rows[$1] + 0 " rows" }
                $2 < before[$1] + 0 { print "partition " $1 ": went back from " before[$1] " to " $2 }' \
                rows offsets.before offsets >>unsafe
            cp offsets offsets.before
            echo >>samples
        fi
        sleep 0.1
    done
}

# Ends the watch: it saw something, and nothing that was wrong.
commits_were_safe() {
    : >watched
    await watch && assert_equal "$status" 0 && assert_equal "$(<unsafe)" "" && (($(wc -l <samples) >= 10))
}
