#include "common/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>

/* More than any usual batch: only what one huge line has blown up is given back. */
#define KEPT_CAPACITY ((size_t)4 * 1024 * 1024)

void enlarge_pipe(int fd, int size)
{
    int now = fcntl(fd, F_GETPIPE_SZ);
    if (now > 0 && now < size)
        fcntl(fd, F_SETPIPE_SZ, size); /* refused beyond the user's limit: the smaller pipe serves too */
}

int output_open_nonblocking(int fd, int pipe_size)
{
    enlarge_pipe(fd, pipe_size);
    char path[40];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    /* A regular file keeps its offset and append mode only in the descriptor that was given; it never
     * blocks for long anyway. */
    if (fcntl(fd, F_GETPIPE_SZ) <= 0)
        return fd;
    int fresh = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    return fresh >= 0 ? fresh : fd;
}

/* A reader that keeps up but never entirely must not let the buffer grow: what was sent is dropped once it
 * outweighs what waits, so that moving the rest costs less than writing did. */
static void drop_sent(struct output *output)
{
    if (output->sent < output_pending(output))
        return;
    buffer_consume(&output->buffer, output->sent);
    output->sent = 0;
}

bool output_push(struct output *output)
{
    struct buffer *buffer = &output->buffer;
    while (output->sent < buffer->len) {
        ssize_t wrote = write(output->fd, buffer->data + output->sent, buffer->len - output->sent);
        if (wrote < 0) {
            if (errno == EINTR)
                continue;
            if (errno != EAGAIN)
                return false;
            drop_sent(output);
            return true;
        }
        output->sent += (size_t)wrote;
        output->bytes_written += (uint64_t)wrote;
    }
    output->sent = 0;
    buffer_reset(buffer, KEPT_CAPACITY);
    return true;
}

bool output_flush(struct output *output)
{
    while (output_pending(output)) {
        if (!output_push(output))
            return false;
        if (output_pending(output))
            poll(&(struct pollfd){.fd = output->fd, .events = POLLOUT}, 1, -1);
    }
    return true;
}
