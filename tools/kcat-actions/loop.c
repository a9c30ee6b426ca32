/* The one poll(): over stdout, the fifo of acks, librdkafka's queue and the signals. When stdout does not
 * take more, or too much is in flight, no record is taken and librdkafka's own queue fills up; only when that
 * lasts, or at the end, are the partitions paused, so that the client can be polled and stays a member of its
 * group. */
#include "consumer.h"

#include "common/signals.h"
#include "common/timestamp.h"

#include <poll.h>
#include <sys/eventfd.h>

#define OUT_LIMIT ((size_t)512 * 1024) /* bytes that may wait for stdout */
#define TAKE_AT_ONCE 1000
#define TURN_US 1000000 /* the longest wait: heartbeat, watermarks */
/* What asking for the ends of paused partitions may take, of a turn and for one of them. */
#define ASKING_US 100000
#define ASKING_ONE_MS 200

void consumer_limit_drain(struct consumer *consumer)
{
    consumer->drain_deadline = monotonic_microseconds() + consumer->options.drain_timeout_us;
}

void consumer_drain(struct consumer *consumer, int code)
{
    if (code && !consumer->exit_code)
        consumer->exit_code = code;
    if (consumer->is_draining)
        return;
    consumer->is_draining = true;
    /* At the end of -e and -c the reader of stdout has still to read: however slow it is, it gets all. */
    consumer->drain_deadline = INT64_MAX;
    if (consumer->options.acks || consumer->exit_code)
        consumer_limit_drain(consumer);
    stats_set(consumer->stats, COUNTER_draining, 1);
}

bool consumer_is_full(const struct consumer *consumer)
{
    const struct tracker *tracker = &consumer->tracker;
    return output_pending(&consumer->out) >= OUT_LIMIT ||
           tracker->records_in_flight >= (size_t)consumer->options.max_in_flight ||
           tracker->bytes_in_flight >= consumer->options.max_in_flight_bytes;
}

