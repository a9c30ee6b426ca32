/* What json_scan.h declares for text already known to be valid JSON: resolving escapes, applying the
 * policy for U+0000, leaving white space out. */
#include "common/json_scan.h"

#include "common/utf8.h"

static uint32_t hex4(const char *at)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char c = at[i];
        uint32_t digit = (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
        value = value << 4 | digit;
    }
    return value;
}

/* Reads the \u escape at `at` (and the second of a surrogate pair); returns its length, 0 if it is half a
 * pair. */
static size_t read_unicode_escape(const char *at, const char *end, uint32_t *code_point)
{
    uint32_t unit = hex4(at + 2);
    if (unit >= 0xDC00 && unit <= 0xDFFF)
        return 0;
    if (unit < 0xD800 || unit > 0xDBFF) {
        *code_point = unit;
        return 6;
    }
    if (end - at < 12 || at[6] != '\\' || at[7] != 'u')
        return 0;
    uint32_t low = hex4(at + 8);
    if (low < 0xDC00 || low > 0xDFFF)
        return 0;
    *code_point = 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
    return 12;
}

static const char lone_surrogate[] = "half a surrogate pair (\\ud800 to \\udfff) is no character";
static const char has_nul[] = "\\u0000 cannot be stored in a PostgreSQL text or jsonb value";

/* A refusal leaves no half of a string behind. */
static const char *refuse(struct buffer *out, size_t start, const char *why)
{
    out->len = start;
    return why;
}

static char simple_escape(char c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return c;
    }
}

const char *json_decode_string(struct slice inner, enum nul_policy policy, struct buffer *out)
{
    const char *at = inner.data, *end = at + inner.len;
    const size_t start = out->len;
    buffer_reserve(out, inner.len);
    while (at < end) {
        const char *escape = memchr(at, '\\', (size_t)(end - at));
        const char *stop = escape ? escape : end;
        buffer_append(out, at, (size_t)(stop - at));
        if (!escape)
            break;
        if (escape[1] != 'u') {
            buffer_append_char(out, simple_escape(escape[1]));
            at = escape + 2;
            continue;
        }
        uint32_t code_point;
        size_t length = read_unicode_escape(escape, end, &code_point);
        if (length == 0)
            return refuse(out, start, lone_surrogate);
        at = escape + length;
        if (code_point == 0) {
            if (policy == NUL_REJECT)
                return refuse(out, start, has_nul);
            if (policy == NUL_STRIP)
                continue;
            if (policy == NUL_REPLACE)
                code_point = 0xFFFD;
        }
        char bytes[4];
        buffer_append(out, bytes, utf8_encode(code_point, bytes));
    }
    return NULL;
}

bool json_key_is(const struct json_key *key, struct slice name)
{
    if (!key->escaped)
        return slice_equals(key->text, name.data, name.len);
    cleanup_buffer struct buffer plain = {0};
    return !json_decode_string(key->text, NUL_KEEP, &plain) &&
           slice_equals(buffer_slice(&plain), name.data, name.len);
}

const char *json_copy_storable(struct slice text, enum nul_policy policy, struct buffer *out)
{
    const char *at = text.data, *end = at + text.len;
    const size_t start = out->len;
    buffer_reserve(out, text.len);
    while (at < end) {
        const char *escape = memchr(at, '\\', (size_t)(end - at));
        if (!escape) {
            buffer_append(out, at, (size_t)(end - at));
            break;
        }
        buffer_append(out, at, (size_t)(escape - at));
        size_t length = 2;
        uint32_t code_point = 1;
        if (escape[1] == 'u' && (length = read_unicode_escape(escape, end, &code_point)) == 0)
            return refuse(out, start, lone_surrogate);
        at = escape + length;
        if (code_point != 0 || policy == NUL_KEEP)
            buffer_append(out, escape, length);
        else if (policy == NUL_REJECT)
            return refuse(out, start, has_nul);
        else if (policy == NUL_REPLACE)
            buffer_append_string(out, "\\ufffd");
    }
    return NULL;
}

/* The end of the string whose opening quote is at `at`. */
static const char *string_end(const char *at, const char *end)
{
    for (at++;;) {
        const char *quote = memchr(at, '"', (size_t)(end - at));
        if (!quote)
            return end;
        const char *backslash = quote;
        while (backslash > at && backslash[-1] == '\\')
            backslash--;
        at = quote + 1;
        if ((quote - backslash) % 2 == 0)
            return at;
    }
}

void json_compact(struct slice text, struct buffer *out)
{
    const char *at = text.data, *end = at + text.len, *run = at;
    buffer_reserve(out, text.len);
    while (at < end) {
        if (*at == '"') {
            at = string_end(at, end);
        } else if (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r') {
            buffer_append(out, run, (size_t)(at - run));
            run = ++at;
        } else {
            at++;
        }
    }
    buffer_append(out, run, (size_t)(end - run));
}
