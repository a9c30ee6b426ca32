/* history.h - the last hour, a sample a second, in rings of fixed size (about 250 KiB each): one for all
 * pipelines together, and one for each of the first four.
 *
 * The JSON of /history is made while it is sent, some samples at a time: a client, however slow, costs a
 * cursor and one small buffer. Samples that are overwritten before a slow client came to them are skipped.
 */
#ifndef HEALTHD_HISTORY_H
#define HEALTHD_HISTORY_H

#include "snapshot.h"

#include "common/buffer.h"

#define HISTORY_SAMPLES 3600
#define HISTORY_RATE_SAMPLES 10

/* The classes of rejects; together they are all that failed. */
#define REJECT_CLASSES 4
extern const char *const reject_class_names[REJECT_CLASSES]; /* as in "rejects: NAME" */

struct history_sample {
    int64_t taken;                       /* microseconds since 1970 UTC */
    uint64_t consumed, inserted, failed; /* totals so far */
    uint32_t rejects[REJECT_CLASSES];    /* totals so far */
    uint32_t lag, in_flight;
    uint32_t memory_kib;
    /* Of the batches and records of this second, in milliseconds; negative: there were none. */
    float batch_ms, latency_p50_ms, latency_p99_ms;
};

struct history {
    struct history_sample samples[HISTORY_SAMPLES];
    uint64_t count;                              /* samples so far; number n is at n % HISTORY_SAMPLES */
    struct histogram_view last[HISTOGRAM_COUNT]; /* at the last sample */
};

/* What is remembered: figures, lag and memory of one pipeline, or of all. */
void history_add(struct history *history, int64_t taken, const struct figures *figures, uint64_t lag,
                 uint64_t memory);
/* Records read a second, over the last ten seconds or as many as there are. */
double history_rate(const struct history *history);

/* The last `seconds` put together. Rates are 0 and times negative where there is nothing to tell. */
struct history_span {
    double consumed_rate, inserted_rate;
    uint64_t failed, rejects[REJECT_CLASSES];
    uint64_t lag, memory_kib;                        /* the greatest */
    double batch_ms, latency_p50_ms, latency_p99_ms; /* the means of the seconds; of p99 the greatest */
};
void history_span(struct history_span *span, const struct history *history, uint64_t seconds);

/* An answer to /history under way. */
struct history_stream {
    const struct history *history;
    enum { STREAM_HEAD, STREAM_SAMPLES, STREAM_ENDED } state;
    uint64_t next, end; /* numbers of samples */
    bool has_samples;   /* one was written: the next needs a comma */
    struct buffer chunk;
    size_t sent; /* bytes of chunk */
};

/* `since`: leaves out samples up to that time, in milliseconds since 1970 UTC. */
void history_stream_init(struct history_stream *stream, const struct history *history, int64_t since);
void history_stream_free(struct history_stream *stream);
/* Copies the next bytes, at most `size`. Returns how many, 0 at the end. */
size_t history_stream_read(struct history_stream *stream, char *data, size_t size);

#endif
