#include "reject_file.h"

#include "common/signals.h"
#include "common/timestamp.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>

#define TROUBLE_INTERVAL_US 30000000
#define READER_INTERVAL_MS 100

/* A file that was just made is not safe before its directory is. */
static void sync_directory(const char *path)
{
    cleanup_free char *copy = xstrdup(path);
    cleanup_close int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        fsync(fd);
}

/* Waits for a reader, as a redirection of the shell does, but does not sleep in open() over a signal. */
static int open_fifo(const char *path)
{
    int fd;
    while ((fd = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC)) < 0 && errno == ENXIO) {
        if (signals_pending()) {
            errno = EINTR;
            return -1;
        }
        poll(NULL, 0, READER_INTERVAL_MS);
    }
    if (fd >= 0)
        fcntl(fd, F_SETFL, O_WRONLY); /* to write is to wait again */
    return fd;
}

bool reject_file_open(struct reject_file *file, const char *path)
{
    struct stat status;
    *file = (struct reject_file){.path = path, .backoff = {.first_us = 100000, .most_us = 10000000}};
    if (stat(path, &status) == 0 && S_ISFIFO(status.st_mode)) { /* open for both we would be its reader */
        file->fd = open_fifo(path);
        return file->fd >= 0;
    }
    file->fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (file->fd < 0 && (errno == EACCES || errno == EINVAL || errno == ENXIO)) /* a pipe or a terminal */
        file->fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
    if (file->fd < 0 || fstat(file->fd, &status) < 0)
        return false;
    file->is_regular = S_ISREG(status.st_mode);
    if (file->is_regular)
        sync_directory(path);
    return true;
}

void reject_file_close(struct reject_file *file)
{
    buffer_free(&file->lines);
    if (file->fd >= 0)
        close(file->fd);
}

void reject_file_add(struct reject_file *file, struct slice line)
{
    buffer_append_slice(&file->lines, line);
    buffer_append_char(&file->lines, '\n');
}

/* Writes the lines. In a pipe or device what is written is gone, so it leaves the buffer at once. */
static bool write_lines(struct reject_file *file)
{
    struct buffer *lines = &file->lines;
    size_t sent = 0;
    while (sent < lines->len) {
        ssize_t wrote = write(file->fd, lines->data + sent, lines->len - sent);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            break;
        sent += (size_t)wrote;
    }
    bool is_done = sent == lines->len;
    if (!file->is_regular)
        buffer_consume(lines, sent);
    return is_done;
}

/* A line that another process left half written, when it or the machine died, must not swallow ours. */
static bool end_torn_line(struct reject_file *file, off_t size, const struct log *log)
{
    char last = '\n';
    if (size > 0 && pread(file->fd, &last, 1, size - 1) == 1 && last != '\n') {
        log_warning(log, "%s ends within a line: it was cut off by a crash; going on below it", file->path);
        return write(file->fd, "\n", 1) == 1;
    }
    return true;
}

static bool append_to_regular_file(struct reject_file *file, const struct log *log)
{
    while (flock(file->fd, LOCK_EX) < 0 && errno == EINTR)
        ;
    off_t size = lseek(file->fd, 0, SEEK_END);
    /* After a failed fsync the kernel forgets which pages were not written: they are written anew. */
    bool is_safe = end_torn_line(file, size, log) && write_lines(file) && fsync(file->fd) == 0;
    int reason = errno;
    if (!is_safe && ftruncate(file->fd, size) < 0)
        log_error(log, "could not cut a half written line off %s: %m", file->path);
    flock(file->fd, LOCK_UN);
    errno = reason;
    return is_safe;
}

enum file_status reject_file_commit(struct reject_file *file, const struct log *log)
{
    if (file->lines.len == 0)
        return FILE_SAFE;
    if (file->retry_at && monotonic_microseconds() < file->retry_at)
        return FILE_WAITS;
    if (file->is_regular ? append_to_regular_file(file, log) : write_lines(file)) {
        if (file->retry_at)
            log_warning(log, "writing to %s works again", file->path);
        file->retry_at = 0;
        backoff_reset(&file->backoff);
        buffer_reset(&file->lines, (size_t)1 << 20);
        return FILE_SAFE;
    }
    if (errno == EPIPE || errno == EBADF || errno == EINVAL)
        return FILE_UNUSABLE;
    if (log_is_due(&file->trouble_limit, TROUBLE_INTERVAL_US))
        log_warning(log, "could not write to %s: %m; trying again", file->path);
    file->retry_at = monotonic_microseconds() + backoff_next(&file->backoff);
    return FILE_WAITS;
}
