#include "common/line_reader.h"

#include <unistd.h>

#define READ_SIZE ((size_t)256 * 1024)
/* Only a long line makes the buffer larger. */
#define USUAL_CAPACITY (8 * READ_SIZE)

void line_reader_init(struct line_reader *reader, int fd, size_t max_line)
{
    *reader = (struct line_reader){.fd = fd, .max_line = max_line};
}

void line_reader_free(struct line_reader *reader)
{
    buffer_free(&reader->buffer);
}

static const char *find_line_end(struct line_reader *reader)
{
    const char *from = reader->buffer.data + reader->scanned;
    size_t left = reader->buffer.len - reader->scanned;
    const char *end = left ? memchr(from, '\n', left) : NULL;
    reader->scanned = end ? (size_t)(end - reader->buffer.data) : reader->buffer.len;
    return end;
}

/* What was read behind the prefix of a line that is too long is of no use. */
static void drop_behind_prefix(struct line_reader *reader, size_t from)
{
    size_t prefix_end = reader->start + READER_PREFIX;
    if (from > prefix_end) {
        memmove(reader->buffer.data + prefix_end, reader->buffer.data + from, reader->buffer.len - from);
        reader->buffer.len -= from - prefix_end;
    }
    reader->scanned = prefix_end < from ? prefix_end : from; /* max_line may be less than the prefix */
}

enum reader_status line_reader_next(struct line_reader *reader, struct slice *line)
{
    struct buffer *buffer = &reader->buffer;
    const char *end = find_line_end(reader);
    size_t len = (end ? (size_t)(end - buffer->data) : buffer->len) - reader->start;
    if (!reader->skipping && len > reader->max_line) {
        reader->skipping = true;
        if (!end)
            drop_behind_prefix(reader, buffer->len);
    }
    if (!end && !reader->is_at_end) {
        if (reader->skipping)
            drop_behind_prefix(reader, buffer->len);
        return READER_EMPTY;
    }
    if (!end && len == 0 && !reader->skipping)
        return READER_END;
    bool was_skipping = reader->skipping;
    *line = slice_of(buffer->data + reader->start, len);
    if (was_skipping && line->len > READER_PREFIX)
        line->len = READER_PREFIX;
    reader->start = end ? (size_t)(end - buffer->data) + 1 : buffer->len;
    reader->scanned = reader->start;
    reader->skipping = false;
    if (was_skipping)
        return READER_TOO_LONG;
    return end ? READER_LINE : READER_TORN;
}

/* Moves what is unread to the buffer's start, or, where one long line has blown the buffer up, to a new one.
 */
static void drop_read_part(struct line_reader *reader)
{
    struct buffer *buffer = &reader->buffer;
    size_t unread = buffer->len - reader->start;
    if (buffer->capacity > USUAL_CAPACITY && unread < READ_SIZE) {
        struct buffer smaller = {0};
        buffer_append(&smaller, buffer->data + reader->start, unread);
        buffer_free(buffer);
        *buffer = smaller;
    } else {
        buffer_consume(buffer, reader->start);
    }
    reader->scanned -= reader->start;
    reader->start = 0;
}

ssize_t line_reader_fill(struct line_reader *reader)
{
    struct buffer *buffer = &reader->buffer;
    if (reader->start == buffer->len || buffer->capacity > USUAL_CAPACITY ||
        buffer->capacity - buffer->len < READ_SIZE / 4)
        drop_read_part(reader);
    buffer_reserve(buffer, buffer->capacity - buffer->len < READ_SIZE / 4 ? READ_SIZE : 1);
    ssize_t got = read(reader->fd, buffer->data + buffer->len, buffer->capacity - buffer->len);
    if (got > 0) {
        buffer->len += (size_t)got;
        reader->bytes_read += (uint64_t)got;
        reader->is_at_end = false; /* a fifo reads as ended while it has no writer */
    } else if (got == 0) {
        reader->is_at_end = true;
    }
    return got;
}
