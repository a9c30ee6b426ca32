#include "text.h"

#include "common/json_write.h"
#include "common/timestamp.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

void text_format(struct buffer *out, const char *format, ...)
{
    cleanup_free char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int len = vasprintf(&text, format, arguments);
    va_end(arguments);
    if (len < 0)
        text = NULL;
    else
        buffer_append(out, text, (size_t)len);
}

void text_decimal(struct buffer *out, double value, int digits)
{
    text_format(out, "%.*f", digits, isfinite(value) ? value : 0.0);
}

void text_json_time(struct buffer *out, int64_t microseconds)
{
    if (microseconds <= 0) {
        buffer_append_string(out, "null");
        return;
    }
    char time[TIMESTAMP_TEXT_SIZE];
    timestamp_format(microseconds, 3, time);
    json_write_string(out, slice_of_string(time));
}

void text_json_known(struct buffer *out, int64_t value)
{
    if (value < 0)
        buffer_append_string(out, "null");
    else
        buffer_append_int(out, value);
}
