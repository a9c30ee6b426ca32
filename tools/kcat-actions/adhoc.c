/* Reading by hand: no group decides, -p says which partitions (all, if not given) and -o from where. */
#include "consumer.h"

#include "common/signals.h"

#include <stdio.h>
#include <sysexits.h>

#define ASK_TIMEOUT_MS 10000
#define ASK_AGAIN_MS 200
#define TOPIC_LOG_US 10000000

/* How many partitions the topic has; 0 where the answer is not to be had yet. */
static int partition_count(struct consumer *consumer, const char *topic)
{
    const struct rd_kafka_metadata *metadata;
    rd_kafka_topic_t *handle = rd_kafka_topic_new(consumer->kafka, topic, NULL);
    rd_kafka_resp_err_t error = rd_kafka_metadata(consumer->kafka, 0, handle, &metadata, 1000);
    int count = 0;
    if (!error) {
        consumer->was_connected = true;
        count = metadata->topic_cnt == 1 ? metadata->topics[0].partition_cnt : 0;
        if (count == 0 && metadata->topic_cnt == 1)
            error = metadata->topics[0].err ? metadata->topics[0].err : RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC;
        rd_kafka_metadata_destroy(metadata);
        if (count == 0)
            kafka_note_error(consumer, error, rd_kafka_err2str(error), topic);
    } else if (error != RD_KAFKA_RESP_ERR__TIMED_OUT) {
        kafka_note_error(consumer, error, rd_kafka_err2str(error), topic);
    } else if (log_is_due(&consumer->error_log, TOPIC_LOG_US)) {
        log_warning(&consumer->log, "no broker answers; trying again");
    }
    rd_kafka_topic_destroy(handle);
    return count;
}

/* Waits for the topic, serving the client's errors: some of them end the waiting (0). */
static int await_partitions(struct consumer *consumer, const char *topic)
{
    while (!consumer->exit_code && !signals_pending()) {
        int count = partition_count(consumer, topic);
        if (count)
            return count;
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer->kafka, ASK_AGAIN_MS);
        if (message)
            rd_kafka_message_destroy(message);
        stats_heartbeat(consumer->stats);
    }
    return 0;
}

static bool is_chosen(const struct consumer *consumer, int32_t partition)
{
    for (size_t i = 0; i < consumer->options.partition_count; i++)
        if (consumer->options.partitions[i] == partition)
            return true;
    return consumer->options.partition_count == 0;
}

static bool add_topic(struct consumer *consumer, const char *topic, rd_kafka_topic_partition_list_t *list)
{
    int count = await_partitions(consumer, topic);
    if (count == 0)
        return false;
    for (size_t i = 0; i < consumer->options.partition_count; i++)
        if (consumer->options.partitions[i] >= count) {
            log_error(&consumer->log, "topic %s has %d partitions: there is no partition %d", topic, count,
                      (int)consumer->options.partitions[i]);
            consumer->exit_code = EX_UNAVAILABLE;
            return false;
        }
    for (int32_t i = 0; i < count; i++)
        if (is_chosen(consumer, i))
            rd_kafka_topic_partition_list_add(list, topic, i);
    return true;
}

/* Replaces each offset, a time in milliseconds, by the first offset at or behind it, or the end. */
static bool resolve_times(struct consumer *consumer, rd_kafka_topic_partition_list_t *list, int64_t time)
{
    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset = time;
    rd_kafka_resp_err_t error = rd_kafka_offsets_for_times(consumer->kafka, list, ASK_TIMEOUT_MS);
    if (!error)
        return true;
    log_error(&consumer->log, "could not find the offsets of that time: %s", rd_kafka_err2str(error));
    consumer->exit_code = EX_UNAVAILABLE;
    return false;
}

static int64_t start_offset(const struct consumer_options *options)
{
    switch (options->start_kind) {
    case OFFSET_END:
        return RD_KAFKA_OFFSET_END;
    case OFFSET_AT:
        return options->start;
    case OFFSET_TAIL:
        return RD_KAFKA_OFFSET_TAIL(options->start);
    case OFFSET_STORED:
        return RD_KAFKA_OFFSET_STORED;
    case OFFSET_DEFAULT:
        return options->group ? RD_KAFKA_OFFSET_STORED : RD_KAFKA_OFFSET_BEGINNING;
    default:
        return RD_KAFKA_OFFSET_BEGINNING;
    }
}

/* Where e@ ends each partition; one that has nothing at or behind that time is read to its end. */
static bool set_stops(struct consumer *consumer, const rd_kafka_topic_partition_list_t *wanted)
{
    if (consumer->options.end_time < 0)
        return true;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_copy(wanted);
    bool is_good = resolve_times(consumer, list, consumer->options.end_time);
    for (int i = 0; is_good && i < list->cnt; i++)
        tracker_get(&consumer->tracker, list->elems[i].topic, list->elems[i].partition)->stop_offset =
            list->elems[i].offset;
    rd_kafka_topic_partition_list_destroy(list);
    return is_good;
}

static bool set_starts(struct consumer *consumer, rd_kafka_topic_partition_list_t *list)
{
    if (consumer->options.start_kind == OFFSET_TIME)
        return resolve_times(consumer, list, consumer->options.start);
    for (int i = 0; i < list->cnt; i++)
        list->elems[i].offset = start_offset(&consumer->options);
    return true;
}

bool adhoc_assign(struct consumer *consumer)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    bool is_good = true;
    for (size_t i = 0; is_good && i < consumer->options.topic_count; i++)
        is_good = add_topic(consumer, consumer->options.topics[i], list);
    is_good = is_good && set_starts(consumer, list) && set_stops(consumer, list);
    for (int i = 0; is_good && i < list->cnt; i++) {
        struct tracked_partition *partition =
            tracker_get(&consumer->tracker, list->elems[i].topic, list->elems[i].partition);
        partition->is_assigned = true;
        partition->stats = stats_partition(consumer->stats, partition->topic, partition->partition);
        if (partition->stats)
            partition->stats->is_assigned = true;
    }
    rd_kafka_resp_err_t error = is_good ? rd_kafka_assign(consumer->kafka, list) : RD_KAFKA_RESP_ERR_NO_ERROR;
    if (error) {
        log_error(&consumer->log, "could not read these partitions: %s", rd_kafka_err2str(error));
        consumer->exit_code = EX_CONFIG;
        is_good = false;
    }
    if (is_good) {
        consumer->is_assigned = consumer->was_connected = true;
        kafka_note_connection(consumer, true);
        stats_set(consumer->stats, COUNTER_partitions_assigned, (uint64_t)list->cnt);
    }
    rd_kafka_topic_partition_list_destroy(list);
    return is_good;
}
