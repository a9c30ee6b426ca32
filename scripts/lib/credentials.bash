# credentials.bash - secrets from files rather than from the environment, which more people get to see.
#
#   POSTGRES_PASSWORD_FILE           a file with the password, as container platforms mount it
#   systemd's credentials            (LoadCredential=, in $CREDENTIALS_DIRECTORY)
#     postgres_password              the password
#     kafka_config                   what KAFKA_CONFIG_FILE names: librdkafka's properties, with SASL's secret
#
# What the environment has itself goes before; --config FILE before all.

# Sets what load_config then finds, without exporting it. Faults are added to CONFIG_FAULTS.
take_credentials() {
    local file=${POSTGRES_PASSWORD_FILE-} directory=${CREDENTIALS_DIRECTORY-}
    if [[ -z $file && -n $directory && -e $directory/postgres_password ]]; then
        file=$directory/postgres_password
    fi
    if [[ -n $file && -z ${POSTGRES_PASSWORD-}${PGPASSWORD-} ]]; then
        if [[ -r $file && ! -d $file ]]; then
            POSTGRES_PASSWORD=$(<"$file") # without the line's end
        else
            CONFIG_FAULTS+=("POSTGRES_PASSWORD_FILE \"$file\": must be a file that can be read")
        fi
    fi
    if [[ -z ${KAFKA_CONFIG_FILE-} && -n $directory && -e $directory/kafka_config ]]; then
        KAFKA_CONFIG_FILE=$directory/kafka_config
    fi
}
