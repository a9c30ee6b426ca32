/* progress.h - a line on stderr that says how far a long copy is. */
#ifndef BATCH_PROGRESS_H
#define BATCH_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool is_shown;
    bool was_drawn;
    int64_t total_bytes;   /* of the input, 0: unknown */
    int64_t started, last; /* monotonic microseconds */
};

/* Takes the size of the input where it is a regular file. */
void progress_start(struct progress *progress, int fd);
/* Draws at most once a second, and not in the first. */
void progress_update(struct progress *progress, uint64_t lines, uint64_t bytes);
void progress_finish(struct progress *progress, uint64_t lines, uint64_t bytes);

#endif
