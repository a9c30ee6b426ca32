/* intake.h - reads stdin into the batch that is being filled, while the other one is being written.
 *
 * A batch may be written as soon as it holds an ended paragraph (a blank line, the end of the input, or
 * the limits); whole paragraphs that already wait join it, so that a slow database gets larger
 * transactions.
 */
#ifndef PGSINK_INTAKE_H
#define PGSINK_INTAKE_H

#include "batch.h"
#include "common/counters.h"
#include "common/line_reader.h"

struct intake {
    struct line_reader reader;
    struct line line;           /* scratch */
    size_t max_rows, max_bytes; /* of a batch */
    struct stats_slot *stats;
    bool is_at_end; /* nothing more will come */
    bool is_torn;   /* the last line was dropped: no newline and no JSON */
    int read_errno; /* 0, or why reading failed */
};

void intake_init(struct intake *intake, int fd, size_t max_line, size_t max_rows, size_t max_bytes,
                 struct stats_slot *stats);
void intake_free(struct intake *intake);
bool intake_is_full(const struct intake *intake, const struct batch *batch);
/* Whether the batch has room and there may be more to read. */
bool intake_wants_more(const struct intake *intake, const struct batch *batch);
/* Takes the lines that are in the buffer already. */
void intake_take(struct intake *intake, struct batch *batch, struct mapping *mapping);
/* Reads once, and takes the lines. */
void intake_read(struct intake *intake, struct batch *batch, struct mapping *mapping);
/* Ends the intake where it is: what was read is the last batch. */
void intake_stop(struct intake *intake, struct batch *batch);

#endif
