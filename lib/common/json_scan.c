/* The scanner walks the text with one pointer. Strings, most of the bytes, are skipped sixteen at a time;
 * containers are walked in a loop with a bit for each open level (1: object), so hostile nesting costs no
 * stack. Kept apart from json_text.c, which rewrites text already known to be valid. */
#include "common/json_scan.h"

#include "common/utf8.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static bool fail(struct json_scanner *s, const char *at, const char *error)
{
    if (!s->error) {
        s->error = error;
        s->error_at = at;
    }
    return false;
}

static inline const char *skip_space(struct json_scanner *s, const char *at)
{
    if (at < s->end && (unsigned char)*at > ' ')
        return at;
    const char *start = at;
    while (at < s->end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
        at++;
    if (at != start)
        s->spaced = true;
    return at;
}

/* To the first byte that a string cannot hold plainly: a quote, a backslash, a control or non-ASCII. */
static inline const char *skip_plain(const char *at, const char *end)
{
#ifdef __SSE2__
    const __m128i space = _mm_set1_epi8(' '), quote = _mm_set1_epi8('"'), backslash = _mm_set1_epi8('\\');
    while (end - at >= 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)at);
        /* As signed numbers non-ASCII bytes are negative, so one comparison finds them and the controls. */
        __m128i special =
            _mm_or_si128(_mm_cmplt_epi8(bytes, space),
                         _mm_or_si128(_mm_cmpeq_epi8(bytes, quote), _mm_cmpeq_epi8(bytes, backslash)));
        int mask = _mm_movemask_epi8(special);
        if (mask)
            return at + __builtin_ctz((unsigned)mask);
        at += 16;
    }
#endif
    while (at < end && (signed char)*at >= ' ' && *at != '"' && *at != '\\')
        at++;
    return at;
}

