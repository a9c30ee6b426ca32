/* Binary formats as in PostgreSQL's src/backend/utils/adt, the functions named TYPE_recv. */
#include "encoder.h"

#include "common/timestamp.h"
#include "common/uuid.h"

#include <endian.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <strings.h>

/* Oids of built-in types never change (src/include/catalog/pg_type.dat). */
enum {
    OID_BOOL = 16,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_JSON = 114,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_BPCHAR = 1042,
    OID_VARCHAR = 1043,
    OID_DATE = 1082,
    OID_TIMESTAMP = 1114,
    OID_TIMESTAMPTZ = 1184,
    OID_UUID = 2950,
    OID_JSONB = 3802,
};

/* PostgreSQL counts microseconds and days from 2000-01-01. */
#define POSTGRES_EPOCH_SECONDS INT64_C(946684800)
#define MICROSECONDS_A_DAY INT64_C(86400000000)

struct encoding {
    const struct json_value *value;
    enum nul_policy nul;
    struct buffer *out;
    struct encode_fault *fault;
};

struct encoder {
    Oid type;
    const char *name;
    /* NULL: there is no binary form here. */
    bool (*binary)(struct encoding *encoding);
    bool (*text)(struct encoding *encoding);
};

#define INVALID_TEXT "22P02"
#define OUT_OF_RANGE "22003"
#define INVALID_DATETIME "22007"

static bool refuse(struct encoding *e, const char *sqlstate, const char *what, const char *type)
{
    struct slice text = e->value->text;
    int shown = (int)(text.len > 40 ? 40 : text.len);
    e->fault->sqlstate = sqlstate;
    snprintf(e->fault->message, sizeof e->fault->message, "%s %s: %.*s%s", what, type, shown, text.data,
             text.len > 40 ? "…" : "");
    return false;
}

static bool refuse_because(struct encoding *e, const char *sqlstate, const char *reason)
{
    e->fault->sqlstate = sqlstate;
    snprintf(e->fault->message, sizeof e->fault->message, "%s", reason);
    return false;
}

static void append_u16(struct buffer *out, uint16_t value)
{
    uint16_t big = htobe16(value);
    buffer_append(out, &big, sizeof big);
}

static void append_u32(struct buffer *out, uint32_t value)
{
    uint32_t big = htobe32(value);
    buffer_append(out, &big, sizeof big);
}

static void append_u64(struct buffer *out, uint64_t value)
{
    uint64_t big = htobe64(value);
    buffer_append(out, &big, sizeof big);
}

/* text, varchar, bpchar, enums, and the input text of any type: a string's characters, or the JSON text
 * of anything else, as ->> gives it. */
static bool encode_text(struct encoding *e)
{
    const struct json_value *value = e->value;
    if (value->type != JSON_STRING) {
        if (!value->escaped || value->type == JSON_NUMBER) {
            buffer_append_slice(e->out, value->text);
            return true;
        }
        const char *reason = json_copy_storable(value->text, e->nul, e->out);
        return !reason || refuse_because(e, "22P05", reason);
    }
    if (!value->escaped) {
        buffer_append_slice(e->out, json_inner(value));
        return true;
    }
    const char *reason = json_decode_string(json_inner(value), e->nul, e->out);
    return !reason || refuse_because(e, "22P05", reason);
}

/* What a number or a string with a number in it says. */
static struct slice number_text(const struct json_value *value)
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
    long exponent = 0;
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
        if (count == sizeof digits) { /* beyond int64 unless what follows are zeros behind the point */
            if (*at != '0' || !has_point)
                return false;
            exponent++;
            continue;
        }
        digits[count++] = *at;
    }
    if (at < end) {
        char *stop;
        exponent += strtol(at + 1, &stop, 10);
    }
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
    struct slice text = number_text(e->value);
    if (text.data && json_integer(text, value)) {
        if (*value >= low && *value <= high)
            return true;
        return refuse(e, OUT_OF_RANGE, "out of range for type", type);
    }
    bool is_fraction;
    if (!is_number(text))
        return refuse(e, INVALID_TEXT, "invalid input for type", type);
    if (integral_number(text, value, &is_fraction) && *value >= low && *value <= high)
        return true;
    if (is_fraction)
        return refuse(e, INVALID_TEXT, "not a whole number, as is needed for type", type);
    return refuse(e, OUT_OF_RANGE, "out of range for type", type);
}

