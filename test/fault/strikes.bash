# shellcheck shell=bash disable=SC2153,SC2154 # campaign has the variables
# strikes.bash - for the campaign: what befalls the pipelines. Each strike says what it does, does it, and
# undoes it where that is to be done. Chances come from `roll`, so that a seed gives the same sequence.

STRIKES=(kill_kcat_actions kill_batch kill_pgsink kill_dlq kill_pipeline kill_healthd kill_supervisor kill_two
    stop_kcat_actions stop_pgsink stop_pipeline crash_postgres end_sessions forbid_writing crash_broker stop_broker
    lock_table kill_while_locked refuse_dead_letters drain_supervisor)

# Sets ROLL to a number from 0 to N - 1. (Lehmer's generator; bash's own starts anew in each subshell.)
roll() { # N
    RANDOM_STATE=$((RANDOM_STATE * 16807 % 2147483647))
    ROLL=$((RANDOM_STATE % $1))
}

# Sets BAG to the strikes in an order of chance.
fill_bag() {
    local i other
    BAG=("${STRIKES[@]}")
    for ((i = ${#BAG[@]} - 1; i > 0; i--)); do
        roll $((i + 1))
        other=${BAG[ROLL]} BAG[ROLL]=${BAG[i]} BAG[i]=$other
    done
}

strike() { # NAME
    "$1" || say "$1: there is nothing to strike now"
}

# ---- whom

runtime() {
    local -a found
    shopt -s nullglob
    found=("$WORK"/runtime/agent-actions.*)
    shopt -u nullglob
    ((${#found[@]})) && printf '%s\n' "${found[0]}"
}

# Sets PIPELINE.
roll_pipeline() {
    roll "$PIPELINES"
    PIPELINE=$ROLL
}

# Sets PID; fails where the tool does not run.
find_tool() { # TOOL PIPELINE
    local file
    file=$(runtime)/pipeline-$2/$1.pid
    PID=$(cat "$file" 2>/dev/null) && [[ -n $PID ]] && kill -0 "$PID" 2>/dev/null
}

# What belongs to the supervisor: each has the name of its counters in its environment.
offspring() {
    grep -lsz "^AGENT_ACTIONS_STATS=$WORK/" /proc/[0-9]*/environ | cut -d / -f 3
}

# ---- processes that die

kill_tool() { # TOOL
    roll_pipeline
    find_tool "$1" "$PIPELINE" || return
    say "kill -9 $1 of pipeline $PIPELINE"
    kill -KILL "$PID"
}

kill_kcat_actions() { kill_tool kcat-actions; }
kill_batch() { kill_tool batch; }
kill_pgsink() { kill_tool pgsink; }
kill_dlq() { kill_tool dlq; }

kill_two() {
    local -a tools=(kcat-actions batch pgsink dlq) pids=()
    local tool what=''
    for _ in 1 2; do
        roll 4
        tool=${tools[ROLL]}
        roll_pipeline
        find_tool "$tool" "$PIPELINE" || continue
        pids+=("$PID") what+=" $tool of pipeline $PIPELINE,"
    done
    ((${#pids[@]})) || return
    say "kill -9 at once:${what%,}"
    kill -KILL "${pids[@]}"
}

kill_pipeline() {
    local tool
    roll_pipeline
    for tool in pgsink dlq batch kcat-actions; do
        find_tool "$tool" "$PIPELINE" && break
    done || return
    say "kill -9 the script of pipeline $PIPELINE"
    kill -KILL "$(ps -o ppid= -p "$PID" | tr -d ' ')"
}

kill_healthd() {
    local pid
    pid=$(pgrep -P "$SUPERVISOR" -x healthd) || return
    say "kill -9 healthd"
    kill -KILL "$pid"
}

# Nothing of it may live on.
kill_supervisor() {
    say "kill -9 agent-actions run"
    kill -KILL "$SUPERVISOR"
    wait "$SUPERVISOR" 2>/dev/null || true
    wait_until 10 no_offspring || blame "orphans 10 s after the supervisor was killed: $(offspring | xargs ps -o pid=,args= -p)"
    offspring | xargs -r kill -KILL
    rm -rf "$WORK"/runtime/agent-actions.* # it had no time to
    start_supervisor
}

no_offspring() {
    [[ -z $(offspring) ]]
}

# It is told to end in the middle of all.
drain_supervisor() {
    say "SIGTERM to agent-actions run"
    stop_supervisor
    start_supervisor
}

# ---- processes that stand still for longer than their session

stop_for_a_while() { # WHAT PID...
    local what=$1 seconds
    shift
    roll 3
    seconds=$((SESSION_TIMEOUT + 2 + ROLL))
    say "SIGSTOP $what for $seconds s"
    kill -STOP "$@" 2>/dev/null || true
    sleep "$seconds"
    kill -CONT "$@" 2>/dev/null || true
}

stop_kcat_actions() {
    roll_pipeline
    find_tool kcat-actions "$PIPELINE" || return
    stop_for_a_while "kcat-actions of pipeline $PIPELINE" "$PID"
}

stop_pgsink() {
    roll_pipeline
    find_tool pgsink "$PIPELINE" || return
    stop_for_a_while "pgsink of pipeline $PIPELINE" "$PID"
}

stop_pipeline() {
    local tool
    local -a pids=()
    roll_pipeline
    for tool in kcat-actions batch pgsink dlq; do
        find_tool "$tool" "$PIPELINE" || return
        pids+=("$PID")
    done
    stop_for_a_while "all tools of pipeline $PIPELINE" "${pids[@]}"
}

# ---- servers

crash_postgres() {
    say "PostgreSQL: immediate stop"
    kill -QUIT "$(<"$WORK/postgres/pid")" # as pg_ctl stop -m immediate
    wait_until 20 postgres_is_gone || true
    roll 3
    sleep "$ROLL"
    "$ROOT/scripts/dev-postgres" "$WORK/postgres" >>"$WORK/servers.log" 2>&1 || blame "PostgreSQL did not start again"
    say "PostgreSQL runs again"
}

postgres_is_gone() {
    ! kill -0 "$(<"$WORK/postgres/pid")" 2>/dev/null
}

end_sessions() {
    say "PostgreSQL: all sessions ended"
    admin "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE '%pgsink%'" \
        >/dev/null || true
}

forbid_writing() {
    say "PostgreSQL: read only"
    admin "ALTER SYSTEM SET default_transaction_read_only = on" && admin "SELECT pg_reload_conf()" >/dev/null
    roll 3
    sleep $((2 + ROLL))
    admin "ALTER SYSTEM RESET default_transaction_read_only" && admin "SELECT pg_reload_conf()" >/dev/null
    say "PostgreSQL: writable again"
}

# pgsink's sessions have a lock_timeout. The comparisons cannot read while it is ACCESS EXCLUSIVE.
lock_table() {
    local mode=EXCLUSIVE
    roll 4
    ((ROLL)) || mode="ACCESS EXCLUSIVE"
    roll 8
    say "the table is locked ($mode) for $((2 + ROLL)) s"
    admin "BEGIN; SET LOCAL lock_timeout = 0; LOCK TABLE agent_actions IN $mode MODE; SELECT pg_sleep($((2 + ROLL)))" \
        >/dev/null || true
}

# The group shares out anew while nothing in flight can become safe: longer, by chance, than a drain may take.
kill_while_locked() {
    local lock
    lock_table &
    lock=$!
    sleep 1
    kill_kcat_actions || true
    wait "$lock"
}

stop_broker() {
    stop_for_a_while Kafka "$(<"$WORK/kafka/pid")"
}

crash_broker() {
    local pid
    pid=$(<"$WORK/kafka/pid")
    say "Kafka: kill -9"
    kill -KILL "$pid"
    wait_until 20 is_gone "$pid" || true
    roll 4
    sleep "$ROLL"
    "$ROOT/test/kafka/start" "$WORK/kafka" >>"$WORK/servers.log" 2>&1 || blame "Kafka did not start again"
    say "Kafka runs again"
}

# The dead letter queue asks for more replicas than there are.
refuse_dead_letters() {
    limit_dead_letters 1 || return
    say "Kafka refuses dead letters"
    roll 4
    sleep $((3 + ROLL))
    limit_dead_letters 1048588 || blame "the dead letter queue's limit could not be set back"
    say "Kafka takes dead letters again"
}

limit_dead_letters() { # BYTES
    timeout 40 java -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -cp "$JARS/*" kafka.admin.ConfigCommand \
        --bootstrap-server "$KAFKA_BROKERS" --alter --entity-type topics --entity-name "$TOPIC-dlq" \
        --add-config "max.message.bytes=$1" >>"$WORK/servers.log" 2>&1
}
