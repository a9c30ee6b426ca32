/* unit.h - what every unit test includes: cmocka with the headers it wants, and comparisons of bytes. */
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/buffer.h"

#include <stdlib.h>
#include <string.h>

#define TEST(name) static void name(__attribute__((unused)) void **state)

/* A literal as a slice, the NULs inside it included: as an initialiser and as an expression. */
#define BYTES(literal)                                                                                       \
    {                                                                                                        \
        literal, sizeof(literal) - 1                                                                         \
    }
#define LITERAL(literal) ((struct slice)BYTES(literal))

static inline void compare_bytes(struct slice got, struct slice expected, const char *file, int line)
{
    if (got.len == expected.len && (got.len == 0 || memcmp(got.data, expected.data, got.len) == 0))
        return;
    print_error("got      (%zu bytes): %.*s\nexpected (%zu bytes): %.*s\n", got.len, (int)got.len,
                got.data ? got.data : "", expected.len, (int)expected.len, expected.data);
    _fail(file, line);
}

#define assert_bytes(got, expected) compare_bytes(got, expected, __FILE__, __LINE__)
#define assert_text(got, literal) compare_bytes(got, LITERAL(literal), __FILE__, __LINE__)
#define assert_buffer(buffer, literal)                                                                       \
    compare_bytes(buffer_slice(buffer), LITERAL(literal), __FILE__, __LINE__)

/* A copy on the heap that ends where the text ends, so that ASan and valgrind see a read past it. */
static inline struct slice exact_copy(struct slice text)
{
    char *copy = xmalloc(text.len);
    if (text.len)
        memcpy(copy, text.data, text.len);
    return slice_of(copy, text.len);
}

static inline void free_copy(struct slice copy)
{
    free((void *)(uintptr_t)copy.data);
}

#endif
