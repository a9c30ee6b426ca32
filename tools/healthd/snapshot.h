/* snapshot.h - the shared counters at one moment, summed by pipeline.
 *
 * How the slots of a pipeline are put together: counters are summed, those of dead processes too. Gauges
 * are summed over living processes, but the records and bytes in flight over all: what a dead process had
 * in flight stays so until its successor counts it as abandoned, which keeps the sum in counters.h right.
 * Gauges that say yes or no are yes if one process says so. Of times the latest counts; of the times since
 * when something refuses, the earliest of a living process.
 */
#ifndef HEALTHD_SNAPSHOT_H
#define HEALTHD_SNAPSHOT_H

#include "common/counters.h"
#include "common/slice.h"

/* One process, past or present. Times are microseconds since 1970 UTC. */
struct tool_view {
    enum tool tool;
    uint32_t pipeline;
    int32_t pid;
    uint32_t starts;
    int64_t started, heartbeat;
    int64_t rss; /* resident memory of the living process in bytes, -1: unknown */
    bool is_alive;
    uint64_t counters[COUNTER_COUNT];
};

struct histogram_view {
    uint64_t buckets[HISTOGRAM_BOUNDS + 1]; /* not cumulative */
    uint64_t count;
    uint64_t sum; /* microseconds */
};

struct figures {
    uint64_t counters[COUNTER_COUNT];
    struct histogram_view histograms[HISTOGRAM_COUNT];
};

struct pipeline_view {
    uint32_t number;
    struct figures figures;
    /* Of each tool the process that speaks for it: a living one, else the latest. NULL: never seen.
     * `starts` are all processes of the tool so far. */
    const struct tool_view *tools[TOOL_COUNT];
    uint32_t starts[TOOL_COUNT];
    uint64_t lag;    /* sum of its partitions */
    uint64_t memory; /* resident, of all its living processes, in bytes */
};

/* A partition that a living process reads. Offsets: -1 where unknown. */
struct partition_view {
    uint32_t pipeline;
    struct slice topic; /* points into the shared file */
    int32_t partition;
    int64_t committed, position, high_watermark;
    int64_t lag;
};

struct snapshot {
    int64_t taken; /* microseconds since 1970 UTC */
    struct tool_view tools[STATS_SLOTS];
    size_t tool_count;
    struct pipeline_view pipelines[STATS_SLOTS]; /* by number, ascending */
    size_t pipeline_count;
    struct partition_view *partitions; /* owned; by pipeline, topic and number */
    size_t partition_count, partition_capacity;
    struct figures total;
    uint64_t lag, memory;
    int64_t uptime; /* microseconds of the living process that has run longest, 0: none lives */
};

/* Takes a new snapshot into `snapshot` ({0} at first), which uses the memory of the last one again. Its
 * topics are good as long as the file is open. */
void snapshot_take(struct snapshot *snapshot, const struct stats_file *file);
void snapshot_free(struct snapshot *snapshot);

/* A tool that was seen and whose process is gone, with none in its place. */
bool pipeline_lacks(const struct pipeline_view *pipeline, enum tool tool);
bool pipeline_has(const struct pipeline_view *pipeline, enum tool tool); /* a living one */
/* All tools that were seen live, and one of them reads from Kafka. */
bool pipeline_is_complete(const struct pipeline_view *pipeline);

/* Resident memory of a process in bytes, -1 where it cannot be known. */
int64_t process_rss(int32_t pid);

/* What the histogram has got since an earlier look at it; all of it where it began anew in between. */
void histogram_since(struct histogram_view *result, const struct histogram_view *now,
                     const struct histogram_view *before);
/* The value in milliseconds below which `share` (0 to 1) of the observations lie, as near as the buckets
 * tell; -1 when there are none. What is beyond the last bound counts as the bound. */
double histogram_quantile_ms(const struct histogram_view *histogram, double share);
/* Mean of a histogram in milliseconds, 0 when it is empty. */
double histogram_mean_ms(const struct histogram_view *histogram);
/* Events that did not become rows: rejected by the database tool, or by one before it. */
uint64_t figures_failed(const struct figures *figures);

#endif