static bool is_hex_digit(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static const char *scan_escape(struct json_scanner *s, const char *at)
{
    if (s->end - at < 2)
        return fail(s, at, "string without an end"), NULL;
    switch (at[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return at + 2;
    case 'u':
        for (int i = 2; i < 6; i++)
            if (s->end - at <= i || !is_hex_digit(at[i]))
                return fail(s, at, "\\u without four hexadecimal digits"), NULL;
        return at + 6;
    default:
        return fail(s, at, "unknown escape in a string"), NULL;
    }
}

/* `at` is behind the opening quote. Returns the place of the closing one, or NULL. */
static inline const char *scan_string(struct json_scanner *s, const char *at)
{
    for (;;) {
        at = skip_plain(at, s->end);
        if (at == s->end)
            return fail(s, at, "string without an end"), NULL;
        if (*at == '"')
            return at;
        if (*at == '\\') {
            s->escaped = true;
            if (!(at = scan_escape(s, at)))
                return NULL;
        } else if ((unsigned char)*at < ' ') {
            return fail(s, at, "control character in a string"), NULL;
        } else {
            size_t length = utf8_sequence(at, s->end);
            if (length == 0)
                return fail(s, at, "not UTF-8"), NULL;
            at += length;
        }
    }
}

static inline bool is_digit(const struct json_scanner *s, const char *at)
{
    return at < s->end && *at >= '0' && *at <= '9';
}

static const char *scan_number(struct json_scanner *s, const char *at)
{
    if (*at == '-')
        at++;
    if (!is_digit(s, at))
        return fail(s, at, "number without digits"), NULL;
    if (*at == '0')
        at++;
    else
        while (is_digit(s, at))
            at++;
    if (at < s->end && *at == '.') {
        at++;
        if (!is_digit(s, at))
            return fail(s, at, "number without digits behind the point"), NULL;
        while (is_digit(s, at))
            at++;
    }
    if (at < s->end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < s->end && (*at == '+' || *at == '-'))
            at++;
        if (!is_digit(s, at))
            return fail(s, at, "number without digits in its exponent"), NULL;
        while (is_digit(s, at))
            at++;
    }
    return at;
}

static const char *scan_literal(struct json_scanner *s, const char *at, const char *literal, size_t len)
{
    if ((size_t)(s->end - at) < len || memcmp(at, literal, len) != 0)
        return fail(s, at, "unexpected character"), NULL;
    return at + len;
}

static inline enum json_type type_of(char c)
{
    switch (c) {
    case '"':
        return JSON_STRING;
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    case 'n':
        return JSON_NULL;
    case '-':
    case '0' ... '9':
        return JSON_NUMBER;
    default:
        return JSON_ABSENT;
    }
}

/* A value that is no container. Returns its end. */
static inline const char *scan_scalar(struct json_scanner *s, const char *at, enum json_type type)
{
    switch (type) {
    case JSON_STRING:
        at = scan_string(s, at + 1);
        return at ? at + 1 : NULL;
    case JSON_NUMBER:
        return scan_number(s, at);
    case JSON_TRUE:
        return scan_literal(s, at, "true", 4);
    case JSON_FALSE:
        return scan_literal(s, at, "false", 5);
    case JSON_NULL:
        return scan_literal(s, at, "null", 4);
    default:
        return fail(s, at, at < s->end ? "unexpected character" : "unexpected end"), NULL;
    }
}

/* A key, its colon and the space around them. Returns where the value starts. */
static inline const char *scan_key(struct json_scanner *s, const char *at, struct json_key *key)
{
    if (at == s->end || *at != '"')
        return fail(s, at, at < s->end ? "expected a member's name in quotes" : "unexpected end"), NULL;
    bool escaped_before = s->escaped;
    s->escaped = false;
    const char *close = scan_string(s, at + 1);
    if (!close)
        return NULL;
    if (key)
        *key = (struct json_key){slice_of(at + 1, (size_t)(close - at - 1)), s->escaped};
    s->escaped |= escaped_before;
    at = skip_space(s, close + 1);
    if (at == s->end || *at != ':')
        return fail(s, at, at < s->end ? "expected a colon" : "unexpected end"), NULL;
    return skip_space(s, at + 1);
}

/* A whole object or array, `at` on its bracket. */
static const char *scan_container(struct json_scanner *s, const char *at)
{
    uint64_t is_object[(JSON_MAX_DEPTH + 64) / 64];
    unsigned level = 0, room = s->max_depth > s->depth ? s->max_depth - s->depth : 0;
    if (room > JSON_MAX_DEPTH)
        room = JSON_MAX_DEPTH;
open:
    if (level == room)
        return fail(s, at, "nested too deeply"), NULL;
    if (*at == '{')
        is_object[level / 64] |= UINT64_C(1) << level % 64;
    else
        is_object[level / 64] &= ~(UINT64_C(1) << level % 64);
    level++;
    char close = *at == '{' ? '}' : ']';
    at = skip_space(s, at + 1);
    if (at < s->end && *at == close) {
        at++;
        goto closed;
    }
    for (;;) {
        if (is_object[(level - 1) / 64] >> (level - 1) % 64 & 1)
            if (!(at = scan_key(s, at, NULL)))
                return NULL;
        enum json_type type = at < s->end ? type_of(*at) : JSON_ABSENT;
        if (type >= JSON_OBJECT)
            goto open;
        if (!(at = scan_scalar(s, at, type)))
            return NULL;
    next:
        at = skip_space(s, at);
        if (at == s->end)
            return fail(s, at, "unexpected end"), NULL;
        if (*at == ',') {
            at = skip_space(s, at + 1);
            continue;
        }
        if (*at != (is_object[(level - 1) / 64] >> (level - 1) % 64 & 1 ? '}' : ']'))
            return fail(s, at, "expected a comma or a closing bracket"), NULL;
        at++;
    closed:
        if (--level == 0)
            return at;
        goto next;
    }
}

void json_scanner_init(struct json_scanner *s, const char *text, size_t len)
{
    *s = (struct json_scanner){.start = text, .at = text, .end = text + len, .max_depth = JSON_MAX_DEPTH};
}

enum json_type json_peek_type(struct json_scanner *s)
{
    if (s->error)
        return JSON_ABSENT;
    s->at = skip_space(s, s->at);
    return s->at < s->end ? type_of(*s->at) : JSON_ABSENT;
}

static bool enter(struct json_scanner *s, enum json_type type)
{
    if (json_peek_type(s) != type)
        return s->error ? false
                        : fail(s, s->at, s->at == s->end ? "unexpected end" : "unexpected kind of value");
    if (s->depth == s->max_depth)
        return fail(s, s->at, "nested too deeply");
    s->depth++;
    s->at++;
    s->first = true;
    return true;
}

bool json_enter_object(struct json_scanner *s)
{
    return enter(s, JSON_OBJECT);
}

bool json_enter_array(struct json_scanner *s)
{
    return enter(s, JSON_ARRAY);
}

/* To the next member or item: true at its first byte, false behind the closing bracket or on a fault. */
static inline bool advance(struct json_scanner *s, char close)
{
    if (s->error)
        return false;
    s->at = skip_space(s, s->at);
    if (s->at == s->end)
        return fail(s, s->at, "unexpected end");
    if (*s->at == close) {
        s->at++;
        s->depth--;
        s->first = false;
        return false;
    }
    if (!s->first) {
        if (*s->at != ',')
            return fail(s, s->at, "expected a comma or a closing bracket");
        s->at = skip_space(s, s->at + 1);
    }
    s->first = false;
    return true;
}

bool json_next_key(struct json_scanner *s, struct json_key *key)
{
    if (!advance(s, '}'))
        return false;
    const char *at = scan_key(s, s->at, key);
    if (!at)
        return false;
    s->at = at;
    return true;
}

bool json_next_item(struct json_scanner *s)
{
    return advance(s, ']');
}

bool json_scan_value(struct json_scanner *s, struct json_value *value)
{
    if (s->error)
        return false;
    const char *start = skip_space(s, s->at);
    bool escaped_before = s->escaped, spaced_before = s->spaced;
    s->escaped = s->spaced = false;
    enum json_type type = start < s->end ? type_of(*start) : JSON_ABSENT;
    const char *at = type >= JSON_OBJECT ? scan_container(s, start) : scan_scalar(s, start, type);
    *value = (struct json_value){.type = type, .escaped = s->escaped, .spaced = s->spaced};
    s->escaped |= escaped_before;
    s->spaced |= spaced_before;
    if (!at) {
        value->type = JSON_ABSENT;
        return false;
    }
    value->text = slice_of(start, (size_t)(at - start));
    s->at = at;
    return true;
}

bool json_at_end(struct json_scanner *s)
{
    if (s->error)
        return false;
    s->at = skip_space(s, s->at);
    return s->at == s->end || fail(s, s->at, "something follows the value");
}

bool json_scan_document(struct slice text, struct json_value *value, const char **error, size_t *error_offset)
{
    struct json_scanner s;
    json_scanner_init(&s, text.data, text.len);
    if (json_scan_value(&s, value) && json_at_end(&s))
        return true;
    if (error)
        *error = s.error;
    if (error_offset)
        *error_offset = (size_t)(s.error_at - s.start);
    return false;
}

bool json_integer(struct slice number, int64_t *value)
{
    const char *at = number.data, *end = number.data + number.len;
    bool negative = at < end && *at == '-';
    if (negative)
        at++;
    if (at == end)
        return false;
    int64_t sum = 0; /* kept negative: the negative range is the larger one */
    for (; at < end; at++) {
        if (*at < '0' || *at > '9')
            return false;
        if (__builtin_mul_overflow(sum, 10, &sum) || __builtin_sub_overflow(sum, *at - '0', &sum))
            return false;
    }
    if (!negative && sum == INT64_MIN)
        return false;
    *value = negative ? sum : -sum;
    return true;
}
