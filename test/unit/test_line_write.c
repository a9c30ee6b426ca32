/* The writer half of line_format.h, and that what was written is read as the same bytes. */
#include "unit.h"

#include "common/line_format.h"

#include <stdio.h>
#include <time.h>

static struct record a_record(void)
{
    return (struct record){.topic = LITERAL("agent-actions"),
                           .partition = 0,
                           .offset = 41,
                           .timestamp_type = "create",
                           .timestamp_ms = 1761000000000,
                           .broker = 1,
                           .key = LITERAL("K"),
                           .payload = LITERAL("{\"a\":1}")};
}

static const struct line_error an_error = {.tool = "pgsink",
                                           .class = CLASS_DATA,
                                           .sqlstate = "22P02",
                                           .column = "duration_ms",
                                           .message = "bad \"number\"\nhere",
                                           .at = INT64_C(1795456800123456)};

#define AN_ERROR                                                                                             \
    "\"error\":{\"tool\":\"pgsink\",\"class\":\"data\",\"sqlstate\":\"22P02\",\"column\":\"duration_ms\","   \
    "\"message\":\"bad \\\"number\\\"\\nhere\",\"at\":\"2026-11-23T18:00:00.123Z\"}"

/* The text without its last byte, which must be the one line feed in it. */
static struct slice one_line(const struct buffer *out)
{
    assert_true(out->len > 0);
    assert_ptr_equal(memchr(out->data, '\n', out->len), out->data + out->len - 1);
    return slice_of(out->data, out->len - 1);
}

static void assert_written(const struct record *record, const char *expected)
{
    cleanup_buffer struct buffer out = {0};
    assert_true(record_write(&out, record, "kcat-actions"));
    assert_bytes(one_line(&out), slice_of_string(expected));
}

TEST(an_envelope_has_kcats_members_in_this_order)
{
    struct record record = a_record();
    const struct record_header headers[] = {
        {"k", LITERAL("v")}, {"trace", slice_of(NULL, 0)}, {"k", LITERAL("")}};
    record.headers = headers;
    record.header_count = 3;
    assert_written(&record,
                   "{\"topic\":\"agent-actions\",\"partition\":0,\"offset\":41,\"tstype\":\"create\","
                   "\"ts\":1761000000000,\"broker\":1,\"headers\":[\"k\",\"v\",\"trace\",null,\"k\",\"\"],"
                   "\"key\":\"K\",\"payload\":{\"a\":1}}");
}

TEST(what_a_record_does_not_have_is_left_out)
{
    struct record record = a_record();
    record.timestamp_type = NULL;
    record.broker = -1;
    record.key = slice_of(NULL, 0);
    assert_written(
        &record,
        "{\"topic\":\"agent-actions\",\"partition\":0,\"offset\":41,\"key\":null,\"payload\":{\"a\":1}}");
}

TEST(number_text_and_member_order_are_untouched)
{
    struct record record = a_record();
    record.payload = LITERAL("{\"z\":1.50,\"a\":12345678901234567890123,\"z\":1E5,\"e\":\"\\u00e9\\/\"}");
    cleanup_buffer struct buffer out = {0};
    assert_true(record_write(&out, &record, "kcat-actions"));
    assert_non_null(memmem(out.data, out.len, record.payload.data, record.payload.len));
}

TEST(writing_appends)
{
    cleanup_buffer struct buffer out = {0};
    struct record record = a_record();
    buffer_append_string(&out, "{\"before\":1}\n");
    record_write(&out, &record, "kcat-actions");
    record_write_bare(&out, &record, "kcat-actions");
    assert_int_equal(memcmp(out.data, "{\"before\":1}\n{\"topic\":", 22), 0);
    assert_memory_equal(out.data + out.len - 11, "}}\n{\"a\":1}\n", 11);
}

