/* monitor.h - all that healthd knows: the file it reads, the last look at it, and what it has seen before. */
#ifndef HEALTHD_MONITOR_H
#define HEALTHD_MONITOR_H

#include "health.h"
#include "history.h"
#include "snapshot.h"
#include "source.h"

#include "common/log.h"

#define MONITOR_PIPELINES 4 /* whose history is kept apart */
#define REJECTS_SECONDS 300 /* so long a reject is worth a warning */

struct monitor {
    const struct log *log;
    struct stats_source source;
    struct snapshot snapshot; /* of the last look; use it only if has_snapshot */
    bool has_snapshot;
    bool is_watching; /* monitor_tick has been called: there are earlier looks */
    int told_error;   /* the source's error that was logged last */
    struct health_limits limits;
    struct progress_watch watch;
    struct history history; /* of all pipelines together */
    struct {
        uint32_t number;
        struct history *history;    /* owned */
    } pipelines[MONITOR_PIPELINES]; /* those that came first */
    size_t pipeline_count;
};

/* To be freed by monitor_free. `path` and `log` stay the caller's. */
struct monitor *monitor_new(const char *path, const struct health_limits *limits, const struct log *log);
void monitor_free(struct monitor *monitor);
/* Looks at the counters as they are now. */
void monitor_look(struct monitor *monitor);
/* The look of each second, which is remembered. */
void monitor_tick(struct monitor *monitor);
/* Judges the last look; verdict_free() it. */
void monitor_judge(const struct monitor *monitor, struct verdict *verdict);
/* The history of one pipeline, NULL where there is none. */
const struct history *monitor_history(const struct monitor *monitor, uint32_t pipeline);
/* Records read a second: over the last ten seconds, or with no earlier looks over the uptime. */
double monitor_rate(const struct monitor *monitor);

#endif
