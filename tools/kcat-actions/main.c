/* kcat-actions - Kafka to NDJSON, with offsets committed by what comes back. See kcat-actions.1.
 *
 * One poll() over stdout, the fifo of acks, librdkafka's queue and the signals. When stdout does not take
 * more, or too much is in flight, no record is taken and librdkafka's own queue fills up; only when that
 * lasts are the partitions paused, so that the client can be polled and stays a member of its group. */
#include "consumer.h"

#include "common/options.h"
#include "common/signals.h"
#include "common/timestamp.h"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <string.h>
#include <sysexits.h>

#define PIPE_SIZE (1024 * 1024)
#define OUT_LIMIT ((size_t)512 * 1024) /* bytes that may wait for stdout */
#define TAKE_AT_ONCE 1000
#define PAUSE_AFTER_US 5000000
#define TURN_US 1000000 /* the longest wait: heartbeat, watermarks */

enum {
    KEY_ACKS = 0x100,
    KEY_COMMIT_ON_WRITE,
    KEY_BARE,
    KEY_SELECT,
    KEY_MAX_IN_FLIGHT,
    KEY_MAX_IN_FLIGHT_BYTES,
    KEY_DRAIN_TIMEOUT,
};

struct options {
    struct common_options common;
    struct consumer_options consumer;
    struct kafka_config kafka;
    const char *select;
    const char **settings; /* -X and -F, in order; applied behind our defaults */
    bool *setting_is_file;
    size_t setting_count;
};

static const struct argp_option option_table[] = {
    {"brokers", 'b', "BROKERS", 0, "Bootstrap brokers (default: $KAFKA_BROKERS, else localhost:9092)", 0},
    {"topic", 't', "TOPIC", 0, "Topic to read; repeatable; ^REGEX with a group", 0},
    {"group", 'g', "GROUP", 0, "Read as a member of this consumer group", 0},
    {"partition", 'p', "N", 0, "Read this partition; repeatable (all)", 0},
    {"offset", 'o', "OFFSET", 0,
     "From where: beginning, end, stored, N, -N (from the end), s@MS; e@MS: until", 0},
    {"count", 'c', "N", 0, "End after so many records", 0},
    {"exit", 'e', NULL, 0, "End at the end of the partitions", 0},
    {"property", 'X', "NAME=VALUE", 0, "Set a property of librdkafka", 0},
    {"config", 'F', "FILE", 0, "Read properties from a file, as kcat does", 0},
    {"acks", KEY_ACKS, "FIFO", 0, "Commit what the acks coming back through FIFO say is safe", 1},
    {"commit-on-write", KEY_COMMIT_ON_WRITE, NULL, 0, "Commit what stdout has taken", 1},
    {"bare", KEY_BARE, NULL, 0, "Print payloads only", 1},
    {"select", KEY_SELECT, "JQ", 0, "Keep the records for which this jq program is true", 1},
    {"max-in-flight", KEY_MAX_IN_FLIGHT, "N", 0, "Records not yet acknowledged at most (50000)", 2},
    {"max-in-flight-bytes", KEY_MAX_IN_FLIGHT_BYTES, "BYTES", 0, "Their bytes at most (64M)", 2},
    {"drain-timeout", KEY_DRAIN_TIMEOUT, "TIME", 0, "How long to wait at the end for acks (30s)", 2},
    {NULL, 'C', NULL, OPTION_HIDDEN, "", 3}, /* kcat's users type these two: they say what is so anyway */
    {NULL, 'J', NULL, OPTION_HIDDEN, "", 3},
    {0},
};

static void add_setting(struct options *options, const char *text, bool is_file)
{
    size_t count = options->setting_count++;
    options->settings = xreallocarray(options->settings, count + 1, sizeof *options->settings);
    options->setting_is_file = xreallocarray(options->setting_is_file, count + 1, sizeof(bool));
    options->settings[count] = text;
    options->setting_is_file[count] = is_file;
}

