/* reject_file.h - rejects appended to a file, safe on the disk before anything is acknowledged.
 *
 * Lines are gathered and written in one go with one fsync. A write that fails (a full disk) leaves the file
 * as it was, without half a line, and is made again later, for ever. Several processes may append to the
 * same file: each holds a lock (flock) while it writes.
 */
#ifndef DLQ_REJECT_FILE_H
#define DLQ_REJECT_FILE_H

#include "common/backoff.h"
#include "common/buffer.h"
#include "common/log.h"

struct reject_file {
    const char *path;
    int fd;
    bool is_regular;
    struct buffer lines; /* not yet safe */
    struct backoff backoff;
    int64_t retry_at; /* monotonic microseconds; 0: nothing has failed */
    struct log_limit trouble_limit;
};

enum file_status {
    FILE_SAFE,    /* all lines are on the disk */
    FILE_WAITS,   /* not now; again at retry_at */
    FILE_UNUSABLE /* errno says why; no retry will help */
};

/* Waits for the reader of a fifo. False with errno; EINTR: a signal asked to end meanwhile. */
bool reject_file_open(struct reject_file *file, const char *path);
void reject_file_close(struct reject_file *file);
void reject_file_add(struct reject_file *file, struct slice line);
enum file_status reject_file_commit(struct reject_file *file, const struct log *log);

#endif
