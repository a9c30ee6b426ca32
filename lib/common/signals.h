/* signals.h - SIGTERM and SIGINT as a descriptor to poll and a count.
 *
 * The first signal asks a tool to finish what it has; the second ends it at once, by the signal's default
 * action. SIGPIPE is ignored: a closed pipe is an errno.
 */
#ifndef COMMON_SIGNALS_H
#define COMMON_SIGNALS_H

#include <stdbool.h>

/* Installs the handlers. Returns a descriptor that becomes readable with the first signal. */
int signals_init(void);
/* Whether a signal has come. */
bool signals_pending(void);

#endif
