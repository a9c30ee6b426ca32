#include "monitor.h"

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

void monitor_tick(struct monitor *monitor)
{
    monitor_look(monitor);
    monitor->is_watching = true;
    if (!monitor->has_snapshot)
        return;
    progress_observe(&monitor->watch, &monitor->snapshot);
    history_add(&monitor->history, &monitor->snapshot);
}

void monitor_judge(const struct monitor *monitor, struct verdict *verdict)
{
    if (monitor->has_snapshot)
        health_judge(verdict, &monitor->snapshot, &monitor->limits,
                     monitor->is_watching ? &monitor->watch : NULL);
    else
        health_unknown(verdict, source_fault(&monitor->source));
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
