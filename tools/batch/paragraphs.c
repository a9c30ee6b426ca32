#include "paragraphs.h"

#include "common/json_scan.h"
#include "common/timestamp.h"

#include <errno.h>
#include <unistd.h>

#define READ_SIZE ((size_t)256 * 1024)

static const char line_feed[] = "\n";

static bool write_segments(struct paragraphs *p)
{
    struct iovec *at = p->segments;
    int left = p->segment_count;
    p->segment_count = 0;
    while (left > 0) {
        ssize_t wrote = writev(p->out, at, left);
        if (wrote < 0) {
            if (errno == EINTR)
                continue;
            return false;
        }
        for (size_t rest = (size_t)wrote; left > 0 && rest >= at->iov_len; left--)
            rest -= at++->iov_len, wrote = (ssize_t)rest;
        if (left > 0) {
            at->iov_base = (char *)at->iov_base + wrote;
            at->iov_len -= (size_t)wrote;
        }
    }
    return true;
}

static bool add_segment(struct paragraphs *p, const char *data, size_t len)
{
    if (len == 0)
        return true;
    if (p->segment_count == PARAGRAPHS_MAX_SEGMENTS && !write_segments(p))
        return false;
    p->segments[p->segment_count++] = (struct iovec){(void *)(uintptr_t)data, len};
    return true;
}

static bool end_batch(struct paragraphs *p)
{
    p->lines = p->bytes = p->opened_at = 0;
    stats_add(p->stats, COUNTER_batches_ended, 1);
    return add_segment(p, line_feed, 1);
}

/* Counts the line that ends before `end` and ends the batch where it is full. Batches are cut at lines of
 * the buffer, so the bytes from *unwritten on go out in one piece. */
static bool count_line(struct paragraphs *p, char *start, char *end, char **unwritten)
{
    size_t len = (size_t)(end - start);
    p->bytes += (int64_t)len;
    if (len == 1 && !p->is_streaming) { /* a blank line of the input ends the batch itself */
        bool is_open = p->lines > 0;
        p->lines = p->bytes = p->opened_at = 0;
        stats_add(p->stats, COUNTER_batches_ended, is_open);
        return true;
    }
    p->is_streaming = false;
    p->lines++;
    p->total_lines++;
    if (p->lines < p->max_lines && (p->max_bytes == 0 || p->bytes < p->max_bytes))
        return true;
    if (!add_segment(p, *unwritten, (size_t)(end - *unwritten)))
        return false;
    *unwritten = end;
    return end_batch(p);
}

/* Passes on all whole lines of the buffer, and the beginning of a line too long to hold. */
static bool pass_lines(struct paragraphs *p)
{
    char *start = p->buffer.data, *unwritten = start, *end = start + p->buffer.len;
    for (char *from = start + p->scanned;;) {
        char *newline = memchr(from, '\n', (size_t)(end - from));
        if (!newline)
            break;
        if (!count_line(p, start, newline + 1, &unwritten))
            return false;
        from = start = newline + 1;
    }
    if ((size_t)(end - start) > PARAGRAPHS_MAX_HELD) {
        p->bytes += end - start;
        p->is_streaming = true;
        start = end;
    }
    if (!add_segment(p, unwritten, (size_t)(start - unwritten)) || !write_segments(p))
        return false;
    p->total_bytes += (uint64_t)(start - p->buffer.data);
    buffer_consume(&p->buffer, (size_t)(start - p->buffer.data));
    p->scanned = p->buffer.len;
    if ((p->lines > 0 || p->is_streaming) && p->opened_at == 0)
        p->opened_at = monotonic_microseconds();
    stats_set(p->stats, COUNTER_lines_batched, p->total_lines);
    stats_set(p->stats, COUNTER_bytes_batched, p->total_bytes);
    return true;
}

enum paragraphs_status paragraphs_copy(struct paragraphs *p)
{
    if (p->buffer.len == 0)
        buffer_reset(&p->buffer, 4 * READ_SIZE);
    buffer_reserve(&p->buffer, READ_SIZE);
    ssize_t got = read(p->in, p->buffer.data + p->buffer.len, p->buffer.capacity - p->buffer.len);
    if (got < 0)
        return errno == EINTR || errno == EAGAIN ? PARAGRAPHS_OK : PARAGRAPHS_READ_FAILED;
    if (got == 0)
        return PARAGRAPHS_END;
    p->buffer.len += (size_t)got;
    return pass_lines(p) ? PARAGRAPHS_OK : PARAGRAPHS_WRITE_FAILED;
}

enum paragraphs_status paragraphs_end_batch(struct paragraphs *p)
{
    if (p->lines == 0)
        return PARAGRAPHS_OK;
    return end_batch(p) && write_segments(p) ? PARAGRAPHS_OK : PARAGRAPHS_WRITE_FAILED;
}

enum paragraphs_status paragraphs_finish(struct paragraphs *p, bool *is_torn)
{
    struct json_value value;
    *is_torn = p->is_streaming ||
               (p->buffer.len > 0 && !json_scan_document(buffer_slice(&p->buffer), &value, NULL, NULL));
    if (p->is_streaming || (p->buffer.len > 0 && !*is_torn)) {
        buffer_append_char(&p->buffer, '\n'); /* a streamed line has gone out: close it at least */
        if (!pass_lines(p))
            return PARAGRAPHS_WRITE_FAILED;
    }
    return paragraphs_end_batch(p);
}
