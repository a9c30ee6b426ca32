# backfill.bash - `agent-actions backfill`: events of files to the table.
# shellcheck disable=SC2154 # $scratch is of make_scratch

backfill_usage() {
    cat <<'USAGE'
Usage: agent-actions backfill [OPTION]... FILE...

Writes the events of files to the table: one JSON object a line, plain or compressed (.gz, .zst); - is
stdin. Events that are there already are counted, not added: it is safe to run again.

  --rejects FILE      append events that cannot be stored to FILE, with the error (else to stdout)
  --batch-size N      events a transaction (1000)
  --config FILE
  -- OPTION...        further options for pgsink, behind the files
USAGE
}

# The file's lines on stdout.
open_input() { # FILE
    case $1 in
    -) cat ;;
    *.gz) gzip -dc -- "$1" ;;
    *.zst | *.zstd) zstd -dcq -- "$1" ;;
    esac
}

backfill_filters() {
    if [[ -n $rejects ]]; then
        "$EXEC_PATH/batch" --progress -n "$batch_size" | "$EXEC_PATH/pgsink" "${sink_options[@]}" |
            "$EXEC_PATH/dlq" -o "$rejects" >/dev/null
    else
        "$EXEC_PATH/batch" --progress -n "$batch_size" | "$EXEC_PATH/pgsink" "${sink_options[@]}"
    fi
}

backfill_file() { # FILE
    case $1 in
    - | *.gz | *.zst | *.zstd) open_input "$1" | backfill_filters ;;
    *) backfill_filters <"$1" ;; # batch sees the file itself, and knows how long it will take
    esac
}

backfill_summary() {
    "$EXEC_PATH/healthd" --once --stats "$AGENT_ACTIONS_STATS" 2>/dev/null |
        jq -r '[.pipelines[].counters] | map(to_entries) | add // [] | from_entries
            | "\(.events_read) events read: \(.rows_inserted) inserted, \(.rows_duplicate) duplicates, "
              + "\(.rows_rejected + .rejects_passed) rejected"' ||
        printf 'no figures\n'
}

backfill_command() {
    local rejects='' batch_size=1000 config='' file status=0 failed=0 interrupted=''
    local -a files=() sink_options=()
    while (($#)); do
        case $1 in
        --help) backfill_usage && return ;;
        --) shift && sink_options=("$@") && break ;;
        --*=*)
            set -- "${1%%=*}" "${1#*=}" "${@:2}"
            continue
            ;;
        --rejects | --batch-size | --config)
            option_value "$@"
            printf -v "$(tr - _ <<<"${1#--}")" %s "$2"
            shift
            ;;
        -) files+=(-) ;;
        -*) bad_usage "backfill: $1 is no option" ;;
        *) files+=("$1") ;;
        esac
        shift
    done
    ((${#files[@]})) || bad_usage "backfill: no file"
    [[ $batch_size =~ ^[1-9][0-9]{0,8}$ ]] || bad_usage "--batch-size \"$batch_size\": must be a number from 1"
    for file in "${files[@]}"; do
        [[ $file == - || (-r $file && ! -d $file) ]] || die 66 "could not read $file"
    done
    load_config "$config"
    need_tools batch pgsink dlq healthd
    need_command jq backfill
    make_scratch
    export AGENT_ACTIONS_STATS=$scratch/stats
    # Ctrl-C reaches the tools too: they finish the batch they have. We stay for the summary.
    trap 'interrupted=yes' INT TERM
    for file in "${files[@]}"; do
        status=0
        backfill_file "$file" || status=$?
        ((status == 0)) || {
            log ERROR "backfill: $file: ended with status $status$(explain_status "$status")"
            ((failed)) || failed=$status
        }
        # What stopped one file, such as a wrong password, would stop the next; bad lines at the end do not.
        [[ -z $interrupted && ($status == 0 || $status == 65) ]] || break
    done
    printf 'backfill: %s\n' "$(backfill_summary)" >&2
    [[ -z $interrupted ]] || return 130
    return "$failed"
}