TEST(an_ack_is_written_and_read)
{
    const struct ack acks[] = {{LITERAL("agent-actions"), 0, 42}, {LITERAL("b"), INT32_MAX, INT64_MAX}};
    cleanup_buffer struct buffer out = {0};
    ack_write(&out, acks, 2);
    assert_buffer(&out, "{\"ack\":[{\"topic\":\"agent-actions\",\"partition\":0,\"next\":42},"
                        "{\"topic\":\"b\",\"partition\":2147483647,\"next\":9223372036854775807}]}\n");
    struct line line = {0};
    struct json_scanner scanner;
    struct ack ack;
    line_parse(&line, one_line(&out));
    assert_true(line_acks_begin(&line, &scanner));
    for (int i = 0; i < 2; i++) {
        assert_true(line_acks_next(&scanner, &ack));
        assert_bytes(ack.topic, acks[i].topic);
        assert_int_equal(ack.partition, acks[i].partition);
        assert_true(ack.next == acks[i].next);
    }
    assert_false(line_acks_next(&scanner, &ack));
    line_free(&line);
}

/* Payloads of every kind, and whether they are JSON. */
static const struct {
    struct slice payload;
    bool is_json;
    struct slice comes_back; /* NULL data: the same bytes */
} payloads[] = {
    {BYTES("{\"agent_name\":\"planner\",\"n\":1.50}"), true, {NULL, 0}},
    {BYTES("{ \"a\" : [ 1 , 2 ] }"), true, {NULL, 0}},
    {BYTES("  {\"a\":1}  "), true, {NULL, 0}},
    {BYTES("\t[1]\t"), true, {NULL, 0}},
    {BYTES("{\n  \"a\": 1,\r\n  \"b\": \"x\\ny\"\n}\n"), true, BYTES("{   \"a\": 1,    \"b\": \"x\\ny\" } ")},
    {BYTES("\n\n7\r\n"), true, BYTES("  7  ")},
    {BYTES("\"abc\""), true, {NULL, 0}},
    {BYTES(" \"abc\" "), true, {NULL, 0}},
    {BYTES("null"), true, {NULL, 0}},
    {BYTES(" null"), true, {NULL, 0}},
    {BYTES("true"), true, {NULL, 0}},
    {BYTES("-0.0e-0"), true, {NULL, 0}},
    {BYTES("\"\\ud800\""), true, {NULL, 0}},
    {BYTES("\"\\u0000\""), true, {NULL, 0}},
    {BYTES("{}"), true, {NULL, 0}},
    {BYTES("{\"payload\":{\"x\":1},\"error\":{\"class\":\"decode\"},\"topic\":\"t\",\"partition\":9,"
           "\"offset\":9}"),
     true,
     {NULL, 0}},
    {BYTES("{\"ack\":[{\"topic\":\"agent-actions\",\"partition\":0,\"next\":999}]}"), true, {NULL, 0}},
    {BYTES("abc"), false, {NULL, 0}},
    {BYTES(""), false, {NULL, 0}},
    {BYTES(" "), false, {NULL, 0}},
    {BYTES("\n"), false, {NULL, 0}},
    {BYTES("{\"a\":1"), false, {NULL, 0}},
    {BYTES("{\"a\":1}{\"b\":2}"), false, {NULL, 0}},
    {BYTES("two\nlines\r\nand \"quotes\" \\ and \t"), false, {NULL, 0}},
    {BYTES("a\0b\0"), false, {NULL, 0}},
    {BYTES("\0"), false, {NULL, 0}},
    {BYTES("\xe2\x82\xac uro"), false, {NULL, 0}},
    {BYTES("\xef\xbb\xbf{}"), false, {NULL, 0}},
    {BYTES("\xff\xfe\0\x01 binary"), false, {NULL, 0}},
    {BYTES("{\"a\":\"\xff\"}"), false, {NULL, 0}},
    {BYTES("\x80"), false, {NULL, 0}},
};
#define PAYLOADS (sizeof payloads / sizeof *payloads)

static struct slice expected_payload(size_t i)
{
    return payloads[i].comes_back.data ? payloads[i].comes_back : payloads[i].payload;
}

static void assert_payload(const struct line *line, struct slice expected)
{
    cleanup_buffer struct buffer bytes = {0};
    assert_true(line_payload_bytes(line, &bytes));
    assert_bytes(buffer_slice(&bytes), expected);
}

