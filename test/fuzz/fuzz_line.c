/* Any bytes as a line, as JSON text, as a string and as a time: nothing may be read outside of them, and
 * what is said about them must hold. With clang: -fsanitize=fuzzer; with any compiler: driver.c. */
#include "common/json_scan.h"
#include "common/line_format.h"
#include "common/timestamp.h"

#include <stdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An invariant; a failure stops the fuzzer whatever the build. */
#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);                    \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

static bool is_inside(struct slice part, struct slice whole)
{
    return !part.data || (part.data >= whole.data && part.data + part.len <= whole.data + whole.len);
}

static bool is_same(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static void check_value(const struct json_value *value, struct slice whole)
{
    CHECK(is_inside(value->text, whole));
    if (value->type == JSON_ABSENT)
        return;
    CHECK(value->text.len > 0);
    CHECK(value->escaped == (memchr(value->text.data, '\\', value->text.len) != NULL));
}

/* Visits a value by entering every container; false if it is not valid. */
static bool visit(struct json_scanner *scanner)
{
    struct json_key key;
    struct json_value value;
    enum json_type type = json_peek_type(scanner);
    if (type == JSON_OBJECT) {
        json_enter_object(scanner);
        while (json_next_key(scanner, &key) && visit(scanner))
            ;
    } else if (type == JSON_ARRAY) {
        json_enter_array(scanner);
        while (json_next_item(scanner) && visit(scanner))
            ;
    } else {
        json_scan_value(scanner, &value);
    }
    return !scanner->error;
}

static void check_string(const struct json_value *string)
{
    cleanup_buffer struct buffer kept = {0}, stripped = {0}, rejected = {0};
    const char *fault = json_decode_string(json_inner(string), NUL_KEEP, &kept);
    CHECK((json_decode_string(json_inner(string), NUL_STRIP, &stripped) != NULL) == (fault != NULL));
    CHECK(!fault || kept.len == 0);
    CHECK(string->escaped || is_same(buffer_slice(&kept), json_inner(string)));
    bool has_nul = kept.len && memchr(kept.data, 0, kept.len);
    CHECK((json_decode_string(json_inner(string), NUL_REJECT, &rejected) != NULL) == (fault || has_nul));
    CHECK(!stripped.len || !memchr(stripped.data, 0, stripped.len));
}

static bool check_document(struct slice text)
{
    struct json_value value, again;
    const char *error = NULL;
    size_t offset = 0;
    bool valid = json_scan_document(text, &value, &error, &offset);
    struct json_scanner scanner;
    json_scanner_init(&scanner, text.data, text.len);
    CHECK((visit(&scanner) && json_at_end(&scanner)) == valid);
    CHECK(valid || (error && offset <= text.len));
    if (!valid)
        return false;

    check_value(&value, text);
    cleanup_buffer struct buffer compact = {0}, twice = {0}, storable = {0};
    json_compact(text, &compact);
    CHECK(json_scan_document(buffer_slice(&compact), &again, NULL, NULL));
    CHECK(again.type == value.type && again.escaped == value.escaped && !again.spaced);
    CHECK(value.spaced == (again.text.len < value.text.len));
    json_compact(buffer_slice(&compact), &twice);
    CHECK(is_same(buffer_slice(&compact), buffer_slice(&twice)));
    if (!json_copy_storable(text, NUL_REPLACE, &storable))
        CHECK(json_scan_document(buffer_slice(&storable), &again, NULL, NULL));
    if (value.type == JSON_STRING)
        check_string(&value);
    int64_t integer;
    if (value.type == JSON_NUMBER)
        json_integer(value.text, &integer);
    return true;
}

static void check_members(const struct line *line)
{
    struct slice event = line->payload.text;
    for (size_t i = 0; i < line->member_count; i++) {
        CHECK(is_inside(line->members[i].key.text, event));
        CHECK(is_inside(line->members[i].value.text, event));
        CHECK(i == 0 || line->members[i].key.text.data > line->members[i - 1].value.text.data);
        check_value(&line->members[i].value, event);
    }
    CHECK(line->member_count == 0 || line->payload.type == JSON_OBJECT);
    struct json_scanner scanner;
    struct json_key key;
    struct json_value value;
    size_t count = 0;
    json_scanner_init(&scanner, event.data, event.len);
    if (line->payload.type == JSON_OBJECT && json_enter_object(&scanner))
        while (json_next_key(&scanner, &key) && json_scan_value(&scanner, &value))
            CHECK(is_same(key.text, line->members[count++].key.text));
    CHECK(!scanner.error && count == line->member_count);
}

/* What the line tells by its accessors must be readable without a fault. */
static void visit_parts(const struct line *line)
{
    cleanup_buffer struct buffer out = {0};
    struct json_scanner scanner;
    struct slice name, value;
    struct ack ack;
    line_correlation_id(line, &out);
    line_key_bytes(line, &out);
    line_error_member(line, "message", &out);
    line_member(line, "agent_name");
    if (line_headers_begin(line, &scanner))
        while (line_headers_next(line, &scanner, &out, &name, &value))
            CHECK(is_inside(name, buffer_slice(&out)) && is_inside(value, buffer_slice(&out)));
    if (line_acks_begin(line, &scanner))
        while (line_acks_next(&scanner, &ack))
            CHECK(ack.partition >= 0 && ack.next >= 0 && is_inside(ack.topic, line->text));
}

/* A reject of the line must be read as one, from the same source and with the same payload. */
static void check_reject(const struct line *line, struct slice text)
{
    struct line_error error = {.tool = "fuzz", .class = CLASS_DATA, .message = "m", .at = 1};
    if (line->kind == LINE_INVALID)
        error.class = CLASS_DECODE;
    cleanup_buffer struct buffer out = {0}, before = {0}, after = {0};
    reject_write(&out, line, &error);
    bool has_line_break = memchr(text.data, '\n', text.len) && line->kind != LINE_INVALID;
    CHECK(has_line_break || memchr(out.data, '\n', out.len) == out.data + out.len - 1);

    struct line reject = {0};
    line_parse(&reject, slice_of(out.data, out.len - 1));
    CHECK(reject.kind == LINE_REJECT);
    CHECK(reject.has_source == line->has_source);
    CHECK(!line->has_source || (is_same(reject.topic, line->topic) && reject.offset == line->offset &&
                                reject.partition == line->partition));
    bool had = line_payload_bytes(line, &before), has = line_payload_bytes(&reject, &after);
    if (line->kind == LINE_INVALID)
        CHECK(has && is_same(buffer_slice(&after), text));
    else
        CHECK(had == has && is_same(buffer_slice(&before), buffer_slice(&after)));
    line_free(&reject);
}

/* A record with these bytes as its payload, key and header must give them back. */
static void check_record(struct slice text, bool is_json)
{
    const struct record_header header = {"fuzz", text};
    const struct record record = {.topic = slice_of_string("t"),
                                  .offset = 7,
                                  .timestamp_type = "create",
                                  .key = text,
                                  .payload = text,
                                  .headers = &header,
                                  .header_count = 1};
    cleanup_buffer struct buffer out = {0}, bytes = {0}, storage = {0};
    CHECK(record_write(&out, &record, "fuzz") == is_json);
    CHECK(memchr(out.data, '\n', out.len) == out.data + out.len - 1);
    struct line line = {0};
    struct json_scanner scanner;
    struct slice name, value;
    line_parse(&line, slice_of(out.data, out.len - 1));
    CHECK(line.kind == (is_json ? LINE_ENVELOPE : LINE_REJECT) && line.has_source && line.offset == 7);
    CHECK(line_key_bytes(&line, &bytes) && is_same(buffer_slice(&bytes), text));
    CHECK(line_headers_begin(&line, &scanner) && line_headers_next(&line, &scanner, &storage, &name, &value));
    CHECK(is_same(value, text));
    bytes.len = 0;
    CHECK(line_payload_bytes(&line, &bytes) && bytes.len == text.len);
    for (size_t i = 0; i < text.len; i++)
        CHECK(bytes.data[i] == text.data[i] ||
              (is_json && strchr("\r\n", text.data[i]) && bytes.data[i] == ' '));
    line_free(&line);
}

static void check_line(struct slice text, bool is_json)
{
    static struct line line; /* used again and again, as the tools do */
    line_parse(&line, text);
    CHECK((line.kind == LINE_INVALID || line.kind == LINE_BLANK) || is_json || line.kind == LINE_ENVELOPE ||
          line.kind == LINE_REJECT);
    CHECK(!is_json || (line.kind != LINE_INVALID && line.kind != LINE_BLANK));
    check_value(&line.payload, text);
    check_value(&line.key, text);
    check_value(&line.headers, text);
    check_value(&line.error, text);
    CHECK(line.kind != LINE_INVALID || (line.fault && line.fault_offset <= text.len));
    if (line.kind == LINE_EVENT || line.kind == LINE_ENVELOPE || line.kind == LINE_REJECT)
        check_members(&line);
    visit_parts(&line);
    if (line.kind == LINE_EVENT || line.kind == LINE_ENVELOPE || line.kind == LINE_INVALID)
        check_reject(&line, text);

    line_parse_prefix(&line, text);
    CHECK(line.kind == LINE_INVALID && is_inside(line.topic, text));
    visit_parts(&line);
}

static void check_time(struct slice text)
{
    struct timestamp time, again;
    if (!timestamp_parse(text, &time))
        return;
    int64_t floor = time.microseconds / 1000 - (time.microseconds % 1000 < 0);
    CHECK(floor == time.milliseconds || floor == time.milliseconds + 1); /* rounding may reach the next */
    char written[TIMESTAMP_TEXT_SIZE];
    timestamp_format(time.microseconds, 6, written);
    if (strlen(written) == strlen("2026-11-23T18:00:00.123456Z") && memcmp(written, "0000", 4) != 0)
        CHECK(timestamp_parse(slice_of_string(written), &again) && again.microseconds == time.microseconds);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A copy that ends where the input ends, so that ASan sees a read past it. */
    char *copy = xmalloc(size);
    struct slice text = slice_of(copy, size);
    if (size)
        memcpy(copy, data, size);
    bool is_json = check_document(text);
    check_line(text, is_json);
    check_record(text, is_json);
    check_time(text);
    free(copy);
    return 0;
}
