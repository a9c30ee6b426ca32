#include "consumer.h"

#include "common/timestamp.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <syslog.h>
#include <sysexits.h>

#define LOG_INTERVAL_US 10000000
#define COMMIT_TIMEOUT_MS 10000
#define SERVE_MS 50
#define PAUSE_AFTER_US 5000000 /* unless that is too long for max.poll.interval.ms */
#define CLOSE_TIMEOUT_S 5

/* A position is not in the log: retention was faster than we, or the topic was made anew. But who asked for
 * an offset by hand, or for more than there is, gets what is there. */
static void note_reset(const struct consumer *consumer, const char *message)
{
    if (consumer->options.start_kind == OFFSET_TAIL) {
        log_info(&consumer->log, "the log has fewer records than asked for: %s", message);
    } else if (consumer->options.start_kind == OFFSET_AT) {
        log_warning(&consumer->log, "the log does not have this offset: %s", message);
    } else {
        stats_add(consumer->stats, COUNTER_offset_resets, 1);
        log_error(&consumer->log, "records may be lost, they left the log before they were read: %s",
                  message);
    }
}

static void on_log(const rd_kafka_t *kafka, int level, const char *facility, const char *message)
{
    const struct consumer *consumer = rd_kafka_opaque(kafka);
    /* The one place where librdkafka tells of it: rd_kafka_offset_reset, when the broker refused it. */
    if (level == LOG_WARNING && strcmp(facility, "OFFSET") == 0) {
        note_reset(consumer, message);
        return;
    }
    /* Errors come to on_error as well, in words made for people. */
    log_write(&consumer->log, level <= LOG_CRIT ? LOG_LEVEL_ERROR : LOG_LEVEL_DEBUG, "%s: %s", facility,
              message);
}

static void end_with(struct consumer *consumer, int code, const char *what, const char *message,
                     const char *cure)
{
    if (consumer->exit_code)
        return;
    log_error(&consumer->log, "%s: %s; %s", what, message, cure);
    consumer_drain(consumer, code);
}

void kafka_note_error(struct consumer *consumer, rd_kafka_resp_err_t error, const char *message,
                      const char *topic)
{
    const char *what = topic ? topic : "Kafka";
    stats_add(consumer->stats, COUNTER_kafka_errors, 1);
    error = kafka_true_error(error, message);
    enum kafka_verdict verdict = kafka_judge(error);
    if (error == RD_KAFKA_RESP_ERR__SSL && consumer->was_connected)
        verdict = KAFKA_RETRIES;
    if (verdict == KAFKA_FORBIDDEN) {
        end_with(consumer, EX_NOPERM, what, message, kafka_cure(error, message));
        return;
    }
    if (verdict == KAFKA_BROKEN) {
        end_with(consumer, EX_CONFIG, what, message, kafka_cure(error, message));
        return;
    }
    if (error == RD_KAFKA_RESP_ERR__RESOLVE)
        consumer->name_is_unknown = true;
    if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        kafka_note_connection(consumer, false);
        if (consumer->name_is_unknown && !consumer->was_connected) {
            end_with(consumer, EX_UNAVAILABLE, what, "no broker's host name can be resolved", "check -b");
            return;
        }
    }
    bool is_unknown_topic = error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
                            error == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
                            error == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
    if (is_unknown_topic && consumer->options.ends_at_end) {
        end_with(consumer, EX_UNAVAILABLE, what, "there is no such topic", "create it, or check -t");
        return;
    }
    if (is_unknown_topic ? log_is_due(&consumer->topic_log, LOG_INTERVAL_US)
                         : log_is_due(&consumer->error_log, LOG_INTERVAL_US))
        log_warning(&consumer->log,
                    is_unknown_topic ? "%s: there is no such topic yet; waiting for it"
                                     : "%s: %s; trying again",
                    what, message);
}

static void on_error(rd_kafka_t *kafka, int error, const char *reason, void *opaque)
{
    char fatal[256];
    if (error == RD_KAFKA_RESP_ERR__FATAL) {
        rd_kafka_fatal_error(kafka, fatal, sizeof fatal);
        reason = fatal;
    }
    kafka_note_error(opaque, (rd_kafka_resp_err_t)error, reason, NULL);
}