static bool encode_int2(struct encoding *e)
{
    int64_t value;
    if (!read_integer(e, INT16_MIN, INT16_MAX, "smallint", &value))
        return false;
    append_u16(e->out, (uint16_t)value);
    return true;
}

static bool encode_int4(struct encoding *e)
{
    int64_t value;
    if (!read_integer(e, INT32_MIN, INT32_MAX, "integer", &value))
        return false;
    append_u32(e->out, (uint32_t)value);
    return true;
}

static bool encode_int8(struct encoding *e)
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

static bool text_int2(struct encoding *e)
{
    return integer_text(e, INT16_MIN, INT16_MAX, "smallint");
}

static bool text_int4(struct encoding *e)
{
    return integer_text(e, INT32_MIN, INT32_MAX, "integer");
}

static bool text_int8(struct encoding *e)
{
    return integer_text(e, INT64_MIN, INT64_MAX, "bigint");
}

/* A number as a C string, or a string that says NaN or Infinity, as PostgreSQL's input takes. It stands
 * behind the output's end, until something is appended. */
static bool float_text(struct encoding *e, const char *type, const char **text)
{
    struct slice number = number_text(e->value);
    size_t end = e->out->len;
    buffer_append(e->out, number.len ? number.data : "", number.len);
    buffer_append_char(e->out, '\0');
    e->out->len = end;
    *text = e->out->data + end;
    /* C's hexadecimal numbers are not SQL's */
    if (number.len == 0 || strlen(*text) != number.len || strpbrk(*text, "xXpP("))
        return refuse(e, INVALID_TEXT, "invalid input for type", type);
    errno = 0;
    return true;
}

