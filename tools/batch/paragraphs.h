/* paragraphs.h - copies lines and decides where a batch ends.
 *
 * Lines are written from where they were read: the only bytes added are the blank lines, gathered into one
 * writev(). The part of a line that has come so far is held back, since a blank line must not tear it; a
 * line longer than PARAGRAPHS_MAX_HELD is streamed through instead, so memory stays bounded.
 */
#ifndef BATCH_PARAGRAPHS_H
#define BATCH_PARAGRAPHS_H

#include "common/buffer.h"
#include "common/counters.h"

#include <sys/uio.h>

#define PARAGRAPHS_MAX_HELD ((size_t)64 * 1024 * 1024)
#define PARAGRAPHS_MAX_SEGMENTS 1024 /* IOV_MAX of Linux */

struct paragraphs {
    /* Settings */
    int64_t max_lines, max_bytes; /* max_bytes 0: no limit */
    int in, out;
    struct stats_slot *stats;

    /* State */
    struct buffer buffer; /* read and not yet written; a held part of a line stands at its start */
    size_t scanned;       /* no LF before this */
    bool is_streaming;    /* within a line too long to be held */
    int64_t lines, bytes; /* of the open batch */
    int64_t opened_at;    /* when its first line came, monotonic microseconds; 0: no batch is open */
    uint64_t total_lines, total_bytes;
    struct iovec segments[PARAGRAPHS_MAX_SEGMENTS];
    int segment_count;
};

enum paragraphs_status { PARAGRAPHS_OK, PARAGRAPHS_END, PARAGRAPHS_READ_FAILED, PARAGRAPHS_WRITE_FAILED };

/* Reads once and passes all whole lines on. */
enum paragraphs_status paragraphs_copy(struct paragraphs *paragraphs);
/* Ends the open batch, if there is one. */
enum paragraphs_status paragraphs_end_batch(struct paragraphs *paragraphs);
/* At the end of the input: passes a last line without a newline on if it is JSON, and ends the batch.
 * *is_torn tells that it was not, and was dropped. */
enum paragraphs_status paragraphs_finish(struct paragraphs *paragraphs, bool *is_torn);

#endif
