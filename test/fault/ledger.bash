# shellcheck shell=bash disable=SC2154 # campaign has the variables
# ledger.bash - for the campaign: publishes, reads back what the brokers hold, and compares.
#
# Files in $WORK: `published` (the last serial), `ledger` and `dead` (what the topic and its dead letter queue
# hold, as check.awk reads them, written while it comes), `violations`, `samples` (how often was compared).

# Publishes at a steady rate until $WORK/stop is there. acks=all, and idempotent: kcat's own retries add nothing.
publish() {
    local start=${EPOCHREALTIME/[.,]/} serial=0 due
    until [[ -e $WORK/stop ]]; do
        due=$(((${EPOCHREALTIME/[.,]/} - start) * RATE / 1000000))
        if ((due > serial)); then
            awk -v first=$((serial + 1)) -v last="$due" -v seed="$SEED" -v poison="$POISON" \
                -v now="$(TZ=UTC0 printf '%(%Y-%m-%dT%H:%M:%S)T')" -f "$FAULT/events.awk"
            serial=$due
        fi
        sleep 0.2
    done | kcat -P -E -q -b "$KAFKA_BROKERS" -t "$TOPIC" -Z -K "$(printf '\t')" -X enable.idempotence=true \
        -X topic.message.timeout.ms=600000 -X queue.buffering.max.messages=1000000 || return
}

# Writes what comes to the topic, for as long as it is left to, a line a record as the sed script has it.
read_back() { # TOPIC FORMAT SED_SCRIPT
    kcat -C -E -q -u -b "$KAFKA_BROKERS" -t "$1" -o beginning -f "$2" -X topic.metadata.refresh.interval.ms=5000 |
        LC_ALL=C stdbuf -oL sed -En "$3"
}

read_topic() {
    read_back "$TOPIC" '%p %o %k %s\n' 's/^([0-9]+) ([0-9]+) .*serial-([0-9]+)-([a-z]+).*/\1 \2 \3 \4/p' >"$WORK/ledger"
}

# What is no dead letter as they are documented is one about no record.
read_dead() {
    read_back "$TOPIC-dlq" '%p %o %s\n' \
        's/^([0-9]+ [0-9]+) .*"source":\{"topic":"[^"]*","partition":([0-9]+),"offset":([0-9]+).*/\1 \2 \3/p; t
         s/^([0-9]+ [0-9]+) .*/\1 ? ?/p' >"$WORK/dead"
}

# Whether the file of what was read back has all below these ends.
reaches() { # FILE ENDS: lines of PARTITION END
    awk 'FILENAME == ARGV[1] { end[$1] = $2; next }
         $2 + 1 > got[$1] { got[$1] = $2 + 1 }
         END { for (p in end) if (got[p] + 0 < end[p]) exit 1 }' "$2" "$1"
}

# All rows, to stdout: ARRIVAL NAME.
dump_rows() {
    local arrival=arrival
    [[ -z $OVERLAP ]] || arrival="(extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000000)::bigint"
    admin "COPY (SELECT $arrival, action_name FROM agent_actions) TO STDOUT (DELIMITER ' ')"
}

# Compares at this moment. The offsets are read first: what is in the table or the dead letter queue a moment
# later was there then, or it was committed too early. Fails where a server is away. (A commit that is early by
# less than the reading takes shows when something holds up the table: lock_table, forbid_writing.)
compare() { # FINAL
    local here=$WORK/compare
    mkdir -p "$here"
    group-offsets "$KAFKA_BROKERS" "$GROUP" "$TOPIC" >"$here/offsets" 2>/dev/null || return 1
    until dump_rows >"$here/rows" 2>/dev/null; do # rows do not go away while it is tried again
        [[ ! -e $WORK/over ]] || return 1
        sleep 0.1
    done
    group-offsets "$KAFKA_BROKERS" "$GROUP" "$TOPIC-dlq" >"$here/dead.offsets" 2>/dev/null || return 1
    awk '$2 != "-" { print $1, $2 }' "$here/offsets" >"$here/committed"
    awk '{ print $1, $4 }' "$here/dead.offsets" >"$here/dead.ends"
    wait_until 60 reaches "$WORK/ledger" "$here/committed" || return 1
    wait_until 60 reaches "$WORK/dead" "$here/dead.ends" || return 1
    # Dead letters that came later do not count.
    awk 'FILENAME == ARGV[1] { end[$1] = $2; next } $2 < end[$1]' "$here/dead.ends" "$WORK/dead" >"$here/dead"
    awk -f "$FAULT/check.awk" -v final="$1" -v by_transaction="${OVERLAP:+1}" table=committed "$here/committed" table=rows "$here/rows" \
        table=dead "$here/dead" table=ledger "$WORK/ledger" >"$here/found"
    note_violations "$here"
}

# Writes down what was found, and whether a commit went back.
note_violations() { # DIRECTORY
    touch "$1/committed.before"
    awk 'FILENAME == ARGV[1] { before[$1] = $2; next }
         $1 in before && $2 < before[$1] { print "unsafe partition " $1 " went back from " before[$1] " to " $2 }' \
        "$1/committed.before" "$1/committed" >>"$1/found"
    cp "$1/committed" "$1/committed.before"
    printf '%s\n' "$(elapsed)" >>"$WORK/samples"
    [[ ! -s $1/found ]] || sed "s/^/at $(elapsed) s: /" "$1/found" >>"$WORK/violations"
}

# Compares over and over, until $WORK/stop_samples is there.
sample() {
    until [[ -e $WORK/stop_samples ]]; do
        compare 0 || true
        sleep 0.5
    done
}

# All that was published is committed.
all_is_committed() {
    group-offsets "$KAFKA_BROKERS" "$GROUP" "$TOPIC" 2>/dev/null >"$WORK/ends" &&
        awk '$2 != $4 && !($2 == "-" && $4 == 0) { behind = 1 } END { exit behind || NR == 0 }' "$WORK/ends"
}

count_violations() { # KIND
    sed -n "s/^at [0-9.]* s: $1 //p" "$WORK/violations" | sort -u | wc -l
}
