# publish.bash - `agent-actions publish`: one event, and a receipt once the broker has confirmed it.

publish_usage() {
    cat <<'USAGE'
Usage: agent-actions publish --agent NAME --action-type TYPE --action-name NAME [OPTION]...

Publishes one event and prints a JSON receipt once the broker has confirmed it.

  --agent NAME            who acts
  --action-type TYPE      tool_call, decision, error or success
  --action-name NAME      what is done: Read, Write, select_agent ...
  --details JSON          an object with more about it ({})
  --correlation-id UUID   what the action belongs to (a new one)
  --debug-mode            a debug event: kept for 30 days, seen in recent_debug_traces
  --duration-ms N         how long it took
  --topic TOPIC           (KAFKA_TOPIC)
  --timeout SECONDS       give up when the broker has not confirmed by then (30)
  --config FILE
USAGE
}

uuid_pattern='^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$'

# Names every fault of the options at once.
check_publish_options() {
    local -a faults=()
    local fault
    [[ -n $agent ]] || faults+=("--agent is missing")
    [[ -n $action_name ]] || faults+=("--action-name is missing")
    case $action_type in
    tool_call | decision | error | success) ;;
    '') faults+=("--action-type is missing") ;;
    *) faults+=("--action-type \"$action_type\": must be tool_call, decision, error or success") ;;
    esac
    jq -es 'length == 1 and (.[0] | type == "object")' >/dev/null 2>&1 <<<"$details" ||
        faults+=("--details: must be one JSON object")
    [[ -z $correlation_id || $correlation_id =~ $uuid_pattern ]] ||
        faults+=("--correlation-id \"$correlation_id\": must be a UUID")
    [[ $duration_ms == null || $duration_ms =~ ^[0-9]{1,10}$ ]] ||
        faults+=("--duration-ms \"$duration_ms\": must be a number of milliseconds")
    [[ $timeout =~ ^[1-9][0-9]{0,5}$ ]] ||
        faults+=("--timeout \"$timeout\": must be a number of seconds from 1")
    ((${#faults[@]})) || return 0
    for fault in "${faults[@]}"; do
        log ERROR "publish: $fault"
    done
    exit 64
}

# By jq throughout: a quote or a line break in a name is data, never syntax. The details go through as text
# at the end, since jq 1.6 makes doubles of large numbers.
build_event() {
    local head
    head=$(jq -cn --arg correlation_id "$correlation_id" --arg agent_name "$agent" \
        --arg action_type "$action_type" --arg action_name "$action_name" \
        --argjson debug_mode "$debug_mode" --argjson duration_ms "$duration_ms" \
        --arg timestamp "$(date -u +%Y-%m-%dT%H:%M:%S.%6NZ)" '$ARGS.named')
    printf '%s,"action_details":%s}\n' "${head%\}}" "$(tr '\n\r' '  ' <<<"$details")"
}

publish_command() {
    local agent='' action_type='' action_name='' details='{}' correlation_id='' debug_mode=false
    local duration_ms=null topic='' timeout=30 config='' event status=0
    while (($#)); do
        case $1 in
        --help) publish_usage && return ;;
        --debug-mode) debug_mode=true ;;
        --*=*) # once more as two words
            set -- "${1%%=*}" "${1#*=}" "${@:2}"
            continue
            ;;
        --agent | --action-type | --action-name | --details | --correlation-id | --duration-ms | --topic | \
            --timeout | --config)
            option_value "$@"
            printf -v "$(tr - _ <<<"${1#--}")" %s "$2"
            shift
            ;;
        *) bad_usage "publish: $1 is no option" ;;
        esac
        shift
    done
    need_command jq publish
    check_publish_options
    load_config "$config"
    need_tools dlq
    [[ -n $correlation_id ]] || correlation_id=$(</proc/sys/kernel/random/uuid)
    topic=${topic:-$KAFKA_TOPIC}
    event=$(build_event)
    # dlq waits for ever for its broker; a person does not.
    timeout --foreground "$timeout" "$EXEC_PATH/dlq" --publish "${KAFKA_OPTIONS[@]}" -t "$topic" \
        --key correlation_id --drain-timeout 1s <<<"$event" >/dev/null || status=$?
    if ((status)); then
        ((status != 124)) || log ERROR "publish: the broker has not confirmed the event within $timeout s"
        publish_receipt false
        return $((status == 124 ? 75 : status))
    fi
    publish_receipt true
}

publish_receipt() { # true|false
    jq -cn --argjson success "$1" --arg correlation_id "$correlation_id" --arg published_to "$KAFKA_BROKERS" \
        --arg topic "$topic" '$ARGS.named'
}
