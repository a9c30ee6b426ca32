/* A message is written into one buffer that grows; spans remember where its parts are, and settle() turns
 * them into pointers once nothing moves any more. */
#include "common/dead_letter.h"

#include "common/base64.h"
#include "common/json_write.h"
#include "common/timestamp.h"
#include "common/utf8.h"

#include <stdio.h>

#define FORMAT_HEADER "dlq.format"
static const char *const format_names[] = {"json", "raw", "cut"};
static const char *const context_names[] = {
    FORMAT_HEADER,        "dlq.error.message",    "dlq.error.class",   "dlq.error.details",   "dlq.failed_at",
    "dlq.consumer_group", "dlq.source.partition", "dlq.source.offset", "dlq.source.timestamp"};
#define TOPIC_HEADER "dlq.source.topic" /* the one that reading needs */

static const struct dead_letter_span null_span = {.is_null = true};

void dead_letter_free(struct dead_letter *letter)
{
    buffer_free(&letter->bytes);
    free(letter->spans);
    free(letter->header_storage);
    *letter = (struct dead_letter){0};
}

static void reset(struct dead_letter *letter)
{
    buffer_reset(&letter->bytes, (size_t)1 << 20);
    letter->key_span = letter->value_span = letter->topic_span = null_span;
    letter->header_count = 0;
}

static struct dead_letter_span add_bytes(struct dead_letter *letter, struct slice bytes)
{
    if (!bytes.data)
        return null_span;
    struct dead_letter_span span = {.at = letter->bytes.len, .len = bytes.len};
    buffer_append_slice(&letter->bytes, bytes);
    return span;
}

/* The span from `start` to the end of what has been written. */
static struct dead_letter_span written_since(const struct dead_letter *letter, size_t start)
{
    return (struct dead_letter_span){.at = start, .len = letter->bytes.len - start};
}

static void add_header(struct dead_letter *letter, struct slice name, struct slice value)
{
    if (letter->header_count == letter->header_capacity) {
        size_t capacity = letter->header_capacity ? letter->header_capacity * 2 : 16;
        letter->spans = xreallocarray(letter->spans, 2 * capacity, sizeof *letter->spans);
        letter->header_storage =
            xreallocarray(letter->header_storage, capacity, sizeof *letter->header_storage);
        letter->header_capacity = capacity;
    }
    struct dead_letter_span *spans = letter->spans + 2 * letter->header_count++;
    spans[0] = add_bytes(letter, name);
    buffer_append_char(&letter->bytes, '\0');
    spans[1] = add_bytes(letter, value);
}

static struct slice resolve(const struct dead_letter *letter, struct dead_letter_span span)
{
    return span.is_null ? slice_of(NULL, 0) : slice_of(letter->bytes.data + span.at, span.len);
}

static void settle(struct dead_letter *letter)
{
    buffer_append_char(&letter->bytes, '\0'); /* so that even an empty key or value has an address */
    letter->key = resolve(letter, letter->key_span);
    letter->value = resolve(letter, letter->value_span);
    letter->source_topic = resolve(letter, letter->topic_span);
    for (size_t i = 0; i < letter->header_count; i++)
        letter->header_storage[i] =
            (struct record_header){.name = letter->bytes.data + letter->spans[2 * i].at,
                                   .value = resolve(letter, letter->spans[2 * i + 1])};
    letter->headers = letter->header_storage;
}

/* What is told about the failure, in the value and in the headers. */
struct context {
    struct buffer message, class;
    struct slice details; /* NULL data: left out */
    char failed_at[TIMESTAMP_TEXT_SIZE];
};

static void context_free(struct context *context)
{
    buffer_free(&context->message);
    buffer_free(&context->class);
}