static void set_offset(struct consumer_options *consumer, const struct argp_state *state, const char *arg)
{
    int64_t number;
    if (strncmp(arg, "e@", 2) == 0 && parse_count(arg + 2, 0, INT64_MAX, &consumer->end_time))
        return;
    consumer->start = 0;
    if (strcmp(arg, "beginning") == 0)
        consumer->start_kind = OFFSET_BEGINNING;
    else if (strcmp(arg, "end") == 0)
        consumer->start_kind = OFFSET_END;
    else if (strcmp(arg, "stored") == 0)
        consumer->start_kind = OFFSET_STORED;
    else if (parse_count(arg, 0, INT64_MAX, &number))
        consumer->start_kind = OFFSET_AT, consumer->start = number;
    else if (*arg == '-' && parse_count(arg + 1, 1, INT32_MAX, &number))
        consumer->start_kind = OFFSET_TAIL, consumer->start = number;
    else if (strncmp(arg, "s@", 2) == 0 && parse_count(arg + 2, 0, INT64_MAX, &number))
        consumer->start_kind = OFFSET_TIME, consumer->start = number;
    else
        argp_error(state, "-o \"%s\" is none of beginning, end, stored, N, -N, s@MS, e@MS", arg);
}

/* What only makes sense together, or apart. */
static void check(const struct options *options, const struct argp_state *state)
{
    const struct consumer_options *consumer = &options->consumer;
    bool is_group = consumer->group && consumer->partition_count == 0;
    if (consumer->topic_count == 0)
        argp_error(state, "no topic: give one with -t");
    if (consumer->acks && !consumer->group)
        argp_error(state, "--acks commits offsets of a group: give one with -g");
    if (consumer->commits_on_write && !consumer->group)
        argp_error(state, "--commit-on-write commits offsets of a group: give one with -g");
    if (consumer->acks && consumer->commits_on_write)
        argp_error(state, "--acks and --commit-on-write exclude each other");
    if (consumer->acks && consumer->is_bare)
        argp_error(state, "--bare leaves out what acks are made of: it cannot be used with --acks");
    if (is_group && (consumer->start_kind > OFFSET_STORED || consumer->end_time >= 0))
        argp_error(state, "-o N, -N, s@ and e@ need partitions of your own: add -p, or leave -g out");
    if (!is_group)
        for (size_t i = 0; i < consumer->topic_count; i++)
            if (consumer->topics[i][0] == '^')
                argp_error(state, "-t %s: a pattern of topics needs a group (-g)", consumer->topics[i]);
    if (consumer->start_kind == OFFSET_STORED && !consumer->group)
        argp_error(state, "-o stored reads the offsets of a group: give one with -g");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    struct consumer_options *consumer = &options->consumer;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &options->common;
        return 0;
    case 'b':
        options->kafka.brokers = arg;
        return 0;
    case 't':
        consumer->topics =
            xreallocarray(consumer->topics, consumer->topic_count + 1, sizeof *consumer->topics);
        consumer->topics[consumer->topic_count++] = arg;
        return 0;
    case 'g':
        consumer->group = arg;
        return 0;
    case 'p':
        consumer->partitions =
            xreallocarray(consumer->partitions, consumer->partition_count + 1, sizeof *consumer->partitions);
        consumer->partitions[consumer->partition_count++] =
            (int32_t)option_count(state, "-p", arg, 0, INT32_MAX);
        return 0;
    case 'o':
        set_offset(consumer, state, arg);
        return 0;
    case 'c':
        consumer->count = option_count(state, "-c", arg, 1, INT64_MAX);
        return 0;
    case 'e':
        consumer->ends_at_end = true;
        return 0;
    case 'X':
    case 'F':
        add_setting(options, arg, key == 'F');
        return 0;
    case KEY_ACKS:
        consumer->acks = arg;
        return 0;
    case KEY_COMMIT_ON_WRITE:
        consumer->commits_on_write = true;
        return 0;
    case KEY_BARE:
        consumer->is_bare = true;
        return 0;
    case KEY_SELECT:
        options->select = arg;
        return 0;
    case KEY_MAX_IN_FLIGHT:
        consumer->max_in_flight = option_count(state, "--max-in-flight", arg, 1, 100000000);
        return 0;
    case KEY_MAX_IN_FLIGHT_BYTES:
        consumer->max_in_flight_bytes = option_size(state, "--max-in-flight-bytes", arg);
        return 0;
    case KEY_DRAIN_TIMEOUT:
        consumer->drain_timeout_us = option_duration(state, "--drain-timeout", arg, 1000000);
        return 0;
    case 'C':
    case 'J':
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "\"%s\": topics are given with -t", arg);
        return 0;
    case ARGP_KEY_END:
        check(options, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&common_argp, 0, NULL, 0}, {0}};
