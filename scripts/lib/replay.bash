# replay.bash - `agent-actions replay`: the originals of dead letters to where they came from.
# shellcheck disable=SC2154 # $scratch is of make_scratch

replay_usage() {
    cat <<'USAGE'
Usage: agent-actions replay [OPTION]... [-- OPTION...]

Publishes the originals of the dead letters (TOPIC-dlq) to the topics they came from, once each for a
consumer group, and ends when it has reached the end.

  --topic TOPIC       the dead letter queue (KAFKA_TOPIC-dlq)
  --group GROUP       the group that remembers how far it came (KAFKA_GROUP_ID-replay)
  --select JQ         only those for which the jq program is true; its input is the dead letter. The others
                      count as done for this group
  --config FILE
  -- OPTION...        further options for kcat-actions
USAGE
}

# The acks' way back is a fifo. Both ends are open before the tools start, so that none waits in open() and
# dlq never sees a fifo without a reader; kcat-actions opens it again, by its name.
replay_pipeline() { # TOPIC GROUP KCAT_ACTIONS_OPTION...
    local fifo=$scratch/acks topic=$1 group=$2 both reader acks
    shift 2
    mkfifo -m 600 "$fifo"
    exec {both}<>"$fifo"
    exec {reader}<"$fifo"
    exec {acks}>"$fifo"
    exec {both}>&-
    "$EXEC_PATH/kcat-actions" "${KAFKA_OPTIONS[@]}" -X auto.offset.reset=earliest -g "$group" -t "$topic" \
        --acks "$fifo" -e "$@" {acks}>&- |
        "$EXEC_PATH/dlq" --replay "${KAFKA_OPTIONS[@]}" >&"$acks" {acks}>&- {reader}<&- &
    exec {acks}>&- {reader}<&-
    wait $!
}

replay_command() {
    local topic='' group='' config='' status=0
    local -a options=()
    while (($#)); do
        case $1 in
        --help) replay_usage && return ;;
        --) shift && options+=("$@") && break ;;
        --*=*)
            set -- "${1%%=*}" "${1#*=}" "${@:2}"
            continue
            ;;
        --select) option_value "$@" && options+=(--select "$2") && shift ;;
        --topic) option_value "$@" && topic=$2 && shift ;;
        --group) option_value "$@" && group=$2 && shift ;;
        --config) option_value "$@" && config=$2 && shift ;;
        *) bad_usage "replay: $1 is no option" ;;
        esac
        shift
    done
    load_config "$config"
    need_tools kcat-actions dlq
    make_scratch
    export AGENT_ACTIONS_STATS=$scratch/stats
    replay_pipeline "${topic:-$KAFKA_TOPIC-dlq}" "${group:-$KAFKA_GROUP_ID-replay}" "${options[@]}" || status=$?
    ((status == 0)) || log ERROR "replay: ended with status $status$(explain_status "$status")"
    return "$status"
}
