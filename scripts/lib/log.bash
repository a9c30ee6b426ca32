# log.bash - messages of the scripts, on stderr, in the form of the tools' (lib/common/log.h):
#
#     2026-11-23 18:00:00,123 - agent-actions - INFO - pipeline 0 has started
#
# or as JSON objects with LOG_FORMAT=json. LOG_LEVEL is the least level shown (WARNING if unset).
# PROGRAM is the name that it gives. Where stderr is systemd's journal, a line begins with its priority.

# systemd names the device and inode of the stream that it has given us; we may have been redirected.
LOG_IS_JOURNAL=''
if [[ -n ${JOURNAL_STREAM-} && $(stat -Lc %d:%i /proc/self/fd/2) == "$JOURNAL_STREAM" ]]; then
    LOG_IS_JOURNAL=yes
fi

# Sets JSON_STRING. In bash alone: messages must be JSON where jq is missing, too. Bytes that are no UTF-8
# become question marks.
write_json_string() { # TEXT
    local LC_ALL=C text=$1 character code
    local utf8=$'^([\x01-\x7f]|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2})*$'
    [[ $text =~ $utf8 ]] || text=${text//[$'\x80'-$'\xff']/?}
    text=${text//\\/\\\\}
    text=${text//\"/\\\"}
    while [[ $text =~ [$'\x01'-$'\x1f'] ]]; do
        character=${BASH_REMATCH[0]}
        printf -v code '\\u%04x' "'$character"
        text=${text//"$character"/"$code"}
    done
    JSON_STRING=\"$text\"
}

readonly LOG_PRIORITIES=(7 6 4 3) # by rank (syslog(3))

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
    local least now milliseconds date prefix=''
    log_rank "${LOG_LEVEL:-WARNING}"
    least=$LOG_RANK
    log_rank "$1"
    ((LOG_RANK >= least)) || return 0
    now=${EPOCHREALTIME/,/.}
    milliseconds=${now#*.}
    milliseconds=${milliseconds:0:3}
    TZ=UTC0 printf -v date '%(%Y-%m-%d %H:%M:%S)T' "${now%.*}"
    [[ -z $LOG_IS_JOURNAL ]] || prefix="<${LOG_PRIORITIES[LOG_RANK]}>"
    if [[ ${LOG_FORMAT-} == [jJ][sS][oO][nN] ]]; then
        write_json_string "$2"
        printf '%s{"time":"%sT%s.%sZ","level":"%s","tool":"%s","message":%s}\n' "$prefix" "${date% *}" "${date#* }" \
            "$milliseconds" "$1" "$PROGRAM" "$JSON_STRING" >&2
    else
        printf '%s%s,%s - %s - %s - %s\n' "$prefix" "$date" "$milliseconds" "$PROGRAM" "$1" \
            "${2//[[:cntrl:]]/ }" >&2
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
