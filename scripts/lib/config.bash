# config.bash - the configuration: from the environment and a JSON file, which wins; every fault is named.
#
# load_config FILE sets and exports KAFKA_BROKERS, KAFKA_GROUP_ID, KAFKA_TOPIC, BATCH_SIZE, BATCH_TIMEOUT_MS,
# HEALTH_CHECK_PORT, HEALTH_CHECK_ADDRESS, TOOL_OPTIONS for each tool of a pipeline, what the tools read of TLS and SASL (lib/common/kafka_config.h has
# the names), and libpq's PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSWORD, PGSSLMODE, PGSSLROOTCERT, PGSSLCERT
# and PGSSLKEY; and sets KAFKA_OPTIONS, the options that tell a tool about Kafka. libpq's other variables
# (PGPASSFILE ...) are left as they are. A secret is never printed and never in argv; where NAME is not set,
# NAME_FILE may name a file that has it, as Docker, Kubernetes and systemd hand secrets over.

# shellcheck source=scripts/lib/credentials.bash
. "$LIBRARY/credentials.bash"

# NAME | environment, first one that is set | members of the JSON file | default | what it must be
readonly CONFIG_TABLE=(
    'KAFKA_BROKERS|KAFKA_BROKERS KAFKA_BOOTSTRAP_SERVERS|kafka_brokers kafka_bootstrap_servers|localhost:9092|brokers'
    'KAFKA_GROUP_ID|KAFKA_GROUP_ID|group_id kafka_group_id|agent-actions-postgres|text'
    'KAFKA_TOPIC|KAFKA_TOPIC|topic kafka_topic|agent-actions|topic'
    'KAFKA_CONFIG_FILE|KAFKA_CONFIG_FILE|kafka_config_file||file'
    'KAFKA_SECURITY_PROTOCOL|KAFKA_SECURITY_PROTOCOL|kafka_security_protocol||protocol'
    'KAFKA_SASL_MECHANISM|KAFKA_SASL_MECHANISM|kafka_sasl_mechanism||mechanism'
    'KAFKA_SASL_USERNAME|KAFKA_SASL_USERNAME|kafka_sasl_username||anything'
    'KAFKA_SASL_PASSWORD|KAFKA_SASL_PASSWORD|kafka_sasl_password||secret'
    'KAFKA_SSL_CA_LOCATION|KAFKA_SSL_CA_LOCATION|kafka_ssl_ca_location||file'
    'KAFKA_SSL_CERTIFICATE_LOCATION|KAFKA_SSL_CERTIFICATE_LOCATION|kafka_ssl_certificate_location||file'
    'KAFKA_SSL_KEY_LOCATION|KAFKA_SSL_KEY_LOCATION|kafka_ssl_key_location||file'
    'KAFKA_SSL_KEY_PASSWORD|KAFKA_SSL_KEY_PASSWORD|kafka_ssl_key_password||secret'
    'POSTGRES_HOST|POSTGRES_HOST PGHOST|postgres_host|localhost|text'
    'POSTGRES_PORT|POSTGRES_PORT PGPORT|postgres_port|5436|port'
    'POSTGRES_DATABASE|POSTGRES_DATABASE PGDATABASE|postgres_database|omninode_bridge|text'
    'POSTGRES_USER|POSTGRES_USER PGUSER|postgres_user|postgres|text'
    'POSTGRES_PASSWORD|POSTGRES_PASSWORD PGPASSWORD|postgres_password||secret'
    'POSTGRES_SSLMODE|POSTGRES_SSLMODE PGSSLMODE|postgres_sslmode||sslmode'
    'POSTGRES_SSLROOTCERT|POSTGRES_SSLROOTCERT PGSSLROOTCERT|postgres_sslrootcert||file'
    'POSTGRES_SSLCERT|POSTGRES_SSLCERT PGSSLCERT|postgres_sslcert||file'
    'POSTGRES_SSLKEY|POSTGRES_SSLKEY PGSSLKEY|postgres_sslkey||file'
    'BATCH_SIZE|BATCH_SIZE|batch_size|100|count'
    'BATCH_TIMEOUT_MS|BATCH_TIMEOUT_MS|batch_timeout_ms|1000|milliseconds'
    'HEALTH_CHECK_PORT|HEALTH_CHECK_PORT|health_check_port|8080|any_port'
    'HEALTH_CHECK_ADDRESS|HEALTH_CHECK_ADDRESS|health_check_address|127.0.0.1|text'
    'LOG_LEVEL|LOG_LEVEL|log_level||level'
    'KCAT_ACTIONS_OPTIONS|KCAT_ACTIONS_OPTIONS|kcat_actions_options||anything'
    'BATCH_OPTIONS|BATCH_OPTIONS|batch_options||anything'
    'PGSINK_OPTIONS|PGSINK_OPTIONS|pgsink_options||anything'
    'DLQ_OPTIONS|DLQ_OPTIONS|dlq_options||anything'
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
    if [[ -n ${CONFIG_MEMBER[postgres_password]-}${CONFIG_MEMBER[kafka_sasl_password]-}${CONFIG_MEMBER[kafka_ssl_key_password]-} &&
        $(stat -Lc %a "$file") != *0 ]]; then
        log WARNING "--config $file holds a password and other users can read it: chmod 600 $file"
    fi
}

