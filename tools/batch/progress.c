#include "progress.h"

#include "common/timestamp.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND 1000000

void progress_start(struct progress *progress, int fd)
{
    struct stat status;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        off_t at = lseek(fd, 0, SEEK_CUR);
        progress->total_bytes = status.st_size - (at > 0 ? at : 0);
    }
    progress->started = progress->last = monotonic_microseconds();
}

static void draw(struct progress *progress, uint64_t lines, uint64_t bytes, int64_t now)
{
    double seconds = (double)(now - progress->started) / SECOND;
    double rate = seconds > 0 ? (double)lines / seconds : 0;
    char *start = isatty(STDERR_FILENO) ? "\r\033[K" : "";
    char *end = isatty(STDERR_FILENO) ? "" : "\n";
    fprintf(stderr, "%s%llu lines, %.1f MB, %.0f lines/s", start, (unsigned long long)lines,
            (double)bytes / 1e6, rate);
    if (progress->total_bytes > 0 && bytes > 0 && seconds > 0) {
        double share = (double)bytes / (double)progress->total_bytes;
        int left = (int)(seconds / share * (1 - share) + 0.5);
        fprintf(stderr, ", %.0f %%, %d:%02d to go", share * 100, left / 60, left % 60);
    }
    fputs(end, stderr);
    progress->was_drawn = true;
}

void progress_update(struct progress *progress, uint64_t lines, uint64_t bytes)
{
    if (!progress->is_shown)
        return;
    int64_t now = monotonic_microseconds();
    if (now - progress->last < SECOND)
        return;
    progress->last = now;
    draw(progress, lines, bytes, now);
}

void progress_finish(struct progress *progress, uint64_t lines, uint64_t bytes)
{
    if (!progress->was_drawn)
        return;
    draw(progress, lines, bytes, monotonic_microseconds());
    if (isatty(STDERR_FILENO))
        fputc('\n', stderr);
}