/* What strtod() or strtof() came to. */
static bool check_float(struct encoding *e, const char *type, const char *end, double value)
{
    if (*end)
        return refuse(e, INVALID_TEXT, "invalid input for type", type);
    if (errno == ERANGE && (isinf(value) || value == 0))
        return refuse(e, OUT_OF_RANGE, "out of range for type", type);
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

static bool encode_float8(struct encoding *e)
{
    double value;
    uint64_t bits;
    if (!read_float8(e, &value))
        return false;
    memcpy(&bits, &value, sizeof bits);
    append_u64(e->out, bits);
    return true;
}

static bool encode_float4(struct encoding *e)
{
    float value;
    uint32_t bits;
    if (!read_float4(e, &value))
        return false;
    memcpy(&bits, &value, sizeof bits);
    append_u32(e->out, bits);
    return true;
}

static bool text_float8(struct encoding *e)
{
    double value;
    if (!read_float8(e, &value))
        return false;
    buffer_append_slice(e->out, number_text(e->value));
    return true;
}

static bool text_float4(struct encoding *e)
{
    float value;
    if (!read_float4(e, &value))
        return false;
    buffer_append_slice(e->out, number_text(e->value));
    return true;
}

/* The spellings of src/backend/utils/adt/bool.c, abbreviations included, and the numbers 0 and 1. */
static bool read_bool(struct encoding *e, bool *value)
{
    static const struct {
        const char *name;
        size_t shortest;
        bool value;
    } names[] = {{"true", 1, true}, {"false", 1, false}, {"yes", 1, true}, {"no", 1, false},
                 {"on", 2, true},   {"off", 2, false},   {"1", 1, true},   {"0", 1, false}};
    if (e->value->type == JSON_TRUE || e->value->type == JSON_FALSE) {
        *value = e->value->type == JSON_TRUE;
        return true;
    }
    struct slice text = number_text(e->value);
    for (size_t i = 0; text.data && i < sizeof names / sizeof *names; i++)
        if (text.len >= names[i].shortest && text.len <= strlen(names[i].name) &&
            strncasecmp(text.data, names[i].name, text.len) == 0) {
            *value = names[i].value;
            return true;
        }
    return refuse(e, INVALID_TEXT, "invalid input for type", "boolean");
}

static bool encode_bool(struct encoding *e)
{
    bool value;
    if (!read_bool(e, &value))
        return false;
    buffer_append_char(e->out, (char)value);
    return true;
}

static bool text_bool(struct encoding *e)
{
    bool value;
    if (!read_bool(e, &value))
        return false;
    buffer_append_char(e->out, value ? 't' : 'f');
    return true;
}

static bool read_uuid(struct encoding *e, struct uuid *uuid)
{
    if (e->value->type == JSON_STRING && uuid_parse(json_inner(e->value), uuid))
        return true;
    return refuse(e, INVALID_TEXT, "invalid input for type", "uuid");
}

static bool encode_uuid(struct encoding *e)
{
    struct uuid uuid;
    if (!read_uuid(e, &uuid))
        return false;
    buffer_append(e->out, uuid.bytes, sizeof uuid.bytes);
    return true;
}

static bool text_uuid(struct encoding *e)
{
    struct uuid uuid;
    char text[UUID_TEXT_SIZE];
    if (!read_uuid(e, &uuid))
        return false;
    uuid_format(&uuid, text);
    buffer_append_string(e->out, text);
    return true;
}

static bool read_timestamp(struct encoding *e, const char *type, int64_t *microseconds)
{
    struct timestamp timestamp;
    if (e->value->type != JSON_STRING || !timestamp_parse(json_inner(e->value), &timestamp))
        return refuse(e, INVALID_DATETIME, "not an ISO 8601 date and time, as is needed for type", type);
    *microseconds = timestamp.microseconds;
    return true;
}

static bool encode_timestamp(struct encoding *e)
{
    int64_t microseconds;
    if (!read_timestamp(e, "timestamp", &microseconds))
        return false;
    append_u64(e->out, (uint64_t)(microseconds - POSTGRES_EPOCH_SECONDS * 1000000));
    return true;
}

static bool text_timestamp(struct encoding *e)
{
    int64_t microseconds;
    char text[TIMESTAMP_TEXT_SIZE];
    if (!read_timestamp(e, "timestamp", &microseconds))
        return false;
    timestamp_format(microseconds, 6, text);
    buffer_append_string(e->out, text);
    return true;
}

static bool encode_date(struct encoding *e)
{
    int64_t microseconds;
    if (!read_timestamp(e, "date", &microseconds))
        return false;
    int64_t days = microseconds / MICROSECONDS_A_DAY - (microseconds % MICROSECONDS_A_DAY < 0);
    append_u32(e->out, (uint32_t)(int32_t)(days - POSTGRES_EPOCH_SECONDS / 86400));
    return true;
}

static bool text_date(struct encoding *e)
{
    int64_t microseconds;
    char text[TIMESTAMP_TEXT_SIZE];
    if (!read_timestamp(e, "date", &microseconds))
        return false;
    timestamp_format(microseconds, 0, text);
    buffer_append(e->out, text, 10);
    return true;
}

/* The JSON text as it is: numbers keep their digits, and jsonb itself sorts out members given twice. */
static bool encode_json(struct encoding *e)
{
    if (!e->value->escaped) {
        buffer_append_slice(e->out, e->value->text);
        return true;
    }
    const char *reason = json_copy_storable(e->value->text, e->nul, e->out);
    return !reason || refuse_because(e, "22P05", reason);
}

static bool encode_jsonb(struct encoding *e)
{
    buffer_append_char(e->out, 1); /* the version of jsonb_recv's format */
    return encode_json(e);
}

/* An array as PostgreSQL's array input text: {"a",NULL,{"b"}}. */
static bool array_text(struct encoding *e, struct json_scanner *s)
{
    struct json_value item;
    buffer_append_char(e->out, '{');
    for (bool first = true; json_next_item(s); first = false) {
        if (!first)
            buffer_append_char(e->out, ',');
        if (json_peek_type(s) == JSON_ARRAY) {
            if (!json_enter_array(s) || !array_text(e, s))
                return false;
            continue;
        }
        json_scan_value(s, &item);
        if (item.type == JSON_NULL) {
            buffer_append_string(e->out, "NULL");
            continue;
        }
        cleanup_buffer struct buffer text = {0};
        struct encoding inner = {.value = &item, .nul = e->nul, .out = &text, .fault = e->fault};
        if (!encode_text(&inner))
            return false;
        buffer_append_char(e->out, '"');
        for (size_t i = 0; i < text.len; i++) {
            if (text.data[i] == '"' || text.data[i] == '\\')
                buffer_append_char(e->out, '\\');
            buffer_append_char(e->out, text.data[i]);
        }
        buffer_append_char(e->out, '"');
    }
    buffer_append_char(e->out, '}');
    return true;
}

static bool text_array(struct encoding *e)
{
    if (e->value->type != JSON_ARRAY)
        return encode_text(e); /* a string may hold the array's input text */
    struct json_scanner s;
    json_scanner_init(&s, e->value->text.data, e->value->text.len);
    return json_enter_array(&s) && array_text(e, &s);
}

static const struct encoder encoders[] = {
    {OID_UUID, "uuid", encode_uuid, text_uuid},
    {OID_TEXT, "text", encode_text, encode_text},
    {OID_VARCHAR, "character varying", encode_text, encode_text},
    {OID_BPCHAR, "character", encode_text, encode_text},
    {OID_BOOL, "boolean", encode_bool, text_bool},
    {OID_INT2, "smallint", encode_int2, text_int2},
    {OID_INT4, "integer", encode_int4, text_int4},
    {OID_INT8, "bigint", encode_int8, text_int8},
    {OID_FLOAT4, "real", encode_float4, text_float4},
    {OID_FLOAT8, "double precision", encode_float8, text_float8},
    {OID_TIMESTAMPTZ, "timestamp with time zone", encode_timestamp, text_timestamp},
    {OID_TIMESTAMP, "timestamp without time zone", encode_timestamp, text_timestamp},
    {OID_DATE, "date", encode_date, text_date},
    {OID_JSON, "json", encode_json, encode_json},
    {OID_JSONB, "jsonb", encode_jsonb, encode_json},
};
static const struct encoder enum_encoder = {0, "enum", encode_text, encode_text};
static const struct encoder array_encoder = {0, "array", NULL, text_array};
static const struct encoder other_encoder = {0, "other", NULL, encode_text};

const struct encoder *encoder_for(Oid type, char typtype, char typcategory)
{
    for (size_t i = 0; i < sizeof encoders / sizeof *encoders; i++)
        if (encoders[i].type == type)
            return &encoders[i];
    if (typtype == 'e')
        return &enum_encoder;
    return typcategory == 'A' ? &array_encoder : &other_encoder;
}

bool encoder_is_binary(const struct encoder *encoder)
{
    return encoder->binary != NULL;
}

bool encode_value(const struct encoder *encoder, const struct json_value *value, enum field_format format,
                  enum nul_policy nul, struct buffer *out, struct encode_fault *fault)
{
    struct encoding encoding = {.value = value, .nul = nul, .out = out, .fault = fault};
    bool (*encode)(struct encoding *) = format == FORMAT_BINARY ? encoder->binary : encoder->text;
    bool reads_escapes = encode == encode_text || encode == encode_json || encode == encode_jsonb;
    if (value->type != JSON_STRING || !value->escaped || reads_escapes)
        return encode(&encoding);

    /* A uuid or number written with escapes is what it says: resolve them first. */
    cleanup_buffer struct buffer plain = {0};
    buffer_append_char(&plain, '"');
    const char *reason = json_decode_string(json_inner(value), nul, &plain);
    buffer_append_char(&plain, '"');
    struct json_value resolved = {.type = JSON_STRING, .text = buffer_slice(&plain)};
    encoding.value = &resolved;
    return reason ? refuse_because(&encoding, "22P05", reason) : encode(&encoding);
}
