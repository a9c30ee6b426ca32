/* Membership. The rebalance callback runs within rd_kafka_consumer_poll(); a revocation is only noted
 * there, and answered by group_settle() when what is in flight has become safe. Until then no record is
 * polled: what librdkafka holds of the partitions going away is dropped with them. */
#include "consumer.h"

#include "common/timestamp.h"

#include <string.h>
#include <sysexits.h>

/* It is unknown (NULL) while the group is being left or joined anew: then all is given up at once. */
static bool is_cooperative(rd_kafka_t *kafka)
{
    const char *protocol = rd_kafka_rebalance_protocol(kafka);
    return protocol && strcmp(protocol, "COOPERATIVE") == 0;
}

/* Whatever librdkafka refuses here it tells through on_error() as well. */
static void note_failure(struct consumer *consumer, const char *what, rd_kafka_error_t *error,
                         rd_kafka_resp_err_t code)
{
    if (error)
        log_warning(&consumer->log, "could not %s partitions: %s", what, rd_kafka_error_string(error));
    else if (code)
        log_warning(&consumer->log, "could not %s partitions: %s", what, rd_kafka_err2str(code));
    rd_kafka_error_destroy(error);
}

static void count_assigned(struct consumer *consumer)
{
    uint64_t count = 0;
    for (size_t i = 0; i < consumer->tracker.count; i++)
        count += consumer->tracker.partitions[i].is_assigned;
    stats_set(consumer->stats, COUNTER_partitions_assigned, count);
}

static void mark(struct consumer *consumer, struct tracked_partition *partition, bool is_assigned)
{
    partition->is_assigned = is_assigned;
    if (!partition->stats)
        partition->stats = stats_partition(consumer->stats, partition->topic, partition->partition);
    if (partition->stats)
        atomic_store_explicit(&partition->stats->is_assigned, is_assigned, memory_order_relaxed);
    log_info(&consumer->log, "partition %s [%d] %s", partition->topic, (int)partition->partition,
             is_assigned ? "assigned" : "given up");
}

/* A partition that was given up with records in flight, and comes back before they are acknowledged: their
 * acks would speak for what is read now, which may be another topic of that name. Then this process ends,
 * commits nothing of the partition, and its successor begins with empty pipes. */
static void mark_assigned(struct consumer *consumer, const rd_kafka_topic_partition_list_t *partitions)
{
    for (int i = 0; i < partitions->cnt; i++) {
        const rd_kafka_topic_partition_t *part = &partitions->elems[i];
        struct tracked_partition *partition = tracker_get(&consumer->tracker, part->topic, part->partition);
        bool is_stale = consumer->options.acks && partition->count > 0;
        if (is_stale) {
            log_warning(&consumer->log,
                        "%s [%d] comes back while %zu of its records are still in flight: "
                        "beginning anew",
                        part->topic, (int)part->partition, partition->count);
            consumer_drain(consumer, EX_TEMPFAIL);
        } else {
            tracker_reset(&consumer->tracker, partition);
        }
        mark(consumer, partition, !is_stale);
    }
    count_assigned(consumer);
}

/* While draining, what of a partition that goes is in flight, or safe and not confirmed, will not be
 * committed. */
static void mark_given_up(struct consumer *consumer, const rd_kafka_topic_partition_list_t *partitions)
{
    for (int i = 0; i < partitions->cnt; i++) {
        const rd_kafka_topic_partition_t *part = &partitions->elems[i];
        struct tracked_partition *partition = tracker_get(&consumer->tracker, part->topic, part->partition);
        bool is_left = partition->count || tracker_safe_offset(partition) > partition->confirmed;
        mark(consumer, partition, false);
        if (consumer->is_draining && !consumer->is_closing && consumer->options.acks && is_left)
            consumer_drain(consumer, EX_TEMPFAIL);
    }
    count_assigned(consumer);
}

/* Where the group stands, for the lag; a moment's question, and no harm if it is not answered. */
static void read_committed(struct consumer *consumer, const rd_kafka_topic_partition_list_t *partitions)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_copy(partitions);
    if (rd_kafka_committed(consumer->kafka, list, 3000) == RD_KAFKA_RESP_ERR_NO_ERROR)
        for (int i = 0; i < list->cnt; i++) {
            const rd_kafka_topic_partition_t *part = &list->elems[i];
            struct tracked_partition *partition =
                tracker_get(&consumer->tracker, part->topic, part->partition);
            if (partition->stats)
                atomic_store_explicit(&partition->stats->committed, part->offset >= 0 ? part->offset : -1,
                                      memory_order_relaxed);
        }
    rd_kafka_topic_partition_list_destroy(list);
}

