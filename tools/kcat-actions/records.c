/* From records to lines. Taking one record: find its partition, ask --select, write the line, note that it
 * is in flight. Lines gather in one buffer, which loop.c hands to stdout. */
#include "consumer.h"

#include "common/timestamp.h"

#include <errno.h>
#include <sysexits.h>

static const char *timestamp_type_name(rd_kafka_timestamp_type_t type)
{
    switch (type) {
    case RD_KAFKA_TIMESTAMP_CREATE_TIME:
        return "create";
    case RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME:
        return "logappend";
    default:
        return NULL;
    }
}

static void read_headers(struct consumer *consumer, rd_kafka_message_t *message, struct record *record)
{
    rd_kafka_headers_t *raw;
    if (rd_kafka_message_headers(message, &raw) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    size_t count = rd_kafka_header_cnt(raw);
    if (count > consumer->header_capacity) {
        consumer->header_capacity = count;
        consumer->headers = xreallocarray(consumer->headers, count, sizeof *consumer->headers);
    }
    for (; record->header_count < count; record->header_count++) {
        struct record_header *header = &consumer->headers[record->header_count];
        const void *value;
        size_t size;
        if (rd_kafka_header_get_all(raw, record->header_count, &header->name, &value, &size))
            break;
        header->value = slice_of(value, size);
    }
    record->headers = consumer->headers;
}

/* librdkafka gives NULL for what is absent, and a pointer for what is empty; so do slices. */
static struct record record_of(struct consumer *consumer, rd_kafka_message_t *message)
{
    rd_kafka_timestamp_type_t type;
    int64_t timestamp = rd_kafka_message_timestamp(message, &type);
    struct record record = {
        .topic = slice_of_string(rd_kafka_topic_name(message->rkt)),
        .partition = message->partition,
        .offset = message->offset,
        .timestamp_type = timestamp_type_name(type),
        .timestamp_ms = timestamp,
        .broker = rd_kafka_message_broker_id(message),
        .key = slice_of(message->key, message->key_len),
        .payload = slice_of(message->payload, message->len),
    };
    read_headers(consumer, message, &record);
    return record;
}

/* Whether --select keeps the record. What is no JSON, or none that jq can read, cannot be asked: it is kept.
 * A program that fails on a record is not true for it. */
static bool is_selected(struct consumer *consumer, const struct record *record)
{
    struct json_value value;
    if (!record->payload.len || !json_scan_document(record->payload, &value, NULL, NULL))
        return true;
    struct record frame = *record;
    frame.payload = slice_of("null", 4);
    consumer->scratch.len = 0;
    record_write(&consumer->scratch, &frame, "kcat-actions");
    bool is_true = false;
    enum jq_outcome outcome = jq_program_run(consumer->select, record->payload,
                                             buffer_slice(&consumer->scratch), &consumer->selected, &is_true);
    if (outcome == JQ_ERROR && log_is_due(&consumer->select_log, 10000000))
        log_warning(&consumer->log, "--select: %.*s at %.*s [%d] offset %lld: not selected",
                    (int)consumer->selected.len, consumer->selected.data, (int)record->topic.len,
                    record->topic.data, (int)record->partition, (long long)record->offset);
    return outcome == JQ_UNREADABLE || (outcome == JQ_VALUE && is_true);
}

static void pass_on(struct consumer *consumer, struct tracked_partition *partition,
                    const struct record *record)
{
    struct buffer *out = &consumer->out.buffer;
    bool is_json = consumer->options.is_bare ? record_write_bare(out, record, "kcat-actions")
                                             : record_write(out, record, "kcat-actions");
    stats_add(consumer->stats, COUNTER_records_undecodable, !is_json);
    consumer->passed_on++;
    if (consumer->options.acks || consumer->options.commits_on_write)
        tracker_pass_on(&consumer->tracker, partition, record->offset, record->payload.len + record->key.len);
    else
        tracker_leave_out(partition, record->offset);
}

/* librdkafka's own commits never go back: until the new log was as long as the old one was read, none would
 * be made, and who starts meanwhile from the group's old offset would leave out what is new. */
static void commit_anew(struct consumer *consumer, struct tracked_partition *partition, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, partition->topic, partition->partition);
    partition->position = offset;
    kafka_commit(consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
}

/* The log goes on before where it was: the topic was made anew, or cut. Acks of its old records, where some
 * are still in flight, would speak for the new ones: then this process ends, commits no more of the
 * partition, and its successor begins with empty pipes (false). */
static bool begin_anew(struct consumer *consumer, struct tracked_partition *partition, int64_t offset)
{
    log_warning(&consumer->log, "%s [%d] goes on at offset %lld, before %lld: the topic was made anew or cut",
                partition->topic, (int)partition->partition, (long long)offset,
                (long long)partition->position);
    if (partition->count == 0) {
        tracker_reset(&consumer->tracker, partition);
        commit_anew(consumer, partition, offset);
        return true;
    }
    partition->is_assigned = false;
    consumer_drain(consumer, EX_TEMPFAIL);
    return false;
}

static void take_record(struct consumer *consumer, struct tracked_partition *partition,
                        rd_kafka_message_t *message)
{
    struct record record = record_of(consumer, message);
    if (partition->stop_offset >= 0 && record.offset >= partition->stop_offset) {
        partition->is_at_end = true;
        return;
    }
    partition->is_at_end = false;
    if (record.offset < partition->position && !begin_anew(consumer, partition, record.offset))
        return;
    stats_add(consumer->stats, COUNTER_records_consumed, 1);
    stats_add(consumer->stats, COUNTER_bytes_consumed, record.payload.len + record.key.len);
    if (consumer->select && !is_selected(consumer, &record)) {
        stats_add(consumer->stats, COUNTER_records_filtered, 1);
        tracker_leave_out(partition, record.offset);
        if (partition->count == 0)
            kafka_store(consumer, partition);
        return;
    }
    pass_on(consumer, partition, &record);
    if (consumer->options.count && consumer->passed_on >= (uint64_t)consumer->options.count)
        consumer_drain(consumer, 0);
}

/* The end of the log, as it is now: behind the last record, and behind the markers of transactions that
 * follow it, which are nobody's records. */
static void note_end(struct consumer *consumer, struct tracked_partition *partition, int64_t offset)
{
    partition->is_at_end = true;
    if (offset <= partition->position)
        return;
    tracker_leave_out(partition, offset - 1);
    if (partition->count == 0)
        kafka_store(consumer, partition);
}

static void take(struct consumer *consumer, rd_kafka_message_t *message)
{
    const char *topic = message->rkt ? rd_kafka_topic_name(message->rkt) : NULL;
    if (message->err && message->err != RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        kafka_note_error(consumer, message->err, rd_kafka_message_errstr(message), topic);
        return;
    }
    if (consumer->is_draining) /* nor its end: what comes before it was not taken either */
        return;
    struct tracked_partition *partition = tracker_get(&consumer->tracker, topic, message->partition);
    if (message->err)
        note_end(consumer, partition, message->offset);
    else
        take_record(consumer, partition, message);
}

static bool take_waiting(struct consumer *consumer, size_t most)
{
    for (size_t i = 0; i < most; i++) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer->kafka, 0);
        if (!message)
            return false;
        /* Only the first: later ones may have waited in our queue since before the broker went. */
        if (!consumer->was_connected && !message->err) {
            consumer->was_connected = true;
            kafka_note_connection(consumer, true);
        }
        take(consumer, message);
        prefetch_took(&consumer->prefetch, consumer->kafka, message->len + message->key_len);
        rd_kafka_message_destroy(message);
        /* A revocation, the last record wanted, or a fault: what follows is not for us. */
        if (consumer->revocation.partitions || (consumer->is_draining && !consumer->is_paused))
            return false;
        /* Paused, the client is polled for its events; records do not come. */
        if (!consumer->is_paused && consumer_is_full(consumer))
            return true;
    }
    return true;
}