# Takes the setting's value from the file, else the environment, else the default. A secret has two settings
# more, NAME_FILE and MEMBER_file, each of which counts where the other of its kind is not set.
find_value() { # NAME ENVIRONMENT MEMBERS DEFAULT KIND
    local name=$1 candidate
    local -a environment members
    read -ra environment <<<"$2"
    read -ra members <<<"$3"
    if [[ $5 == secret ]]; then
        environment+=("${name}_FILE")
        members=("${members[0]}_file" "${members[@]}") # the last one that is there counts
    fi
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
    if [[ $5 == secret && ${CONFIG_SOURCE[$name]} == *_@(FILE|file) ]]; then
        read_secret "$name"
    fi
}

# The value is the path of a file; the secret is its first line.
read_secret() { # NAME
    local path=${CONFIG[$1]} line=''
    CONFIG[$1]=''
    if [[ ! -r $path || -d $path ]]; then
        CONFIG_FAULTS+=("the ${CONFIG_SOURCE[$1]}: $path could not be read")
        return
    fi
    IFS= read -r line <"$path" || true # a last line needs no newline
    CONFIG[$1]=${line%$'\r'}
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
    protocol)
        [[ -z $2 || ${2^^} =~ ^(PLAINTEXT|SSL|SASL_PLAINTEXT|SASL_SSL)$ ]] ||
            printf 'must be PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL'
        ;;
    mechanism)
        [[ -z $2 || $2 =~ ^(PLAIN|SCRAM-SHA-256|SCRAM-SHA-512|OAUTHBEARER|GSSAPI)$ ]] ||
            printf 'must be PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or GSSAPI'
        ;;
    sslmode)
        [[ -z $2 || $2 =~ ^(disable|allow|prefer|require|verify-ca|verify-full)$ ]] ||
            printf 'must be disable, allow, prefer, require, verify-ca or verify-full'
        ;;
    esac
}

check_value() { # NAME KIND
    local fault
    fault=$(fault_of "$2" "${CONFIG[$1]}")
    [[ -z $fault ]] || CONFIG_FAULTS+=("$1 \"${CONFIG[$1]}\" (from the ${CONFIG_SOURCE[$1]}): $fault")
}

is_set() { # NAME
    [[ -n ${CONFIG[$1]} ]]
}

# What is right by itself, and wrong beside the others. What KAFKA_CONFIG_FILE has we do not know.
check_together() {
    local protocol=${CONFIG[KAFKA_SECURITY_PROTOCOL]^^} name
    if [[ $protocol == SASL_* && ${CONFIG[KAFKA_SASL_MECHANISM]} =~ ^(PLAIN$|SCRAM) ]] && ! is_set KAFKA_CONFIG_FILE; then
        for name in KAFKA_SASL_USERNAME KAFKA_SASL_PASSWORD; do
            is_set "$name" || CONFIG_FAULTS+=("KAFKA_SECURITY_PROTOCOL $protocol with ${CONFIG[KAFKA_SASL_MECHANISM]} needs $name: set it")
        done
    fi
    if [[ $protocol == SASL_* ]] && ! is_set KAFKA_SASL_MECHANISM && ! is_set KAFKA_CONFIG_FILE; then
        CONFIG_FAULTS+=("KAFKA_SECURITY_PROTOCOL $protocol needs KAFKA_SASL_MECHANISM: set it, for one to SCRAM-SHA-512")
    fi
    if ! is_set KAFKA_CONFIG_FILE; then
        if [[ $protocol != SASL_* ]] && is_set KAFKA_SASL_USERNAME; then
            CONFIG_FAULTS+=("KAFKA_SASL_USERNAME is set and would not be used: set KAFKA_SECURITY_PROTOCOL to SASL_SSL (or SASL_PLAINTEXT)")
        fi
        if [[ $protocol != *SSL ]] && is_set KAFKA_SSL_CA_LOCATION; then
            CONFIG_FAULTS+=("KAFKA_SSL_CA_LOCATION is set and would not be used: set KAFKA_SECURITY_PROTOCOL to SSL or SASL_SSL")
        fi
    fi
    for name in KAFKA_SSL_CERTIFICATE_LOCATION:KAFKA_SSL_KEY_LOCATION KAFKA_SSL_KEY_LOCATION:KAFKA_SSL_CERTIFICATE_LOCATION \
        POSTGRES_SSLCERT:POSTGRES_SSLKEY POSTGRES_SSLKEY:POSTGRES_SSLCERT; do
        if is_set "${name%:*}" && ! is_set "${name#*:}" && ! is_set KAFKA_CONFIG_FILE; then
            CONFIG_FAULTS+=("${name%:*} needs ${name#*:} beside it: set both, or none")
        fi
    done
    if [[ ${CONFIG[POSTGRES_SSLMODE]} == verify-* && ! -r ${HOME-}/.postgresql/root.crt ]] && ! is_set POSTGRES_SSLROOTCERT; then
        CONFIG_FAULTS+=("POSTGRES_SSLMODE ${CONFIG[POSTGRES_SSLMODE]} needs the certificate of the CA: set POSTGRES_SSLROOTCERT to its file")
    fi
}

