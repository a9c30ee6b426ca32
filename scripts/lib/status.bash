# status.bash - `agent-actions status`: how the pipelines that run here are.

status_usage() {
    cat <<'USAGE'
Usage: agent-actions status [--json] [--stats FILE]

Shows the figures of the pipelines that run on this machine, as this user or as a service. Ends with 0 if all is well, 1 if
not, 69 if nothing runs.

  --json         all figures, as /metrics has them
  --stats FILE   the counters' file, where there are several ($AGENT_ACTIONS_STATS)
USAGE
}

# The counters' files of supervisors that live, one a line.
find_stats() {
    local directory runtime_directory=${RUNTIME_DIRECTORY-}
    local -a found=()
    runtime_directory=${runtime_directory%%:*}
    shopt -s nullglob
    found=(${runtime_directory:+"$runtime_directory"} /run/agent-actions /run/agent-actions@*
        "${XDG_RUNTIME_DIR:-/nonexistent}"/agent-actions.* "${TMPDIR:-/tmp}"/agent-actions.*)
    shopt -u nullglob
    for directory in "${found[@]}"; do
        # A service's directory belongs to the service's user, and root may ask. In /tmp anybody may have made a
        # directory of that name: there only our own count.
        [[ -O $directory || $directory == /run/* || $directory == "$runtime_directory" ]] || continue
        [[ -s $directory/pid && -e $directory/stats ]] || continue
        kill -0 "$(<"$directory/pid")" 2>/dev/null || continue
        printf '%s\n' "$directory/stats"
    done | sort -u
}

status_text() { # reads the metrics, and the health's JSON in $1
    jq -r --argjson health "$1" '
        def figure: if . == null then "never" else tostring end;
        "status       \($health.status)" + (($health.reasons // []) | map("\n             " + tostring) | add // ""),
        "consumed     \(.messages_consumed), \(.messages_per_second | . * 10 | round / 10) a second",
        "inserted     \(.messages_inserted)",
        "duplicates   \(.messages_duplicate)",
        "failed       \(.messages_failed)",
        "in flight    \(.messages_in_flight)",
        "lag          \(.consumer_lag)",
        "batches      \(.batches_processed), \(.avg_batch_processing_ms | . * 100 | round / 100) ms each",
        "last commit  \(.last_commit_time | figure)",
        "up           \(.uptime_seconds | floor) s",
        (.pipelines[] | "pipeline \(.pipeline)   " + (.tools | to_entries
            | map(.key + " " + (if .value.alive then "\(.value.pid)" else "gone" end)) | join(", ")))'
}

status_command() {
    local json='' stats=${AGENT_ACTIONS_STATS-} health='' status=0
    local -a found
    while (($#)); do
        case $1 in
        --help) status_usage && return ;;
        --json) json=yes ;;
        --stats) option_value "$@" && stats=$2 && shift ;;
        --stats=*) stats=${1#*=} ;;
        *) bad_usage "status: $1 is no option" ;;
        esac
        shift
    done
    need_tools healthd
    if [[ -z $stats ]]; then
        mapfile -t found < <(find_stats)
        ((${#found[@]})) || die 69 "nothing runs here (agent-actions run starts it)"
        ((${#found[@]} == 1)) || die 64 "several run here: choose one with --stats: ${found[*]}"
        stats=${found[0]}
    fi
    health=$("$EXEC_PATH/healthd" --once --health --stats "$stats") || status=$?
    ((status <= 1)) || return "$status"
    if [[ -n $json ]]; then
        "$EXEC_PATH/healthd" --once --stats "$stats" || return
    else
        need_command jq "status without --json"
        "$EXEC_PATH/healthd" --once --stats "$stats" | status_text "$health" || return
    fi
    return "$status"
}
