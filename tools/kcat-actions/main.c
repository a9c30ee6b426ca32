/* kcat-actions - Kafka to NDJSON, with offsets committed by what comes back. See kcat-actions.1. What it does
 * stands in loop.c; here everything is opened, and closed. */
#include "arguments.h"

#include "check.h"
#include "common/library_pages.h"
#include "common/signals.h"

#include <malloc.h>
#include <sysexits.h>

#define PIPE_SIZE (1024 * 1024)
/* From here on glibc gives memory back as soon as it is freed. Left alone it raises this bound when it sees
 * librdkafka's buffers of unpacked batches (a megabyte is usual), which then leave holes in its heaps: the
 * process went on growing for millions of records. */
#define LARGE_ALLOCATION (512 * 1024)

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
    stats_set(consumer->stats, COUNTER_kafka_refused_since, 0);
    stats_close(file);
}

/* EX_OK, or the reason is told. */
static int apply_settings(struct arguments *arguments, const struct log *log)
{
    kafka_set_defaults(&arguments->kafka, &arguments->consumer);
    cleanup_free char *fault = kafka_config_environment(&arguments->kafka);
    if (fault) {
        log_error(log, "%s", fault);
        return EX_CONFIG;
    }
    for (size_t i = 0; i < arguments->setting_count; i++) {
        cleanup_free char *error = arguments->setting_is_file[i]
                                       ? kafka_config_read_file(&arguments->kafka, arguments->settings[i])
                                       : kafka_config_set(&arguments->kafka, arguments->settings[i]);
        if (error) {
            log_error(log, "%s %s", arguments->setting_is_file[i] ? "-F" : "-X", error);
            return EX_USAGE;
        }
    }
    kafka_insist(&arguments->kafka, &arguments->consumer, log);
    return EX_OK;
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
    bool is_all_safe = left == 0 && output_pending(&consumer->out) == 0;
    bool is_committed = kafka_commit_last(consumer);
    stats_set(consumer->stats, COUNTER_kafka_connected, 0);
    stats_set(consumer->stats, COUNTER_kafka_refused_since, 0);
    if (consumer->exit_code) /* not asked to end: it is to be missed */
        stats_set(consumer->stats, COUNTER_draining, 0);
    if (left)
        log_warning(&consumer->log, "%zu records were not acknowledged: they will be read again", left);
    log_info(&consumer->log,
             "Final statistics: %llu records read, %llu filtered, %llu acknowledged, %llu commits",
             (unsigned long long)stats_get(consumer->stats, COUNTER_records_consumed),
             (unsigned long long)stats_get(consumer->stats, COUNTER_records_filtered),
             (unsigned long long)stats_get(consumer->stats, COUNTER_records_acked),
             (unsigned long long)stats_get(consumer->stats, COUNTER_commits));
    int code = consumer->exit_code ? consumer->exit_code : is_all_safe && is_committed ? EX_OK : EX_TEMPFAIL;
    kafka_close(consumer, code);
    return code;
}

static int open_and_run(struct consumer *consumer, struct arguments *arguments)
{
    int code = apply_settings(arguments, &consumer->log);
    if (code)
        return code;
    if (arguments->is_check)
        return check_run(&consumer->options, &arguments->kafka);
    if (!open_select(consumer, arguments->select) || !acks_open(consumer) ||
        !kafka_open(consumer, &arguments->kafka))
        return consumer->exit_code;
    consumer->out.fd = output_open_nonblocking(STDOUT_FILENO, PIPE_SIZE);
    bool is_group = consumer->options.group && consumer->options.partition_count == 0;
    if (is_group ? group_join(consumer) : adhoc_assign(consumer)) {
        library_pages_give_back();
        consumer_run(consumer);
    }
    return finish(consumer);
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.consumer = {.max_in_flight = 50000,
                                               .max_in_flight_bytes = 64 << 20,
                                               .drain_timeout_us = 30000000,
                                               .end_time = -1}};
    mallopt(M_MMAP_THRESHOLD, LARGE_ALLOCATION);
    options_init();
    kafka_config_init(&arguments.kafka);
    argp_parse(&arguments_argp, argc, argv, 0, NULL, &arguments);

    struct consumer consumer = {.options = arguments.consumer};
    options_apply(&arguments.common, &consumer.log, "kcat-actions");
    cleanup_free char *stats_error = NULL;
    if (arguments.is_check) /* the slot of a pipeline that runs is not for us */
        arguments.common.stats_file = NULL;
    consumer.stats = stats_attach(arguments.common.stats_file, TOOL_KCAT_ACTIONS, &stats_error);
    if (stats_error)
        log_warning(&consumer.log, "%s", stats_error);
    count_abandoned(&consumer, arguments.common.stats_file);
    consumer.signal_fd = signals_init();
    int code = open_and_run(&consumer, &arguments);
    kafka_config_free(&arguments.kafka);
    prefetch_close(&consumer.prefetch);
    tracker_free(&consumer.tracker);
    jq_program_free(consumer.select);
    buffer_free(&consumer.scratch);
    buffer_free(&consumer.selected);
    free(consumer.headers);
    buffer_free(&consumer.out.buffer);
    line_reader_free(&consumer.acks);
    line_free(&consumer.ack_line);
    free(arguments.consumer.topics);
    free(arguments.consumer.partitions);
    free(arguments.settings);
    free(arguments.setting_is_file);
    return code;
}
