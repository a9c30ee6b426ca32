/* history.h - the last hour, a sample a second, in a ring of fixed size (about 170 KiB).
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

struct history_sample {
    int64_t taken;                       /* microseconds since 1970 UTC */
    uint64_t consumed, inserted, failed; /* totals so far */
    uint32_t lag, in_flight;
    float batch_ms; /* mean time of the batches of this second, negative: there were none */
};

struct history {
    struct history_sample samples[HISTORY_SAMPLES];
    uint64_t count;             /* samples so far; number n is at n % HISTORY_SAMPLES */
    struct histogram_view last; /* batch_duration at the last sample */
};

void history_add(struct history *history, const struct snapshot *snapshot);
/* Records read a second, over the last ten seconds or as many as there are. */
double history_rate(const struct history *history);

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