TEST(every_payload_comes_back_from_its_envelope)
{
    for (size_t i = 0; i < PAYLOADS; i++) {
        struct record record = a_record();
        record.payload = exact_copy(payloads[i].payload);
        cleanup_buffer struct buffer out = {0};
        assert_int_equal(record_write(&out, &record, "kcat-actions"), payloads[i].is_json);
        struct line line = {0};
        line_parse(&line, one_line(&out));
        assert_int_equal(line.kind, payloads[i].is_json ? LINE_ENVELOPE : LINE_REJECT);
        assert_true(line.has_source);
        assert_text(line.topic, "agent-actions");
        assert_int_equal(line.offset, 41);
        assert_payload(&line, expected_payload(i));
        line_free(&line);
        free_copy(record.payload);
    }
}

TEST(every_payload_comes_back_from_a_reject_of_its_envelope)
{
    for (size_t i = 0; i < PAYLOADS; i++) {
        struct record record = a_record();
        record.payload = payloads[i].payload;
        cleanup_buffer struct buffer out = {0}, reject = {0};
        record_write(&out, &record, "kcat-actions");
        struct line line = {0};
        line_parse(&line, one_line(&out));
        if (line.kind == LINE_ENVELOPE) {
            reject_write(&reject, &line, &an_error);
            line_parse(&line, one_line(&reject));
            assert_int_equal(line.kind, LINE_REJECT);
            assert_true(line.has_source);
            assert_payload(&line, expected_payload(i));
        }
        line_free(&line);
    }
}

TEST(every_payload_comes_back_when_it_was_written_bare)
{
    for (size_t i = 0; i < PAYLOADS; i++) {
        struct record record = a_record();
        record.payload = payloads[i].payload;
        cleanup_buffer struct buffer out = {0};
        assert_int_equal(record_write_bare(&out, &record, "kcat-actions"), payloads[i].is_json);
        struct line line = {0};
        line_parse(&line, one_line(&out));
        if (!payloads[i].is_json) {
            assert_int_equal(line.kind, LINE_REJECT);
            assert_false(line.has_source);
            assert_payload(&line, payloads[i].payload);
        } else if (line.kind == LINE_EVENT) {
            assert_bytes(line.text, expected_payload(i));
        }
        line_free(&line);
    }
}

TEST(the_json_string_abc_and_the_text_abc_stay_apart)
{
    struct record record = a_record();
    cleanup_buffer struct buffer json = {0}, text = {0}, json_reject = {0};
    struct line line = {0};

    record.payload = LITERAL("\"abc\"");
    assert_true(record_write(&json, &record, "kcat-actions"));
    line_parse(&line, one_line(&json));
    reject_write(&json_reject, &line, &an_error);
    line_parse(&line, one_line(&json_reject));
    assert_text(line.payload.text, "\"abc\"");
    assert_payload(&line, LITERAL("\"abc\""));

    record.payload = LITERAL("abc");
    assert_false(record_write(&text, &record, "kcat-actions"));
    line_parse(&line, one_line(&text));
    assert_text(line.payload.text, "\"abc\"");
    assert_payload(&line, LITERAL("abc"));
    line_free(&line);
}

TEST(a_tombstone_an_empty_payload_and_null_stay_apart)
{
    cleanup_buffer struct buffer out = {0}, bytes = {0};
    struct record record = a_record();
    struct line line = {0};

    record.payload = slice_of(NULL, 0);
    assert_false(record_write(&out, &record, "kcat-actions"));
    line_parse(&line, one_line(&out));
    assert_int_equal(line.kind, LINE_REJECT);
    assert_int_equal(line.payload.type, JSON_NULL);
    assert_false(line_payload_bytes(&line, &bytes));
    assert_true(line_error_member(&line, "class", &bytes));
    assert_buffer(&bytes, "decode");

    out.len = bytes.len = 0;
    record.payload = LITERAL("");
    assert_false(record_write(&out, &record, "kcat-actions"));
    line_parse(&line, one_line(&out));
    assert_payload(&line, LITERAL(""));

    out.len = 0;
    record.payload = LITERAL("null");
    assert_true(record_write(&out, &record, "kcat-actions"));
    line_parse(&line, one_line(&out));
    assert_int_equal(line.kind, LINE_ENVELOPE);
    assert_payload(&line, LITERAL("null"));

    out.len = 0;
    record.payload = slice_of(NULL, 0);
    assert_false(record_write_bare(&out, &record, "kcat-actions"));
    line_parse(&line, one_line(&out));
    assert_int_equal(line.kind, LINE_REJECT);
    assert_false(line_payload_bytes(&line, &bytes));
    line_free(&line);
}