static const struct argp argp = {option_table, parse, NULL, "Read records from Kafka as lines of JSON.",
                                 children,     NULL,  NULL};

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

static void set_paused(struct consumer *consumer, bool is_paused)
{
    rd_kafka_topic_partition_list_t *partitions;
    if (rd_kafka_assignment(consumer->kafka, &partitions) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    if (is_paused)
        rd_kafka_pause_partitions(consumer->kafka, partitions);
    else
        rd_kafka_resume_partitions(consumer->kafka, partitions);
    rd_kafka_topic_partition_list_destroy(partitions);
    consumer->is_paused = is_paused;
    stats_add(consumer->stats, COUNTER_pauses, is_paused);
    log_info(&consumer->log,
             is_paused ? "downstream takes nothing: paused" : "downstream takes again: resumed");
}

/* Decides whether records may be taken now. When downstream has taken nothing for a while the partitions
 * are paused, and the client is polled again, so that the group keeps us. */
static bool may_take(struct consumer *consumer)
{
    if (consumer->is_draining || consumer->revocation.partitions)
        return false;
    int64_t now = monotonic_microseconds();
    if (!consumer_is_full(consumer)) {
        consumer->stuck_since = 0;
        if (consumer->is_paused)
            set_paused(consumer, false);
        return true;
    }
    if (consumer->stuck_since == 0)
        consumer->stuck_since = now;
    if (!consumer->is_paused && now - consumer->stuck_since >= PAUSE_AFTER_US)
        set_paused(consumer, true);
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

static void update_stats(struct consumer *consumer)
{
    stats_heartbeat(consumer->stats);
    stats_set(consumer->stats, COUNTER_records_in_flight, consumer->tracker.records_in_flight);
    stats_set(consumer->stats, COUNTER_bytes_in_flight, (uint64_t)consumer->tracker.bytes_in_flight);
    for (size_t i = 0; i < consumer->tracker.count; i++) {
        const struct tracked_partition *partition = &consumer->tracker.partitions[i];
        int64_t low, high;
        if (!partition->stats || !partition->is_assigned)
            continue;
        if (partition->position >= 0)
            atomic_store_explicit(&partition->stats->position, partition->position, memory_order_relaxed);
        if (rd_kafka_get_watermark_offsets(consumer->kafka, partition->topic, partition->partition, &low,
                                           &high) == RD_KAFKA_RESP_ERR_NO_ERROR &&
            high >= 0)
            atomic_store_explicit(&partition->stats->high_watermark, high, memory_order_relaxed);
    }
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
    poll(waiting, sizeof waiting / sizeof *waiting, TURN_US / 1000);
    eventfd_t count;
    if (waiting[0].revents)
        eventfd_read(consumer->queue_fd, &count);
    if (waiting[1].revents)
        acks_read(consumer);
}

static void run(struct consumer *consumer)
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
            if (consumer->acks.fd >= 0 && !consumer->acks_are_closed)
                acks_read(consumer);
            continue;
        }
        if (!consumer->is_draining || !is_drained(consumer))
            wait_for_work(consumer, takes);
    }
}

/* What was in flight when this pipeline last died was read again, or will be: the sum in counters.h. */
static void count_abandoned(struct consumer *consumer, const char *stats_file)
{
    struct stats_file *file = stats_file ? stats_open(stats_file) : NULL;
    const struct stats_slot *sink = file ? stats_find(file, TOOL_PGSINK, stats_pipeline()) : NULL;
    uint64_t consumed = stats_get(consumer->stats, COUNTER_records_consumed);
    uint64_t settled = stats_get(consumer->stats, COUNTER_records_filtered) +
                       stats_get(consumer->stats, COUNTER_records_abandoned);
    uint64_t left = stats_get(consumer->stats, COUNTER_records_in_flight);
    if (sink) {
        static const enum counter outcomes[] = {COUNTER_rows_inserted, COUNTER_rows_updated,
                                                COUNTER_rows_duplicate, COUNTER_rows_rejected,
                                                COUNTER_rejects_passed};
        for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++)
            settled += stats_get(sink, outcomes[i]);
        left = consumed > settled ? consumed - settled : 0;
    }
    stats_add(consumer->stats, COUNTER_records_abandoned, left);
    stats_set(consumer->stats, COUNTER_records_in_flight, 0);
    stats_set(consumer->stats, COUNTER_draining, 0);
    stats_close(file);
}

