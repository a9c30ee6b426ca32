/* counters.h - what the tools count, in memory that all of them share through a file.
 *
 * COUNTER_TABLE lists each counter once; the array indices, the JSON, the Prometheus text and the page's
 * labels all come from it. A process has one slot, is its only writer, and writes with relaxed atomics; a
 * reader may be a moment behind, never wrong. Times are microseconds, wall-clock times since 1970 UTC.
 *
 * A slot is known by its tool and pipeline number. While its process lives it holds a lock on the slot
 * (fcntl F_OFD_SETLK), so that a dead one is known for sure; the next process of the same tool and
 * pipeline takes the slot as it is, and counters go on from where they were.
 *
 * The sum that must always come out, for each pipeline:
 *   records_consumed = records_filtered + rows_inserted + rows_updated + rows_duplicate + rows_rejected
 *                      + rejects_passed + in flight + records_abandoned
 * records_abandoned are those that were in flight when a pipeline died: they were read again.
 */
#ifndef COMMON_COUNTERS_H
#define COMMON_COUNTERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum counter_kind {
    KIND_COUNTER, /* only grows */
    KIND_GAUGE,   /* goes up and down */
    KIND_TIME,    /* a wall-clock time in microseconds, 0: never */
};

enum tool { TOOL_NONE, TOOL_KCAT_ACTIONS, TOOL_BATCH, TOOL_PGSINK, TOOL_DLQ, TOOL_COUNT };

