/* A dead letter gives its original back byte for byte. Each test walks the way a record goes: Kafka's record
 * becomes an envelope, a reject, a dead letter; that is a record of the queue, an envelope again, and is
 * read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/dead_letter.h"

#define BYTES(literal) slice_of(literal, sizeof literal - 1)
#define NONE slice_of(NULL, 0)

static struct line parse(const struct buffer *text)
{
    struct line line = {0};
    line_parse(&line, slice_of(text->data, text->len - 1));
    return line;
}

/* The reject of a record: as kcat-actions writes it where the payload is no JSON, else as pgsink would. */
static void make_reject(struct buffer *out, const struct record *record)
{
    out->len = 0;
    if (!record_write(out, record, "kcat-actions"))
        return;
    cleanup_buffer struct buffer envelope = {0};
    buffer_append_slice(&envelope, buffer_slice(out));
    struct line line = parse(&envelope);
    out->len = 0;
    reject_write(out, &line,
                 &(struct line_error){.tool = "pgsink",
                                      .class = CLASS_DATA,
                                      .sqlstate = "22P02",
                                      .message = "no \"integer\"",
                                      .at = 1763920800123000});
    line_free(&line);
}

static void write_letter(struct dead_letter *letter, const struct buffer *reject,
                         enum dead_letter_format format, size_t cut)
{
    struct line line = parse(reject);
    assert_int_equal(line.kind, LINE_REJECT);
    dead_letter_write(letter, &line,
                      &(struct dead_letter_style){.format = format, .consumer_group = "group", .cut = cut});
    line_free(&line);
}

/* What kcat-actions makes of the dead letter in its topic. */
static void letter_to_envelope(struct buffer *out, const struct dead_letter *letter)
{
    out->len = 0;
    record_write(out,
                 &(struct record){.topic = BYTES("events-dlq"),
                                  .partition = 2,
                                  .offset = 7,
                                  .broker = 1,
                                  .key = letter->key,
                                  .payload = letter->value,
                                  .headers = letter->headers,
                                  .header_count = letter->header_count},
                 "kcat-actions");
}

static void assert_same(struct slice got, struct slice expected)
{
    assert_int_equal(got.data == NULL, expected.data == NULL);
    assert_int_equal(got.len, expected.len);
    if (got.len)
        assert_memory_equal(got.data, expected.data, got.len);
}

static void assert_original(const struct dead_letter *letter, const struct record *record)
{
    assert_same(letter->key, record->key);
    assert_same(letter->value, record->payload);
    assert_same(letter->source_topic, record->topic);
    assert_int_equal(letter->header_count, record->header_count);
    for (size_t i = 0; i < record->header_count; i++) {
        assert_string_equal(letter->headers[i].name, record->headers[i].name);
        assert_same(letter->headers[i].value, record->headers[i].value);
    }
}

static const struct record_header text_headers[] = {
    {"trace", {"abc", 3}}, {"empty", {"", 0}}, {"null", {NULL, 0}}, {"trace", {"again", 5}}};
static const struct record_header binary_headers[] = {
    {"h\xC3\xA9", {"\xFF\x00\x01", 3}}, {"null", {NULL, 0}}, {"text", {"abc", 3}}};
/* An original that was a dead letter itself, or looks like one. */
static const struct record_header context_headers[] = {{"dlq.format", {"json", 4}},
                                                       {"dlq.error.message", {"first failure", 13}},
                                                       {"dlq.source.topic", {"t", 1}}};

static struct record record_of(struct slice key, struct slice payload)
{
    return (struct record){.topic = BYTES("events"),
                           .partition = 3,
                           .offset = 41,
                           .timestamp_type = "create",
                           .timestamp_ms = 1761000000000,
                           .broker = 1,
                           .key = key,
                           .payload = payload};
}

