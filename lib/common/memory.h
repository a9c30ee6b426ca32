/* memory.h - allocation that cannot fail, and release by scope.
 *
 * These tools hold a bounded amount of memory; when the system cannot give it, nothing sensible is left
 * to do, so out of memory ends the process with EX_OSERR (71) after one line on stderr. Nothing is lost:
 * what was not acknowledged is read again.
 */
#ifndef COMMON_MEMORY_H
#define COMMON_MEMORY_H

#include <stdlib.h>
#include <unistd.h>

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
/* Grows an array to `count` items of `size` bytes; checks the product for overflow. */
void *xreallocarray(void *old, size_t count, size_t size);
char *xstrdup(const char *text);
char *xstrndup(const char *text, size_t len);
__attribute__((format(printf, 1, 2))) char *xasprintf(const char *format, ...);

/* `cleanup_free char *name = ...;` is freed when `name` leaves its scope; likewise cleanup_close for
 * descriptors (a negative one is left alone). */
static inline void cleanup_free_function(void *pointer)
{
    free(*(void **)pointer);
}
static inline void cleanup_close_function(int *fd)
{
    if (*fd >= 0)
        close(*fd);
}
#define cleanup_free __attribute__((cleanup(cleanup_free_function)))
#define cleanup_close __attribute__((cleanup(cleanup_close_function)))

#endif
