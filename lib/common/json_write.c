#include "common/json_write.h"

#include "common/utf8.h"

void json_open(struct buffer *out, char bracket)
{
    buffer_append_char(out, bracket);
}

void json_close(struct buffer *out, char bracket)
{
    buffer_append_char(out, bracket);
}

void json_item(struct buffer *out)
{
    char last = out->len ? out->data[out->len - 1] : '{';
    if (last != '{' && last != '[')
        buffer_append_char(out, ',');
}

void json_member(struct buffer *out, const char *name)
{
    json_item(out);
    buffer_append_char(out, '"');
    buffer_append_string(out, name);
    buffer_append(out, "\":", 2);
}

static void write_escaped(struct buffer *out, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char names[] = "\bb\ff\nn\rr\tt\"\"\\\\";
    for (size_t i = 0; i < sizeof names - 1; i += 2)
        if ((unsigned char)names[i] == c) {
            char escape[2] = {'\\', names[i + 1]};
            buffer_append(out, escape, 2);
            return;
        }
    char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    buffer_append(out, escape, 6);
}

void json_write_string(struct buffer *out, struct slice text)
{
    const char *at = text.data, *end = at + text.len, *run = at;
    buffer_reserve(out, text.len + 2);
    buffer_append_char(out, '"');
    while (at < end) {
        unsigned char c = (unsigned char)*at;
        if (c >= ' ' && c < 0x80 && c != '"' && c != '\\') {
            at++;
            continue;
        }
        size_t length = c < 0x80 ? 0 : utf8_sequence(at, end);
        if (length) {
            at += length;
            continue;
        }
        buffer_append(out, run, (size_t)(at - run));
        if (c < 0x80)
            write_escaped(out, c);
        else
            buffer_append(out, "\xEF\xBF\xBD", 3);
        run = ++at;
    }
    buffer_append(out, run, (size_t)(at - run));
    buffer_append_char(out, '"');
}