TEST(a_payload_nested_too_deeply_is_a_reject_that_keeps_it)
{
    cleanup_buffer struct buffer payload = {0}, out = {0};
    for (int i = 0; i < 512; i++)
        buffer_append_char(&payload, '[');
    for (int i = 0; i < 512; i++)
        buffer_append_char(&payload, ']');
    struct record record = a_record();
    struct line line = {0};
    record.payload = buffer_slice(&payload);
    assert_true(record_write(&out, &record, "kcat-actions"));
    line_parse(&line, one_line(&out));
    assert_int_equal(line.kind, LINE_ENVELOPE);
    assert_payload(&line, record.payload);

    payload.len = out.len = 0;
    for (int i = 0; i < 513; i++)
        buffer_append_char(&payload, '[');
    for (int i = 0; i < 513; i++)
        buffer_append_char(&payload, ']');
    record.payload = buffer_slice(&payload);
    assert_false(record_write(&out, &record, "kcat-actions"));
    line_parse(&line, one_line(&out));
    assert_int_equal(line.kind, LINE_REJECT);
    assert_payload(&line, record.payload);
    line_free(&line);
}

TEST(a_payload_that_is_no_json_says_why_who_and_when)
{
    cleanup_buffer struct buffer out = {0}, member = {0};
    struct record record = a_record();
    struct line line = {0};
    record.payload = LITERAL("{\"a\":}");
    assert_false(record_write(&out, &record, "kcat-actions"));
    line_parse(&line, one_line(&out));
    assert_true(line_error_member(&line, "message", &member));
    assert_buffer(&member, "the payload is not JSON: unexpected character at byte 5");
    member.len = 0;
    assert_true(line_error_member(&line, "tool", &member));
    assert_buffer(&member, "kcat-actions");
    member.len = 0;
    assert_true(line_error_member(&line, "at", &member));
    assert_int_equal(member.len, strlen("2026-11-23T18:00:00.123Z"));
    assert_false(line_error_member(&line, "sqlstate", &member));
    line_free(&line);
}

TEST(every_key_comes_back)
{
    static const struct slice keys[] = {BYTES("b7e23ec2-9f4b-4c0e-8a4b-0a6f0d7c1f11"),
                                        BYTES(""),
                                        BYTES("a\0b\0"),
                                        BYTES("\n\"\\\x01\x7f"),
                                        BYTES("\xff\0\xfe"),
                                        BYTES("\xe2\x82\xac"),
                                        BYTES("\xed\xa0\x80"),
                                        BYTES("{\"json\":1}"),
                                        BYTES("\\ud800")};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        cleanup_buffer struct buffer out = {0}, key = {0};
        struct record record = a_record();
        struct line line = {0};
        record.key = exact_copy(keys[i]);
        assert_true(record_write(&out, &record, "kcat-actions"));
        line_parse(&line, one_line(&out));
        assert_int_equal(line.kind, LINE_ENVELOPE);
        assert_true(line_key_bytes(&line, &key));
        assert_bytes(buffer_slice(&key), keys[i]);
        assert_payload(&line, record.payload);
        line_free(&line);
        free_copy(record.key);
    }
}

TEST(an_absent_key_is_none)
{
    cleanup_buffer struct buffer out = {0}, key = {0};
    struct record record = a_record();
    struct line line = {0};
    record.key = slice_of(NULL, 0);
    record_write(&out, &record, "kcat-actions");
    line_parse(&line, one_line(&out));
    assert_false(line_key_bytes(&line, &key));
    line_parse(&line, LITERAL("{\"a\":1}"));
    assert_false(line_key_bytes(&line, &key));
    line_free(&line);
}

