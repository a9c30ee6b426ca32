#include "check.h"

#include "common/kafka_check.h"

#include <string.h>
#include <sysexits.h>

#define ASK_TIMEOUT_MS 5000

enum answer { NO, YES, UNKNOWN };

static rd_kafka_AdminOptions_t *new_options(rd_kafka_t *kafka, rd_kafka_admin_op_t operation)
{
    char reason[256];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(kafka, operation);
    rd_kafka_AdminOptions_set_request_timeout(options, ASK_TIMEOUT_MS, reason, sizeof reason);
    return options;
}

/* The broker's setting auto.create.topics.enable. It may not tell everybody. */
static enum answer makes_topics(rd_kafka_t *kafka)
{
    enum answer answer = UNKNOWN;
    size_t count = 0, entry_count = 0;
    cleanup_free char *broker = xasprintf("%d", (int)rd_kafka_controllerid(kafka, ASK_TIMEOUT_MS));
    rd_kafka_AdminOptions_t *options = new_options(kafka, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS);
    rd_kafka_ConfigResource_t *resource = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_BROKER, broker);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(kafka);
    rd_kafka_DescribeConfigs(kafka, &resource, 1, options, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, ASK_TIMEOUT_MS + 1000);
    const rd_kafka_DescribeConfigs_result_t *result =
        event && !rd_kafka_event_error(event) ? rd_kafka_event_DescribeConfigs_result(event) : NULL;
    const rd_kafka_ConfigResource_t **resources =
        result ? rd_kafka_DescribeConfigs_result_resources(result, &count) : NULL;
    const rd_kafka_ConfigEntry_t **entries = count && !rd_kafka_ConfigResource_error(resources[0])
                                                 ? rd_kafka_ConfigResource_configs(resources[0], &entry_count)
                                                 : NULL;
    for (size_t i = 0; i < entry_count; i++)
        if (strcmp(rd_kafka_ConfigEntry_name(entries[i]), "auto.create.topics.enable") == 0)
            answer = strcmp(rd_kafka_ConfigEntry_value(entries[i]), "true") == 0 ? YES : NO;
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_ConfigResource_destroy(resource);
    rd_kafka_AdminOptions_destroy(options);
    return answer;
}

/* Whether this user might create the topic: asked, not done. */
static enum answer may_create(rd_kafka_t *kafka, const char *topic)
{
    char reason[256];
    enum answer answer = UNKNOWN;
    size_t count = 0;
    rd_kafka_AdminOptions_t *options = new_options(kafka, RD_KAFKA_ADMIN_OP_CREATETOPICS);
    rd_kafka_AdminOptions_set_validate_only(options, 1, reason, sizeof reason);
    rd_kafka_NewTopic_t *new_topic = rd_kafka_NewTopic_new(topic, 1, 1, reason, sizeof reason);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(kafka);
    rd_kafka_event_t *event = NULL;
    if (new_topic) {
        rd_kafka_CreateTopics(kafka, &new_topic, 1, options, queue);
        event = rd_kafka_queue_poll(queue, ASK_TIMEOUT_MS + 1000);
    }
    const rd_kafka_CreateTopics_result_t *result =
        event && !rd_kafka_event_error(event) ? rd_kafka_event_CreateTopics_result(event) : NULL;
    const rd_kafka_topic_result_t **topics =
        result ? rd_kafka_CreateTopics_result_topics(result, &count) : NULL;
    if (count) {
        rd_kafka_resp_err_t error = rd_kafka_topic_result_error(topics[0]);
        answer = kafka_judge(error) == KAFKA_FORBIDDEN ? NO : error ? UNKNOWN : YES;
    }
    if (event)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    if (new_topic)
        rd_kafka_NewTopic_destroy(new_topic);
    rd_kafka_AdminOptions_destroy(options);
    return answer;
}

static void check_missing_topic(struct kafka_check *check, const char *topic)
{
    enum answer makes = makes_topics(check->kafka), may = may_create(check->kafka, topic);
    if (makes == NO || may == NO)
        findings_fault(check->findings, may == NO ? EX_NOPERM : EX_UNAVAILABLE,
                       "there is no topic %s for dead letters, and %s; create it: kafka-topics.sh --create "
                       "--topic %s --partitions 1",
                       topic,
                       may == NO ? "this user may not create it"
                                 : "the broker creates none by itself (auto.create.topics.enable)",
                       topic);
    else if (makes == YES && may == YES)
        findings_ok("topic %s for dead letters: is not there yet; the broker creates it with the first",
                    topic);
    else
        findings_warning(
            "topic %s for dead letters: is not there yet, and the broker does not say whether it "
            "creates it by itself; to be sure: kafka-topics.sh --create --topic %s --partitions 1",
            topic, topic);
}

int check_run(const char *topic, struct kafka_config *config)
{
    struct findings findings = {0};
    struct kafka_check check;
    rd_kafka_resp_err_t error;
    if (kafka_check_open(&check, &findings, config, RD_KAFKA_PRODUCER)) {
        int count = kafka_check_partitions(&check, topic, &error);
        if (count)
            findings_ok("topic %s for dead letters: %d partition(s)", topic, count);
        else if (error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
            check_missing_topic(&check, topic);
        else if (kafka_judge(error) == KAFKA_FORBIDDEN)
            findings_fault(&findings, EX_NOPERM,
                           "topic %s for dead letters may not be used by this user, or is not there; let an "
                           "administrator allow it: kafka-acls.sh --add --allow-principal User:NAME "
                           "--operation Write --topic %s",
                           topic, topic);
        else
            findings_fault(&findings, EX_UNAVAILABLE, "topic %s: %s; look into the broker's log", topic,
                           rd_kafka_err2str(error));
    }
    kafka_check_close(&check);
    return findings.exit_code;
}