static void assert_round_trip(const struct record *record, enum dead_letter_format format)
{
    cleanup_buffer struct buffer reject = {0}, envelope = {0};
    struct dead_letter letter = {0}, original = {0};
    make_reject(&reject, record);
    write_letter(&letter, &reject, format, 0);
    letter_to_envelope(&envelope, &letter);
    struct line line = parse(&envelope);
    const char *fault = dead_letter_read(&original, &line);
    if (fault)
        fail_msg("%s in %.*s", fault, (int)envelope.len, envelope.data);
    assert_original(&original, record);
    line_free(&line);
    dead_letter_free(&letter);
    dead_letter_free(&original);
}

static void assert_all_round_trips(struct slice payload)
{
    const struct slice keys[] = {NONE, BYTES("key"), BYTES(""), BYTES("\xFE\x00\xFF"), BYTES("\"\\\n\x01")};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        for (int headers = 0; headers < 4; headers++) {
            struct record record = record_of(keys[i], payload);
            record.headers = headers == 1 ? text_headers : headers == 2 ? binary_headers : context_headers;
            record.header_count = headers == 0 ? 0 : headers == 1 ? 4 : 3;
            assert_round_trip(&record, DEAD_LETTER_JSON);
            assert_round_trip(&record, DEAD_LETTER_RAW);
        }
}

static void an_event_comes_back_byte_for_byte(void **state)
{
    (void)state;
    assert_all_round_trips(BYTES("{\"b\":1.0e400,\"a\":12345678901234567890123,\"b\":\"\\u00e9\\ud800\"}"));
    assert_all_round_trips(BYTES("  {\"blanks\" : [ ]}\t "));
    assert_all_round_trips(BYTES("{\"original_event\":1,\"error\":\"e\",\"failed_at\":\"x\"}"));
}

static void other_json_comes_back_as_what_it_was(void **state)
{
    (void)state;
    assert_all_round_trips(BYTES("\"a string\""));
    assert_all_round_trips(BYTES("null"));
    assert_all_round_trips(BYTES("12"));
    assert_all_round_trips(BYTES("[1, 2]"));
}

static void bytes_that_are_no_json_come_back(void **state)
{
    (void)state;
    assert_all_round_trips(BYTES("not json"));
    assert_all_round_trips(BYTES("\xFF\xFE\x00\x01"));
    assert_all_round_trips(BYTES("{\"cut\":"));
    assert_all_round_trips(BYTES("line\nbreak\r\n\"quoted\" \\ \x00 nul"));
    assert_all_round_trips(BYTES(""));
}

static void a_tombstone_comes_back_as_one(void **state)
{
    (void)state;
    assert_all_round_trips(NONE);
}

static void an_event_as_deep_as_the_scanner_goes_comes_back(void **state)
{
    (void)state;
    for (size_t depth = JSON_MAX_DEPTH - 2; depth <= JSON_MAX_DEPTH + 1; depth++) {
        cleanup_buffer struct buffer payload = {0};
        for (size_t i = 0; i < depth; i++)
            buffer_append_char(&payload, '[');
        for (size_t i = 0; i < depth; i++)
            buffer_append_char(&payload, ']');
        assert_all_round_trips(buffer_slice(&payload));
    }
}

static void a_dead_letter_of_a_dead_letter_comes_back_in_two_steps(void **state)
{
    (void)state;
    struct record record = record_of(BYTES("key"), BYTES("{\"a\":1}"));
    record.headers = text_headers;
    record.header_count = 4;
    cleanup_buffer struct buffer reject = {0}, envelope = {0};
    struct dead_letter first = {0}, second = {0}, outer = {0}, inner = {0};
    make_reject(&reject, &record);
    write_letter(&first, &reject, DEAD_LETTER_RAW, 0);
    struct record queued = record_of(first.key, first.value);
    queued.headers = first.headers;
    queued.header_count = first.header_count;
    make_reject(&reject, &queued);
    write_letter(&second, &reject, DEAD_LETTER_JSON, 0);

    letter_to_envelope(&envelope, &second);
    struct line line = parse(&envelope);
    assert_null(dead_letter_read(&outer, &line));
    assert_original(&outer, &queued);
    line_free(&line);
    letter_to_envelope(&envelope, &outer);
    line = parse(&envelope);
    assert_null(dead_letter_read(&inner, &line));
    assert_original(&inner, &record);
    line_free(&line);
    struct dead_letter *all[] = {&first, &second, &outer, &inner};
    for (size_t i = 0; i < 4; i++)
        dead_letter_free(all[i]);
}

