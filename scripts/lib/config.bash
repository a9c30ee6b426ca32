# config.bash - the configuration: from the environment and a JSON file, which wins; every fault is named.
#
# load_config FILE sets and exports KAFKA_BROKERS, KAFKA_GROUP_ID, KAFKA_TOPIC, BATCH_SIZE, BATCH_TIMEOUT_MS,
# HEALTH_CHECK_PORT, HEALTH_CHECK_ADDRESS and libpq's PGHOST, PGPORT, PGDATABASE, PGUSER and PGPASSWORD, and
# sets KAFKA_OPTIONS, the options that tell a tool about Kafka. libpq's other variables (PGSSLMODE,
# PGPASSFILE …) are left as they are. A password is never printed and never in argv.

# shellcheck source=scripts/lib/credentials.bash
. "$LIBRARY/credentials.bash"

# NAME | environment, first one that is set | members of the JSON file | default | what it must be
readonly CONFIG_TABLE=(
    'KAFKA_BROKERS|KAFKA_BROKERS KAFKA_BOOTSTRAP_SERVERS|kafka_brokers kafka_bootstrap_servers|localhost:9092|brokers'
    'KAFKA_GROUP_ID|KAFKA_GROUP_ID|group_id kafka_group_id|agent-actions-postgres|text'
    'KAFKA_TOPIC|KAFKA_TOPIC|topic kafka_topic|agent-actions|topic'
    'KAFKA_CONFIG_FILE|KAFKA_CONFIG_FILE|kafka_config_file||file'
    'POSTGRES_HOST|POSTGRES_HOST PGHOST|postgres_host|localhost|text'
    'POSTGRES_PORT|POSTGRES_PORT PGPORT|postgres_port|5436|port'
    'POSTGRES_DATABASE|POSTGRES_DATABASE PGDATABASE|postgres_database|omninode_bridge|text'
    'POSTGRES_USER|POSTGRES_USER PGUSER|postgres_user|postgres|text'
    'POSTGRES_PASSWORD|POSTGRES_PASSWORD PGPASSWORD|postgres_password||anything'
    'BATCH_SIZE|BATCH_SIZE|batch_size|100|count'
    'BATCH_TIMEOUT_MS|BATCH_TIMEOUT_MS|batch_timeout_ms|1000|milliseconds'
    'HEALTH_CHECK_PORT|HEALTH_CHECK_PORT|health_check_port|8080|any_port'
    'HEALTH_CHECK_ADDRESS|HEALTH_CHECK_ADDRESS|health_check_address|127.0.0.1|text'
    'LOG_LEVEL|LOG_LEVEL|log_level||level'
)

declare -A CONFIG=() CONFIG_SOURCE=()
declare -A CONFIG_MEMBER=()      # of the file: value by name
declare -A CONFIG_MEMBER_TYPE=() # and its JSON type
CONFIG_FAULTS=()
KAFKA_OPTIONS=()

# Reads the file into CONFIG_MEMBER. jq puts a NUL behind each part, so that a value may hold any character.
read_config_file() { # FILE
    local file=$1 key type value fault
    if [[ ! -r $file || -d $file ]]; then
        CONFIG_FAULTS+=("--config $file: could not be read")
        return
    fi
    if ! command -v jq >/dev/null; then
        CONFIG_FAULTS+=("--config needs jq, which is not installed")
        return
    fi
    # jq's own message shows a piece of the text it cannot read: it may be a password.
    if ! fault=$(jq -n 'input | type' "$file" 2>/dev/null) || [[ $fault != '"object"' ]]; then
        CONFIG_FAULTS+=("--config $file: is not a JSON object")
        return
    fi
    while IFS= read -r -d '' key && IFS= read -r -d '' type && IFS= read -r -d '' value; do
        CONFIG_MEMBER[$key]=$value
        CONFIG_MEMBER_TYPE[$key]=$type
    done < <(jq -j 'to_entries[] | .key, "\u0000", (.value | type), "\u0000",
        (.value | if type == "array" then map(tostring) | join(",") else tostring end), "\u0000"' "$file")
    if [[ -n ${CONFIG_MEMBER[postgres_password]-} && $(stat -Lc %a "$file") != *0 ]]; then
        log WARNING "--config $file holds a password and other users can read it: chmod 600 $file"
    fi
}

# Takes the setting's value from the file, else the environment, else the default.
find_value() { # NAME ENVIRONMENT MEMBERS DEFAULT
    local name=$1 candidate
    local -a environment members
    read -ra environment <<<"$2"
    read -ra members <<<"$3"
    CONFIG[$name]=$4 CONFIG_SOURCE[$name]=default
    for candidate in "${environment[@]}"; do
        if [[ -n ${!candidate-} ]]; then
            CONFIG[$name]=${!candidate} CONFIG_SOURCE[$name]="environment's $candidate"
            break
        fi
    done
    for candidate in "${members[@]}"; do
        [[ -n ${CONFIG_MEMBER_TYPE[$candidate]-} ]] || continue
        case ${CONFIG_MEMBER_TYPE[$candidate]} in
        null) ;; # as if it were not there
        string | number) CONFIG[$name]=${CONFIG_MEMBER[$candidate]} CONFIG_SOURCE[$name]="file's $candidate" ;;
        array)
            CONFIG[$name]=${CONFIG_MEMBER[$candidate]} CONFIG_SOURCE[$name]="file's $candidate"
            [[ $candidate == kafka_* ]] ||
                CONFIG_FAULTS+=("the file's $candidate must be a string or a number, not an array")
            ;;
        *) CONFIG_FAULTS+=("the file's $candidate must be a string or a number, not ${CONFIG_MEMBER_TYPE[$candidate]}") ;;
        esac
        unset "CONFIG_MEMBER_TYPE[$candidate]"
    done
}