void kafka_note_connection(struct consumer *consumer, bool is_connected)
{
    stats_set(consumer->stats, COUNTER_kafka_connected, is_connected);
    if (is_connected)
        stats_set(consumer->stats, COUNTER_kafka_refused_since, 0);
    else if (!stats_get(consumer->stats, COUNTER_kafka_refused_since))
        stats_set(consumer->stats, COUNTER_kafka_refused_since, (uint64_t)now_microseconds());
}

/* On an idle topic nothing else tells that a broker is back, or that the last one went. The state of a
 * broker is in capitals in librdkafka's statistics (STATISTICS.md), that of a group is not. */
static int on_statistics(rd_kafka_t *kafka, char *json, size_t len, void *opaque)
{
    static const char is_up[] = "\"state\":\"UP\"";
    struct consumer *consumer = opaque;
    (void)kafka;
    if (!consumer->is_closing)
        kafka_note_connection(consumer, memmem(json, len, is_up, sizeof is_up - 1) != NULL);
    return 0; /* librdkafka frees the text */
}

static void on_commit(rd_kafka_t *kafka, rd_kafka_resp_err_t error, rd_kafka_topic_partition_list_t *offsets,
                      void *opaque)
{
    struct consumer *consumer = opaque;
    (void)kafka;
    if (error == RD_KAFKA_RESP_ERR__NO_OFFSET)
        return; /* nothing was new */
    if (error) {
        stats_add(consumer->stats, COUNTER_commit_failures, 1);
        bool is_fenced =
            error == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID || error == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION;
        if (log_is_due(&consumer->error_log, LOG_INTERVAL_US))
            log_warning(&consumer->log, "could not commit offsets: %s; %s", rd_kafka_err2str(error),
                        is_fenced ? "others have these partitions, and read them from where they stand"
                                  : "they are committed later");
        return;
    }
    stats_add(consumer->stats, COUNTER_commits, 1);
    stats_set(consumer->stats, COUNTER_last_commit_time, (uint64_t)now_microseconds());
    for (int i = 0; offsets && i < offsets->cnt; i++) {
        const rd_kafka_topic_partition_t *part = &offsets->elems[i];
        struct tracked_partition *partition = tracker_get(&consumer->tracker, part->topic, part->partition);
        if (part->err || part->offset < 0)
            continue;
        partition->confirmed = part->offset;
        if (partition->stats)
            atomic_store_explicit(&partition->stats->committed, part->offset, memory_order_relaxed);
    }
}

static bool commits(const struct consumer_options *options)
{
    return options->acks || options->commits_on_write;
}

/* Defaults of ours, set before the user's words. */
void kafka_set_defaults(struct kafka_config *config, const struct consumer_options *options)
{
    kafka_config_default(config, "client.id", "kcat-actions");
    kafka_config_default(config, "enable.auto.offset.store", "false");
    kafka_config_default(config, "enable.auto.commit", commits(options) ? "true" : "false");
    /* librdkafka sends its heartbeats and joins a group again only when something wakes it up, which else is
     * once a second: this timer does. */
    kafka_config_default(config, "auto.commit.interval.ms", "200");
    kafka_config_default(config, "auto.offset.reset",
                         options->start_kind == OFFSET_END ? "latest" : "earliest");
    kafka_config_default(config, "enable.partition.eof", "true");
    kafka_config_default(config, "statistics.interval.ms", "2000");
    if (options->ends_at_end) /* the end is told by an empty fetch, for which the broker waits so long */
        kafka_config_default(config, "fetch.wait.max.ms", "20");
    kafka_config_default(config, "partition.assignment.strategy", "cooperative-sticky");
    /* A member that was killed is missed after so long; one hears of a rebalance in the answer to its
     * heartbeat, and until all have heard of it librdkafka fetches nothing. */
    kafka_config_default(config, "session.timeout.ms", "10000");
    kafka_config_default(config, "heartbeat.interval.ms", "200");
    kafka_config_default(config, "topic.metadata.refresh.interval.ms", "5000");
    kafka_config_default(config, "reconnect.backoff.max.ms", "2000");
    kafka_config_default(config, "socket.nagle.disable", "true");
    prefetch_set_defaults(config);
}