static void the_value_is_in_the_format_that_users_know(void **state)
{
    (void)state;
    cleanup_buffer struct buffer reject = {0};
    struct dead_letter letter = {0};
    struct record record = record_of(BYTES("key"), BYTES("{\"a\":1}"));
    make_reject(&reject, &record);
    write_letter(&letter, &reject, DEAD_LETTER_JSON, 0);
    assert_same(letter.value,
                BYTES("{\"original_event\":{\"a\":1},\"error\":\"no \\\"integer\\\"\","
                      "\"failed_at\":\"2025-11-23T18:00:00.123Z\",\"consumer_group\":\"group\","
                      "\"source\":{\"topic\":\"events\",\"partition\":3,\"offset\":41,"
                      "\"timestamp\":1761000000000},\"details\":{\"tool\":\"pgsink\",\"class\":\"data\","
                      "\"sqlstate\":\"22P02\",\"message\":\"no \\\"integer\\\"\","
                      "\"at\":\"2025-11-23T18:00:00.123Z\"}}"));
    dead_letter_free(&letter);
}

static void the_context_follows_the_original_headers(void **state)
{
    (void)state;
    const char *const names[] = {"trace",
                                 "empty",
                                 "null",
                                 "trace",
                                 "dlq.format",
                                 "dlq.error.message",
                                 "dlq.error.class",
                                 "dlq.error.details",
                                 "dlq.failed_at",
                                 "dlq.consumer_group",
                                 "dlq.source.topic",
                                 "dlq.source.partition",
                                 "dlq.source.offset",
                                 "dlq.source.timestamp"};
    cleanup_buffer struct buffer reject = {0};
    struct dead_letter letter = {0};
    struct record record = record_of(NONE, BYTES("\xFF"));
    record.headers = text_headers;
    record.header_count = 4;
    make_reject(&reject, &record);
    write_letter(&letter, &reject, DEAD_LETTER_RAW, 0);
    assert_int_equal(letter.header_count, sizeof names / sizeof *names);
    for (size_t i = 0; i < letter.header_count; i++)
        assert_string_equal(letter.headers[i].name, names[i]);
    assert_same(letter.headers[4].value, BYTES("raw"));
    assert_same(letter.headers[12].value, BYTES("41"));
    dead_letter_free(&letter);
}

static void a_cut_letter_is_small_and_says_so(void **state)
{
    (void)state;
    cleanup_buffer struct buffer reject = {0}, payload = {0}, envelope = {0};
    struct dead_letter letter = {0}, original = {0};
    buffer_append_char(&payload, '"');
    for (int i = 0; i < 100000; i++)
        buffer_append_string(&payload, "\xC3\xA9");
    buffer_append_char(&payload, '"');
    struct record record = record_of(buffer_slice(&payload), buffer_slice(&payload));
    make_reject(&reject, &record);
    write_letter(&letter, &reject, DEAD_LETTER_CUT, 256);
    assert_null(letter.key.data);
    assert_true(letter.value.len < 1500);
    letter_to_envelope(&envelope, &letter);
    struct line line = parse(&envelope);
    assert_int_equal(line.kind, LINE_ENVELOPE);
    const struct json_value *size = line_member(&line, "original_event_size");
    assert_non_null(size);
    assert_same(size->text, BYTES("200002"));
    assert_string_equal(dead_letter_read(&original, &line),
                        "the dead letter holds the first bytes of its original only");
    line_free(&line);
    dead_letter_free(&letter);
    dead_letter_free(&original);
}

