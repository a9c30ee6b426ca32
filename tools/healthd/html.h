/* html.h - texts, figures and times as the page shows them. */
#ifndef HEALTHD_HTML_H
#define HEALTHD_HTML_H

#include "common/buffer.h"
#include "common/slice.h"

#include <stdint.h>

/* For a text or an attribute in double quotes. */
void html_escaped(struct buffer *out, struct slice text);
/* 1234567 as 1 234 567, with thin spaces. */
void html_grouped(struct buffer *out, uint64_t value);
/* A table's cell with a number; negative: unknown. */
void html_cell(struct buffer *out, int64_t value);
/* Microseconds as days, hours, minutes and seconds. */
void html_duration(struct buffer *out, int64_t microseconds);
/* How long ago it was, from microseconds since 1970 UTC; 0: never. */
void html_moment(struct buffer *out, int64_t microseconds, int64_t now);
/* Milliseconds in the unit that suits; negative: unknown. */
void html_ms(struct buffer *out, double ms);

#endif