static void assert_headers_come_back(const struct record_header *headers, size_t count, bool is_base64)
{
    cleanup_buffer struct buffer out = {0}, storage = {0};
    struct record record = a_record();
    struct line line = {0};
    record.headers = headers;
    record.header_count = count;
    assert_true(record_write(&out, &record, "kcat-actions"));
    line_parse(&line, one_line(&out));
    assert_int_equal(line.kind, LINE_ENVELOPE);
    assert_int_equal(line.headers_base64, is_base64);
    struct json_scanner scanner;
    struct slice name, value;
    assert_true(line_headers_begin(&line, &scanner));
    for (size_t i = 0; i < count; i++) {
        assert_true(line_headers_next(&line, &scanner, &storage, &name, &value));
        assert_bytes(name, slice_of_string(headers[i].name));
        if (headers[i].value.data) {
            assert_non_null(value.data);
            assert_bytes(value, headers[i].value);
        } else {
            assert_null(value.data);
        }
    }
    assert_false(line_headers_next(&line, &scanner, &storage, &name, &value));
    assert_null(scanner.error);
    line_free(&line);
}

TEST(headers_come_back_in_order_with_null_and_empty_apart)
{
    const struct record_header headers[] = {{"traceparent", LITERAL("00-abc")},
                                            {"nothing", slice_of(NULL, 0)},
                                            {"empty", LITERAL("")},
                                            {"traceparent", LITERAL("again")},
                                            {"", LITERAL("unnamed")},
                                            {"n\"\n\xe2\x82\xac", LITERAL("a\0b")}};
    assert_headers_come_back(headers, 6, false);
}

TEST(binary_headers_come_back)
{
    const struct record_header headers[] = {{"text", LITERAL("plain")},
                                            {"binary", LITERAL("\xff\0\x80")},
                                            {"nothing", slice_of(NULL, 0)},
                                            {"long", LITERAL("\xfe"
                                                             "0123456789012345678901234567890123456789")},
                                            {"empty", LITERAL("")},
                                            {"more text", LITERAL("plain")}};
    assert_headers_come_back(headers, 6, true);
}

TEST(header_names_that_are_not_utf8_come_back)
{
    const struct record_header headers[] = {{"\xff\xfe", LITERAL("plain")}, {"n", slice_of(NULL, 0)}};
    assert_headers_come_back(headers, 2, true);
}

TEST(a_record_without_headers_has_none_to_visit)
{
    cleanup_buffer struct buffer out = {0};
    struct record record = a_record();
    struct line line = {0};
    struct json_scanner scanner;
    record_write(&out, &record, "kcat-actions");
    line_parse(&line, one_line(&out));
    assert_false(line_headers_begin(&line, &scanner));
    line_free(&line);
}

TEST(malformed_headers_end_the_visit)
{
    static const char *const cases[] = {"[1,\"v\"]", "[\"k\"]", "[\"k\\ud800\",\"v\"]", "[null,null]"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cleanup_buffer struct buffer storage = {0};
        cleanup_free char *text = xasprintf(
            "{\"topic\":\"t\",\"partition\":0,\"offset\":1,\"headers\":%s,\"payload\":{}}", cases[i]);
        struct line line = {0};
        struct json_scanner scanner;
        struct slice name, value;
        line_parse(&line, slice_of_string(text));
        assert_true(line_headers_begin(&line, &scanner));
        assert_false(line_headers_next(&line, &scanner, &storage, &name, &value));
        line_free(&line);
    }
}

static void assert_reject(const char *text, const char *expected)
{
    cleanup_buffer struct buffer out = {0};
    struct line line = {0};
    line_parse(&line, slice_of_string(text));
    reject_write(&out, &line, &an_error);
    assert_bytes(one_line(&out), slice_of_string(expected));
    line_parse(&line, one_line(&out));
    assert_int_equal(line.kind, LINE_REJECT);
    line_free(&line);
}

