/* Numbers of any length, exactly: digits are moved into groups of four, never computed with. What is a
 * number, how many digits it shows and when it is too long is as numeric_in() has it in PostgreSQL's
 * src/backend/utils/adt/numeric.c, less what not all of its versions take: 1_000, 0x1F and "1e 5". */
#include "encoding.h"

#include <strings.h>

/* The binary form: the number of groups, the first one's power of 10000, the sign, the number of digits
 * behind the point that are shown, and the groups. */
#define GROUP 4
enum { POSITIVE = 0, NEGATIVE = 0x4000, NOT_A_NUMBER = 0xC000, INFINITE = 0xD000, MINUS_INFINITE = 0xF000 };

#define MOST_BEFORE_POINT 131072
#define MOST_BEHIND_POINT 16383
/* numeric_in() refuses exponents from here on, of zero too. */
#define EXPONENT_LIMIT (INT32_MAX / 2)
/* Beyond this it does not matter by how much: no text has as many digits. */
#define ENDLESS_EXPONENT (INT64_MAX / 100)

struct decimal {
    uint16_t sign;
    /* From the first digit that is not 0 to the last one, with the point if it lies between. */
    struct slice digits;
    int64_t weight; /* the first one's power of ten */
    int64_t scale;  /* how many digits are shown behind the point */
    int64_t exponent;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* A number's text, or a string's without the blanks around it; NULL data for other values. */
static struct slice trimmed_text(const struct json_value *value)
{
    if (value->type == JSON_NUMBER)
        return value->text;
    if (value->type != JSON_STRING)
        return slice_of(NULL, 0);
    struct slice text = json_inner(value);
    while (text.len && is_blank(text.data[0]))
        text.data++, text.len--;
    while (text.len && is_blank(text.data[text.len - 1]))
        text.len--;
    return text;
}

static bool scan_special(struct slice text, struct decimal *decimal)
{
    static const struct {
        const char *name;
        uint16_t sign;
    } names[] = {{"NaN", NOT_A_NUMBER},         {"Infinity", INFINITE}, {"+Infinity", INFINITE},
                 {"-Infinity", MINUS_INFINITE}, {"inf", INFINITE},      {"+inf", INFINITE},
                 {"-inf", MINUS_INFINITE}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (text.len == strlen(names[i].name) && strncasecmp(text.data, names[i].name, text.len) == 0) {
            *decimal = (struct decimal){.sign = names[i].sign};
            return true;
        }
    return false;
}

bool encoding_exponent(const char *at, const char *end, int64_t *exponent)
{
    bool is_negative = at < end && *at == '-';
    at += at < end && (*at == '-' || *at == '+');
    if (at == end)
        return false;
    *exponent = 0;
    for (; at < end; at++) {
        if (!is_digit(*at))
            return false;
        if (*exponent < ENDLESS_EXPONENT)
            *exponent = *exponent * 10 + (*at - '0');
    }
    if (is_negative)
        *exponent = -*exponent;
    return true;
}

static bool scan_decimal(struct slice text, struct decimal *decimal)
{
    const char *at = text.data, *end = at + text.len, *point = NULL, *first = NULL, *last = NULL;
    bool has_digits = false;
    *decimal = (struct decimal){.sign = at < end && *at == '-' ? NEGATIVE : POSITIVE};
    for (at += at < end && (*at == '-' || *at == '+'); at < end && *at != 'e' && *at != 'E'; at++) {
        if (*at == '.' && !point) {
            point = at;
            continue;
        }
        if (!is_digit(*at))
            return false;
        has_digits = true;
        if (*at != '0') {
            first = first ? first : at;
            last = at;
        }
    }
    if (!has_digits || (at < end && !encoding_exponent(at + 1, end, &decimal->exponent)))
        return false;
    decimal->scale = (point ? at - point - 1 : 0) - decimal->exponent;
    if (decimal->scale < 0)
        decimal->scale = 0;
    if (!first) {
        decimal->sign = POSITIVE; /* numeric has no -0 */
        return true;
    }
    point = point ? point : at;
    decimal->digits = slice_of(first, (size_t)(last - first) + 1);
    decimal->weight = point - first - (first < point) + decimal->exponent;
    return true;
}

static bool overflows(const struct decimal *decimal)
{
    return decimal->exponent >= EXPONENT_LIMIT || decimal->exponent <= -EXPONENT_LIMIT ||
           decimal->weight >= MOST_BEFORE_POINT || decimal->scale > MOST_BEHIND_POINT;
}

static bool read_numeric(struct encoding *e, struct slice *text, struct decimal *decimal)
{
    *text = trimmed_text(e->value);
    if (!text->data || !(scan_decimal(*text, decimal) || scan_special(*text, decimal)))
        return encoding_refuse(e, INVALID_TEXT, "invalid input for type", "numeric");
    /* A typmod's rounding could make too long a fraction fit, but only the server knows of it. */
    if (overflows(decimal))
        return encoding_refuse(e, OUT_OF_RANGE, "value overflows", "numeric format");
    return true;
}

/* Returns how many there are. */
static uint16_t append_groups(struct buffer *out, struct slice digits, int first_length)
{
    uint16_t count = 0, group = 0;
    int missing = first_length;
    for (size_t i = 0; i < digits.len; i++) {
        if (digits.data[i] == '.')
            continue;
        group = (uint16_t)(group * 10 + (digits.data[i] - '0'));
        if (--missing == 0) {
            append_u16(out, group);
            count++;
            group = 0;
            missing = GROUP;
        }
    }
    if (missing == GROUP)
        return count;
    for (; missing; missing--)
        group = (uint16_t)(group * 10);
    append_u16(out, group);
    return (uint16_t)(count + 1);
}

bool encode_numeric(struct encoding *e)
{
    struct slice text;
    struct decimal decimal;
    if (!read_numeric(e, &text, &decimal))
        return false;
    int digit_of_group = (int)(decimal.weight & (GROUP - 1)); /* from the right, also of negative weights */
    int64_t weight = (decimal.weight - digit_of_group) / GROUP;
    size_t count_at = e->out->len;
    append_u16(e->out, 0);
    append_u16(e->out, (uint16_t)weight);
    append_u16(e->out, decimal.sign);
    append_u16(e->out, (uint16_t)decimal.scale);
    uint16_t count =
        htobe16(decimal.digits.len ? append_groups(e->out, decimal.digits, digit_of_group + 1) : 0);
    memcpy(e->out->data + count_at, &count, sizeof count);
    return true;
}

bool text_numeric(struct encoding *e)
{
    struct slice text;
    struct decimal decimal;
    if (!read_numeric(e, &text, &decimal))
        return false;
    buffer_append_slice(e->out, text);
    return true;
}
