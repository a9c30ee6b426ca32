/* output.h - buffered writing to a descriptor, blocking or not. */
#ifndef COMMON_OUTPUT_H
#define COMMON_OUTPUT_H

#include "common/buffer.h"

struct output {
    int fd;
    struct buffer buffer; /* what waits to be written starts at `sent` */
    size_t sent;
    uint64_t bytes_written;
};

/* For an output that must not block: opens descriptor `fd` anew where the system can, so that other users
 * of it (the shell's terminal) are left alone, and enlarges a pipe to `pipe_size` bytes if the system
 * allows. Returns the descriptor to write to, which may be `fd` itself. */
int output_open_nonblocking(int fd, int pipe_size);

static inline size_t output_pending(const struct output *output)
{
    return output->buffer.len - output->sent;
}

/* Writes what the descriptor takes without waiting. False with errno where writing failed (EPIPE: the
 * reader is gone); a full pipe is no failure. */
bool output_push(struct output *output);
/* Writes all, waiting as long as it takes. False with errno where writing failed. */
bool output_flush(struct output *output);

/* Enlarges a pipe's buffer to at least `size` bytes if it is one and the system allows. */
void enlarge_pipe(int fd, int size);

#endif
