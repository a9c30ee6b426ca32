# measure.bash - one run of one contender, and what it used. Sourced by run.
# shellcheck shell=bash disable=SC2153,SC2154 # run's variables

LIMIT=900 # seconds that a run may take
# The processes of the contenders, in the order in which the table tells them.
PROCESSES=(kcat kcat-actions jq sed batch pgsink dlq psql python)
TICKS=$(getconf CLK_TCK)

# Clock ticks of CPU of these processes and of their children that have ended.
ticks_of() { # PID...
    local pid line total=0
    local -a fields
    for pid in "$@"; do
        line=$(cat "/proc/$pid/stat" 2>/dev/null) || continue
        read -ra fields <<<"${line##*) }"
        ((total += fields[11] + fields[12] + fields[13] + fields[14]))
    done
    printf '%s\n' "$total"
}

server_pid() { # NAME
    [[ ! -s $STATE/$1/pid ]] || cat "$STATE/$1/pid"
}

# The postmaster has waited for its ended backends, so their time is in its own account.
postgres_ticks() {
    local postmaster
    postmaster=$(server_pid postgres)
    [[ -n $postmaster ]] || { printf '0\n' && return; }
    # shellcheck disable=SC2046 # a number each
    ticks_of "$postmaster" $(pgrep -P "$postmaster")
}

kafka_ticks() {
    # shellcheck disable=SC2046 # a number, or nothing
    ticks_of $(server_pid kafka)
}

busy_ticks() {
    awk '$1 == "cpu" { print $2 + $3 + $4 + $7 + $8 + $9 }' /proc/stat
}

no_clients() {
    [[ $(sql "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'") == 1 ]]
}

empty_table() { # TABLE
    [[ $1 != - ]] || return 0
    # What was loaded once is replayed each time; plot.bash fills `grown` itself.
    [[ $1 == replayed || $1 == grown ]] || sql "TRUNCATE $1"
    sql CHECKPOINT
    wait_until no_clients
}

check_rows() { # CONTENDER TABLE DATA OUT; rows_before: what the table had
    local expected=$EVENTS rows committed rejected=0
    case $1 in
    pgsink_poison | pgsink_refused) expected=$(<"$DATA/$3.good") ;;
    python) expected=$PYTHON_EVENTS ;;
    esac
    [[ $3 != empty ]] || expected=0
    if [[ -e $4/lines ]] && (($(<"$4/lines") != expected)); then
        complain "$(<"$4/lines") lines, $expected are right"
        return 1
    fi
    [[ $2 != - ]] || return 0
    rows=$(($(count_rows "$2") - rows_before))
    [[ $rows == "$expected" ]] || { complain "$2 has $rows rows, $expected are right" && return 1; }
    if [[ -e $4/rejects ]]; then
        rejected=$(wc -l <"$4/rejects")
        ((rejected == EVENTS - expected)) ||
            { complain "$rejected rejects, $((EVENTS - expected)) are right" && return 1; }
    fi
    if [[ $1 == *pipeline* ]]; then
        committed=$(committed_records "$GROUP" "$3")
        [[ $committed == "$expected" ]] ||
            { complain "$committed offsets committed, $expected are right" && return 1; }
    fi
}

# Prints a line of the samples: section, contender, round, microseconds, events, bytes, microseconds of
# PostgreSQL's CPU, percent of CPU that others used; then for each process its name, the microseconds of
# CPU that it took, and KB of memory at its peak. WINDOW: microseconds in which the ticks were counted.
record() { # SECTION CONTENDER ROUND DATA OUT POSTGRES_TICKS KAFKA_TICKS BUSY_TICKS WINDOW
    local events=$EVENTS wall process file user system memory tools_us=0 us others
    local -a processes=()
    [[ $2 != python ]] || events=$PYTHON_EVENTS
    [[ $4 != empty ]] || events=0
    wall=$(<"$5/wall")
    for process in "${PROCESSES[@]}"; do
        for file in "$5/process.$process" "$5/process.$process".[1-4]; do
            [[ -e $file ]] || continue
            read -r user system memory <"$file"
            us=$(((10#${user/./} + 10#${system/./}) * 10000))
            ((tools_us += us)) || true
            processes+=("$process" "$us" "$memory")
        done
    done
    others=$((($8 - $6 - $7) * 1000000 / TICKS - tools_us))
    others=$((others * 100 / ($9 * $(nproc))))
    printf '%s\t' "$1" "$2" "$3" "$wall" "$events" "$(wc -c <"$DATA/own.ndjson")" \
        "$(($6 * 1000000 / TICKS))" "$((others > 0 ? others : 0))" "${processes[@]}"
    printf '\n'
    say "$1 $2 run $3: $((wall / 1000)) ms, $((events * 1000000 / wall)) events/s, others $others %"
}

# A run that fails or loses a row is no sample: it is told at the end, and is run's exit status.
measure() { # ENTRY ROUND
    local section title
    if ! try "$1" "$2"; then
        IFS="|" read -r section _ _ _ title <<<"$1"
        FAILURES+=("$section, run $2: $title")
    fi
}

try() { # ENTRY ROUND
    local section contender data table title out=$STATE/out
    local status=0 sample postgres_before kafka_before busy_before start
    local -a maps
    IFS='|' read -r section contender data table title <<<"$1"
    local rows_before=0
    [[ $table != grown ]] || rows_before=$(count_rows grown)
    rm -rf "$out"
    mkdir "$out"
    GROUP=$(unique bench)
    map_options "$table"
    empty_table "$table" || return
    start=${EPOCHREALTIME/[.,]/}
    postgres_before=$(postgres_ticks) kafka_before=$(kafka_ticks) busy_before=$(busy_ticks)
    OUT=$out GROUP=$GROUP INPUT=$data TABLE=$table MAPS=${maps[*]} \
        timeout --kill-after=5 "$LIMIT" "$BENCH/contender" "$contender" || status=$?
    ((status == 0)) || { complain "$section, $title: ended with status $status" && return 1; }
    [[ $table == - ]] || wait_until no_clients
    sample=$(record "$section" "$contender" "$2" "$data" "$out" "$(($(postgres_ticks) - postgres_before))" \
        "$(($(kafka_ticks) - kafka_before))" "$(($(busy_ticks) - busy_before))" \
        "$((${EPOCHREALTIME/[.,]/} - start))")
    check_rows "$contender" "$table" "$data" "$out" || return
    printf '%s\n' "$sample" >>"$STATE/samples"
    [[ -z $KEEP ]] || printf '%s\n' "$sample" >>"$KEEP"
}
