#include "common/kafka_config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Environment name by property. scripts/lib/config.bash has the same names. */
static const struct {
    const char *name, *property;
} settings[] = {
    {"KAFKA_SECURITY_PROTOCOL", "security.protocol"},
    {"KAFKA_SASL_MECHANISM", "sasl.mechanisms"},
    {"KAFKA_SASL_USERNAME", "sasl.username"},
    {"KAFKA_SASL_PASSWORD", "sasl.password"},
    {"KAFKA_SSL_CA_LOCATION", "ssl.ca.location"},
    {"KAFKA_SSL_CERTIFICATE_LOCATION", "ssl.certificate.location"},
    {"KAFKA_SSL_KEY_LOCATION", "ssl.key.location"},
    {"KAFKA_SSL_KEY_PASSWORD", "ssl.key.password"},
};

/* The file's text without the line break at its end: an editor puts one there. NULL and *error if not. */
static char *read_secret(const char *name, const char *path, char **error)
{
    FILE *file = fopen(path, "re");
    char *text = NULL;
    size_t capacity = 0;
    ssize_t len = file ? getdelim(&text, &capacity, '\0', file) : -1;
    if (!file || ferror(file)) {
        *error = xasprintf("%s: could not read %s: %s", name, path, strerror(errno));
        free(text);
        text = NULL;
    } else if (len < 0) {
        free(text);
        text = xstrdup("");
    } else {
        text[strcspn(text, "\r\n")] = '\0';
    }
    if (file)
        fclose(file);
    return text;
}

/* The value of NAME, else what is in the file that NAME_FILE names. NULL: neither is set, or *error. */
static char *value_of(const char *name, char **error)
{
    const char *value = getenv(name);
    if (value && *value)
        return xstrdup(value);
    cleanup_free char *file_name = xasprintf("%s_FILE", name);
    const char *path = getenv(file_name);
    return path && *path ? read_secret(file_name, path, error) : NULL;
}

char *kafka_config_environment(struct kafka_config *config)
{
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        char *error = NULL, reason[512];
        cleanup_free char *value = value_of(settings[i].name, &error);
        if (error)
            return error;
        if (value && rd_kafka_conf_set(config->conf, settings[i].property, value, reason, sizeof reason) !=
                         RD_KAFKA_CONF_OK)
            return xasprintf("%s: %s", settings[i].name, reason);
    }
    return NULL;
}