static void assert_read(const char *text, const char *fault, struct slice value)
{
    struct line line = {0};
    struct dead_letter original = {0};
    line_parse(&line, slice_of_string(text));
    const char *got = dead_letter_read(&original, &line);
    if (fault)
        assert_string_equal(got, fault);
    else
        assert_null(got);
    if (!fault)
        assert_same(original.value, value);
    line_free(&line);
    dead_letter_free(&original);
}

static void values_of_other_publishers_are_read(void **state)
{
    (void)state;
    assert_read("{\"original_event\": {\"a\": 1}, \"error\": \"e\", \"failed_at\": \"t\"}", NULL,
                BYTES("{\"a\": 1}"));
    assert_read("{\"topic\":\"q\",\"partition\":0,\"offset\":1,\"key\":null,\"payload\":"
                "{\"error\":\"e\",\"failed_at\":\"t\",\"original_event\":null}}",
                NULL, BYTES("null"));
}

static void what_is_no_dead_letter_is_refused(void **state)
{
    (void)state;
    const char *const foreign[] = {
        "{\"correlation_id\":\"1\"}",
        "12",
        "{\"original_event\":1}",
        "{\"topic\":\"q\",\"partition\":0,\"offset\":1,\"key\":null,\"payload\":\"x\","
        "\"error\":{\"class\":\"decode\"}}",
        "{\"topic\":\"q\",\"partition\":0,\"offset\":1,\"key\":null,\"payload\":null,"
        "\"error\":{\"class\":\"decode\"}}",
    };
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++)
        assert_read(foreign[i], "it is no dead letter", NONE);
    assert_read(
        "{\"original_event\":\"*\",\"original_event_encoding\":\"base64\",\"error\":\"\",\"failed_at\":\"\"}",
        "original_event is not what original_event_encoding says", NONE);
    assert_read(
        "{\"original_event\":1,\"original_event_encoding\":\"text\",\"error\":\"\",\"failed_at\":\"\"}",
        "original_event is not what original_event_encoding says", NONE);
}

static void a_reject_without_a_source_becomes_a_letter_without_one(void **state)
{
    (void)state;
    cleanup_buffer struct buffer reject = {0}, envelope = {0};
    struct dead_letter letter = {0}, original = {0};
    buffer_append_string(&reject, "{\"payload\":{\"a\":1},\"error\":{}}\n");
    write_letter(&letter, &reject, DEAD_LETTER_JSON, 0);
    letter_to_envelope(&envelope, &letter);
    struct line line = parse(&envelope);
    assert_null(line_member(&line, "source"));
    assert_null(dead_letter_read(&original, &line));
    assert_same(original.value, BYTES("{\"a\":1}"));
    assert_null(original.source_topic.data);
    line_free(&line);
    dead_letter_free(&letter);
    dead_letter_free(&original);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_comes_back_byte_for_byte),
        cmocka_unit_test(other_json_comes_back_as_what_it_was),
        cmocka_unit_test(bytes_that_are_no_json_come_back),
        cmocka_unit_test(a_tombstone_comes_back_as_one),
        cmocka_unit_test(an_event_as_deep_as_the_scanner_goes_comes_back),
        cmocka_unit_test(a_dead_letter_of_a_dead_letter_comes_back_in_two_steps),
        cmocka_unit_test(the_value_is_in_the_format_that_users_know),
        cmocka_unit_test(the_context_follows_the_original_headers),
        cmocka_unit_test(a_cut_letter_is_small_and_says_so),
        cmocka_unit_test(values_of_other_publishers_are_read),
        cmocka_unit_test(what_is_no_dead_letter_is_refused),
        cmocka_unit_test(a_reject_without_a_source_becomes_a_letter_without_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
