# log.bash - messages of the scripts, on stderr, in the form of the tools' (lib/common/log.h):
#
#     2026-11-23 18:00:00,123 - agent-actions - INFO - pipeline 0 has started
#
# or as JSON objects with LOG_FORMAT=json. LOG_LEVEL is the least level shown (WARNING if unset).
# PROGRAM is the name that it gives.

log_rank() { # LEVEL: its rank in LOG_RANK; an unknown level is INFO, as for the tools
    case ${1^^} in
    DEBUG) LOG_RANK=0 ;;
    INFO) LOG_RANK=1 ;;
    WARNING) LOG_RANK=2 ;;
    ERROR) LOG_RANK=3 ;;
    *) LOG_RANK=1 ;;
    esac
}

log() { # LEVEL MESSAGE
    local least now milliseconds date
    log_rank "${LOG_LEVEL:-WARNING}"
    least=$LOG_RANK
    log_rank "$1"
    ((LOG_RANK >= least)) || return 0
    now=${EPOCHREALTIME/,/.}
    milliseconds=${now#*.}
    milliseconds=${milliseconds:0:3}
    TZ=UTC0 printf -v date '%(%Y-%m-%d %H:%M:%S)T' "${now%.*}"
    if [[ ${LOG_FORMAT-} == [jJ][sS][oO][nN] ]] && command -v jq >/dev/null; then
        jq -cn --arg time "${date/ /T}.${milliseconds}Z" --arg level "$1" --arg tool "$PROGRAM" \
            --arg message "$2" '$ARGS.named' >&2
    else
        printf '%s,%s - %s - %s - %s\n' "$date" "$milliseconds" "$PROGRAM" "$1" "$2" >&2
    fi
}

die() { # STATUS MESSAGE
    log ERROR "$2"
    exit "$1"
}

# What an exit status means, in parentheses, or nothing.
explain_status() { # STATUS
    local meaning=''
    case $1 in
    64) meaning="wrong usage" ;;
    65) meaning="bad input" ;;
    66) meaning="no input" ;;
    69) meaning="unavailable" ;;
    74) meaning="input or output failed" ;;
    75) meaning="to be tried again" ;;
    77) meaning="no permission" ;;
    78) meaning="configuration" ;;
    *) (($1 <= 128)) || meaning="signal $(kill -l "$1" 2>/dev/null || printf '%s' "$(($1 - 128))")" ;;
    esac
    [[ -z $meaning ]] || printf ' (%s)' "$meaning"
}
