# helpers.bash - what the bats files share. In a bats file:
#
#   load ../support/helpers        (from test/bats; ../../support/helpers from test/bats/e2e)
#   setup()    { helpers_setup; }
#   teardown() { helpers_teardown; }
#
# ./scripts/test gives the servers by the environment: KAFKA_BROKERS, POSTGRES_*/PG*. To run one file by hand:
#   scripts/dev-broker -- scripts/dev-postgres --fast -- bats test/bats/pgsink.bats
#
# The tools are first in PATH. Each test has its own directory, $BATS_TEST_TMPDIR, and is in it.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${BUILD:-$ROOT/build}
export ROOT BUILD
export PATH="$BUILD/bin:$PATH"
# The tests' own settings, not those of whoever runs them.
unset LOG_LEVEL LOG_FORMAT AGENT_ACTIONS_STATS AGENT_ACTIONS_PIPELINE RUNTIME_DIRECTORY XDG_RUNTIME_DIR
unset BATCH_SIZE BATCH_TIMEOUT_MS KAFKA_TOPIC KAFKA_GROUP_ID KAFKA_BOOTSTRAP_SERVERS HEALTH_CHECK_PORT
export PGCONNECT_TIMEOUT=10 PSQLRC=/dev/null

# Processes started by background(), as NAME PID.
BACKGROUND=()

helpers_setup() {
    cd "$BATS_TEST_TMPDIR" || return
    BACKGROUND=()
    DATABASE_MADE=''
}

# Ends what the test started and drops its database. On failure it shows the background processes' logs.
helpers_teardown() {
    local entry log
    for entry in "${BACKGROUND[@]}"; do
        kill -KILL "${entry#* }" 2>/dev/null || true
        wait "${entry#* }" 2>/dev/null || true
    done
    if [[ -z ${BATS_TEST_COMPLETED-} ]]; then
        for log in "$BATS_TEST_TMPDIR"/*.log; do
            [[ -s $log ]] || continue
            printf -- '--- %s\n' "${log##*/}"
            tail -n 40 "$log"
        done
    fi
    [[ -z $DATABASE_MADE ]] || drop_database
    cd / || true
}

# ---- names and waiting

# A name nobody else uses: `unique topic` gives topic-3f8a0c51.
unique() { # PREFIX
    printf '%s-%08x\n' "$1" "$SRANDOM"
}

# Waits until the condition, a line of shell, holds; fails after SECONDS (20). For what takes a process, a
# broker or a database a moment:  wait_until '[[ $(count_rows) == 100 ]]' 10
wait_until() { # CONDITION [SECONDS]
    local deadline=$((SECONDS + ${2:-20}))
    until (eval "$1") >/dev/null 2>&1; do
        if ((SECONDS > deadline)); then
            printf 'still not so after %s s: %s\n' "${2:-20}" "$1" >&2
            return 1
        fi
        sleep 0.05
    done
}

# Milliseconds since some moment.
now_ms() {
    local now=${EPOCHREALTIME/[.,]/}
    printf '%s\n' "$((now / 1000))"
}

# ---- assertions: plain tests with a message. $output and $status are those of bats' `run`.

assert_equal() { # ACTUAL EXPECTED
    [[ $1 == "$2" ]] && return
    printf 'expected: %s\n  actual: %s\n' "$2" "$1" >&2
    return 1
}

assert_contains() { # TEXT PART
    [[ $1 == *"$2"* ]] && return
    printf 'not found: %s\n       in: %s\n' "$2" "$1" >&2
    return 1
}

assert_status() { # EXPECTED, after `run`
    # shellcheck disable=SC2154 # set by bats' run
    [[ $status == "$1" ]] && return
    # shellcheck disable=SC2154
    printf 'expected exit status %s, got %s, with:\n%s\n' "$1" "$status" "$output" >&2
    return 1
}

# ---- processes

# Starts a command in the background under a name. stdin: NAME.in if there is such a file, else /dev/null;
# stdout goes to NAME.out, stderr to NAME.log. (fd 3 is bats' own: a child that holds it hangs the run.)
background() { # NAME COMMAND...
    local name=$1 input=/dev/null
    shift
    [[ ! -e $name.in ]] || input=$name.in
    "$@" <"$input" >"$name.out" 2>"$name.log" 3>&- 4>&- &
    BACKGROUND+=("$name $!")
}

