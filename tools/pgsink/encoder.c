/* Binary formats as in PostgreSQL's src/backend/utils/adt, the functions named TYPE_recv. */
#include "encoding.h"

#include "common/utf8.h"
#include "common/uuid.h"

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
    OID_NUMERIC = 1700,
    OID_UUID = 2950,
    OID_JSONB = 3802,
};

struct encoder {
    Oid type;
    const char *name;
    /* NULL: there is no binary form here. */
    bool (*binary)(struct encoding *encoding);
    bool (*text)(struct encoding *encoding);
};

bool encoding_refuse(struct encoding *e, const char *sqlstate, const char *what, const char *type)
{
    struct slice text = e->value->text;
    int shown = (int)utf8_prefix(text.data, text.len, 40);
    e->fault->sqlstate = sqlstate;
    snprintf(e->fault->message, sizeof e->fault->message, "%s %s: %.*s%s", what, type, shown, text.data,
             text.len > 40 ? "…" : "");
    return false;
}

bool encoding_refuse_because(struct encoding *e, const char *sqlstate, const char *reason)
{
    e->fault->sqlstate = sqlstate;
    snprintf(e->fault->message, sizeof e->fault->message, "%s", reason);
    return false;
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
        return !reason || encoding_refuse_because(e, "22P05", reason);
    }
    if (!value->escaped) {
        buffer_append_slice(e->out, json_inner(value));
        return true;
    }
    const char *reason = json_decode_string(json_inner(value), e->nul, e->out);
    return !reason || encoding_refuse_because(e, "22P05", reason);
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
    struct slice text = encoding_number_text(e->value);
    for (size_t i = 0; text.data && i < sizeof names / sizeof *names; i++)
        if (text.len >= names[i].shortest && text.len <= strlen(names[i].name) &&
            strncasecmp(text.data, names[i].name, text.len) == 0) {
            *value = names[i].value;
            return true;
        }
    return encoding_refuse(e, INVALID_TEXT, "invalid input for type", "boolean");
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
    return encoding_refuse(e, INVALID_TEXT, "invalid input for type", "uuid");
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

/* json keeps the text as it is, with \u0000 and halves of surrogate pairs in it. */
static bool encode_json(struct encoding *e)
{
    buffer_append_slice(e->out, e->value->text);
    return true;
}

/* Numbers keep their digits, and jsonb itself sorts out members given twice. */
static bool text_jsonb(struct encoding *e)
{
    if (!e->value->escaped) {
        buffer_append_slice(e->out, e->value->text);
        return true;
    }
    const char *reason = json_copy_storable(e->value->text, e->nul, e->out);
    return !reason || encoding_refuse_because(e, "22P05", reason);
}

static bool encode_jsonb(struct encoding *e)
{
    buffer_append_char(e->out, 1); /* the version of jsonb_recv's format */
    return text_jsonb(e);
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
    {OID_NUMERIC, "numeric", encode_numeric, text_numeric},
    {OID_TIMESTAMPTZ, "timestamp with time zone", encode_timestamp, text_timestamp},
    {OID_TIMESTAMP, "timestamp without time zone", encode_timestamp, text_timestamp},
    {OID_DATE, "date", encode_date, text_date},
    {OID_JSON, "json", encode_json, encode_json},
    {OID_JSONB, "jsonb", encode_jsonb, text_jsonb},
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
    bool reads_escapes =
        encode == encode_text || encode == encode_json || encode == encode_jsonb || encode == text_jsonb;
    if (value->type != JSON_STRING || !value->escaped || reads_escapes)
        return encode(&encoding);

    /* A uuid or number written with escapes is what it says: resolve them first. */
    cleanup_buffer struct buffer plain = {0};
    buffer_append_char(&plain, '"');
    const char *reason = json_decode_string(json_inner(value), nul, &plain);
    buffer_append_char(&plain, '"');
    struct json_value resolved = {.type = JSON_STRING, .text = buffer_slice(&plain)};
    encoding.value = &resolved;
    return reason ? encoding_refuse_because(&encoding, "22P05", reason) : encode(&encoding);
}
