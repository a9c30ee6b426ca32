/* backoff.h - how long to wait before trying again: doubling from `first` to `most`, with full jitter on
 * the upper half, so that many clients of a restarted server do not come at once. */
#ifndef COMMON_BACKOFF_H
#define COMMON_BACKOFF_H

#include <stdint.h>

struct backoff {
    int64_t first_us, most_us;
    unsigned attempts; /* since backoff_reset */
    uint64_t random;   /* state of the generator; 0: not seeded yet */
};

/* Microseconds to wait before the next attempt. */
int64_t backoff_next(struct backoff *backoff);
void backoff_reset(struct backoff *backoff);

#endif
