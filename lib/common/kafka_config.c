#include "common/kafka_config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void kafka_config_init(struct kafka_config *config)
{
    *config = (struct kafka_config){.conf = rd_kafka_conf_new()};
}

void kafka_config_free(struct kafka_config *config)
{
    if (config->conf)
        rd_kafka_conf_destroy(config->conf);
    config->conf = NULL;
}

bool kafka_config_default(struct kafka_config *config, const char *property, const char *value)
{
    char reason[256];
    return rd_kafka_conf_set(config->conf, property, value, reason, sizeof reason) == RD_KAFKA_CONF_OK;
}

char *kafka_config_set(struct kafka_config *config, const char *assignment)
{
    const char *equals = strchr(assignment, '=');
    if (!equals || equals == assignment)
        return xasprintf("\"%s\" is not of the form PROPERTY=VALUE", assignment);
    cleanup_free char *property = xstrndup(assignment, (size_t)(equals - assignment));
    char reason[512];
    /* kcat takes "topic.PROPERTY" for topic properties; librdkafka takes them without the prefix. */
    const char *name = strncmp(property, "topic.", 6) == 0 && strncmp(property, "topic.metadata", 14) != 0 &&
                               strncmp(property, "topic.blacklist", 15) != 0
                           ? property + 6
                           : property;
    if (rd_kafka_conf_set(config->conf, name, equals + 1, reason, sizeof reason) == RD_KAFKA_CONF_OK)
        return NULL;
    return xasprintf("%s: %s", property, reason);
}

static void trim(char *text)
{
    size_t len = strlen(text), skip = strspn(text, " \t");
    while (len > skip && strchr(" \t\r\n", text[len - 1]))
        len--;
    memmove(text, text + skip, len - skip);
    text[len - skip] = '\0';
}

char *kafka_config_read_file(struct kafka_config *config, const char *path)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return xasprintf("could not open %s: %s", path, strerror(errno));
    cleanup_free char *line = NULL;
    char *error = NULL;
    size_t capacity = 0;
    for (unsigned number = 1; !error && getline(&line, &capacity, file) >= 0; number++) {
        trim(line);
        if (!*line || *line == '#')
            continue;
        cleanup_free char *reason = kafka_config_set(config, line);
        if (reason)
            error = xasprintf("%s, line %u: %s", path, number, reason);
    }
    fclose(file);
    return error;
}

static const char *brokers_of_environment(void)
{
    static const char *const names[] = {"KAFKA_BROKERS", "KAFKA_BOOTSTRAP_SERVERS"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return value;
    }
    return "localhost:9092";
}

rd_kafka_conf_t *kafka_config_take(struct kafka_config *config, char **error)
{
    char reason[256];
    size_t size = 0;
    const char *brokers = config->brokers;
    *error = NULL;
    rd_kafka_conf_res_t has = rd_kafka_conf_get(config->conf, "bootstrap.servers", NULL, &size);
    if (!brokers && (has != RD_KAFKA_CONF_OK || size <= 1))
        brokers = brokers_of_environment();
    if (brokers && rd_kafka_conf_set(config->conf, "bootstrap.servers", brokers, reason, sizeof reason) !=
                       RD_KAFKA_CONF_OK) {
        *error = xasprintf("brokers \"%s\": %s", brokers, reason);
        return NULL;
    }
    rd_kafka_conf_t *conf = config->conf;
    config->conf = NULL;
    return conf;
}

enum kafka_verdict kafka_judge(rd_kafka_resp_err_t error)
{
    switch (error) {
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
        return KAFKA_FORBIDDEN;
    case RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED:
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
    case RD_KAFKA_RESP_ERR__INVALID_ARG:
    case RD_KAFKA_RESP_ERR__SSL:
    case RD_KAFKA_RESP_ERR__FATAL:
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
    case RD_KAFKA_RESP_ERR_INVALID_GROUP_ID:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
    case RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION:
        return KAFKA_BROKEN;
    default:
        return KAFKA_RETRIES;
    }
}