TEST(an_envelope_keeps_its_members_and_gets_an_error_as_its_last)
{
    assert_reject(
        "{\"topic\":\"t\",\"partition\":1,\"offset\":2,\"key\":null,\"payload\":{\"a\":1},\"extra\":[]}",
        "{\"topic\":\"t\",\"partition\":1,\"offset\":2,\"key\":null,\"payload\":{\"a\":1},\"extra\":[]"
        "," AN_ERROR "}");
    assert_reject(" { \"topic\":\"t\",\"partition\":1,\"offset\":2,\"payload\":{} } \r",
                  "{ \"topic\":\"t\",\"partition\":1,\"offset\":2,\"payload\":{} ," AN_ERROR "}");
}

TEST(an_envelope_with_an_error_of_another_kind_becomes_a_reject)
{
    assert_reject("{\"topic\":\"t\",\"partition\":1,\"offset\":2,\"payload\":{},\"error\":null}",
                  "{\"topic\":\"t\",\"partition\":1,\"offset\":2,\"payload\":{},\"error\":null," AN_ERROR
                  "}");
}

TEST(an_event_is_wrapped)
{
    assert_reject("{\"a\":1}", "{\"payload\":{\"a\":1}," AN_ERROR "}");
    assert_reject("  {\"a\": 1}\r", "{\"payload\":{\"a\": 1}," AN_ERROR "}");
    assert_reject("[1]", "{\"payload\":[1]," AN_ERROR "}");
    assert_reject("\"abc\"", "{\"payload\":\"abc\"," AN_ERROR "}");
    assert_reject("7", "{\"payload\":7," AN_ERROR "}");
}

TEST(a_line_that_is_no_json_is_wrapped_as_text_with_the_source_that_is_known)
{
    cleanup_buffer struct buffer out = {0};
    struct line line = {0};
    const struct line_error error = {.tool = "pgsink", .class = CLASS_DECODE, .message = "m", .at = 0};
    const char *const tail = ",\"error\":{\"tool\":\"pgsink\",\"class\":\"decode\",\"message\":\"m\","
                             "\"at\":\"1970-01-01T00:00:00.000Z\"}}";

    line_parse(&line, LITERAL("no \"json\"\r"));
    reject_write(&out, &line, &error);
    cleanup_free char *plain = xasprintf("{\"payload\":\"no \\\"json\\\"\\r\"%s", tail);
    assert_bytes(one_line(&out), slice_of_string(plain));
    line_parse(&line, one_line(&out));
    assert_payload(&line, LITERAL("no \"json\"\r"));

    out.len = 0;
    line_parse(&line, LITERAL("{\"topic\":\"t\",\"partition\":1,\"offset\":2,\"payload\":{\"a\":"));
    reject_write(&out, &line, &error);
    cleanup_free char *cut = xasprintf("{\"topic\":\"t\",\"partition\":1,\"offset\":2,\"payload\":"
                                       "\"{\\\"topic\\\":\\\"t\\\",\\\"partition\\\":1,\\\"offset\\\":2,"
                                       "\\\"payload\\\":{\\\"a\\\":\"%s",
                                       tail);
    assert_bytes(one_line(&out), slice_of_string(cut));
    line_parse(&line, one_line(&out));
    assert_int_equal(line.kind, LINE_REJECT);
    assert_true(line.has_source && line.offset == 2);

    out.len = 0;
    line_parse(&line, LITERAL("\xff\xfe"));
    reject_write(&out, &line, &error);
    cleanup_free char *binary = xasprintf("{\"payload\":\"//4=\",\"payload_encoding\":\"base64\"%s", tail);
    assert_bytes(one_line(&out), slice_of_string(binary));
    line_free(&line);
}

TEST(absent_members_of_an_error_are_left_out)
{
    cleanup_buffer struct buffer out = {0};
    struct line line = {0};
    line_parse(&line, LITERAL("{}"));
    reject_write(&out, &line, &(struct line_error){.tool = "batch", .class = "data", .at = 1000});
    assert_buffer(&out, "{\"payload\":{},\"error\":{\"tool\":\"batch\",\"class\":\"data\","
                        "\"at\":\"1970-01-01T00:00:00.001Z\"}}\n");
    line_free(&line);
}

