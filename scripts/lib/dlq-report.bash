# dlq-report.bash - `agent-actions dlq-report`: what the dead letters failed by. kcat-actions reads them, jq counts.
# shellcheck disable=SC2154 # $scratch is of make_scratch

dlq_report_usage() {
    cat <<'USAGE'
Usage: agent-actions dlq-report [OPTION]... [FILE...]

Reads the dead letter queue to its end and says how many events failed by what: error class, SQLSTATE and
column, when, from which topics and partitions, with samples. Nothing is committed, so that it may be run at
any time. With FILEs (- is stdin) it reads those in place of the queue: lines of `kcat-actions -t TOPIC-dlq`, or
of `dlq -o FILE`.

  --topic TOPIC     the dead letter queue (KAFKA_TOPIC-dlq)
  --since TIME      only what came in since then: 2026-11-23, 2026-11-23T18:00Z, "2 hours ago"
  --samples N       so many samples of each kind (1)
  --json            the whole as one JSON object
  --config FILE
USAGE
}

# A letter (a record of the queue, or a reject of a file) as what the report needs of it. A raw one (dlq
# --format raw) has all but the event in its headers.
# shellcheck disable=SC2016 # jq's variables
dlq_report_letter='
def time: if type == "number" then . / 1000 | todate else . end;
def headers: (if .headers_encoding then map_values(if type == "array" then [range(0; length) as $i
        | if $i % 2 == 1 then .[$i] | @base64d else .[$i] end] else . end) else . end | .headers // []) as $h
    | reduce range(0; $h | length; 2) as $i ({}; .[$h[$i]] = $h[$i + 1]);
def letter: headers as $h
| if $h["dlq.format"] == "raw" then # first: its payload may be no JSON, which the reader calls an error
      {error: ($h["dlq.error.details"] // "{}" | fromjson? // {}), at: $h["dlq.failed_at"], topic: $h["dlq.source.topic"],
       partition: (($h["dlq.source.partition"] | tonumber?) // null),
       offset: (($h["dlq.source.offset"] | tonumber?) // null), event: .payload}
  elif .error | type == "object" then # a reject as it is
      {error, at: .error.at, topic, partition, offset, event: .payload}
  elif (.payload | type) == "object" and (.payload | has("original_event")) then
      .payload | {error: ((.details // {}) + {message: .error}), at: .failed_at, topic: .source.topic,
                  partition: .source.partition, offset: .source.offset, event: .original_event}
  else
      {error: {class: "unknown", message: "no dead letter of this suite"}, at: .ts, topic, partition, offset,
       event: .payload}
  end
| .at |= time;
# What is no object, or has something else where we look into an object, is none of ours.
. as $line
| (try (fromjson | objects | letter | select(.error | type == "object")) catch null)
    // {error: {class: "unreadable", message: "no line of a dead letter queue"}, event: $line}
| select($since == "" or (.at // "") >= $since)'

# Counted while read: memory holds the kinds and their samples, not the letters.
# shellcheck disable=SC2016 # jq's variables
dlq_report_count='
def earlier($t): if . == null or ($t != null and $t < .) then $t else . end;
def later($t): if . == null or ($t != null and $t > .) then $t else . end;
def seen($l): .count += 1 | .first |= earlier($l.at) | .last |= later($l.at);
reduce inputs as $l ({count: 0, first: null, last: null, kinds: {}, sources: {}};
    seen($l)
    | ([$l.error.tool, $l.error.class, $l.error.sqlstate, $l.error.column] | tojson) as $kind
    | .kinds[$kind] |= ((. // {tool: $l.error.tool, class: $l.error.class, sqlstate: $l.error.sqlstate,
            column: $l.error.column, count: 0, first: null, last: null, samples: []})
        | seen($l)
        | if .samples | length < $samples then
              .samples += [$l | {topic, partition, offset, at, message: .error.message, event}] else . end)
    | ([$l.topic, $l.partition] | tojson) as $source
    | .sources[$source] |= ((. // {topic: $l.topic, partition: $l.partition, count: 0}) | .count += 1))
| .kinds |= (to_entries | map(.value) | sort_by(-.count))
| .sources |= (to_entries | map(.value) | sort_by(-.count))'

dlq_report_text='
def figure: if . == null then "-" else tostring end;
def short: tostring | if length > 160 then .[:160] + "..." else . end;
if .count == 0 then "no dead letters" else
    "\(.count) dead letters, from \(.first | figure) to \(.last | figure)",
    "",
    (["COUNT", "CLASS", "SQLSTATE", "COLUMN", "FIRST", "LAST"] | @tsv),
    (.kinds[] | [.count, .class, .sqlstate, .column, .first, .last] | map(figure) | @tsv),
    "",
    (["COUNT", "TOPIC", "PARTITION"] | @tsv),
    (.sources[] | [.count, .topic, .partition] | map(figure) | @tsv),
    "",
    (.kinds[] | "\(.class | figure) \(.sqlstate | figure) \(.column | figure):",
        (.samples[] | "  \(.topic | figure)/\(.partition | figure)/\(.offset | figure) at \(.at | figure): \(.message | short)",
                      "    \(.event | tojson | short)"))
end'

# Columns at the same place, where a line has tabs.
align() {
    awk -F'\t' 'NF > 1 { printf "%9s  %-12s", $1, $2
            for (i = 3; i <= NF; i++) printf i == NF ? "  %s" : "  %-24s", $i
            print ""; next } { print }'
}

dlq_report_input() { # FILE...
    if (($#)); then
        cat -- "$@"
    else
        "$EXEC_PATH/kcat-actions" "${KAFKA_OPTIONS[@]}" -t "${topic:-$KAFKA_TOPIC-dlq}" -e
    fi
}

dlq_report_command() {
    local topic='' since='' moment='' samples=1 json='' config='' status
    local -a files=() statuses=()
    while (($#)); do
        case $1 in
        --help) dlq_report_usage && return ;;
        --json) json=yes ;;
        --*=*)
            set -- "${1%%=*}" "${1#*=}" "${@:2}"
            continue
            ;;
        --topic | --since | --samples | --config)
            option_value "$@"
            printf -v "${1#--}" %s "$2"
            shift
            ;;
        -) files+=(-) ;;
        -*) bad_usage "dlq-report: $1 is no option" ;;
        *) files+=("$1") ;;
        esac
        shift
    done
    need_command jq dlq-report
    [[ $samples =~ ^[0-9]{1,4}$ ]] || bad_usage "--samples \"$samples\": must be a number"
    if [[ -n $since ]]; then
        moment=$(TZ=UTC0 date -u -d "$since" +%Y-%m-%dT%H:%M:%S 2>/dev/null) || bad_usage "--since \"$since\": is no time"
    fi
    if ((${#files[@]} == 0)); then
        load_config "$config"
        need_tools kcat-actions
    fi
    make_scratch
    dlq_report_input "${files[@]}" | jq -R -c --arg since "$moment" "$dlq_report_letter" |
        jq -n --argjson samples "$samples" "$dlq_report_count" >"$scratch/report" || statuses=("${PIPESTATUS[@]}")
    for status in "${statuses[@]}"; do
        ((status == 0)) || die "$status" "dlq-report: could not read the dead letters: see above"
    done
    if [[ -n $json ]]; then
        cat "$scratch/report"
    else
        jq -r "$dlq_report_text" "$scratch/report" | align
    fi
}