static void find_context(struct context *context, const struct line *reject, size_t limit)
{
    if (!line_error_member(reject, "message", &context->message))
        buffer_append_string(&context->message, "unknown error");
    context->message.len = utf8_prefix(context->message.data, context->message.len, limit);
    line_error_member(reject, "class", &context->class);
    if (reject->error.text.len <= limit)
        context->details = reject->error.text;

    cleanup_buffer struct buffer at = {0};
    struct timestamp time;
    if (!line_error_member(reject, "at", &at) || !timestamp_parse(buffer_slice(&at), &time))
        time.microseconds = now_microseconds();
    timestamp_format(time.microseconds, 3, context->failed_at);
}

/* Whether the payload stands in the line as JSON text of its own, not as a string of bytes. */
static bool payload_is_json(const struct line *reject, const struct context *context)
{
    return reject->payload.type != JSON_STRING ||
           (!reject->payload_base64 && !slice_is(buffer_slice(&context->class), CLASS_DECODE));
}

static void write_as_string(struct buffer *out, struct slice payload)
{
    bool is_text = utf8_is_valid(payload.data, payload.len);
    if (is_text) {
        json_write_string(out, payload);
    } else {
        buffer_append_char(out, '"');
        base64_encode(out, payload);
        buffer_append_char(out, '"');
    }
    json_member(out, "original_event_encoding");
    buffer_append_string(out, is_text ? "\"text\"" : "\"base64\"");
}

static void write_original(struct buffer *out, const struct line *reject, const struct context *context,
                           const struct dead_letter_style *style)
{
    cleanup_buffer struct buffer payload = {0};
    buffer_reserve(&payload, 1);
    bool is_there = line_payload_bytes(reject, &payload);
    json_member(out, "original_event");
    if (!is_there) {
        buffer_append_string(out, "null");
    } else if (style->format == DEAD_LETTER_CUT) {
        size_t cut = utf8_prefix(payload.data, payload.len, style->cut);
        write_as_string(out, slice_of(payload.data, cut));
        json_member(out, "original_event_size");
        buffer_append_int(out, (int64_t)payload.len);
    } else if (payload_is_json(reject, context)) {
        buffer_append_slice(out, buffer_slice(&payload));
    } else {
        write_as_string(out, buffer_slice(&payload));
    }
}

static void write_source(struct buffer *out, const struct line *reject)
{
    if (!reject->has_source)
        return;
    json_member(out, "source");
    json_open(out, '{');
    json_member(out, "topic");
    json_write_string(out, reject->topic);
    json_member(out, "partition");
    buffer_append_int(out, reject->partition);
    json_member(out, "offset");
    buffer_append_int(out, reject->offset);
    if (reject->has_timestamp) {
        json_member(out, "timestamp");
        buffer_append_int(out, reject->timestamp_ms);
    }
    json_close(out, '}');
}

static void write_value(struct buffer *out, const struct line *reject, const struct context *context,
                        const struct dead_letter_style *style)
{
    json_open(out, '{');
    write_original(out, reject, context, style);
    json_member(out, "error");
    json_write_string(out, buffer_slice(&context->message));
    json_member(out, "failed_at");
    json_write_string(out, slice_of_string(context->failed_at));
    json_member(out, "consumer_group");
    json_write_string(out, slice_of_string(style->consumer_group));
    write_source(out, reject);
    if (context->details.data) {
        json_member(out, "details");
        buffer_append_slice(out, context->details);
    }
    json_close(out, '}');
}

static void add_context_header(struct dead_letter *letter, const char *name, struct slice value)
{
    if (value.data)
        add_header(letter, slice_of_string(name), value);
}

static void add_number_header(struct dead_letter *letter, const char *name, int64_t value)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%lld", (long long)value);
    add_header(letter, slice_of_string(name), slice_of(text, (size_t)len));
}