static bool set_paused(struct consumer *consumer, bool is_paused)
{
    rd_kafka_topic_partition_list_t *partitions;
    if (rd_kafka_assignment(consumer->kafka, &partitions) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return false;
    if (is_paused)
        rd_kafka_pause_partitions(consumer->kafka, partitions);
    else
        rd_kafka_resume_partitions(consumer->kafka, partitions);
    rd_kafka_topic_partition_list_destroy(partitions);
    consumer->is_paused = is_paused;
    return true;
}

static void wait_for_downstream(struct consumer *consumer, bool is_waiting)
{
    if (!set_paused(consumer, is_waiting))
        return;
    prefetch_disturbed(&consumer->prefetch);
    stats_add(consumer->stats, COUNTER_pauses, is_waiting);
    log_info(&consumer->log,
             is_waiting ? "downstream takes nothing: paused" : "downstream takes again: resumed");
}

/* Decides whether the client may be polled now, and records taken. When downstream has taken nothing for a
 * while the partitions are paused, and the client is polled again, so that the group keeps us. So it is while
 * we drain, or the last commit would come too late. */
static bool may_take(struct consumer *consumer)
{
    if (consumer->revocation.partitions)
        return false;
    if (consumer->is_draining)
        return consumer->is_paused || set_paused(consumer, true);
    int64_t now = monotonic_microseconds();
    if (!consumer_is_full(consumer)) {
        consumer->stuck_since = 0;
        if (consumer->is_paused)
            wait_for_downstream(consumer, false);
        return true;
    }
    if (consumer->stuck_since == 0)
        consumer->stuck_since = now;
    if (!consumer->is_paused && now - consumer->stuck_since >= consumer->pause_after_us)
        wait_for_downstream(consumer, true);
    return consumer->is_paused;
}

/* All partitions have been read to their ends, as far as this process reads them. */
static bool is_at_end(const struct consumer *consumer)
{
    bool is_any = false;
    if (!consumer->options.ends_at_end && consumer->options.end_time < 0)
        return false;
    for (size_t i = 0; i < consumer->tracker.count; i++) {
        const struct tracked_partition *partition = &consumer->tracker.partitions[i];
        if (partition->is_assigned && !partition->is_at_end)
            return false;
        is_any |= partition->is_assigned;
    }
    return is_any;
}

/* While draining: the end of our output tells the tools behind us to finish. */
static bool is_drained(struct consumer *consumer)
{
    if (!consumer->out_is_closed && output_pending(&consumer->out) == 0) {
        if (consumer->out.fd != STDOUT_FILENO)
            close(consumer->out.fd);
        close(STDOUT_FILENO);
        consumer->out_is_closed = true;
    }
    bool is_settled =
        !consumer->options.acks || consumer->tracker.records_in_flight == 0 || consumer->acks_are_closed;
    return (consumer->out_is_closed && is_settled) || monotonic_microseconds() >= consumer->drain_deadline;
}

static void note_end(const struct tracked_partition *partition, int64_t high)
{
    if (high >= 0)
        atomic_store_explicit(&partition->stats->high_watermark, high, memory_order_relaxed);
}

/* librdkafka learns a partition's end when it fetches from it, which it does not while we are paused. The lag
 * goes on growing then, so the broker is asked, as many partitions a turn as time allows. */
static void ask_for_ends(struct consumer *consumer)
{
    const struct tracker *tracker = &consumer->tracker;
    int64_t until = monotonic_microseconds() + ASKING_US;
    for (size_t i = 0; i < tracker->count && monotonic_microseconds() < until; i++) {
        size_t at = consumer->ends_asked++ % tracker->count;
        const struct tracked_partition *partition = &tracker->partitions[at];
        int64_t low, high;
        if (!partition->stats || !partition->is_assigned)
            continue;
        if (rd_kafka_query_watermark_offsets(consumer->kafka, partition->topic, partition->partition, &low,
                                             &high, ASKING_ONE_MS))
            return;
        note_end(partition, high);
    }
}

static void update_stats(struct consumer *consumer)
{
    stats_heartbeat(consumer->stats);
    stats_set(consumer->stats, COUNTER_records_in_flight, consumer->tracker.records_in_flight);
    stats_set(consumer->stats, COUNTER_bytes_in_flight, (uint64_t)consumer->tracker.bytes_in_flight);
    if (consumer->is_paused && stats_get(consumer->stats, COUNTER_kafka_connected))
        ask_for_ends(consumer);
    for (size_t i = 0; i < consumer->tracker.count; i++) {
        const struct tracked_partition *partition = &consumer->tracker.partitions[i];
        int64_t low, high;
        if (!partition->stats || !partition->is_assigned)
            continue;
        if (partition->position >= 0)
            atomic_store_explicit(&partition->stats->position, partition->position, memory_order_relaxed);
        if (!consumer->is_paused && rd_kafka_get_watermark_offsets(consumer->kafka, partition->topic,
                                                                   partition->partition, &low, &high) == 0)
            note_end(partition, high);
    }
}

/* Whether acks, or their end, can be read. read() would call it the end that no writer has come yet. */
static bool has_acks(const struct consumer *consumer)
{
    struct pollfd acks = {.fd = consumer->acks_are_closed ? -1 : consumer->acks.fd, .events = POLLIN};
    return poll(&acks, 1, 0) > 0;
}

static void wait_for_work(struct consumer *consumer, bool polls_kafka)
{
    bool reads_acks = consumer->acks.fd >= 0 && !consumer->acks_are_closed;
    bool writes = !consumer->out_is_closed && output_pending(&consumer->out);
    struct pollfd waiting[] = {
        {.fd = polls_kafka ? consumer->queue_fd : -1, .events = POLLIN},
        {.fd = reads_acks ? consumer->acks.fd : -1, .events = POLLIN},
        {.fd = writes ? consumer->out.fd : -1, .events = POLLOUT},
        {.fd = consumer->is_asked_to_end ? -1 : consumer->signal_fd, .events = POLLIN},
    };
    int64_t longest = polls_kafka ? prefetch_wait(&consumer->prefetch, consumer->kafka, TURN_US) : TURN_US;
    poll(waiting, sizeof waiting / sizeof *waiting, (int)(longest / 1000));
    eventfd_t count;
    if (waiting[0].revents)
        eventfd_read(consumer->queue_fd, &count);
    if (waiting[1].revents)
        acks_read(consumer);
}

void consumer_run(struct consumer *consumer)
{
    int64_t next_update = 0;
    while (!consumer->is_draining || !is_drained(consumer)) {
        if (signals_pending() && !consumer->is_asked_to_end) {
            log_info(&consumer->log, "ending: no more is read, %zu records are in flight",
                     consumer->tracker.records_in_flight);
            consumer->is_asked_to_end = true;
            consumer_drain(consumer, 0);
            consumer_limit_drain(consumer);
        }
        bool takes = may_take(consumer);
        bool may_be_more = takes && records_take(consumer, TAKE_AT_ONCE);
        if (is_at_end(consumer))
            consumer_drain(consumer, 0);
        records_write(consumer);
        group_settle(consumer);
        if (monotonic_microseconds() >= next_update) {
            update_stats(consumer);
            next_update = monotonic_microseconds() + TURN_US;
        }
        /* Where nothing was taken for want of room, the write may just have made some. */
        bool may_go_on =
            !consumer->is_draining && !consumer->revocation.partitions && !consumer_is_full(consumer);
        if ((may_be_more || !takes) && may_go_on) {
            if (has_acks(consumer))
                acks_read(consumer);
            continue;
        }
        if (!consumer->is_draining || !is_drained(consumer))
            wait_for_work(consumer, takes);
    }
}
