/* timestamp.h - ISO 8601 text and microseconds since 1970-01-01T00:00:00Z.
 *
 * What is read: a date, or a date and a time of day, in extended (2026-11-23T18:00:00) or basic
 * (20261123T180000) format; 'T', 't' or a space between them; seconds and their fraction (point or comma,
 * any number of digits) optional; a zone Z, +hh, +hhmm, +hh:mm or none, which means UTC. Years 0001 to
 * 9999. 24:00:00 is the next day's midnight and second 60 the next minute's first, as in PostgreSQL.
 */
#ifndef COMMON_TIMESTAMP_H
#define COMMON_TIMESTAMP_H

#include "common/buffer.h"

struct timestamp {
    int64_t microseconds; /* since 1970 UTC, rounded to the nearest, as PostgreSQL does */
    int64_t milliseconds; /* since 1970 UTC, rounded down: of the text, not of the microseconds */
};

/* False where `text` is no such date and time. */
bool timestamp_parse(struct slice text, struct timestamp *timestamp);

/* "2026-11-23T18:00:00.123Z"; `fraction_digits` of 0, 3 or 6, cut, not rounded. */
#define TIMESTAMP_TEXT_SIZE 40
void timestamp_format(int64_t microseconds, int fraction_digits, char out[TIMESTAMP_TEXT_SIZE]);

/* The wall clock, and a clock that only goes forward; both in microseconds. */
int64_t now_microseconds(void);
int64_t monotonic_microseconds(void);

#endif
