#include "report.h"

#include "common/timestamp.h"

#include <errno.h>
#include <sysexits.h>

/* A share of rejects says nothing before so many events. */
#define RATIO_EVENTS 100

static void write_reject(struct sink *sink, const struct batch *batch, const struct entry *entry,
                         struct line *line)
{
    struct slice text = slice_of(batch->lines.data + entry->line_start, entry->line_len);
    if (entry->state == ENTRY_PASSED) {
        buffer_append_slice(&sink->out.buffer, text);
        buffer_append_char(&sink->out.buffer, '\n');
        return;
    }
    const struct fault *fault = &batch->faults[entry->fault];
    if (entry->is_cut)
        line_parse_prefix(line, text);
    else
        line_parse(line, text);
    reject_write(&sink->out.buffer, line,
                 &(struct line_error){.tool = "pgsink",
                                      .class = line->kind == LINE_INVALID ? CLASS_DECODE : CLASS_DATA,
                                      .sqlstate = *fault->sqlstate ? fault->sqlstate : NULL,
                                      .column = fault->column,
                                      .message = fault->message,
                                      .at = fault->at});
}

static void write_ack(struct sink *sink, const struct batch *batch)
{
    cleanup_free struct ack *acks = xcalloc(batch->reach_count, sizeof *acks);
    size_t count = 0;
    for (size_t i = 0; i < batch->reach_count; i++) {
        const struct reach *reach = &batch->reaches[i];
        if (reach->next > 0)
            acks[count++] =
                (struct ack){slice_of(reach->topic, reach->topic_len), reach->partition, reach->next};
    }
    if (count)
        ack_write(&sink->out.buffer, acks, count);
}

static enum verdict flush(struct sink *sink)
{
    if (output_flush(&sink->out))
        return VERDICT_DONE;
    log_error(&sink->log, "could not write to stdout: %m");
    sink->exit_code = EX_IOERR;
    return VERDICT_STOP;
}

static void write_rejects(struct sink *sink, const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->entries[i].state != ENTRY_ROW)
            write_reject(sink, batch, &batch->entries[i], &sink->intake.line);
}

enum verdict report_rejects(struct sink *sink, const struct batch *batch)
{
    write_rejects(sink, batch);
    return flush(sink);
}

static void observe_latency(struct sink *sink, const struct batch *batch)
{
    int64_t now = now_microseconds();
    for (size_t i = 0; i < batch->count; i++) {
        const struct entry *entry = &batch->entries[i];
        if (entry->state != ENTRY_ROW || entry->record_ms < 0)
            continue;
        /* A record may claim to be of the far future. */
        int64_t latency = entry->record_ms < now / 1000 ? now - entry->record_ms * 1000 : 0;
        stats_observe(sink->stats, HISTOGRAM_end_to_end_latency, latency, 1);
    }
}

/* Why the event was rejected, in the classes that an operator tells apart. */
static enum counter reject_class(const struct fault *fault)
{
    bool is_value = strncmp(fault->sqlstate, "22", 2) == 0;
    if (is_value && !fault->column &&
        (strcmp(fault->sqlstate, "22P02") == 0 || strcmp(fault->sqlstate, "22023") == 0))
        return COUNTER_rejects_undecodable;
    if (is_value)
        return COUNTER_rejects_value;
    return strncmp(fault->sqlstate, "23", 2) == 0 ? COUNTER_rejects_constraint : COUNTER_rejects_other;
}

static bool is_foreign(struct sink *sink)
{
    double ratio = (double)sink->rejects_total / (double)sink->events_total;
    if (sink->options.max_reject_ratio < 0 || sink->events_total < RATIO_EVENTS ||
        ratio <= sink->options.max_reject_ratio)
        return false;
    log_error(&sink->log,
              "%.1f %% of %llu events were rejected, more than --max-reject-ratio allows: is this the "
              "right stream for this table? The last batch is not acknowledged",
              ratio * 100, (unsigned long long)sink->events_total);
    sink->exit_code = EX_DATAERR;
    return true;
}

enum verdict report_batch(struct sink *sink, const struct batch *batch, const struct write_counts *counts,
                          int64_t microseconds)
{
    size_t rejected = 0, passed = 0;
    for (size_t i = 0; i < batch->count; i++) {
        const struct entry *entry = &batch->entries[i];
        passed += entry->state == ENTRY_PASSED;
        if (entry->state != ENTRY_REJECTED)
            continue;
        rejected++;
        stats_add(sink->stats, reject_class(&batch->faults[entry->fault]), 1);
    }
    sink->events_total += batch->count;
    sink->rejects_total += rejected;
    stats_add(sink->stats, COUNTER_rows_inserted, counts->inserted);
    stats_add(sink->stats, COUNTER_rows_updated, counts->updated);
    stats_add(sink->stats, COUNTER_rows_duplicate, counts->duplicates);
    stats_add(sink->stats, COUNTER_rows_rejected, rejected);
    stats_add(sink->stats, COUNTER_rejects_passed, passed);
    stats_add(sink->stats, COUNTER_members_unknown, batch->unknown_members);
    stats_add(sink->stats, COUNTER_batches_processed, 1);
    stats_set(sink->stats, COUNTER_last_batch_time, (uint64_t)now_microseconds());
    stats_observe(sink->stats, HISTOGRAM_batch_duration, microseconds, 1);
    observe_latency(sink, batch);
    log_info(&sink->log, "Batch insert: %llu inserted, %llu duplicates (total: %zu)",
             (unsigned long long)(counts->inserted + counts->updated), (unsigned long long)counts->duplicates,
             batch->count - rejected - passed);
    log_info(&sink->log, "Batch processed: %zu messages, %llu inserted, %zu failed, %.2f ms", batch->count,
             (unsigned long long)(counts->inserted + counts->updated), rejected + passed,
             (double)microseconds / 1000);
    if (is_foreign(sink))
        return VERDICT_STOP;
    write_rejects(sink, batch);
    write_ack(sink, batch);
    return flush(sink);
}
