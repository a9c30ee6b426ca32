/* health.h - whether the pipelines do their work, and if not, why not.
 *
 * The rules are those of the manual page. Health is judged from one snapshot; what needs an earlier look is
 * given: 'no progress' by a struct progress_watch, 'events are rejected now' by who keeps the history.
 */
#ifndef HEALTHD_HEALTH_H
#define HEALTHD_HEALTH_H

#include "snapshot.h"

#include "common/buffer.h"

/* Microseconds; beyond them a state is unhealthy. */
struct health_limits {
    int64_t heartbeat; /* age of a tool's last heartbeat */
    int64_t kafka;     /* since no broker of Kafka answers */
    int64_t database;  /* since PostgreSQL refuses */
    int64_t dlq;       /* since the dead letter queue refuses */
    int64_t progress;  /* since a record was acknowledged, while there are some to acknowledge */
};

/* Since when, in microseconds of the monotonic clock, each pipeline has had something to do and has
 * acknowledged nothing. {0} at first. */
struct progress_watch {
    struct progress {
        uint32_t pipeline;
        uint64_t acked;
        int64_t since;
    } pipelines[STATS_SLOTS];
    size_t count;
    int64_t now; /* when it last looked */
};

/* Looks at the pipelines, about once a second. */
void progress_observe(struct progress_watch *watch, const struct snapshot *snapshot);

/* One thing to tell: what is so, and what to do about it. */
struct finding {
    bool is_fault; /* makes it unhealthy; else a warning */
    char *text;    /* owned */
    const char *cure;
};

struct verdict {
    bool is_healthy;
    bool is_draining;         /* all pipelines that run are asked to end */
    struct finding *findings; /* owned */
    size_t count;
    unsigned consumer_processes;
    unsigned pipelines_running;
};

/* NULL `watch`: there was no earlier look. */
void health_judge(struct verdict *verdict, const struct snapshot *snapshot,
                  const struct health_limits *limits, const struct progress_watch *watch);
/* Warns of events that were rejected in the last `seconds`. */
void health_note_rejects(struct verdict *verdict, uint64_t rejects, int64_t seconds);
/* Unhealthy for one reason, when there is no snapshot to judge: no pipeline has started, or its counters
 * cannot be read. */
void health_unknown(struct verdict *verdict, bool has_started, const char *reason);
void verdict_free(struct verdict *verdict);

/* Whether some pipeline can take events to the database now. */
bool health_is_ready(const struct snapshot *snapshot);

/* {"status":…,"consumer":…,…} */
void verdict_write_json(struct buffer *out, const struct verdict *verdict);

#endif