/* X(name, kind, tool, help) */
/* clang-format off */
#define COUNTER_TABLE(X)                                                                                     \
    X(records_consumed,    COUNTER, KCAT_ACTIONS, "Records read from Kafka")                                 \
    X(bytes_consumed,      COUNTER, KCAT_ACTIONS, "Bytes of key and payload read from Kafka")                \
    X(records_filtered,    COUNTER, KCAT_ACTIONS, "Records left out by --select")                            \
    X(records_undecodable, COUNTER, KCAT_ACTIONS, "Records whose payload is no JSON")                        \
    X(records_acked,       COUNTER, KCAT_ACTIONS, "Records acknowledged as safe")                            \
    X(records_abandoned,   COUNTER, KCAT_ACTIONS, "Records in flight when a pipeline died; they were read again") \
    X(records_in_flight,   GAUGE,   KCAT_ACTIONS, "Records read and not yet acknowledged")                   \
    X(bytes_in_flight,     GAUGE,   KCAT_ACTIONS, "Bytes read and not yet acknowledged")                     \
    X(commits,             COUNTER, KCAT_ACTIONS, "Offset commits that the broker confirmed")                \
    X(commit_failures,     COUNTER, KCAT_ACTIONS, "Offset commits that failed")                              \
    X(last_commit_time,    TIME,    KCAT_ACTIONS, "When offsets were last committed")                        \
    X(last_record_time,    TIME,    KCAT_ACTIONS, "When a record was last read")                             \
    X(rebalances,          COUNTER, KCAT_ACTIONS, "Times that partitions were assigned or revoked")          \
    X(partitions_assigned, GAUGE,   KCAT_ACTIONS, "Partitions this pipeline reads")                          \
    X(partitions_lost,     COUNTER, KCAT_ACTIONS, "Partitions lost without a chance to commit")              \
    X(offset_resets,       COUNTER, KCAT_ACTIONS, "Times a position was gone and was reset")                 \
    X(pauses,              COUNTER, KCAT_ACTIONS, "Times the partitions were paused since downstream was slow") \
    X(kafka_connected,     GAUGE,   KCAT_ACTIONS, "1 while a broker answers")                                \
    X(kafka_refused_since, TIME,    KCAT_ACTIONS, "Since when no broker has answered, 0 while one does")     \
    X(kafka_errors,        COUNTER, KCAT_ACTIONS, "Errors told by the Kafka client")                         \
    X(draining,            GAUGE,   KCAT_ACTIONS, "1 while shutting down")                                   \
    X(lines_batched,       COUNTER, BATCH,        "Lines passed on")                                         \
    X(bytes_batched,       COUNTER, BATCH,        "Bytes passed on")                                         \
    X(batches_ended,       COUNTER, BATCH,        "Batches ended")                                           \
    X(batches_by_time,     COUNTER, BATCH,        "Batches ended because their time was up")                 \
    X(events_read,         COUNTER, PGSINK,       "Events read, rejects of earlier tools included")          \
    X(rows_inserted,       COUNTER, PGSINK,       "Rows inserted")                                           \
    X(rows_updated,        COUNTER, PGSINK,       "Rows updated (--on-conflict update)")                     \
    X(rows_duplicate,      COUNTER, PGSINK,       "Events whose row was there already, or left out by a trigger") \
    X(rows_rejected,       COUNTER, PGSINK,       "Events rejected: they cannot be stored")                  \
    X(rejects_undecodable, COUNTER, PGSINK,       "Of the events rejected: no JSON object")                  \
    X(rejects_value,       COUNTER, PGSINK,       "Of the events rejected: a value its column cannot take (SQLSTATE 22)") \
    X(rejects_constraint,  COUNTER, PGSINK,       "Of the events rejected: against a constraint (SQLSTATE 23)") \
    X(rejects_other,       COUNTER, PGSINK,       "Of the events rejected: for another reason")              \
    X(rejects_passed,      COUNTER, PGSINK,       "Rejects of earlier tools passed on")                      \
    X(members_unknown,     COUNTER, PGSINK,       "Members that no column takes")                            \
    X(batches_processed,   COUNTER, PGSINK,       "Transactions committed")                                  \
    X(batches_failed,      COUNTER, PGSINK,       "Attempts at a batch that failed and were made again")     \
    X(copies_direct,       COUNTER, PGSINK,       "COPYs straight into the table")                           \
    X(batches_overlapped,  COUNTER, PGSINK,       "Transactions sent while the one before was still being stored") \
    X(copies_staged,       COUNTER, PGSINK,       "COPYs into the stage")                                    \
    X(rows_single,         COUNTER, PGSINK,       "Rows sent one by one")                                    \
    X(database_connected,  GAUGE,   PGSINK,       "1 while connected to PostgreSQL")                         \
    X(database_refused_since, TIME, PGSINK,       "Since when PostgreSQL has refused, 0 while all is well")  \
    X(reconnects,          COUNTER, PGSINK,       "Connections made to PostgreSQL after the first")          \
    X(last_batch_time,     TIME,    PGSINK,       "When a batch was last committed")                         \
    X(rejects_read,        COUNTER, DLQ,          "Rejects read")                                            \
    X(rejects_published,   COUNTER, DLQ,          "Rejects confirmed by the dead letter queue")              \
    X(rejects_pending,     GAUGE,   DLQ,          "Rejects sent and not yet confirmed")                      \
    X(publish_retries,     COUNTER, DLQ,          "Publishes that failed and were made again")               \
    X(acks_forwarded,      COUNTER, DLQ,          "Acknowledgements passed on")                              \
    X(dlq_refused_since,   TIME,    DLQ,          "Since when the dead letter queue has refused, 0 while all is well")

/* X(name, tool, help), of microseconds */
#define HISTOGRAM_TABLE(X)                                                                                   \
    X(batch_duration,      PGSINK, "Time to write a batch, from its first attempt to its commit")            \
    X(end_to_end_latency,  PGSINK, "From a record's own time to the commit of its row")
/* clang-format on */

#define COUNTER_INDEX(name, kind, tool, help) COUNTER_##name,
enum counter { COUNTER_TABLE(COUNTER_INDEX) COUNTER_COUNT };
#undef COUNTER_INDEX
#define HISTOGRAM_INDEX(name, tool, help) HISTOGRAM_##name,
enum histogram { HISTOGRAM_TABLE(HISTOGRAM_INDEX) HISTOGRAM_COUNT };
#undef HISTOGRAM_INDEX