static bool apply_settings(struct options *options, const struct log *log)
{
    kafka_set_defaults(&options->kafka, &options->consumer);
    for (size_t i = 0; i < options->setting_count; i++) {
        cleanup_free char *error = options->setting_is_file[i]
                                       ? kafka_config_read_file(&options->kafka, options->settings[i])
                                       : kafka_config_set(&options->kafka, options->settings[i]);
        if (error) {
            log_error(log, "%s %s", options->setting_is_file[i] ? "-F" : "-X", error);
            return false;
        }
    }
    return true;
}

static bool open_select(struct consumer *consumer, const char *program)
{
    if (!program)
        return true;
    cleanup_free char *error = NULL;
    cleanup_free char *whole = xasprintf("($record | del(.payload)) as $record | (%s)", program);
    consumer->select = jq_program_new(whole, true, &error);
    if (consumer->select)
        return true;
    log_error(&consumer->log, "--select: %s", error);
    consumer->exit_code = EX_USAGE;
    return false;
}

static int finish(struct consumer *consumer)
{
    size_t left = consumer->options.acks ? consumer->tracker.records_in_flight : 0;
    size_t unwritten = output_pending(&consumer->out);
    kafka_close(consumer);
    stats_set(consumer->stats, COUNTER_kafka_connected, 0);
    if (left)
        log_warning(&consumer->log, "%zu records were not acknowledged: they will be read again", left);
    log_info(&consumer->log,
             "Final statistics: %llu records read, %llu filtered, %llu acknowledged, %llu commits",
             (unsigned long long)stats_get(consumer->stats, COUNTER_records_consumed),
             (unsigned long long)stats_get(consumer->stats, COUNTER_records_filtered),
             (unsigned long long)stats_get(consumer->stats, COUNTER_records_acked),
             (unsigned long long)stats_get(consumer->stats, COUNTER_commits));
    if (consumer->exit_code)
        return consumer->exit_code;
    return left || unwritten ? EX_TEMPFAIL : EX_OK;
}

int main(int argc, char **argv)
{
    struct options options = {.consumer = {.max_in_flight = 50000,
                                           .max_in_flight_bytes = 64 << 20,
                                           .drain_timeout_us = 30000000,
                                           .end_time = -1}};
    options_init();
    kafka_config_init(&options.kafka);
    argp_parse(&argp, argc, argv, 0, NULL, &options);

    struct consumer consumer = {.options = options.consumer};
    options_apply(&options.common, &consumer.log, "kcat-actions");
    cleanup_free char *stats_error = NULL;
    consumer.stats = stats_attach(options.common.stats_file, TOOL_KCAT_ACTIONS, &stats_error);
    if (stats_error)
        log_warning(&consumer.log, "%s", stats_error);
    count_abandoned(&consumer, options.common.stats_file);
    consumer.signal_fd = signals_init();
    if (!apply_settings(&options, &consumer.log))
        return EX_USAGE;
    if (!open_select(&consumer, options.select) || !acks_open(&consumer) ||
        !kafka_open(&consumer, &options.kafka))
        return consumer.exit_code;
    consumer.out.fd = output_open_nonblocking(STDOUT_FILENO, PIPE_SIZE);

    bool is_group = consumer.options.group && consumer.options.partition_count == 0;
    if (is_group ? group_join(&consumer) : adhoc_assign(&consumer))
        run(&consumer);
    int code = finish(&consumer);
    tracker_free(&consumer.tracker);
    jq_program_free(consumer.select);
    buffer_free(&consumer.scratch);
    buffer_free(&consumer.selected);
    buffer_free(&consumer.out.buffer);
    line_reader_free(&consumer.acks);
    line_free(&consumer.ack_line);
    free(options.consumer.topics);
    free(options.consumer.partitions);
    free(options.settings);
    free(options.setting_is_file);
    return code;
}
