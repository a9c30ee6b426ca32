/* The writer half of line_format.h. */
#include "common/line_format.h"

#include "common/base64.h"
#include "common/json_write.h"
#include "common/timestamp.h"
#include "common/utf8.h"

#include <stdio.h>

static void error_write(struct buffer *out, const struct line_error *error)
{
    const struct {
        const char *name, *value;
    } members[] = {{"tool", error->tool},
                   {"class", error->class},
                   {"sqlstate", error->sqlstate},
                   {"column", error->column},
                   {"message", error->message}};
    json_member(out, "error");
    json_open(out, '{');
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (members[i].value) {
            json_member(out, members[i].name);
            json_write_string(out, slice_of_string(members[i].value));
        }
    char at[TIMESTAMP_TEXT_SIZE];
    timestamp_format(error->at, 3, at);
    json_member(out, "at");
    json_write_string(out, slice_of_string(at));
    json_close(out, '}');
}

/* Bytes as a string, or as base64. */
static void write_text(struct buffer *out, struct slice bytes, bool is_base64)
{
    if (!is_base64) {
        json_write_string(out, bytes);
        return;
    }
    buffer_append_char(out, '"');
    base64_encode(out, bytes);
    buffer_append_char(out, '"');
}

/* A name, and bytes as a string where they are UTF-8, else as base64 with the member that says so. */
static void write_bytes(struct buffer *out, const char *name, const char *encoding_name, struct slice bytes)
{
    json_member(out, name);
    if (!bytes.data) {
        buffer_append_string(out, "null");
        return;
    }
    bool is_text = utf8_is_valid(bytes.data, bytes.len);
    write_text(out, bytes, !is_text);
    if (!is_text) {
        json_member(out, encoding_name);
        buffer_append_string(out, "\"base64\"");
    }
}

static void write_headers(struct buffer *out, const struct record *record)
{
    bool has_odd_name = false, has_odd_value = false;
    for (size_t i = 0; i < record->header_count; i++) {
        const struct record_header *header = &record->headers[i];
        has_odd_name |= !utf8_is_valid(header->name, strlen(header->name));
        has_odd_value |= header->value.data && !utf8_is_valid(header->value.data, header->value.len);
    }
    json_member(out, "headers");
    json_open(out, '[');
    for (size_t i = 0; i < record->header_count; i++) {
        const struct record_header *header = &record->headers[i];
        json_item(out);
        write_text(out, slice_of_string(header->name), has_odd_name);
        json_item(out);
        if (header->value.data)
            write_text(out, header->value, has_odd_name || has_odd_value);
        else
            buffer_append_string(out, "null");
    }
    json_close(out, ']');
    if (has_odd_name || has_odd_value) {
        json_member(out, "headers_encoding");
        buffer_append_string(out, has_odd_name ? "\"base64-names\"" : "\"base64\"");
    }
}

static void write_source(struct buffer *out, struct slice topic, int32_t partition)
{
    json_member(out, "topic");
    buffer_append_char(out, '"'); /* Kafka's topic names need no escapes: [a-zA-Z0-9._-] */
    buffer_append_slice(out, topic);
    buffer_append_string(out, "\",\"partition\":");
    buffer_append_int(out, partition);
}

/* Inside valid JSON a line break can only stand between tokens. */
static void append_on_one_line(struct buffer *out, struct slice json)
{
    static const char breaks[] = "\n\r";
    size_t start = out->len;
    buffer_append_slice(out, json);
    for (const char *c = breaks; *c; c++)
        for (char *at = out->data + start, *end = out->data + out->len;
             at < end && (at = memchr(at, *c, (size_t)(end - at))); at++)
            *at = ' ';
}

static struct slice trim(struct slice json)
{
    const char *at = json.data, *end = at + json.len;
    while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r'))
        at++;
    while (end > at && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\n' || end[-1] == '\r'))
        end--;
    return slice_of(at, (size_t)(end - at));
}

/* Why the payload cannot be embedded, in `message`; NULL if it can. */
static const char *payload_fault(struct slice payload, char *message, size_t size)
{
    struct json_value value;
    const char *fault;
    size_t at;
    if (!payload.data)
        return "tombstone: the record has no payload";
    if (payload.len == 0)
        return "the payload is empty";
    if (json_scan_document(payload, &value, &fault, &at))
        return NULL;
    snprintf(message, size, "the payload is not JSON: %s at byte %zu", fault, at);
    return message;
}

static void write_broken_payload(struct buffer *out, struct slice payload, const char *fault,
                                 const char *tool)
{
    write_bytes(out, "payload", "payload_encoding", payload);
    error_write(out, &(struct line_error){
                         .tool = tool, .class = CLASS_DECODE, .message = fault, .at = now_microseconds()});
}

bool record_write(struct buffer *out, const struct record *record, const char *tool)
{
    char message[160];
    const char *fault = payload_fault(record->payload, message, sizeof message);
    buffer_reserve(out, record->payload.len + record->key.len + 256);
    json_open(out, '{');
    write_source(out, record->topic, record->partition);
    buffer_append_string(out, ",\"offset\":");
    buffer_append_int(out, record->offset);
    if (record->timestamp_type) {
        buffer_append_string(out, ",\"tstype\":\"");
        buffer_append_string(out, record->timestamp_type);
        buffer_append_string(out, "\",\"ts\":");
        buffer_append_int(out, record->timestamp_ms);
    }
    if (record->broker >= 0) {
        buffer_append_string(out, ",\"broker\":");
        buffer_append_int(out, record->broker);
    }
    if (record->header_count)
        write_headers(out, record);
    write_bytes(out, "key", "key_encoding", record->key);
    if (fault) {
        write_broken_payload(out, record->payload, fault, tool);
    } else {
        buffer_append_string(out, ",\"payload\":");
        append_on_one_line(out, record->payload);
    }
    buffer_append_string(out, "}\n");
    return !fault;
}

bool record_write_bare(struct buffer *out, const struct record *record, const char *tool)
{
    char message[160];
    const char *fault = payload_fault(record->payload, message, sizeof message);
    if (fault) {
        json_open(out, '{');
        write_broken_payload(out, record->payload, fault, tool);
        json_close(out, '}');
    } else {
        append_on_one_line(out, record->payload);
    }
    buffer_append_char(out, '\n');
    return !fault;
}

void reject_write(struct buffer *out, const struct line *line, const struct line_error *error)
{
    struct slice text = trim(line->text);
    if (line->kind == LINE_INVALID) {
        json_open(out, '{');
        if (line->has_source) {
            write_source(out, line->topic, line->partition);
            buffer_append_string(out, ",\"offset\":");
            buffer_append_int(out, line->offset);
        }
        write_bytes(out, "payload", "payload_encoding", line->text);
    } else if (line->kind == LINE_ENVELOPE) {
        buffer_append(out, text.data, text.len - 1); /* without its closing brace */
    } else {
        json_open(out, '{');
        buffer_append_string(out, "\"payload\":");
        buffer_append_slice(out, text);
    }
    error_write(out, error);
    buffer_append_string(out, "}\n");
}

void ack_write(struct buffer *out, const struct ack *acks, size_t count)
{
    json_open(out, '{');
    json_member(out, "ack");
    json_open(out, '[');
    for (size_t i = 0; i < count; i++) {
        json_item(out);
        json_open(out, '{');
        write_source(out, acks[i].topic, acks[i].partition);
        buffer_append_string(out, ",\"next\":");
        buffer_append_int(out, acks[i].next);
        json_close(out, '}');
    }
    buffer_append_string(out, "]}\n");
}
