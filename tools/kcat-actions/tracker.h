/* tracker.h - which records of each partition are in flight, and up to where all is safe.
 *
 * Records enter in offset order and leave from the front, when an ack says that all below an offset are
 * safe. So each partition needs a ring of its records in flight, and the offset that may be committed is
 * the first of them, or the position where there is none: that also covers what --select left out and
 * gaps in the log.
 */
#ifndef KCAT_ACTIONS_TRACKER_H
#define KCAT_ACTIONS_TRACKER_H

#include "common/counters.h"

struct flight {
    int64_t offset;
    uint32_t bytes;
};

struct tracked_partition {
    char *topic;
    int32_t partition;
    bool is_assigned;
    bool is_at_end;      /* the end of the log was reached, and nothing has come since */
    int64_t stop_offset; /* of e@: records from here on are not wanted; -1: none */
    int64_t position;    /* behind the last record read; -1: none was read since the assignment */
    int64_t stored;      /* handed over for commit; -1: nothing yet */
    int64_t confirmed;   /* the broker has it; -1: nothing yet */
    struct flight *ring; /* capacity is a power of two */
    size_t capacity, first, count;
    struct stats_partition *stats; /* may be NULL */
};

struct tracker {
    struct tracked_partition *partitions;
    size_t count;
    size_t last; /* index that the last look-up found */
    size_t records_in_flight;
    int64_t bytes_in_flight;
};

/* The entry of a partition, made if need be. Pointers are good until the next call that makes one. */
struct tracked_partition *tracker_get(struct tracker *tracker, const char *topic, int32_t partition);
/* Forgets what was in flight: the partition was assigned anew, or is gone. */
void tracker_reset(struct tracker *tracker, struct tracked_partition *partition);
/* A record was read and passed on, or left out. */
void tracker_pass_on(struct tracker *tracker, struct tracked_partition *partition, int64_t offset,
                     size_t bytes);
void tracker_leave_out(struct tracked_partition *partition, int64_t offset);
/* Everything below `next` is safe. Returns how many records left the air. */
size_t tracker_acknowledge(struct tracker *tracker, struct tracked_partition *partition, int64_t next);
/* The offset that may be committed: every record before it that was read is safe. -1: nothing was read. */
int64_t tracker_safe_offset(const struct tracked_partition *partition);
void tracker_free(struct tracker *tracker);

#endif
