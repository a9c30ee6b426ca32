#include "common/buffer.h"

void buffer_grow(struct buffer *buffer, size_t more)
{
    size_t need = buffer->len + more;
    size_t capacity = buffer->capacity ? buffer->capacity : 256;
    while (capacity < need)
        capacity *= 2;
    buffer->data = xreallocarray(buffer->data, capacity, 1);
    buffer->capacity = capacity;
}

void buffer_free(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

void buffer_reset(struct buffer *buffer, size_t keep)
{
    if (buffer->capacity > keep)
        buffer_free(buffer);
    buffer->len = 0;
}

void buffer_consume(struct buffer *buffer, size_t len)
{
    buffer->len -= len;
    if (buffer->len && len)
        memmove(buffer->data, buffer->data + len, buffer->len);
}

void buffer_append_int(struct buffer *buffer, int64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (value < 0)
        buffer_append_char(buffer, '-');
    buffer_append(buffer, digits + at, sizeof digits - at);
}
