/* buffer.h - a growable run of bytes with one owner.
 *
 * `struct buffer b = {0};` is an empty buffer. Appending grows it by doubling; growth never fails
 * (memory.h). Pointers into `data` are good until the next append.
 */
#ifndef COMMON_BUFFER_H
#define COMMON_BUFFER_H

#include "common/memory.h"
#include "common/slice.h"

#include <stdint.h>
#include <string.h>

struct buffer {
    char *data;
    size_t len;
    size_t capacity;
};

/* Makes room for `more` bytes behind len. */
void buffer_grow(struct buffer *buffer, size_t more);
void buffer_free(struct buffer *buffer);
/* Empties it, and gives memory beyond `keep` bytes back: one huge line must not stay paid for. */
void buffer_reset(struct buffer *buffer, size_t keep);
/* Drops the first `len` bytes. */
void buffer_consume(struct buffer *buffer, size_t len);
/* Decimal digits. */
void buffer_append_int(struct buffer *buffer, int64_t value);

#define cleanup_buffer __attribute__((cleanup(buffer_free)))

static inline void buffer_reserve(struct buffer *buffer, size_t more)
{
    if (buffer->capacity - buffer->len < more)
        buffer_grow(buffer, more);
}

static inline void buffer_append(struct buffer *buffer, const void *data, size_t len)
{
    if (len == 0)
        return;
    buffer_reserve(buffer, len);
    memcpy(buffer->data + buffer->len, data, len);
    buffer->len += len;
}

/* Puts a NUL behind the end, which is not counted: `data` is a C string then. */
static inline void buffer_terminate(struct buffer *buffer)
{
    buffer_reserve(buffer, 1);
    buffer->data[buffer->len] = '\0';
}

static inline void buffer_append_slice(struct buffer *buffer, struct slice slice)
{
    buffer_append(buffer, slice.data, slice.len);
}

static inline void buffer_append_string(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

static inline void buffer_append_char(struct buffer *buffer, char c)
{
    buffer_reserve(buffer, 1);
    buffer->data[buffer->len++] = c;
}

static inline struct slice buffer_slice(const struct buffer *buffer)
{
    return slice_of(buffer->data, buffer->len);
}

#endif
