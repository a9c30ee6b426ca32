# prepare.bash - what must be there before anything is measured. Sourced by run.
# shellcheck shell=bash disable=SC2153,SC2154 # run's variables

SETTINGS=(shared_buffers=512MB max_wal_size=4GB checkpoint_timeout=30min autovacuum=off fsync=on synchronous_commit=on)
# The same events each time; the time of the first one does not matter, but that it is the same does.
FIRST_EVENT=1761000000
PYTHON_EVENTS=50000 # at most: it is slow

check_programs() {
    local program
    for program in kcat jq psql lscpu free pgrep; do
        command -v "$program" >/dev/null || fail "$program is missing: scripts/setup test installs it"
    done
    [[ -x $BUILD/bin/pgsink && -x $BUILD/bin/took ]] || make -C "$ROOT" -s >&2
    # Debian's psql is a Perl script that looks for the real one: measure the real one.
    PSQL=$(printf '%s\n' /usr/lib/postgresql/*/bin/psql | sort -V | tail -n 1)
    [[ -x $PSQL ]] || PSQL=$(command -v psql)
    export PSQL BENCH
    ((PYTHON_EVENTS <= EVENTS)) || PYTHON_EVENTS=$EVENTS
    export PYTHON_EVENTS
}

prepare() {
    prepare_events
    if is_chosen own-ids derived-ids text-path duplicates poison pipeline pipeline-derived peers empty; then
        start_postgres
        prepare_tables
    fi
    if is_chosen read read-pipe pipeline pipeline-derived peers empty; then
        start_kafka
        prepare_topics
    fi
    if is_chosen peers && [[ -n $WITH_PYTHON ]]; then
        prepare_python
    fi
}

# ---- events

# awk makes 100,000 events a second, so they are kept for the next time.
prepare_events() {
    DATA=$BUILD/bench/events-$EVENTS
    export DATA
    [[ ! -e $DATA/complete || ! -e $DATA/refused.good ]] || return 0
    say "making $EVENTS events"
    rm -rf "$DATA"
    mkdir -p "$DATA"
    events "$EVENTS" --ids --keyed --start "$FIRST_EVENT" >"$DATA/own.keyed"
    sed 's/{"id":"[^"]*",/{/' "$DATA/own.keyed" >"$DATA/derived.keyed"
    cut -f 2 "$DATA/own.keyed" >"$DATA/own.ndjson"
    cut -f 2 "$DATA/derived.keyed" >"$DATA/derived.ndjson"
    events "$EVENTS" --ids --poison 0.01 --start "$FIRST_EVENT" >"$DATA/poison.ndjson"
    count_good <"$DATA/poison.ndjson" >"$DATA/poison.good"
    # only the server can refuse these
    sed '1~2s/"action_type":"[a-z_]*"/"action_type":"dance"/' "$DATA/own.ndjson" >"$DATA/refused.ndjson"
    count_good <"$DATA/refused.ndjson" >"$DATA/refused.good"
    : >"$DATA/complete"
}

# The events that the table takes, told by what test/support/events does to the others.
count_good() {
    awk '!/^\{"id":/ || !/"timestamp":"[^"]*"\}$/ || /"action_type":"dance"/ || /"no-uuid-/ ||
         /"duration_ms":"long"/ || /"agent_name":null/ || /"yesterday-ish"/ { next }
         { good++ } END { print good + 0 }'
}

# ---- servers

start_postgres() {
    local setting
    local -a options=()
    for setting in "${SETTINGS[@]}"; do
        options+=(-c "$setting")
    done
    say "starting PostgreSQL"
    "$ROOT/scripts/dev-postgres" "${options[@]}" "$STATE/postgres"
    # shellcheck disable=SC1091 # written just now
    . "$STATE/postgres/env"
    unset PGSERVICE PGPASSWORD PGOPTIONS
}

start_kafka() {
    say "starting Kafka"
    "$ROOT/test/kafka/start" "$STATE/kafka"
    # shellcheck disable=SC1091 # written just now
    . "$STATE/kafka/env"
}

stop_servers() {
    local server
    for server in "$ROOT/scripts/dev-postgres:postgres" "$ROOT/test/kafka/start:kafka"; do
        [[ ! -d $STATE/${server##*:} ]] || "${server%:*}" --destroy "$STATE/${server##*:}" || true
    done
}

kafka_version() {
    local jars=${KAFKA_JARS:-$ROOT/build/kafka/lib} jar
    [[ -e $STATE/kafka/env ]] || { printf 'none\n' && return; }
    jar=$(basename "$(find "$jars" -name 'kafka_2.13-*.jar' | head -n 1)" .jar)
    printf '%s\n' "${jar#kafka_2.13-}"
}

# ---- tables, and files of ready-made rows

prepare_tables() {
    say "making tables, and files for \\copy"
    sql "$(<"$ROOT/sql/schema.sql")"
    sql 'CREATE TABLE replayed (LIKE agent_actions INCLUDING ALL)'
    # What it says does not matter here: an interval without a unit is in seconds.
    sql 'CREATE TABLE text_path (LIKE agent_actions INCLUDING ALL, duration interval)'
    if is_chosen own-ids duplicates pipeline; then
        make_rows own agent_actions own
    fi
    if is_chosen derived-ids pipeline-derived; then
        make_rows derived agent_actions derived
    fi
    if is_chosen text-path; then
        make_rows own text_path text
    fi
    if is_chosen duplicates; then
        sql "\\copy replayed from '$STATE/own.copy'"
    fi
}

# The rows that pgsink makes of the events, as a file: the peers get exactly the same.
make_rows() { # EVENTS TABLE NAME
    local -a maps
    map_options "$2"
    sql "TRUNCATE $2"
    pgsink -T "$2" "${maps[@]}" <"$DATA/$1.ndjson" >"$STATE/rejects" || fail "pgsink failed"
    [[ $(count_rows "$2") == "$EVENTS" ]] || fail "$2 has $(count_rows "$2") rows of $EVENTS"
    sql "\\copy $2 to '$STATE/$3.copy'"
}

# Sets `maps`, what pgsink must be told about a table that is not agent_actions.
map_options() { # TABLE
    maps=()
    [[ $1 == agent_actions ]] || maps+=(--map created_at=timestamp)
    [[ $1 != text_path ]] || maps+=(--map duration=duration_ms)
}

# ---- topics

prepare_topics() {
    local data
    make_topic empty
    for data in own derived; do
        [[ $data == own ]] || is_chosen pipeline-derived || continue
        say "filling topic $data"
        make_topic "$data"
        kcat -P -b "$KAFKA_BROKERS" -t "$data" -K $'\t' -l "$DATA/$data.keyed"
    done
    # /dev/null does not tell how many lines it got, so the topic is counted here.
    [[ $(count_records own) == "$EVENTS" ]] || fail "topic own does not have $EVENTS records"
}

prepare_python() {
    PYTHON=$BUILD/bench/python/bin/python3
    export PYTHON
    [[ ! -x $PYTHON ]] || ! "$PYTHON" -c 'import confluent_kafka, psycopg2' 2>/dev/null || return 0
    say "getting the Python clients"
    python3 -m venv "$BUILD/bench/python"
    "$PYTHON" -m pip -q install confluent-kafka psycopg2-binary >&2
}
