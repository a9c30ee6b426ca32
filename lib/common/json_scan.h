/* json_scan.h - a validating, slicing JSON scanner.
 *
 * It reads JSON text (RFC 8259) once, checks it wholly (grammar, UTF-8 inside strings, nesting), and hands
 * out values as slices of the text: nothing is copied, converted or allocated, so numbers keep their
 * digits and objects their order. Escapes stay as they are until json_decode_string().
 *
 * To visit an object:
 *
 *     struct json_scanner s;
 *     json_scanner_init(&s, text, len);
 *     if (json_enter_object(&s))
 *         while (json_next_key(&s, &key)) {       // at the member's value now
 *             json_scan_value(&s, &value);        // or json_enter_object(&s) to visit it in turn
 *         }
 *     json_at_end(&s);                            // nothing but white space may follow
 *     if (s.error) ...                            // the first fault, s.error_at tells where
 *
 * After a fault every call returns false. Arrays likewise, with json_enter_array and json_next_item.
 * A scanner's pointers are good as long as the text is.
 */
#ifndef COMMON_JSON_SCAN_H
#define COMMON_JSON_SCAN_H

#include "common/buffer.h"

/* Deepest nesting taken; deeper text is a fault. libjq 1.6 and PostgreSQL take more. */
#define JSON_MAX_DEPTH 512

enum json_type {
    JSON_ABSENT = 0, /* of a member that was not given; the scanner never returns it */
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_OBJECT,
    JSON_ARRAY,
};

struct json_value {
    enum json_type type;
    bool escaped;      /* it, or a string within it, has a backslash */
    bool spaced;       /* there is white space between its tokens */
    struct slice text; /* as written, quotes and brackets included */
};

struct json_key {
    struct slice text; /* between the quotes, as written */
    bool escaped;
};

struct json_scanner {
    const char *start, *at, *end;
    const char *error; /* a static text, NULL while all is well */
    const char *error_at;
    unsigned depth;       /* of the object or array being visited */
    unsigned max_depth;   /* JSON_MAX_DEPTH unless changed */
    bool first;           /* the next key or item is its container's first */
    bool escaped, spaced; /* gathered since they were last cleared */
};

void json_scanner_init(struct json_scanner *scanner, const char *text, size_t len);
bool json_enter_object(struct json_scanner *scanner);
bool json_next_key(struct json_scanner *scanner, struct json_key *key);
bool json_enter_array(struct json_scanner *scanner);
bool json_next_item(struct json_scanner *scanner);
bool json_scan_value(struct json_scanner *scanner, struct json_value *value);
/* The type that the next value will have by its first byte, JSON_ABSENT if none can start so. */
enum json_type json_peek_type(struct json_scanner *scanner);
bool json_at_end(struct json_scanner *scanner);

/* Checks that `text` is one JSON value and nothing else. On failure *error (if wanted) is a static text
 * and *error_offset the byte it was found at. */
bool json_scan_document(struct slice text, struct json_value *value, const char **error,
                        size_t *error_offset);

/* What to do with U+0000, which PostgreSQL's text and jsonb cannot hold. */
enum nul_policy { NUL_KEEP, NUL_REJECT, NUL_STRIP, NUL_REPLACE };

/* Appends the string between the quotes with its escapes resolved. NULL, or a static text that says why
 * not: a lone surrogate, or U+0000 under NUL_REJECT; `out` is as before then. NUL_REPLACE puts U+FFFD. */
const char *json_decode_string(struct slice inner, enum nul_policy policy, struct buffer *out);
/* Whether the key says this name, be it written with escapes or not. */
bool json_key_is(const struct json_key *key, struct slice name);
/* Appends JSON text with `policy` applied to the \u0000 in it, all else as it is; NULL or why not.
 * jsonb refuses lone surrogates too, so this does. */
const char *json_copy_storable(struct slice text, enum nul_policy policy, struct buffer *out);

/* The text of a string value without its quotes. */
static inline struct slice json_inner(const struct json_value *string)
{
    return slice_of(string->text.data + 1, string->text.len - 2);
}

/* Appends valid JSON text with the white space between its tokens left out. */
void json_compact(struct slice text, struct buffer *out);

/* Parses a JSON number that is an integer in int64's range: digits only, no fraction or exponent. */
bool json_integer(struct slice number, int64_t *value);

#endif
