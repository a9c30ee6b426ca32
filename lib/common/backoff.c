#include "common/backoff.h"

#include "common/timestamp.h"

#include <unistd.h>

/* George Marsaglia, "Xorshift RNGs" (2003): plenty for spreading clients. */
static uint64_t next_random(struct backoff *backoff)
{
    if (backoff->random == 0)
        backoff->random = ((uint64_t)now_microseconds() << 20) ^ (uint64_t)getpid() ^ 1;
    backoff->random ^= backoff->random << 13;
    backoff->random ^= backoff->random >> 7;
    backoff->random ^= backoff->random << 17;
    return backoff->random;
}

int64_t backoff_next(struct backoff *backoff)
{
    int64_t wait = backoff->first_us;
    for (unsigned i = 0; i < backoff->attempts && wait < backoff->most_us; i++)
        wait = wait > backoff->most_us / 2 ? backoff->most_us : wait * 2;
    if (wait > backoff->most_us)
        wait = backoff->most_us;
    backoff->attempts++;
    return wait / 2 + (int64_t)(next_random(backoff) % (uint64_t)(wait / 2 + 1));
}

void backoff_reset(struct backoff *backoff)
{
    backoff->attempts = 0;
}