bool records_take(struct consumer *consumer, size_t most)
{
    uint64_t before = stats_get(consumer->stats, COUNTER_records_consumed);
    bool may_be_more = take_waiting(consumer, most);
    if (stats_get(consumer->stats, COUNTER_records_consumed) != before)
        stats_set(consumer->stats, COUNTER_last_record_time, (uint64_t)now_microseconds());
    return may_be_more;
}

static void settle_written(struct consumer *consumer)
{
    if (!consumer->options.commits_on_write || output_pending(&consumer->out))
        return;
    for (size_t i = 0; i < consumer->tracker.count; i++) {
        struct tracked_partition *partition = &consumer->tracker.partitions[i];
        tracker_acknowledge(&consumer->tracker, partition, partition->position);
        kafka_store(consumer, partition);
    }
}

void records_write(struct consumer *consumer)
{
    if (consumer->out_is_closed)
        return;
    if (output_push(&consumer->out)) {
        settle_written(consumer);
        return;
    }
    /* The reader has gone. Alone in a shell that is how `| head` ends us; in a pipeline it is a fault. */
    log_write(&consumer->log, errno == EPIPE && !consumer->options.acks ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR,
              "could not write to stdout: %m");
    consumer->out_is_closed = true;
    consumer->out.buffer.len = consumer->out.sent = 0;
    consumer_drain(consumer, EX_IOERR);
}
