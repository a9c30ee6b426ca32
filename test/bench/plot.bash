# plot.bash - how the cost of an event grows, as SVG: `run --plot`. Sourced by run, behind the others.
#
# A sweep is one picture: some series of points, each measured as the table's contenders are (measure.bash).
# A point is what an event costs in microseconds: of the wall, of PostgreSQL's CPU, of our tools' CPU together.
# shellcheck shell=bash disable=SC2153,SC2154 # run's variables

PLOTS=$BUILD/bench/plots
BATCH_SIZES=(10 30 100 300 1000 3000 10000)
EVENT_SIZES=(200 500 1000 3000 10000 30000 100000)
TABLE_ROWS=(0 1 3 10) # times the events
PIPELINES=(1 2 3 4)

check_plot_programs() {
    command -v gnuplot >/dev/null ||
        fail "gnuplot is missing: apt-get install --no-install-recommends gnuplot-nox"
}

# Runs a contender once and adds its point to a series: X WALL DATABASE TOOLS.
point() { # SWEEP SERIES X CONTENDER DATA TABLE
    local before after
    before=$(wc -l <"$STATE/samples")
    measure "$1|$4|$5|$6|$2, $3" 1
    after=$(wc -l <"$STATE/samples")
    ((after > before)) || return 0
    tail -n 1 "$STATE/samples" | awk -F '\t' -v x="$3" '{ for (i = 10; i <= NF; i += 3) tools += $i
        printf "%s\t%.3f\t%.3f\t%.3f\n", x, $4 / $5, $7 / $5, tools / $5 }' >>"$STATE/points.$1.$2"
}

# Medians of the runs, one line for each X, in the order of X.
medians() { # FILE
    local x column
    while read -r x; do
        printf '%s' "$x"
        for column in 2 3 4; do
            awk -F '\t' -v x="$x" -v column="$column" '$1 == x { print $column }' "$1" | sort -n |
                awk '{ value[NR] = $1 } END { printf "\t%s", value[int((NR + 1) / 2)] }'
        done
        printf '\n'
    done < <(cut -f1 "$1" | sort -nu)
}

# ---- the sweeps

sweep_batch_size() {
    local size
    for size in "${BATCH_SIZES[@]}"; do
        BATCH_SIZE=$size MAX_ROWS=$size point batch-size 'a transaction each' "$size" batch_pgsink own agent_actions
        BATCH_SIZE=$size point batch-size 'as many as wait' "$size" batch_pgsink own agent_actions
    done
}

# 30 MB of each size at most. The text is random: PostgreSQL cannot compress it.
sweep_event_size() {
    local size EVENTS=$EVENTS
    for size in "${EVENT_SIZES[@]}"; do
        EVENTS=$((ALL_EVENTS * size > 30000000 ? 30000000 / size : ALL_EVENTS))
        [[ -s $DATA/size-$size.ndjson ]] || sized_events "$size" "$EVENTS" >"$DATA/size-$size.ndjson"
        point event-size pgsink "$size" pgsink "size-$size" agent_actions
    done
}

sized_events() { # BYTES EVENTS
    head -c 150000 /dev/urandom | base64 -w 0 >"$STATE/random"
    head -n "$2" "$DATA/own.ndjson" | awk -v size="$1" -v random="$STATE/random" '
        BEGIN { getline text < random }
        match($0, /^\{"id":"[^"]*","correlation_id":"[^"]*",/) {
            event = substr($0, 1, RLENGTH) "\"agent_name\":\"a\",\"action_type\":\"error\",\"action_name\":\"n\""
            room = size - length(event) - length(",\"action_details\":{\"t\":\"\"}}")
            print event (room > 0 ? ",\"action_details\":{\"t\":\"" substr(text, 1 + NR % 1000, room) "\"}" : "") "}"
        }'
}

# Random ids, the worst case: each row goes to another page of the primary key. Each time other events.
sweep_table_rows() {
    local times
    for times in "${TABLE_ROWS[@]}"; do
        fill_table "$((times * EVENTS))"
        events "$EVENTS" --ids --seed "$SRANDOM" --start "$FIRST_EVENT" >"$DATA/fresh.ndjson"
        point table-rows pgsink "$((times * EVENTS))" pgsink fresh grown
    done
    sql 'TRUNCATE grown'
    rm "$DATA/fresh.ndjson"
}

fill_table() { # ROWS
    sql "INSERT INTO grown SELECT gen_random_uuid(), gen_random_uuid(), 'agent-' || i % 7,
        (ARRAY['tool_call', 'decision', 'error', 'success'])[1 + i % 4], 'Read', '{\"file\": \"some/file\", \"lines\": 3}',
        i % 5 > 0, i % 3000, now() - i * interval '10 ms'
        FROM generate_series(1, $1 - (SELECT count(*) FROM grown)) i"
}

sweep_pipelines() {
    local number
    for number in "${PIPELINES[@]}"; do
        PIPELINE_COUNT=$number point pipelines 'from Kafka' "$number" fixed_pipelines own agent_actions
    done
}

# ---- the pictures

# SWEEP TITLE X-AXIS [linear]
draw() {
    local series file number=0
    local -a lines=()
    for file in "$STATE/points.$1."*; do
        [[ -e $file ]] || return 0
        series=${file#"$STATE/points.$1."}
        medians "$file" >"$PLOTS/$1.$number.tsv"
        [[ $series != *' '* ]] || series=", $series"
        [[ $series == ,* ]] || series=''
        lines+=("'$PLOTS/$1.$number.tsv' using 1:2 title 'time$series' with linespoints lt $((3 * number + 1)) lw 2"
            "'' using 1:3 title 'CPU of PostgreSQL$series' with linespoints lt $((3 * number + 2))"
            "'' using 1:4 title 'CPU of our tools$series' with linespoints lt $((3 * number + 3))")
        number=$((number + 1))
    done
    gnuplot <<GNUPLOT
set terminal svg size 720,440 dynamic background rgb 'white' font 'sans-serif,13'
set output '$PLOTS/$1.svg'
set title '$2'
set xlabel '$3'
set ylabel 'microseconds an event'
set grid
set key top right
set yrange [0:]
$([[ ${4-} == linear ]] || printf 'set logscale x\n')
$([[ $1 != event-size ]] || printf 'set logscale y\nset yrange [*:*]\nset key top left\n')
plot $(printf '%s, ' "${lines[@]}" | sed 's/, $//')
GNUPLOT
}

plot() {
    local round
    ALL_EVENTS=$EVENTS
    mkdir -p "$PLOTS"
    sql 'CREATE TABLE grown (LIKE agent_actions INCLUDING ALL)'
    for ((round = 1; round <= RUNS; round++)); do
        sweep_batch_size
        sweep_event_size
        sweep_table_rows
        sweep_pipelines
    done
    draw batch-size "$EVENTS events from a file, by the size of the batch" 'events in a batch'
    draw event-size 'Events from a file, by their size' 'bytes of an event'
    draw table-rows "$EVENTS events with random ids, by the rows in the table" 'rows already there' linear
    draw pipelines "$EVENTS events from Kafka, by the number of pipelines" 'pipelines' linear
    say "pictures and their figures: $PLOTS"
}