pid_of() { # NAME
    local entry found=''
    for entry in "${BACKGROUND[@]}"; do
        [[ ${entry% *} != "$1" ]] || found=${entry#* }
    done
    printf '%s\n' "$found"
}

signal() { # NAME SIGNAL
    kill "-$2" "$(pid_of "$1")"
}

is_running() { # NAME
    local pid
    pid=$(pid_of "$1")
    kill -0 "$pid" 2>/dev/null && ! grep -q '^State:[[:space:]]*Z' "/proc/$pid/status" 2>/dev/null
}

# Waits until the process has ended by itself, at most SECONDS (30); sets `status` to its exit status.
await() { # NAME [SECONDS]
    wait_until "! is_running $1" "${2:-30}" || return
    status=0
    wait "$(pid_of "$1")" || status=$?
}

# Sends a signal (TERM) and waits for the end; sets `status`.
stop() { # NAME [SIGNAL] [SECONDS]
    signal "$1" "${2:-TERM}" && await "$1" "${3:-30}"
}

# A counter of the first pipeline, by its name in `healthd --once`.
counter() { # NAME [STATS_FILE]
    healthd --once --stats "${2:-$AGENT_ACTIONS_STATS}" | jq ".pipelines[0].counters.$1"
}

make_fifo() { # NAME
    mkfifo -m 600 "$BATS_TEST_TMPDIR/$1" && printf '%s\n' "$BATS_TEST_TMPDIR/$1"
}

# ---- PostgreSQL

# A database of the test's own with the table, view and function of sql/schema.sql, in PGDATABASE and
# POSTGRES_DATABASE from then on. The schema is loaded once a run, into a template.
fresh_database() {
    local template=agent_actions_template
    has_database "$template" || make_template "$template" || return
    empty_database "$template"
}

has_database() { # NAME
    [[ -n $(PGDATABASE=postgres sql "SELECT 1 FROM pg_database WHERE datname = '$1'") ]]
}

# Made under another name and renamed, so that it is whole as soon as it is there. Another file's tests may be
# the first to have it.
make_template() { # NAME
    local unfinished
    unfinished=$(unique unfinished)
    PGDATABASE=postgres sql "CREATE DATABASE \"$unfinished\"" &&
        PGDATABASE=$unfinished psql -Xq -v ON_ERROR_STOP=1 -f "$ROOT/sql/schema.sql" &&
        PGDATABASE=postgres sql "ALTER DATABASE \"$unfinished\" RENAME TO $1" && return
    PGDATABASE=postgres sql "DROP DATABASE IF EXISTS \"$unfinished\""
    has_database "$1"
}

# A database of the test's own without our schema: for tables of other shapes.
empty_database() { # [TEMPLATE]
    local name
    name=$(unique test)
    PGDATABASE=postgres sql "CREATE DATABASE \"$name\" TEMPLATE ${1:-template1}" || return
    export PGDATABASE=$name POSTGRES_DATABASE=$name
    DATABASE_MADE=$name
}

# One database for a whole bats file, where one for each test would take half the time: the first and the last
# are for setup_file and teardown_file, the other is for setup.
make_file_database() {
    empty_database && export FILE_DATABASE=$PGDATABASE
}

use_file_database() {
    export PGDATABASE=$FILE_DATABASE POSTGRES_DATABASE=$FILE_DATABASE
}

drop_file_database() {
    DATABASE_MADE=$FILE_DATABASE
    drop_database
}

drop_database() {
    PGDATABASE=postgres psql -Xqc "DROP DATABASE IF EXISTS \"$DATABASE_MADE\" WITH (FORCE)" || true
    DATABASE_MADE=''
}

# Prints what a statement gives, columns apart by |, nothing else: [[ $(sql 'SELECT 1') == 1 ]]
sql() { # STATEMENT
    psql -XAtq -v ON_ERROR_STOP=1 -c "$1"
}

count_rows() { # [TABLE or TABLE WHERE …]
    sql "SELECT count(*) FROM ${1:-agent_actions}"
}

# ---- Kafka

# A topic of the test's own, ready for use; prints its name. It has four partitions.
new_topic() { # [PREFIX]
    local topic
    topic=$(unique "${1:-topic}")
    make_topic "$topic" && printf '%s\n' "$topic"
}

make_topic() { # TOPIC: asks for it until it is there, which makes it
    wait_until "kcat -L -b '$KAFKA_BROKERS' -t '$1' -m 5 | grep -q 'with [1-9][0-9]* partitions:\$'" 20
}

# Publishes the lines of stdin; further options are kcat's (-p PARTITION, -k KEY, -K :, -H name=value, -Z …).
produce() { # TOPIC [OPTION...]
    local topic=$1
    shift
    kcat -P -b "$KAFKA_BROKERS" -t "$topic" "$@"
}

# All that is in the topic (or with -p in a partition), to stdout; -f, -J and others as kcat has them.
consume() { # TOPIC [OPTION...]
    local topic=$1
    shift
    kcat -C -q -e -b "$KAFKA_BROKERS" -t "$topic" -o beginning "$@"
}

count_records() { # TOPIC
    consume "$1" -f '%o\n' | wc -l
}

# What the group has committed, a line a partition: PARTITION COMMITTED LOW HIGH ("-": nothing).
group_offsets() { # GROUP TOPIC
    group-offsets "$KAFKA_BROKERS" "$1" "$2"
}

# The sum of what the group has committed: as many records as the topic had, when all is done.
committed_records() { # GROUP TOPIC
    group_offsets "$1" "$2" | awk '$2 != "-" { sum += $2 - $3 } END { print sum + 0 }'
}

# ---- events

# N events, one a line, as test/support/events makes them: the same ones for the same seed.
events() { # N [OPTION...]
    "$ROOT/test/support/events" "$@"
}