struct counter_info {
    const char *name, *help;
    enum counter_kind kind;
    enum tool tool;
};
struct histogram_info {
    const char *name, *help;
    enum tool tool;
};
extern const struct counter_info counter_info[COUNTER_COUNT];
extern const struct histogram_info histogram_info[HISTOGRAM_COUNT];
extern const char *const tool_names[TOOL_COUNT];

/* Upper bounds of the buckets in microseconds; one more bucket takes the rest. */
#define HISTOGRAM_BOUNDS 16
extern const int64_t histogram_bounds[HISTOGRAM_BOUNDS];

struct stats_histogram {
    _Atomic uint64_t buckets[HISTOGRAM_BOUNDS + 1]; /* not cumulative */
    _Atomic uint64_t sum;                           /* microseconds */
};

/* A partition that the slot's process reads. */
struct stats_partition {
    char topic[252]; /* a Kafka topic's name has at most 249 characters */
    int32_t partition;
    _Atomic bool is_assigned;
    _Atomic int64_t committed;      /* next offset as the group has it; -1: unknown */
    _Atomic int64_t position;       /* next offset to be read; -1: unknown */
    _Atomic int64_t high_watermark; /* end of the log as last heard; -1: unknown */
};
#define STATS_PARTITIONS 256

struct stats_slot {
    _Atomic uint32_t tool; /* enum tool */
    uint32_t pipeline;
    _Atomic int32_t pid;
    _Atomic uint32_t starts;   /* how many processes have had it */
    _Atomic int64_t started;   /* when the present one took it */
    _Atomic int64_t heartbeat; /* when its process last said that it lives */
    _Atomic uint64_t counters[COUNTER_COUNT];
    struct stats_histogram histograms[HISTOGRAM_COUNT];
    _Atomic uint32_t partition_count; /* used entries of partitions */
    struct stats_partition partitions[STATS_PARTITIONS];
};
#define STATS_SLOTS 64

/* For a tool: its slot in the file `path`, made if it is not there. The pipeline number is
 * $AGENT_ACTIONS_PIPELINE, else 0. With a NULL path, or where the file cannot be used (*error is a text
 * then, to be freed), the slot is private memory and counts for nobody. Never fails. Not to be freed. */
struct stats_slot *stats_attach(const char *path, enum tool tool, char **error);
/* The number of this process's pipeline, from the environment. */
uint32_t stats_pipeline(void);

/* For a reader: all slots of the file, read-only; NULL with errno. */
struct stats_file;
struct stats_file *stats_open(const char *path);
void stats_close(struct stats_file *file);
/* Slot `index` of STATS_SLOTS; its tool is TOOL_NONE if it was never used. */
const struct stats_slot *stats_slot(const struct stats_file *file, size_t index);
/* Whether the slot's process lives. */
bool stats_is_alive(const struct stats_file *file, size_t index);
/* The slot of a tool and pipeline, NULL if there is none. */
const struct stats_slot *stats_find(const struct stats_file *file, enum tool tool, uint32_t pipeline);

static inline void stats_set(struct stats_slot *slot, enum counter counter, uint64_t value)
{
    atomic_store_explicit(&slot->counters[counter], value, memory_order_relaxed);
}
static inline uint64_t stats_get(const struct stats_slot *slot, enum counter counter)
{
    return atomic_load_explicit(&slot->counters[counter], memory_order_relaxed);
}
static inline void stats_add(struct stats_slot *slot, enum counter counter, uint64_t more)
{
    stats_set(slot, counter, stats_get(slot, counter) + more);
}
/* Counts `count` observations of the same value. */
void stats_observe(struct stats_slot *slot, enum histogram histogram, int64_t microseconds, uint64_t count);
void stats_heartbeat(struct stats_slot *slot);
/* The entry for a partition, made if need be; NULL when the table is full. */
struct stats_partition *stats_partition(struct stats_slot *slot, const char *topic, int32_t partition);

#endif
