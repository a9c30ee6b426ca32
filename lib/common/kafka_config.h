/* kafka_config.h - how the tools are told about Kafka, and what its client's errors mean for them.
 *
 * Options, with kcat's letters: -b BROKERS, -X PROPERTY=VALUE, -F FILE (lines of PROPERTY=VALUE, '#' starts
 * a comment). Brokers come from -b, else from a -X or -F, else $KAFKA_BROKERS, else
 * $KAFKA_BOOTSTRAP_SERVERS, else localhost:9092. TLS and SASL may come from the environment:
 * KAFKA_SECURITY_PROTOCOL, KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD,
 * KAFKA_SSL_CA_LOCATION, KAFKA_SSL_CERTIFICATE_LOCATION, KAFKA_SSL_KEY_LOCATION, KAFKA_SSL_KEY_PASSWORD;
 * where NAME is not set, NAME_FILE may name a file with the value. A tool's own defaults are set first, then
 * the environment, then the options, so that the user's word always wins.
 */
#ifndef COMMON_KAFKA_CONFIG_H
#define COMMON_KAFKA_CONFIG_H

#include "common/memory.h"

#include <librdkafka/rdkafka.h>
#include <stdbool.h>

/* Wraps a librdkafka configuration object and what was set by the user. */
struct kafka_config {
    rd_kafka_conf_t *conf;
    const char *brokers; /* from -b; NULL: not given */
};

void kafka_config_init(struct kafka_config *config);
void kafka_config_free(struct kafka_config *config); /* not after kafka_config_take() */

/* A default of ours. False where this librdkafka does not know the property: it is left out then. */
bool kafka_config_default(struct kafka_config *config, const char *property, const char *value);
/* What the environment says about TLS and SASL. NULL, or what is wrong with it (to be freed). */
char *kafka_config_environment(struct kafka_config *config);
/* The user's -X. NULL, or why not (to be freed). */
char *kafka_config_set(struct kafka_config *config, const char *assignment);
/* The user's -F. NULL, or why not (to be freed). */
char *kafka_config_read_file(struct kafka_config *config, const char *path);
/* Settles the brokers and hands the object over to rd_kafka_new(). NULL and *error (to be freed) if not. */
rd_kafka_conf_t *kafka_config_take(struct kafka_config *config, char **error);

/* What a tool should do about an error that the client tells outside a record. */
enum kafka_verdict {
    KAFKA_RETRIES,   /* the client itself tries again: say so and go on */
    KAFKA_FORBIDDEN, /* authentication or authorization refused: EX_NOPERM */
    KAFKA_BROKEN,    /* no retry will help: a missing codec, a bad configuration: EX_CONFIG */
};
enum kafka_verdict kafka_judge(rd_kafka_resp_err_t error);
/* The client calls some faults of TLS, a refused certificate for one, a failure of transport, and only its
 * message tells the two apart: RD_KAFKA_RESP_ERR__SSL for these, else the error itself. */
rd_kafka_resp_err_t kafka_true_error(rd_kafka_resp_err_t error, const char *message);
/* What to do about an error that is not KAFKA_RETRIES. */
const char *kafka_cure(rd_kafka_resp_err_t error, const char *message);

#endif
