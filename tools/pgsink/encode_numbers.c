/* Integers and floating point. Digits are moved, never computed with, so that none is lost. */
#include "encoding.h"

#include <errno.h>
#include <math.h>

/* What a number or a string with a number in it says. */
struct slice encoding_number_text(const struct json_value *value)
{
    if (value->type == JSON_NUMBER)
        return value->text;
    if (value->type != JSON_STRING)
        return slice_of(NULL, 0);
    struct slice text = json_inner(value);
    while (text.len && text.data[0] == ' ')
        text.data++, text.len--;
    while (text.len && text.data[text.len - 1] == ' ')
        text.len--;
    if (text.len > 1 && text.data[0] == '+' && text.data[1] != '-' && text.data[1] != '+')
        text.data++, text.len--;
    return text;
}

/* JSON knows one kind of number: 45, 45.0 and 4.5e1 are the same integer. Digits are moved, never
 * computed with, so that no digit is lost. */
static bool integral_number(struct slice text, int64_t *value, bool *is_fraction)
{
    char digits[24];
    size_t count = 0;
    const char *at = text.data, *end = at + text.len;
    bool negative = at < end && *at == '-', has_point = false;
    int64_t exponent = 0, written;
    *is_fraction = false;
    for (at += negative; at < end && *at != 'e' && *at != 'E'; at++) {
        if (*at == '.') {
            has_point = true;
            continue;
        }
        if (*at < '0' || *at > '9')
            return false;
        exponent -= has_point;
        if (count == 0 && *at == '0')
            continue;
        if (count == sizeof digits) { /* beyond int64 unless what follows are zeros */
            if (*at != '0')
                return false;
            exponent++;
            continue;
        }
        digits[count++] = *at;
    }
    if (at < end && encoding_exponent(at + 1, end, &written))
        exponent += written;
    while (count && exponent < 0 && digits[count - 1] == '0')
        count--, exponent++;
    if (count == 0) {
        *value = 0;
        return true;
    }
    if (exponent < 0) {
        *is_fraction = true;
        return false;
    }
    int64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        if (__builtin_mul_overflow(sum, 10, &sum) || __builtin_sub_overflow(sum, digits[i] - '0', &sum))
            return false;
    for (; exponent > 0; exponent--)
        if (__builtin_mul_overflow(sum, 10, &sum))
            return false;
    if (!negative && sum == INT64_MIN)
        return false;
    *value = negative ? sum : -sum;
    return true;
}

static bool is_number(struct slice text)
{
    struct json_value value;
    return text.data && json_scan_document(text, &value, NULL, NULL) && value.type == JSON_NUMBER;
}

static bool read_integer(struct encoding *e, int64_t low, int64_t high, const char *type, int64_t *value)
{
    struct slice text = encoding_number_text(e->value);
    if (text.data && json_integer(text, value)) {
        if (*value >= low && *value <= high)
            return true;
        return encoding_refuse(e, OUT_OF_RANGE, "out of range for type", type);
    }
    bool is_fraction;
    if (!is_number(text))
        return encoding_refuse(e, INVALID_TEXT, "invalid input for type", type);
    if (integral_number(text, value, &is_fraction) && *value >= low && *value <= high)
        return true;
    if (is_fraction)
        return encoding_refuse(e, INVALID_TEXT, "not a whole number, as is needed for type", type);
    return encoding_refuse(e, OUT_OF_RANGE, "out of range for type", type);
}

bool encode_int2(struct encoding *e)
{
    int64_t value;
    if (!read_integer(e, INT16_MIN, INT16_MAX, "smallint", &value))
        return false;
    append_u16(e->out, (uint16_t)value);
    return true;
}

bool encode_int4(struct encoding *e)
{
    int64_t value;
    if (!read_integer(e, INT32_MIN, INT32_MAX, "integer", &value))
        return false;
    append_u32(e->out, (uint32_t)value);
    return true;
}

bool encode_int8(struct encoding *e)
{
    int64_t value;
    if (!read_integer(e, INT64_MIN, INT64_MAX, "bigint", &value))
        return false;
    append_u64(e->out, (uint64_t)value);
    return true;
}

static bool integer_text(struct encoding *e, int64_t low, int64_t high, const char *type)
{
    int64_t value;
    if (!read_integer(e, low, high, type, &value))
        return false;
    buffer_append_int(e->out, value);
    return true;
}

bool text_int2(struct encoding *e)
{
    return integer_text(e, INT16_MIN, INT16_MAX, "smallint");
}

bool text_int4(struct encoding *e)
{
    return integer_text(e, INT32_MIN, INT32_MAX, "integer");
}

bool text_int8(struct encoding *e)
{
    return integer_text(e, INT64_MIN, INT64_MAX, "bigint");
}

/* A number as a C string, or a string that says NaN or Infinity, as PostgreSQL's input takes. It stands
 * behind the output's end, until something is appended. */
static bool float_text(struct encoding *e, const char *type, const char **text)
{
    struct slice number = encoding_number_text(e->value);
    size_t end = e->out->len;
    buffer_append(e->out, number.len ? number.data : "", number.len);
    buffer_append_char(e->out, '\0');
    e->out->len = end;
    *text = e->out->data + end;
    /* C's hexadecimal numbers are not SQL's */
    if (number.len == 0 || strlen(*text) != number.len || strpbrk(*text, "xXpP("))
        return encoding_refuse(e, INVALID_TEXT, "invalid input for type", type);
    errno = 0;
    return true;
}

/* What strtod() or strtof() came to. */
static bool check_float(struct encoding *e, const char *type, const char *end, double value)
{
    if (*end)
        return encoding_refuse(e, INVALID_TEXT, "invalid input for type", type);
    if (errno == ERANGE && (isinf(value) || value == 0))
        return encoding_refuse(e, OUT_OF_RANGE, "out of range for type", type);
    return true;
}

static bool read_float8(struct encoding *e, double *value)
{
    static const char type[] = "double precision";
    const char *text;
    char *end;
    if (!float_text(e, type, &text))
        return false;
    *value = strtod(text, &end);
    return check_float(e, type, end, *value);
}

/* Not by way of a double, which would round twice. */
static bool read_float4(struct encoding *e, float *value)
{
    const char *text;
    char *end;
    if (!float_text(e, "real", &text))
        return false;
    *value = strtof(text, &end);
    return check_float(e, "real", end, (double)*value);
}

bool encode_float8(struct encoding *e)
{
    double value;
    uint64_t bits;
    if (!read_float8(e, &value))
        return false;
    memcpy(&bits, &value, sizeof bits);
    append_u64(e->out, bits);
    return true;
}

bool encode_float4(struct encoding *e)
{
    float value;
    uint32_t bits;
    if (!read_float4(e, &value))
        return false;
    memcpy(&bits, &value, sizeof bits);
    append_u32(e->out, bits);
    return true;
}

bool text_float8(struct encoding *e)
{
    double value;
    if (!read_float8(e, &value))
        return false;
    buffer_append_slice(e->out, encoding_number_text(e->value));
    return true;
}

bool text_float4(struct encoding *e)
{
    float value;
    if (!read_float4(e, &value))
        return false;
    buffer_append_slice(e->out, encoding_number_text(e->value));
    return true;
}
