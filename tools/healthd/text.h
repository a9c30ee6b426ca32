/* text.h - the bits of text that healthd's answers are made of. All of them append to `out`. */
#ifndef HEALTHD_TEXT_H
#define HEALTHD_TEXT_H

#include "common/buffer.h"

/* Printf, for anything but JSON (json_write.h). */
__attribute__((format(printf, 2, 3))) void text_format(struct buffer *out, const char *format, ...);
/* A number with `digits` behind the point; not-a-number becomes 0. */
void text_decimal(struct buffer *out, double value, int digits);
/* The value of a JSON member: ISO 8601 in quotes, or null for a time of 0 that stands for 'never'. */
void text_json_time(struct buffer *out, int64_t microseconds);
/* The same: a number, or null where it is negative and so unknown. */
void text_json_known(struct buffer *out, int64_t value);

#endif
