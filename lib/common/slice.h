/* slice.h - a run of bytes that belongs to somebody else. Not NUL-terminated. */
#ifndef COMMON_SLICE_H
#define COMMON_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct slice {
    const char *data; /* NULL: absent */
    size_t len;
};

static inline struct slice slice_of(const char *data, size_t len)
{
    return (struct slice){data, len};
}

static inline struct slice slice_of_string(const char *text)
{
    return (struct slice){text, text ? strlen(text) : 0};
}

static inline bool slice_equals(struct slice slice, const char *text, size_t len)
{
    return slice.len == len && memcmp(slice.data, text, len) == 0;
}

static inline bool slice_is(struct slice slice, const char *text)
{
    return slice_equals(slice, text, strlen(text));
}

#endif