# The file of KAFKA_CONFIG_FILE wins over all else, and librdkafka has two names for the brokers.
take_brokers_of_kafka_file() {
    local file=${CONFIG[KAFKA_CONFIG_FILE]} brokers
    [[ -r $file && ! -d $file ]] || return 0
    brokers=$(sed -nE 's/^[ \t]*(bootstrap\.servers|metadata\.broker\.list)=(.*[^ \t\r])[ \t\r]*$/\2/p' "$file" | tail -n 1)
    [[ -z $brokers ]] || CONFIG[KAFKA_BROKERS]=$brokers CONFIG_SOURCE[KAFKA_BROKERS]="KAFKA_CONFIG_FILE $file"
}

# Sets CONFIG, CONFIG_SOURCE and CONFIG_FAULTS.
read_config() { # FILE (may be empty)
    local row name environment members default kind key
    [[ -z $1 ]] || read_config_file "$1"
    take_credentials
    for row in "${CONFIG_TABLE[@]}"; do
        IFS='|' read -r name environment members default kind <<<"$row"
        find_value "$name" "$environment" "$members" "$default" "$kind"
    done
    take_brokers_of_kafka_file
    for row in "${CONFIG_TABLE[@]}"; do
        check_value "${row%%|*}" "${row##*|}"
    done
    for key in "${!CONFIG_MEMBER_TYPE[@]}"; do
        log WARNING "configuration: $1: \"$key\" is not known, and not used"
    done
    check_together
}

# Ends with 78 when there are faults, after naming them all.
end_with_faults() {
    local fault
    ((${#CONFIG_FAULTS[@]})) || return 0
    for fault in "${CONFIG_FAULTS[@]}"; do
        log ERROR "configuration: $fault"
    done
    exit 78
}

load_config() { # FILE (may be empty)
    read_config "$1"
    end_with_faults
    export_config
}

# One line a setting: name, value, where it comes from.
print_config() { # FILE (may be empty)
    local row name environment members default kind value
    read_config "$1"
    for row in "${CONFIG_TABLE[@]}"; do
        IFS='|' read -r name environment members default kind <<<"$row"
        value=${CONFIG[$name]:--}
        [[ $kind != secret || $value == - ]] || value='(secret)'
        printf '%-31s %-38s %s\n' "$name" "$value" "${CONFIG_SOURCE[$name]}"
    done
    end_with_faults
}

export_if_set() { # VARIABLE NAME
    unset "$1"
    ! is_set "$2" || export "$1=${CONFIG[$2]}"
}

export_config() {
    local name
    for name in KAFKA_BROKERS KAFKA_GROUP_ID KAFKA_TOPIC BATCH_SIZE BATCH_TIMEOUT_MS HEALTH_CHECK_PORT \
        HEALTH_CHECK_ADDRESS {KCAT_ACTIONS,BATCH,PGSINK,DLQ}_OPTIONS; do
        export "$name=${CONFIG[$name]}"
    done
    export PGHOST=${CONFIG[POSTGRES_HOST]} PGPORT=${CONFIG[POSTGRES_PORT]}
    export PGDATABASE=${CONFIG[POSTGRES_DATABASE]} PGUSER=${CONFIG[POSTGRES_USER]}
    # An empty one would hide ~/.pgpass, or the file of KAFKA_CONFIG_FILE.
    unset POSTGRES_PASSWORD POSTGRES_PASSWORD_FILE KAFKA_SASL_PASSWORD_FILE KAFKA_SSL_KEY_PASSWORD_FILE
    export_if_set PGPASSWORD POSTGRES_PASSWORD
    export_if_set PGSSLMODE POSTGRES_SSLMODE
    export_if_set PGSSLROOTCERT POSTGRES_SSLROOTCERT
    export_if_set PGSSLCERT POSTGRES_SSLCERT
    export_if_set PGSSLKEY POSTGRES_SSLKEY
    for name in KAFKA_SECURITY_PROTOCOL KAFKA_SASL_{MECHANISM,USERNAME,PASSWORD} KAFKA_SSL_{CA,CERTIFICATE,KEY}_LOCATION \
        KAFKA_SSL_KEY_PASSWORD; do
        export_if_set "$name" "$name"
    done
    CONFIG[POSTGRES_PASSWORD]='' CONFIG[KAFKA_SASL_PASSWORD]='' CONFIG[KAFKA_SSL_KEY_PASSWORD]=''
    CONFIG_MEMBER=()
    [[ -z ${CONFIG[LOG_LEVEL]} ]] || export LOG_LEVEL=${CONFIG[LOG_LEVEL]^^}
    KAFKA_OPTIONS=(-b "$KAFKA_BROKERS")
    [[ -z ${CONFIG[KAFKA_CONFIG_FILE]} ]] || KAFKA_OPTIONS+=(-F "${CONFIG[KAFKA_CONFIG_FILE]}")
}