void kafka_insist(struct kafka_config *config, const struct consumer_options *options, const struct log *log)
{
    const char *ours[][2] = {{"enable.auto.offset.store", "false"},
                             {"enable.auto.commit", commits(options) ? "true" : "false"}};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        char theirs[16] = "";
        size_t size = sizeof theirs;
        rd_kafka_conf_get(config->conf, ours[i][0], theirs, &size);
        if (strcmp(theirs, ours[i][1]) == 0)
            continue;
        log_warning(
            log, "%s=%s is not taken: what is committed, and when, follows from --acks or --commit-on-write",
            ours[i][0], theirs);
        kafka_config_default(config, ours[i][0], ours[i][1]);
    }
}

/* The partitions must be paused, and the client polled again, well before max.poll.interval.ms is over. */
static int64_t pause_after(rd_kafka_t *kafka)
{
    char text[32];
    size_t size = sizeof text;
    if (rd_kafka_conf_get(rd_kafka_conf(kafka), "max.poll.interval.ms", text, &size) != RD_KAFKA_CONF_OK)
        return PAUSE_AFTER_US;
    int64_t quarter = strtoll(text, NULL, 10) * 1000 / 4;
    return quarter < PAUSE_AFTER_US ? quarter : PAUSE_AFTER_US;
}

bool kafka_open(struct consumer *consumer, struct kafka_config *config)
{
    cleanup_free char *error = NULL, *group = NULL;
    char reason[512];
    rd_kafka_conf_t *conf = kafka_config_take(config, &error);
    if (!conf) {
        log_error(&consumer->log, "%s", error);
        consumer->exit_code = EX_CONFIG;
        return false;
    }
    group = consumer->options.group ? xstrdup(consumer->options.group)
                                    : xasprintf("kcat-actions-%ld", (long)getpid());
    rd_kafka_conf_set(conf, "group.id", group, reason, sizeof reason);
    rd_kafka_conf_set_opaque(conf, consumer);
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_offset_commit_cb(conf, on_commit);
    rd_kafka_conf_set_stats_cb(conf, on_statistics);
    rd_kafka_conf_set_rebalance_cb(conf, group_rebalance);
    consumer->kafka = rd_kafka_new(RD_KAFKA_CONSUMER, conf, reason, sizeof reason);
    if (!consumer->kafka) {
        log_error(&consumer->log, "could not start the Kafka client: %s", reason);
        rd_kafka_conf_destroy(conf);
        consumer->exit_code = EX_CONFIG;
        return false;
    }
    prefetch_open(&consumer->prefetch, consumer->kafka);
    consumer->pause_after_us = pause_after(consumer->kafka);
    rd_kafka_poll_set_consumer(consumer->kafka);
    consumer->queue = rd_kafka_queue_get_consumer(consumer->kafka);
    consumer->queue_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    static const uint64_t one = 1;
    rd_kafka_queue_io_event_enable(consumer->queue, consumer->queue_fd, &one, sizeof one);
    return true;
}

void kafka_store(struct consumer *consumer, struct tracked_partition *partition)
{
    int64_t safe = tracker_safe_offset(partition);
    if (!partition->is_assigned || safe < 0 || safe <= partition->stored)
        return;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, partition->topic, partition->partition)->offset = safe;
    /* It fails for a partition that is no longer ours, and is meant to. */
    if (rd_kafka_offsets_store(consumer->kafka, list) == RD_KAFKA_RESP_ERR_NO_ERROR)
        partition->stored = safe;
    rd_kafka_topic_partition_list_destroy(list);
}

/* Stored first: the library's own commits must not fall behind this one. What cannot be stored, since the
 * partition is no longer ours, is not in the list, and *is_whole false. */
static rd_kafka_topic_partition_list_t *
safe_offsets(struct consumer *consumer, const rd_kafka_topic_partition_list_t *wanted, bool *is_whole)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(8);
    *is_whole = true;
    for (size_t i = 0; i < consumer->tracker.count; i++) {
        struct tracked_partition *partition = &consumer->tracker.partitions[i];
        int64_t safe = tracker_safe_offset(partition);
        bool is_wanted = !wanted || rd_kafka_topic_partition_list_find(
                                        (rd_kafka_topic_partition_list_t *)(uintptr_t)wanted,
                                        partition->topic, partition->partition);
        if (!is_wanted || !partition->is_assigned || safe < 0 || safe == partition->confirmed)
            continue;
        kafka_store(consumer, partition);
        if (safe == partition->stored)
            rd_kafka_topic_partition_list_add(list, partition->topic, partition->partition)->offset = safe;
        else
            *is_whole = false;
    }
    return list;
}

