# credentials.bash - systemd's credentials (LoadCredential=): files that nobody else gets to see.
#
#   postgres_password   what POSTGRES_PASSWORD_FILE names: the password
#   kafka_config        what KAFKA_CONFIG_FILE names: librdkafka's properties, with SASL's secret
#
# What the environment has itself goes before; --config FILE before all.

take_credentials() {
    local directory=${CREDENTIALS_DIRECTORY-}
    [[ -n $directory ]] || return 0
    if [[ -z ${POSTGRES_PASSWORD_FILE-} && -e $directory/postgres_password ]]; then
        POSTGRES_PASSWORD_FILE=$directory/postgres_password
    fi
    if [[ -z ${KAFKA_CONFIG_FILE-} && -e $directory/kafka_config ]]; then
        KAFKA_CONFIG_FILE=$directory/kafka_config
    fi
}
