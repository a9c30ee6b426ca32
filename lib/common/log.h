/* log.h - messages on stderr, one line each:
 *
 *     2026-11-23 18:00:00,123 - pgsink - INFO - Batch processed: 100 messages, 100 inserted, 0 failed, 45.23
 * ms
 *
 * or, with LOG_FORMAT=json in the environment, the same as a JSON object. Time is UTC. A message is one
 * write(), so lines of several processes do not mix. Levels are those of the configuration: DEBUG, INFO,
 * WARNING, ERROR; alone a tool says WARNING and above, LOG_LEVEL sets another, -v and -q move it by one.
 *
 * A WARNING or ERROR that comes again and again, with nothing else between, is written once; how often it
 * was repeated is told a minute later, before the next other message, or at the end. Where stderr is
 * systemd's journal ($JOURNAL_STREAM), a line begins with its priority, <4> for a warning (sd-daemon(3)).
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARNING, LOG_LEVEL_ERROR };

struct log {
    const char *tool; /* static */
    enum log_level level;
    bool is_json;
    bool is_journal;             /* stderr leads to systemd's journal */
    struct log_repeats *repeats; /* owned by the process, freed at its exit; NULL: nothing is held back */
};

/* Level and format from the environment. An unknown LOG_LEVEL is INFO, told once as a warning. Call it once:
 * what is held back is written at the end of the process. */
void log_init(struct log *log, const char *tool);
/* Moves the level by `steps`, positive for more messages. */
void log_adjust(struct log *log, int steps);

__attribute__((format(printf, 3, 4))) void log_write(const struct log *log, enum log_level level,
                                                     const char *format, ...);

#define log_debug(log, ...) log_write(log, LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(log, ...) log_write(log, LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warning(log, ...) log_write(log, LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_error(log, ...) log_write(log, LOG_LEVEL_ERROR, __VA_ARGS__)

/* The same log for messages that are events, which people count: none of them is held back. */
static inline struct log log_of_events(const struct log *log)
{
    struct log events = *log;
    events.repeats = NULL;
    return events;
}

/* A message that would come again and again: says yes at most once in `interval_us` microseconds. */
struct log_limit {
    int64_t last; /* monotonic microseconds, 0: never */
};
bool log_is_due(struct log_limit *limit, int64_t interval_us);

#endif