/* The broker judges each partition by itself: the first fault there is. */
static rd_kafka_resp_err_t commit_error(rd_kafka_event_t *event)
{
    rd_kafka_resp_err_t error = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    const rd_kafka_topic_partition_list_t *offsets =
        event ? rd_kafka_event_topic_partition_list(event) : NULL;
    for (int i = 0; !error && offsets && i < offsets->cnt; i++)
        error = offsets->elems[i].err;
    return error == RD_KAFKA_RESP_ERR__NO_OFFSET ? RD_KAFKA_RESP_ERR_NO_ERROR : error;
}

/* Through a queue of its own, so that a dead broker costs a bounded time. */
static rd_kafka_resp_err_t commit(struct consumer *consumer, const rd_kafka_topic_partition_list_t *offsets)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(consumer->kafka);
    rd_kafka_commit_queue(consumer->kafka, offsets, queue, NULL, NULL);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, COMMIT_TIMEOUT_MS);
    rd_kafka_resp_err_t error = commit_error(event);
    if (event)
        on_commit(consumer->kafka, rd_kafka_event_error(event), rd_kafka_event_topic_partition_list(event),
                  consumer);
    else
        log_warning(&consumer->log,
                    "the broker did not confirm the last commit in time; what it covers may be read again");
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    return error;
}

static rd_kafka_resp_err_t commit_safe(struct consumer *consumer,
                                       const rd_kafka_topic_partition_list_t *partitions)
{
    bool is_whole;
    if (!commits(&consumer->options))
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_topic_partition_list_t *offsets = safe_offsets(consumer, partitions, &is_whole);
    rd_kafka_resp_err_t error = offsets->cnt ? commit(consumer, offsets) : RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_topic_partition_list_destroy(offsets);
    return error || is_whole ? error : RD_KAFKA_RESP_ERR__STATE;
}

bool kafka_commit(struct consumer *consumer, const rd_kafka_topic_partition_list_t *partitions)
{
    return commit_safe(consumer, partitions) == RD_KAFKA_RESP_ERR_NO_ERROR;
}

/* Serves the client until the group has changed. Who commits while it joins the group again is taken for a
 * stranger, with the old generation's number, and loses the partitions. What is read is not taken any more.
 */
static void await_rebalance(struct consumer *consumer, int64_t deadline)
{
    uint64_t before = stats_get(consumer->stats, COUNTER_rebalances);
    while (stats_get(consumer->stats, COUNTER_rebalances) == before && monotonic_microseconds() < deadline) {
        rd_kafka_message_t *message = rd_kafka_consumer_poll(consumer->kafka, SERVE_MS);
        if (message)
            rd_kafka_message_destroy(message);
    }
    group_settle(consumer);
}

bool kafka_commit_last(struct consumer *consumer)
{
    if (!consumer->kafka)
        return true;
    int64_t deadline = monotonic_microseconds() + COMMIT_TIMEOUT_MS * 1000;
    rd_kafka_resp_err_t error = commit_safe(consumer, NULL);
    while (error == RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS && monotonic_microseconds() < deadline) {
        await_rebalance(consumer, deadline);
        error = commit_safe(consumer, NULL);
    }
    consumer->is_closing = true;
    group_settle(consumer);
    return error == RD_KAFKA_RESP_ERR_NO_ERROR;
}

static volatile sig_atomic_t code_when_stuck;

static void on_stuck(int number)
{
    (void)number;
    _exit(code_when_stuck);
}

void kafka_close(struct consumer *consumer, int code)
{
    if (!consumer->kafka)
        return;
    code_when_stuck = code;
    signal(SIGALRM, on_stuck);
    alarm(CLOSE_TIMEOUT_S);
    rd_kafka_queue_io_event_enable(consumer->queue, -1, NULL, 0);
    rd_kafka_queue_destroy(consumer->queue);
    rd_kafka_consumer_close(consumer->kafka);
    if (!consumer->is_assigned) /* before 2.3 giving it back aborts where a first join is under way */
        _exit(code);
    rd_kafka_destroy(consumer->kafka);
    alarm(0);
    consumer->kafka = NULL;
    close(consumer->queue_fd);
}