static void add_context(struct dead_letter *letter, const struct line *reject, const struct context *context,
                        const struct dead_letter_style *style)
{
    add_context_header(letter, FORMAT_HEADER, slice_of_string(format_names[style->format]));
    add_context_header(letter, "dlq.error.message", buffer_slice(&context->message));
    add_context_header(letter, "dlq.error.class", buffer_slice(&context->class));
    add_context_header(letter, "dlq.error.details", context->details);
    add_context_header(letter, "dlq.failed_at", slice_of_string(context->failed_at));
    add_context_header(letter, "dlq.consumer_group", slice_of_string(style->consumer_group));
    if (!reject->has_source)
        return;
    add_context_header(letter, TOPIC_HEADER, reject->topic);
    add_number_header(letter, "dlq.source.partition", reject->partition);
    add_number_header(letter, "dlq.source.offset", reject->offset);
    if (reject->has_timestamp)
        add_number_header(letter, "dlq.source.timestamp", reject->timestamp_ms);
}

static void add_key_and_headers(struct dead_letter *letter, const struct line *line)
{
    size_t start = letter->bytes.len;
    if (line_key_bytes(line, &letter->bytes))
        letter->key_span = written_since(letter, start);
    struct json_scanner scanner;
    cleanup_buffer struct buffer storage = {0};
    struct slice name, value;
    if (line_headers_begin(line, &scanner))
        while (line_headers_next(line, &scanner, &storage, &name, &value))
            add_header(letter, name, value);
}

/* The payload's bytes as the value, or none. */
static void add_payload(struct dead_letter *letter, const struct line *line)
{
    size_t start = letter->bytes.len;
    if (line_payload_bytes(line, &letter->bytes))
        letter->value_span = written_since(letter, start);
}

void dead_letter_copy(struct dead_letter *letter, const struct line *line)
{
    reset(letter);
    add_key_and_headers(letter, line);
    add_payload(letter, line);
    settle(letter);
}

void dead_letter_write(struct dead_letter *letter, const struct line *reject,
                       const struct dead_letter_style *style)
{
    __attribute__((cleanup(context_free))) struct context context = {0};
    bool is_cut = style->format == DEAD_LETTER_CUT;
    find_context(&context, reject, is_cut ? style->cut : SIZE_MAX);
    reset(letter);
    add_key_and_headers(letter, reject);
    if (is_cut && letter->bytes.len > style->cut)
        reset(letter);
    size_t start = letter->bytes.len;
    if (style->format != DEAD_LETTER_RAW) {
        write_value(&letter->bytes, reject, &context, style);
        letter->value_span = written_since(letter, start);
    } else {
        add_payload(letter, reject);
    }
    add_context(letter, reject, &context, style);
    settle(letter);
}

/* Takes the context out of the headers that were read. Returns the format's name, NULL data if there is no
 * context. */
static struct slice take_context(struct dead_letter *letter)
{
    size_t begin = letter->header_count;
    while (begin > 0 && !slice_is(resolve(letter, letter->spans[2 * (begin - 1)]), FORMAT_HEADER))
        begin--;
    if (begin == 0)
        return slice_of(NULL, 0);
    begin--;
    struct slice format = resolve(letter, letter->spans[2 * begin + 1]);
    size_t kept = begin;
    for (size_t i = begin; i < letter->header_count; i++) {
        struct dead_letter_span *spans = letter->spans + 2 * i;
        struct slice name = resolve(letter, spans[0]);
        bool is_context = slice_is(name, TOPIC_HEADER);
        if (is_context)
            letter->topic_span = spans[1];
        for (size_t n = 0; n < sizeof context_names / sizeof *context_names; n++)
            is_context |= slice_is(name, context_names[n]);
        if (!is_context)
            memmove(letter->spans + 2 * kept++, spans, 2 * sizeof *spans);
    }
    letter->header_count = kept;
    return format;
}

/* The members of a value in the json format. */
struct json_letter {
    struct json_value original, encoding, size, error, failed_at;
    struct json_value topic, class; /* of source and details */
};

/* Finds `member` in the object that the scanner is at; another value is skipped. */
static void find_inside(struct json_scanner *s, const char *member, struct json_value *found)
{
    struct json_key key;
    struct json_value value;
    if (json_peek_type(s) != JSON_OBJECT) {
        json_scan_value(s, &value);
        return;
    }
    json_enter_object(s);
    while (json_next_key(s, &key) && json_scan_value(s, &value))
        if (slice_is(key.text, member))
            *found = value;
}

