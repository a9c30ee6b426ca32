#include "common/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>

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

bool output_push(struct output *output)
{
    struct buffer *buffer = &output->buffer;
    while (output->sent < buffer->len) {
        ssize_t wrote = write(output->fd, buffer->data + output->sent, buffer->len - output->sent);
        if (wrote < 0) {
            if (errno == EINTR)
                continue;
            return errno == EAGAIN;
        }
        output->sent += (size_t)wrote;
        output->bytes_written += (uint64_t)wrote;
    }
    buffer->len = output->sent = 0;
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
