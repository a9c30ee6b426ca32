#include "check.h"

#include "common/kafka_check.h"
#include "common/timestamp.h"

#include <sysexits.h>

#define ASK_TIMEOUT_MS 5000
#define GROUP_TIMEOUT_MS 3000

static bool is_forbidden(rd_kafka_resp_err_t error)
{
    return kafka_judge(error) == KAFKA_FORBIDDEN;
}

/* Asks for what comes behind the end: the broker answers with "nothing yet", or refuses. */
static rd_kafka_resp_err_t read_end(rd_kafka_t *kafka, const char *topic)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0)->offset = RD_KAFKA_OFFSET_END;
    rd_kafka_resp_err_t error = rd_kafka_assign(kafka, list);
    rd_kafka_topic_partition_list_destroy(list);
    int64_t deadline = monotonic_microseconds() + ASK_TIMEOUT_MS * 1000;
    while (!error && monotonic_microseconds() < deadline) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(kafka, 100);
        if (!message)
            continue;
        error = message->err ? message->err : RD_KAFKA_RESP_ERR__PARTITION_EOF;
        rd_kafka_message_destroy(message);
    }
    rd_kafka_assign(kafka, NULL);
    return error == RD_KAFKA_RESP_ERR__PARTITION_EOF ? RD_KAFKA_RESP_ERR_NO_ERROR
           : error                                   ? error
                                                     : RD_KAFKA_RESP_ERR__TIMED_OUT;
}

static void check_topic(struct kafka_check *check, const char *topic)
{
    rd_kafka_resp_err_t error;
    if (*topic == '^') {
        findings_warning("topics %s: a pattern is not looked into; name one with -t", topic);
        return;
    }
    int count = kafka_check_partitions(check, topic, &error);
    if (count)
        error = read_end(check->kafka, topic);
    if (!error)
        findings_ok("topic %s: %d partition(s), may be read", topic, count);
    else if (is_forbidden(error))
        findings_fault(
            check->findings, EX_NOPERM,
            "topic %s may not be read by this user, or is not there; let an administrator allow it: "
            "kafka-acls.sh --add --allow-principal User:NAME --operation Read --topic %s",
            topic, topic);
    else if (error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
        findings_fault(check->findings, EX_UNAVAILABLE,
                       "there is no topic %s; create it: kafka-topics.sh --create --topic %s --partitions 4; "
                       "or check KAFKA_TOPIC",
                       topic, topic);
    else
        findings_fault(check->findings, EX_UNAVAILABLE, "topic %s: %s; look into the broker's log", topic,
                       rd_kafka_err2str(error));
}

/* librdkafka looks for the group's coordinator again and again, even where the broker refuses to name it, and
 * tells of that besides. */
static rd_kafka_resp_err_t told_meanwhile(rd_kafka_t *kafka, rd_kafka_resp_err_t error)
{
    rd_kafka_message_t *message;
    while ((message = rd_kafka_consumer_poll(kafka, 200))) {
        if (is_forbidden(message->err) && message->err != RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
            error = message->err;
        rd_kafka_message_destroy(message);
    }
    return error;
}

/* Reads what the group has committed, which the right to read with the group implies. */
static void check_group(struct kafka_check *check, const char *group, const char *topic)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, 0);
    rd_kafka_resp_err_t error = rd_kafka_committed(check->kafka, list, GROUP_TIMEOUT_MS);
    if (error == RD_KAFKA_RESP_ERR__TIMED_OUT || error == RD_KAFKA_RESP_ERR__WAIT_COORD)
        error = told_meanwhile(check->kafka, error);
    /* What is said of the topic has been told. */
    if (!error && is_forbidden(list->elems[0].err) &&
        list->elems[0].err != RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        error = list->elems[0].err;
    if (!error)
        findings_ok("group %s: its offsets may be read", group);
    else if (is_forbidden(error))
        findings_fault(check->findings, EX_NOPERM,
                       "group %s may not be used by this user; let an administrator allow it: "
                       "kafka-acls.sh --add --allow-principal User:NAME --operation Read --group %s",
                       group, group);
    else
        findings_fault(check->findings, EX_UNAVAILABLE, "group %s: %s; look into the broker's log", group,
                       rd_kafka_err2str(error));
    rd_kafka_topic_partition_list_destroy(list);
}

int check_run(const struct consumer_options *options, struct kafka_config *config)
{
    struct findings findings = {0};
    struct kafka_check check;
    char reason[256];
    rd_kafka_conf_set(config->conf, "group.id", options->group ? options->group : "kcat-actions-check",
                      reason, sizeof reason);
    if (kafka_check_open(&check, &findings, config, RD_KAFKA_CONSUMER)) {
        for (size_t i = 0; i < options->topic_count; i++)
            check_topic(&check, options->topics[i]);
        if (options->group && *options->topics[0] != '^')
            check_group(&check, options->group, options->topics[0]);
    }
    kafka_check_close(&check);
    return findings.exit_code;
}
