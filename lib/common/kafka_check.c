#include "common/kafka_check.h"

#include "common/timestamp.h"

#include <string.h>
#include <sysexits.h>

#define ANSWER_TIMEOUT_US 10000000
#define ASK_TIMEOUT_MS 5000
/* A host may have several addresses ("localhost" has two), which librdkafka tries one behind the other: that
 * the first refuses is no answer yet. */
#define OTHER_ADDRESSES_US 2000000

/* Told in all kafka_check_open() says: the client's own log would say it twice. */
static void on_log(const rd_kafka_t *kafka, int level, const char *facility, const char *message)
{
    (void)kafka, (void)level, (void)facility, (void)message;
}

/* How much an error says about why no broker answers. */
static int weight(rd_kafka_resp_err_t error)
{
    switch (error) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
        return 0;
    case RD_KAFKA_RESP_ERR__TRANSPORT:
        return 1;
    case RD_KAFKA_RESP_ERR__RESOLVE:
        return 2;
    default:
        return 3;
    }
}

static void on_error(rd_kafka_t *kafka, int code, const char *reason, void *opaque)
{
    struct kafka_check *check = opaque;
    rd_kafka_resp_err_t error = kafka_true_error(code, reason);
    (void)kafka;
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        check->are_all_down = true;
    } else if (weight(error) > weight(check->error)) {
        check->error = error;
        free(check->message);
        check->message = xstrdup(reason);
    }
}

static void tell_unreached(const struct kafka_check *check)
{
    const char *message = check->message ? check->message : "no answer within 10 s";
    switch (check->error) {
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED:
        findings_fault(check->findings, EX_NOPERM, "Kafka %s refuses the login: %s; %s", check->brokers,
                       message, kafka_cure(check->error, message));
        return;
    case RD_KAFKA_RESP_ERR__SSL:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM:
        findings_fault(check->findings, EX_CONFIG, "Kafka %s: %s; %s", check->brokers, message,
                       kafka_cure(check->error, message));
        return;
    case RD_KAFKA_RESP_ERR__RESOLVE:
        findings_fault(check->findings, EX_UNAVAILABLE, "Kafka %s: %s; check the host name in KAFKA_BROKERS",
                       check->brokers, message);
        return;
    default:
        findings_fault(check->findings, EX_UNAVAILABLE,
                       "Kafka %s does not answer: %s; is it running, are KAFKA_BROKERS (host:port) and "
                       "KAFKA_SECURITY_PROTOCOL those of its listener, is there a firewall between?",
                       check->brokers, message);
    }
}

static bool has_answered(struct kafka_check *check)
{
    int64_t deadline = monotonic_microseconds() + ANSWER_TIMEOUT_US;
    bool is_counting = false;
    while (monotonic_microseconds() < deadline) {
        if (check->are_all_down && check->error != RD_KAFKA_RESP_ERR__TRANSPORT)
            return false;
        if (check->are_all_down && !is_counting) {
            is_counting = true;
            deadline = monotonic_microseconds() + OTHER_ADDRESSES_US;
        }
        const struct rd_kafka_metadata *metadata;
        if (rd_kafka_metadata(check->kafka, 0, NULL, &metadata, 200) == RD_KAFKA_RESP_ERR_NO_ERROR) {
            findings_ok("Kafka %s: %d broker(s)", check->brokers, metadata->broker_cnt);
            rd_kafka_metadata_destroy(metadata);
            return true;
        }
        while (rd_kafka_poll(check->kafka, 0) > 0)
            ;
    }
    return false;
}

bool kafka_check_open(struct kafka_check *check, struct findings *findings, struct kafka_config *config,
                      rd_kafka_type_t type)
{
    char *error, reason[512], brokers[512];
    size_t size = sizeof brokers;
    *check = (struct kafka_check){.findings = findings};
    rd_kafka_conf_t *conf = kafka_config_take(config, &error);
    if (!conf) {
        findings_fault(findings, EX_CONFIG, "%s", error);
        free(error);
        return false;
    }
    if (rd_kafka_conf_get(conf, "bootstrap.servers", brokers, &size) == RD_KAFKA_CONF_OK)
        check->brokers = xstrdup(brokers);
    rd_kafka_conf_set_opaque(conf, check);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_log_cb(conf, on_log);
    /* To look must not make anything. */
    rd_kafka_conf_set(conf, "allow.auto.create.topics", "false", reason, sizeof reason);
    check->kafka = rd_kafka_new(type, conf, reason, sizeof reason);
    if (!check->kafka) {
        rd_kafka_conf_destroy(conf);
        findings_fault(findings, EX_CONFIG, "the Kafka client cannot work as it is set up: %s", reason);
        return false;
    }
    if (has_answered(check))
        return true;
    tell_unreached(check);
    return false;
}

void kafka_check_close(struct kafka_check *check)
{
    if (check->kafka)
        rd_kafka_destroy(check->kafka);
    free(check->brokers);
    free(check->message);
}

int kafka_check_partitions(struct kafka_check *check, const char *topic, rd_kafka_resp_err_t *error)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(check->kafka, topic, NULL);
    int count = 0;
    *error = rd_kafka_metadata(check->kafka, 0, handle, &metadata, ASK_TIMEOUT_MS);
    if (!*error) {
        if (metadata->topic_cnt == 1) {
            *error = metadata->topics[0].err;
            count = metadata->topics[0].partition_cnt;
        }
        if (count == 0 && !*error)
            *error = RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
        rd_kafka_metadata_destroy(metadata);
    }
    rd_kafka_topic_destroy(handle);
    return count;
}
