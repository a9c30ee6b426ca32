#include "monitor.h"

#include "common/memory.h"

#include <errno.h>

struct monitor *monitor_new(const char *path, const struct health_limits *limits, const struct log *log)
{
    struct monitor *monitor = xcalloc(1, sizeof *monitor);
    monitor->log = log;
    monitor->limits = *limits;
    source_init(&monitor->source, path);
    return monitor;
}

void monitor_free(struct monitor *monitor)
{
    source_close(&monitor->source);
    snapshot_free(&monitor->snapshot);
    for (size_t i = 0; i < monitor->pipeline_count; i++)
        free(monitor->pipelines[i].history);
    free(monitor);
}

/* Says once what keeps the file from being read; that it does not exist yet is no fault. */
static void tell_error(struct monitor *monitor)
{
    int error = monitor->source.file ? 0 : monitor->source.error;
    if (error == monitor->told_error)
        return;
    monitor->told_error = error;
    if (error == EINVAL)
        log_warning(monitor->log, "%s: %s", monitor->source.path, source_fault(&monitor->source));
    else if (error && error != ENOENT)
        log_warning(monitor->log, "could not read the counters in %s: %s", monitor->source.path,
                    strerror(error));
}

void monitor_look(struct monitor *monitor)
{
    source_refresh(&monitor->source);
    tell_error(monitor);
    monitor->has_snapshot = monitor->source.file != NULL;
    if (monitor->has_snapshot)
        snapshot_take(&monitor->snapshot, monitor->source.file);
}

const struct history *monitor_history(const struct monitor *monitor, uint32_t pipeline)
{
    for (size_t i = 0; i < monitor->pipeline_count; i++)
        if (monitor->pipelines[i].number == pipeline)
            return monitor->pipelines[i].history;
    return NULL;
}

/* The pipeline's history, begun if it is new; NULL where there are enough. */
static struct history *pipeline_history(struct monitor *monitor, uint32_t pipeline)
{
    for (size_t i = 0; i < monitor->pipeline_count; i++)
        if (monitor->pipelines[i].number == pipeline)
            return monitor->pipelines[i].history;
    if (monitor->pipeline_count == MONITOR_PIPELINES)
        return NULL;
    struct history *history = xcalloc(1, sizeof *history); /* untouched pages take no memory */
    monitor->pipelines[monitor->pipeline_count].number = pipeline;
    monitor->pipelines[monitor->pipeline_count++].history = history;
    return history;
}

static void remember(struct monitor *monitor)
{
    const struct snapshot *snapshot = &monitor->snapshot;
    history_add(&monitor->history, snapshot->taken, &snapshot->total, snapshot->lag, snapshot->memory);
    for (size_t i = 0; i < snapshot->pipeline_count; i++) {
        const struct pipeline_view *pipeline = &snapshot->pipelines[i];
        struct history *history = pipeline_history(monitor, pipeline->number);
        if (history)
            history_add(history, snapshot->taken, &pipeline->figures, pipeline->lag, pipeline->memory);
    }
}

void monitor_tick(struct monitor *monitor)
{
    monitor_look(monitor);
    monitor->is_watching = true;
    if (!monitor->has_snapshot)
        return;
    progress_observe(&monitor->watch, &monitor->snapshot);
    remember(monitor);
}

void monitor_judge(const struct monitor *monitor, struct verdict *verdict)
{
    if (!monitor->has_snapshot) {
        health_unknown(verdict, monitor->source.error != ENOENT, source_fault(&monitor->source));
        return;
    }
    struct history_span span;
    health_judge(verdict, &monitor->snapshot, &monitor->limits,
                 monitor->is_watching ? &monitor->watch : NULL);
    history_span(&span, &monitor->history, REJECTS_SECONDS);
    health_note_rejects(verdict, span.failed, REJECTS_SECONDS);
}

double monitor_rate(const struct monitor *monitor)
{
    /* Before there are samples enough, the average since the start is nearer to the truth than they are. */
    if (monitor->is_watching && monitor->history.count > HISTORY_RATE_SAMPLES)
        return history_rate(&monitor->history);
    const struct snapshot *snapshot = &monitor->snapshot;
    return snapshot->uptime
               ? (double)snapshot->total.counters[COUNTER_records_consumed] * 1e6 / (double)snapshot->uptime
               : 0;
}