TEST(an_error_message_that_is_no_utf8_harms_nobody)
{
    cleanup_buffer struct buffer out = {0}, message = {0};
    struct line line = {0};
    line_parse(&line, LITERAL("{}"));
    reject_write(&out, &line,
                 &(struct line_error){.tool = "t",
                                      .class = "data",
                                      .message = "a\xff"
                                                 "b"});
    line_parse(&line, one_line(&out));
    assert_int_equal(line.kind, LINE_REJECT);
    assert_true(line_error_member(&line, "message", &message));
    assert_buffer(&message, "a\xef\xbf\xbd"
                            "b");
    line_free(&line);
}

TEST(an_event_that_looks_like_part_of_an_envelope_comes_back_from_its_reject)
{
    static const char *const events[] = {
        "{\"payload\":{\"x\":1},\"topic\":\"weather\"}",
        "{\"error\":{\"class\":\"decode\"}}",
        "{\"payload\":\"/w==\",\"payload_encoding\":\"base64\"}",
        "{\"payload\":{\"x\":1}}",
        "{\"ack\":1}",
        "{\"key\":\"k\",\"headers\":[\"a\",\"b\"],\"payload\":1,\"error\":{}}"};
    for (size_t i = 0; i < sizeof events / sizeof *events; i++) {
        cleanup_buffer struct buffer out = {0};
        struct line line = {0};
        line_parse(&line, slice_of_string(events[i]));
        assert_int_equal(line.kind, LINE_EVENT);
        reject_write(&out, &line, &an_error);
        line_parse(&line, one_line(&out));
        assert_int_equal(line.kind, LINE_REJECT);
        assert_false(line.has_source || line.payload_base64);
        assert_payload(&line, slice_of_string(events[i]));
        line_free(&line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_envelope_has_kcats_members_in_this_order),
        cmocka_unit_test(what_a_record_does_not_have_is_left_out),
        cmocka_unit_test(number_text_and_member_order_are_untouched),
        cmocka_unit_test(writing_appends),
        cmocka_unit_test(an_ack_is_written_and_read),
        cmocka_unit_test(every_payload_comes_back_from_its_envelope),
        cmocka_unit_test(every_payload_comes_back_from_a_reject_of_its_envelope),
        cmocka_unit_test(every_payload_comes_back_when_it_was_written_bare),
        cmocka_unit_test(the_json_string_abc_and_the_text_abc_stay_apart),
        cmocka_unit_test(a_tombstone_an_empty_payload_and_null_stay_apart),
        cmocka_unit_test(a_payload_nested_too_deeply_is_a_reject_that_keeps_it),
        cmocka_unit_test(a_payload_that_is_no_json_says_why_who_and_when),
        cmocka_unit_test(every_key_comes_back),
        cmocka_unit_test(an_absent_key_is_none),
        cmocka_unit_test(headers_come_back_in_order_with_null_and_empty_apart),
        cmocka_unit_test(binary_headers_come_back),
        cmocka_unit_test(header_names_that_are_not_utf8_come_back),
        cmocka_unit_test(a_record_without_headers_has_none_to_visit),
        cmocka_unit_test(malformed_headers_end_the_visit),
        cmocka_unit_test(an_envelope_keeps_its_members_and_gets_an_error_as_its_last),
        cmocka_unit_test(an_envelope_with_an_error_of_another_kind_becomes_a_reject),
        cmocka_unit_test(an_event_is_wrapped),
        cmocka_unit_test(a_line_that_is_no_json_is_wrapped_as_text_with_the_source_that_is_known),
        cmocka_unit_test(absent_members_of_an_error_are_left_out),
        cmocka_unit_test(an_error_message_that_is_no_utf8_harms_nobody),
        cmocka_unit_test(an_event_that_looks_like_part_of_an_envelope_comes_back_from_its_reject),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