static bool parse_json_letter(struct slice text, struct json_letter *parts)
{
    struct json_scanner s;
    struct json_key key;
    json_scanner_init(&s, text.data, text.len);
    s.max_depth = JSON_MAX_DEPTH + 8; /* what is around the original does not count */
    if (!json_enter_object(&s))
        return false;
    while (json_next_key(&s, &key)) {
        struct json_value ignored, *value = slice_is(key.text, "original_event")            ? &parts->original
                                            : slice_is(key.text, "original_event_encoding") ? &parts->encoding
                                            : slice_is(key.text, "original_event_size")     ? &parts->size
                                            : slice_is(key.text, "error")                   ? &parts->error
                                            : slice_is(key.text, "failed_at") ? &parts->failed_at
                                                                              : &ignored;
        if (slice_is(key.text, "source"))
            find_inside(&s, "topic", &parts->topic);
        else if (slice_is(key.text, "details"))
            find_inside(&s, "class", &parts->class);
        else
            json_scan_value(&s, value);
    }
    return json_at_end(&s) && parts->original.type && parts->error.type && parts->failed_at.type;
}

static bool string_is(const struct json_value *value, const char *text)
{
    return value->type == JSON_STRING && slice_is(json_inner(value), text);
}

/* The JSON text with the blanks around it: they belonged to the payload, for write_original() puts none. */
static struct slice with_blanks(struct slice text, struct slice document)
{
    while (text.data > document.data && (text.data[-1] == ' ' || text.data[-1] == '\t'))
        text.data--, text.len++;
    while (text.data + text.len < document.data + document.len &&
           (text.data[text.len] == ' ' || text.data[text.len] == '\t'))
        text.len++;
    return text;
}

static const char *recover_original(struct dead_letter *letter, const struct json_letter *parts,
                                    struct slice document, bool is_ours)
{
    const struct json_value *original = &parts->original;
    if (parts->size.type)
        return "the dead letter holds the first bytes of its original only";
    if (original->type == JSON_NULL && string_is(&parts->class, CLASS_DECODE))
        return NULL; /* a tombstone */
    size_t start = letter->bytes.len;
    bool is_well = true;
    if (!parts->encoding.type)
        buffer_append_slice(&letter->bytes, is_ours ? with_blanks(original->text, document) : original->text);
    else if (original->type != JSON_STRING)
        is_well = false;
    else if (string_is(&parts->encoding, "text"))
        is_well = json_decode_string(json_inner(original), NUL_KEEP, &letter->bytes) == NULL;
    else
        is_well =
            string_is(&parts->encoding, "base64") && base64_decode(&letter->bytes, json_inner(original));
    letter->value_span = written_since(letter, start);
    return is_well ? NULL : "original_event is not what original_event_encoding says";
}

const char *dead_letter_read(struct dead_letter *letter, const struct line *line)
{
    reset(letter);
    add_key_and_headers(letter, line);
    cleanup_buffer struct buffer value = {0};
    buffer_reserve(&value, 1);
    bool has_value = line_payload_bytes(line, &value);
    struct slice format = take_context(letter);
    const char *fault = NULL;
    if (format.data && slice_is(format, format_names[DEAD_LETTER_RAW])) {
        letter->value_span = has_value ? add_bytes(letter, buffer_slice(&value)) : null_span;
    } else {
        struct json_letter parts = {0};
        if (!has_value || !parse_json_letter(buffer_slice(&value), &parts))
            return "it is no dead letter";
        fault = recover_original(letter, &parts, buffer_slice(&value), format.data != NULL);
        if (parts.topic.type == JSON_STRING && letter->topic_span.is_null)
            letter->topic_span = add_bytes(letter, json_inner(&parts.topic));
    }
    settle(letter);
    return fault;
}
