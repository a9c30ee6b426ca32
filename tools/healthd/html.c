#include "html.h"

#include "text.h"

#include "common/timestamp.h"

#include <inttypes.h>
#include <stdio.h>

void html_escaped(struct buffer *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        switch (text.data[i]) {
        case '<':
            buffer_append_string(out, "&lt;");
            break;
        case '&':
            buffer_append_string(out, "&amp;");
            break;
        case '"':
            buffer_append_string(out, "&quot;");
            break;
        default:
            buffer_append_char(out, text.data[i]);
        }
}

void html_grouped(struct buffer *out, uint64_t value)
{
    char digits[24];
    int len = snprintf(digits, sizeof digits, "%" PRIu64, value);
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            buffer_append_string(out, "&#8239;");
        buffer_append_char(out, digits[i]);
    }
}

void html_cell(struct buffer *out, int64_t value)
{
    buffer_append_string(out, "<td class=\"number\">");
    if (value < 0)
        buffer_append_string(out, "&ndash;");
    else
        html_grouped(out, (uint64_t)value);
    buffer_append_string(out, "</td>");
}

void html_duration(struct buffer *out, int64_t microseconds)
{
    int64_t seconds = microseconds > 0 ? microseconds / 1000000 : 0;
    if (seconds >= 86400)
        text_format(out, "%" PRId64 " d ", seconds / 86400);
    text_format(out, "%02" PRId64 ":%02" PRId64 ":%02" PRId64, seconds / 3600 % 24, seconds / 60 % 60,
                seconds % 60);
}

void html_moment(struct buffer *out, int64_t microseconds, int64_t now)
{
    char text[TIMESTAMP_TEXT_SIZE];
    if (microseconds <= 0) {
        buffer_append_string(out, "never");
        return;
    }
    timestamp_format(microseconds, 0, text);
    text[10] = ' ';
    text[19] = '\0';
    int64_t seconds = now > microseconds ? (now - microseconds) / 1000000 : 0;
    text_format(out, "<time title=\"%s UTC\">", text);
    if (seconds < 100)
        text_format(out, "%" PRId64 " s", seconds);
    else
        html_duration(out, now - microseconds);
    buffer_append_string(out, " ago</time>");
}

void html_ms(struct buffer *out, double ms)
{
    if (ms < 0) {
        buffer_append_string(out, "&ndash;");
        return;
    }
    bool is_long = ms >= 1000;
    text_decimal(out, is_long ? ms / 1000 : ms, is_long || ms < 10 ? 1 : 0);
    buffer_append_string(out, is_long ? " s" : " ms");
}