static void assign(struct consumer *consumer, rd_kafka_topic_partition_list_t *partitions)
{
    rd_kafka_error_t *error = NULL;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    consumer->is_assigned = consumer->was_connected = true;
    kafka_note_connection(consumer, true);
    mark_assigned(consumer, partitions);
    if (is_cooperative(consumer->kafka))
        error = rd_kafka_incremental_assign(consumer->kafka, partitions);
    else
        code = rd_kafka_assign(consumer->kafka, partitions);
    note_failure(consumer, "take", error, code);
    if (consumer->is_paused) /* a new assignment never is: it joins the others */
        rd_kafka_pause_partitions(consumer->kafka, partitions);
    prefetch_disturbed(&consumer->prefetch);
    if (partitions->cnt)
        read_committed(consumer, partitions);
}

static void unassign(struct consumer *consumer, const rd_kafka_topic_partition_list_t *partitions)
{
    rd_kafka_error_t *error = NULL;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (is_cooperative(consumer->kafka))
        error = rd_kafka_incremental_unassign(consumer->kafka, partitions);
    else
        code = rd_kafka_assign(consumer->kafka, NULL);
    note_failure(consumer, "give up", error, code);
    mark_given_up(consumer, partitions);
    prefetch_disturbed(&consumer->prefetch);
}

static size_t in_flight(const struct consumer *consumer, const rd_kafka_topic_partition_list_t *partitions)
{
    size_t count = 0;
    for (size_t i = 0; i < consumer->tracker.count; i++) {
        const struct tracked_partition *partition = &consumer->tracker.partitions[i];
        if (rd_kafka_topic_partition_list_find((rd_kafka_topic_partition_list_t *)(uintptr_t)partitions,
                                               partition->topic, partition->partition))
            count += partition->count;
    }
    return count;
}

/* What is in flight is to become safe, but no record follows now that would fill its batch: a blank line ends
 * it, or the end of our output has done so. */
static void await_revoked(struct consumer *consumer, const rd_kafka_topic_partition_list_t *partitions)
{
    consumer->revocation.partitions = rd_kafka_topic_partition_list_copy(partitions);
    consumer->revocation.deadline = monotonic_microseconds() + consumer->options.drain_timeout_us;
    if (consumer->options.acks && !consumer->out_is_closed && in_flight(consumer, partitions))
        buffer_append_char(&consumer->out.buffer, '\n');
}

void group_rebalance(rd_kafka_t *kafka, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *partitions,
                     void *opaque)
{
    struct consumer *consumer = opaque;
    stats_add(consumer->stats, COUNTER_rebalances, 1);
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        assign(consumer, partitions);
        return;
    }
    if (code != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) {
        log_error(&consumer->log, "the group could not be joined: %s", rd_kafka_err2str(code));
        rd_kafka_assign(kafka, NULL);
        return;
    }
    bool is_lost = rd_kafka_assignment_lost(kafka);
    if (is_lost) {
        log_warning(&consumer->log, "%d partitions were lost: others read them, and again what was in flight",
                    partitions->cnt);
        stats_add(consumer->stats, COUNTER_partitions_lost, (uint64_t)partitions->cnt);
    }
    if (is_lost || consumer->is_closing) {
        unassign(consumer, partitions);
        return;
    }
    await_revoked(consumer, partitions);
}

void group_settle(struct consumer *consumer)
{
    struct revocation *revocation = &consumer->revocation;
    if (!revocation->partitions)
        return;
    size_t left = consumer->options.acks ? in_flight(consumer, revocation->partitions) : 0;
    bool is_late = monotonic_microseconds() >= revocation->deadline;
    if (left && !is_late && !consumer->is_closing && !rd_kafka_assignment_lost(consumer->kafka))
        return;
    if (left)
        log_warning(&consumer->log,
                    "%zu records were still in flight when their partitions were given up; they "
                    "will be read again",
                    left);
    /* At the close all are committed. */
    bool commits = !consumer->is_closing && !rd_kafka_assignment_lost(consumer->kafka);
    if (commits && !kafka_commit(consumer, revocation->partitions) && consumer->is_draining)
        consumer_drain(consumer, EX_TEMPFAIL);
    unassign(consumer, revocation->partitions);
    rd_kafka_topic_partition_list_destroy(revocation->partitions);
    revocation->partitions = NULL;
}

bool group_join(struct consumer *consumer)
{
    rd_kafka_topic_partition_list_t *topics =
        rd_kafka_topic_partition_list_new((int)consumer->options.topic_count);
    for (size_t i = 0; i < consumer->options.topic_count; i++)
        rd_kafka_topic_partition_list_add(topics, consumer->options.topics[i], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t error = rd_kafka_subscribe(consumer->kafka, topics);
    rd_kafka_topic_partition_list_destroy(topics);
    if (!error)
        return true;
    log_error(&consumer->log, "could not subscribe: %s", rd_kafka_err2str(error));
    consumer->exit_code = EX_CONFIG;
    return false;
}