is_number_between() { # TEXT LOW HIGH
    [[ $1 =~ ^[0-9]{1,9}$ ]] && ((10#$1 >= $2 && 10#$1 <= $3))
}

is_broker_list() { # TEXT
    local broker
    local pattern='^([A-Za-z_]+://)?([A-Za-z0-9._-]+|\[[0-9A-Fa-f:]+\])(:([0-9]+))?$'
    local -a brokers
    [[ $1 != *, ]] || return 1
    IFS=, read -ra brokers <<<"$1"
    ((${#brokers[@]})) || return 1
    for broker in "${brokers[@]}"; do
        [[ ${broker// /} =~ $pattern ]] || return 1
        [[ -z ${BASH_REMATCH[4]} ]] || is_number_between "${BASH_REMATCH[4]}" 1 65535 || return 1
    done
}

# Says what is wrong with a value, or nothing.
fault_of() { # KIND VALUE
    case $1 in
    brokers) is_broker_list "$2" || printf 'must be HOST:PORT, several apart by commas' ;;
    text) [[ -n $2 ]] || printf 'must not be empty' ;;
    topic)
        # room for "-dlq" in the 249 characters that Kafka allows
        [[ $2 =~ ^[A-Za-z0-9._-]{1,245}$ && $2 != . && $2 != .. ]] ||
            printf "must be a topic's name: at most 245 letters, digits, dots, dashes and underscores"
        ;;
    file) [[ -z $2 || (-r $2 && ! -d $2) ]] || printf 'must be a file that can be read' ;;
    port) is_number_between "$2" 1 65535 || printf 'must be a number from 1 to 65535' ;;
    any_port) is_number_between "$2" 0 65535 || printf 'must be a number from 0 (any free port) to 65535' ;;
    count) is_number_between "$2" 1 999999999 || printf 'must be a number from 1' ;;
    milliseconds) is_number_between "$2" 0 999999999 || printf 'must be a number of milliseconds from 0' ;;
    level)
        [[ -z $2 || ${2^^} =~ ^(DEBUG|INFO|WARNING|ERROR)$ ]] ||
            printf 'must be DEBUG, INFO, WARNING or ERROR'
        ;;
    esac
}

check_value() { # NAME KIND
    local fault
    fault=$(fault_of "$2" "${CONFIG[$1]}")
    [[ -z $fault ]] || CONFIG_FAULTS+=("$1 \"${CONFIG[$1]}\" (from the ${CONFIG_SOURCE[$1]}): $fault")
}

# Ends with 78 when there are faults, after naming them all.
load_config() { # FILE (may be empty)
    local row name environment members default kind key fault
    [[ -z $1 ]] || read_config_file "$1"
    take_credentials
    for row in "${CONFIG_TABLE[@]}"; do
        IFS='|' read -r name environment members default kind <<<"$row"
        find_value "$name" "$environment" "$members" "$default"
        check_value "$name" "$kind"
    done
    for key in "${!CONFIG_MEMBER_TYPE[@]}"; do
        log WARNING "configuration: $1: \"$key\" is not known, and not used"
    done
    if ((${#CONFIG_FAULTS[@]})); then
        for fault in "${CONFIG_FAULTS[@]}"; do
            log ERROR "configuration: $fault"
        done
        exit 78
    fi
    export_config
}

export_config() {
    local name
    for name in KAFKA_BROKERS KAFKA_GROUP_ID KAFKA_TOPIC BATCH_SIZE BATCH_TIMEOUT_MS HEALTH_CHECK_PORT \
        HEALTH_CHECK_ADDRESS; do
        export "$name=${CONFIG[$name]}"
    done
    export PGHOST=${CONFIG[POSTGRES_HOST]} PGPORT=${CONFIG[POSTGRES_PORT]}
    export PGDATABASE=${CONFIG[POSTGRES_DATABASE]} PGUSER=${CONFIG[POSTGRES_USER]}
    unset POSTGRES_PASSWORD PGPASSWORD # an empty one would hide ~/.pgpass
    [[ -z ${CONFIG[POSTGRES_PASSWORD]} ]] || export PGPASSWORD=${CONFIG[POSTGRES_PASSWORD]}
    CONFIG[POSTGRES_PASSWORD]=''
    CONFIG_MEMBER=()
    [[ -z ${CONFIG[LOG_LEVEL]} ]] || export LOG_LEVEL=${CONFIG[LOG_LEVEL]^^}
    KAFKA_OPTIONS=(-b "$KAFKA_BROKERS")
    [[ -z ${CONFIG[KAFKA_CONFIG_FILE]} ]] || KAFKA_OPTIONS+=(-F "${CONFIG[KAFKA_CONFIG_FILE]}")
}
