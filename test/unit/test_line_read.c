/* The reader half of line_format.h: what kind a line is, and what it is made of. */
#include "unit.h"

#include "common/line_format.h"

#include <stdio.h>

#define SOURCE "\"topic\":\"agent-actions\",\"partition\":3,\"offset\":41"

/* Parses a copy that ends where the text ends; the copy lives until the next parse. */
static struct line line;
static struct slice line_text;

static void parse(struct slice text)
{
    free_copy(line_text);
    line_text = exact_copy(text);
    line_parse(&line, line_text);
}

static void parse_string(const char *text)
{
    parse(slice_of_string(text));
}

static int release(void **state)
{
    (void)state;
    line_free(&line);
    free_copy(line_text);
    line_text = slice_of(NULL, 0);
    return 0;
}

static const char *text_of(struct slice slice)
{
    static char texts[4][512];
    static int next;
    char *text = texts[next++ % 4];
    snprintf(text, sizeof texts[0], "%.*s", (int)slice.len, slice.data ? slice.data : "");
    return text;
}

/* The names and values of the event's members, as name=value and a space each. */
static const char *members(void)
{
    static char text[1024];
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < line.member_count; i++)
        len += (size_t)snprintf(text + len, sizeof text - len, "%s=%s ", text_of(line.members[i].key.text),
                                text_of(line.members[i].value.text));
    return text;
}

static void assert_kind(const char *text, enum line_kind kind)
{
    parse_string(text);
    if (line.kind != kind)
        fail_msg("%s is of kind %d", text, (int)line.kind);
}

TEST(a_bare_object_is_an_event)
{
    parse_string(
        "{\"agent_name\":\"planner\",\"duration_ms\":12.50,\"action_details\":{\"a\":[1]},\"x\":null}");
    assert_int_equal(line.kind, LINE_EVENT);
    assert_false(line.has_source);
    assert_int_equal(line.payload.type, JSON_OBJECT);
    assert_bytes(line.payload.text, line_text);
    assert_false(line.payload.escaped || line.payload.spaced);
    assert_string_equal(members(),
                        "agent_name=\"planner\" duration_ms=12.50 action_details={\"a\":[1]} x=null ");
    assert_int_equal(line.key.type, JSON_ABSENT);
    assert_int_equal(line.headers.type, JSON_ABSENT);
    assert_int_equal(line.error.type, JSON_ABSENT);
}

TEST(space_around_an_event_is_not_of_it)
{
    parse_string("  {\"a\":1}\t\r");
    assert_int_equal(line.kind, LINE_EVENT);
    assert_text(line.payload.text, "{\"a\":1}");
    assert_false(line.payload.spaced);
    parse_string(" {\"a\": \"\\n\"} ");
    assert_true(line.payload.spaced && line.payload.escaped);
}

TEST(an_event_may_be_any_json_value)
{
    static const struct {
        const char *text;
        enum json_type type;
    } cases[] = {{"[1,{\"a\":2}]", JSON_ARRAY}, {"\"text\"", JSON_STRING}, {" 42 ", JSON_NUMBER},
                 {"null", JSON_NULL},           {"true", JSON_TRUE},       {"{}", JSON_OBJECT}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        parse_string(cases[i].text);
        assert_int_equal(line.kind, LINE_EVENT);
        assert_int_equal(line.payload.type, cases[i].type);
        assert_int_equal(line.member_count, 0);
    }
}

TEST(nothing_or_white_space_is_blank)
{
    assert_kind("", LINE_BLANK);
    assert_kind(" ", LINE_BLANK);
    assert_kind("\r", LINE_BLANK);
    assert_kind(" \t \r", LINE_BLANK);
    parse(slice_of(NULL, 0));
    assert_int_equal(line.kind, LINE_BLANK);
    assert_int_equal(line.payload.type, JSON_ABSENT);
}

TEST(an_envelope_is_taken_apart)
{
    parse_string(
        "{\"topic\":\"agent-actions\",\"partition\":0,\"offset\":41,\"tstype\":\"create\",\"ts\":"
        "1761000000000,"
        "\"broker\":1,\"headers\":[\"k\",\"v\"],\"key\":\"K\",\"payload\":{\"a\":1, \"b\":\"x\\n\"}}");
    assert_int_equal(line.kind, LINE_ENVELOPE);
    assert_true(line.has_source);
    assert_text(line.topic, "agent-actions");
    assert_int_equal(line.partition, 0);
    assert_int_equal(line.offset, 41);
    assert_true(line.has_timestamp);
    assert_int_equal(line.timestamp_ms, 1761000000000);
    assert_text(line.timestamp_type, "create");
    assert_text(line.headers.text, "[\"k\",\"v\"]");
    assert_text(line.key.text, "\"K\"");
    assert_text(line.payload.text, "{\"a\":1, \"b\":\"x\\n\"}");
    assert_true(line.payload.escaped && line.payload.spaced);
    assert_false(line.headers_base64 || line.key_base64 || line.payload_base64);
    assert_string_equal(members(), "a=1 b=\"x\\n\" ");
    assert_int_equal(line.error.type, JSON_ABSENT);
}

TEST(an_envelopes_members_may_come_in_any_order_with_space_between)
{
    parse_string(" { \"payload\" : { \"a\" : 1 } , \"offset\" : 9007199254740993 , \"key\" : null , "
                 "\"topic\" : \"t\" , \"partition\" : 2147483647 } ");
    assert_int_equal(line.kind, LINE_ENVELOPE);
    assert_text(line.topic, "t");
    assert_int_equal(line.partition, INT32_MAX);
    assert_true(line.offset == INT64_C(9007199254740993));
    assert_false(line.has_timestamp);
    assert_int_equal(line.key.type, JSON_NULL);
    assert_text(line.payload.text, "{ \"a\" : 1 }");
    assert_string_equal(members(), "a=1 ");
}

TEST(flags_of_a_payload_are_its_own_not_its_envelopes)
{
    parse_string("{" SOURCE ", \"key\":\"a\\n\",\"payload\":{\"a\":1},\"headers\":[\"\\n\" ]}");
    assert_int_equal(line.kind, LINE_ENVELOPE);
    assert_false(line.payload.escaped || line.payload.spaced);
    assert_true(line.key.escaped);
}

TEST(kcats_other_members_are_passed_over)
{
    parse_string(
        "{" SOURCE ",\"tstype\":\"logappend\",\"ts\":-1,\"broker\":1,\"key_schema_id\":4,"
        "\"value_schema_id\":{\"payload\":{\"b\":2}},\"leader_epoch\":0,\"payload\":{\"a\":1},\"extra\":[]}");
    assert_int_equal(line.kind, LINE_ENVELOPE);
    assert_text(line.timestamp_type, "logappend");
    assert_true(line.has_timestamp && line.timestamp_ms == -1);
    assert_string_equal(members(), "a=1 ");
}

TEST(an_envelope_may_carry_any_json_value)
{
    const char *const payloads[] = {"null", "true", "12", "\"text\"", "[1,2]", "{}"};
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        char text[200];
        snprintf(text, sizeof text, "{" SOURCE ",\"payload\":%s}", payloads[i]);
        parse_string(text);
        assert_int_equal(line.kind, LINE_ENVELOPE);
        assert_true(slice_is(line.payload.text, payloads[i]));
        assert_int_equal(line.member_count, 0);
    }
}

TEST(an_object_that_lacks_part_of_a_source_is_an_event)
{
    static const char *const cases[] = {
        "{\"partition\":0,\"offset\":1,\"payload\":{}}",
        "{\"topic\":\"t\",\"offset\":1,\"payload\":{}}",
        "{\"topic\":\"t\",\"partition\":0,\"payload\":{}}",
        "{\"topic\":\"t\",\"partition\":0,\"offset\":1}",
        "{\"topic\":1,\"partition\":0,\"offset\":1,\"payload\":{}}",
        "{\"topic\":\"t\",\"partition\":\"0\",\"offset\":1,\"payload\":{}}",
        "{\"topic\":\"t\",\"partition\":0,\"offset\":null,\"payload\":{}}",
        "{\"topic\":\"t\",\"partition\":-1,\"offset\":1,\"payload\":{}}",
        "{\"topic\":\"t\",\"partition\":2147483648,\"offset\":1,\"payload\":{}}",
        "{\"topic\":\"t\",\"partition\":0.5,\"offset\":1,\"payload\":{}}",
        "{\"topic\":\"t\",\"partition\":0,\"offset\":-1,\"payload\":{}}",
        "{\"topic\":\"t\",\"partition\":0,\"offset\":9223372036854775807,\"payload\":{}}",
        "{\"topic\":\"t\",\"partition\":0,\"offset\":9223372036854775808,\"payload\":{}}",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_kind(cases[i], LINE_EVENT);
        assert_false(line.has_source);
        assert_bytes(line.payload.text, line_text);
    }
}

TEST(an_event_may_have_members_called_payload_topic_and_error)
{
    parse_string(
        "{\"topic\":\"weather\",\"payload\":{\"agent_name\":\"inner\",\"n\":1},\"error\":{\"message\":\"m\"},"
        "\"agent_name\":\"outer\"}");
    assert_int_equal(line.kind, LINE_EVENT);
    assert_string_equal(members(), "topic=\"weather\" payload={\"agent_name\":\"inner\",\"n\":1} "
                                   "error={\"message\":\"m\"} agent_name=\"outer\" ");
    assert_bytes(line.payload.text, line_text);
    assert_int_equal(line.error.type, JSON_ABSENT);

    parse_string("{\"payload\":{\"a\":1}}");
    assert_int_equal(line.kind, LINE_EVENT);
    assert_string_equal(members(), "payload={\"a\":1} ");

    parse_string("{\"payload\":{\"a\":1},\"error\":\"text\"}");
    assert_int_equal(line.kind, LINE_EVENT);
    parse_string("{\"payload\":{\"a\":1},\"error\":null}");
    assert_int_equal(line.kind, LINE_EVENT);
    parse_string("{\"error\":{\"message\":\"m\"}}");
    assert_int_equal(line.kind, LINE_EVENT);
    parse_string("{\"payload\":{\"a\":1},\"error\":{\"message\":\"m\"},\"key\":\"k\"}");
    assert_int_equal(line.kind, LINE_EVENT);
    parse_string("{\"payload\":{\"a\":1},\"error\":{\"message\":\"m\"},\"partition\":1}");
    assert_int_equal(line.kind, LINE_EVENT);
}

TEST(members_of_an_events_own_payload_are_not_the_events)
{
    parse_string("{\"a\":1,\"payload\":{\"x\":1,\"y\":2},\"b\":2,\"payload\":{\"z\":3},\"c\":3}");
    assert_int_equal(line.kind, LINE_EVENT);
    assert_string_equal(members(), "a=1 payload={\"x\":1,\"y\":2} b=2 payload={\"z\":3} c=3 ");
    parse_string("{\"payload\":{\"x\":1},\"payload\":2}");
    assert_string_equal(members(), "payload={\"x\":1} payload=2 ");
    parse_string("{\"payload\":2,\"payload\":{\"x\":1},\"payload\":{},\"payload\":{\"y\":1}}");
    assert_string_equal(members(), "payload=2 payload={\"x\":1} payload={} payload={\"y\":1} ");
}

TEST(of_a_member_given_twice_the_last_one_counts)
{
    parse_string(
        "{\"topic\":\"first\",\"topic\":\"last\",\"partition\":1,\"partition\":2,\"offset\":1,\"offset\":7,"
        "\"payload\":{\"old\":1},\"payload\":{\"a\":1,\"b\":0,\"a\":2}}");
    assert_int_equal(line.kind, LINE_ENVELOPE);
    assert_text(line.topic, "last");
    assert_int_equal(line.partition, 2);
    assert_int_equal(line.offset, 7);
    assert_string_equal(members(), "a=1 b=0 a=2 ");
    assert_text(line_member(&line, "a")->text, "2");
    assert_text(line_member(&line, "b")->text, "0");
    assert_null(line_member(&line, "old"));
    assert_null(line_member(&line, "payload"));

    parse_string("{" SOURCE ",\"payload\":{\"a\":1},\"payload\":[]}");
    assert_int_equal(line.kind, LINE_ENVELOPE);
    assert_int_equal(line.member_count, 0);
    assert_text(line.payload.text, "[]");
}

TEST(a_member_is_found_by_its_name_however_that_is_spelt)
{
    parse_string(
        "{\"agent_name\":\"first\",\"agent\\u005fname\":\"second\",\"quote\\\"\":1,\"agent_nam\\ud800\":3}");
    assert_text(line_member(&line, "agent_name")->text, "\"second\"");
    assert_text(line_member(&line, "quote\"")->text, "1");
    assert_null(line_member(&line, "agent\\u005fname"));
    assert_null(line_member(&line, "agent_nam"));
    assert_null(line_member(&line, ""));
}

TEST(a_source_with_an_error_is_a_reject)
{
    parse_string(
        "{" SOURCE ",\"key\":null,\"payload\":{\"a\":1},\"error\":{\"tool\":\"pgsink\",\"class\":\"data\","
        "\"sqlstate\":\"22P02\",\"message\":\"bad \\\"x\\\"\",\"at\":\"2026-11-23T18:00:00.123Z\"}}");
    assert_int_equal(line.kind, LINE_REJECT);
    assert_true(line.has_source);
    assert_int_equal(line.offset, 41);
    assert_string_equal(members(), "a=1 ");
    cleanup_buffer struct buffer out = {0};
    assert_true(line_error_member(&line, "message", &out));
    assert_buffer(&out, "bad \"x\"");
    out.len = 0;
    assert_true(line_error_member(&line, "class", &out));
    assert_buffer(&out, "data");
    assert_false(line_error_member(&line, "column", &out));
}

TEST(a_wrapper_with_an_error_is_a_reject_without_a_source)
{
    parse_string(
        "{\"payload\":{\"a\":1},\"error\":{\"tool\":\"pgsink\",\"class\":\"data\",\"message\":\"m\"}}");
    assert_int_equal(line.kind, LINE_REJECT);
    assert_false(line.has_source);
    assert_string_equal(members(), "a=1 ");
    parse_string("{\"payload\":\"/w==\",\"payload_encoding\":\"base64\",\"error\":{\"class\":\"decode\"}}");
    assert_int_equal(line.kind, LINE_REJECT);
    assert_true(line.payload_base64);
}

TEST(an_error_that_is_no_object_makes_no_reject)
{
    assert_kind("{" SOURCE ",\"payload\":{},\"error\":null}", LINE_ENVELOPE);
    assert_kind("{" SOURCE ",\"payload\":{},\"error\":\"text\"}", LINE_ENVELOPE);
    cleanup_buffer struct buffer out = {0};
    assert_false(line_error_member(&line, "message", &out));
}

TEST(an_ack_tells_topic_partition_and_next)
{
    parse_string("{\"ack\":[{\"topic\":\"agent-actions\",\"partition\":0,\"next\":42},"
                 " {\"next\":9223372036854775807,\"more\":1,\"partition\":2147483647,\"topic\":\"b\"}]}");
    assert_int_equal(line.kind, LINE_ACK);
    struct json_scanner scanner;
    struct ack ack;
    assert_true(line_acks_begin(&line, &scanner));
    assert_true(line_acks_next(&scanner, &ack));
    assert_text(ack.topic, "agent-actions");
    assert_int_equal(ack.partition, 0);
    assert_int_equal(ack.next, 42);
    assert_true(line_acks_next(&scanner, &ack));
    assert_text(ack.topic, "b");
    assert_int_equal(ack.partition, INT32_MAX);
    assert_true(ack.next == INT64_MAX);
    assert_false(line_acks_next(&scanner, &ack));
}

TEST(a_malformed_part_of_an_ack_is_not_taken_for_one)
{
    static const char *const parts[] = {"{}",
                                        "1",
                                        "null",
                                        "{\"topic\":\"t\",\"partition\":0}",
                                        "{\"topic\":\"t\",\"next\":1}",
                                        "{\"partition\":0,\"next\":1}",
                                        "{\"topic\":1,\"partition\":0,\"next\":1}",
                                        "{\"topic\":\"t\",\"partition\":-1,\"next\":1}",
                                        "{\"topic\":\"t\",\"partition\":2147483648,\"next\":1}",
                                        "{\"topic\":\"t\",\"partition\":0,\"next\":-1}",
                                        "{\"topic\":\"t\",\"partition\":0,\"next\":1.5}",
                                        "{\"topic\":\"t\",\"partition\":0,\"next\":\"1\"}"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char text[200];
        struct json_scanner scanner;
        struct ack ack;
        snprintf(text, sizeof text, "{\"ack\":[%s]}", parts[i]);
        assert_kind(text, LINE_ACK);
        assert_true(line_acks_begin(&line, &scanner));
        if (line_acks_next(&scanner, &ack))
            fail_msg("taken: %s", parts[i]);
    }
}

TEST(an_ack_has_no_payload)
{
    cleanup_buffer struct buffer out = {0};
    parse_string("{\"ack\":[]}");
    assert_int_equal(line.kind, LINE_ACK);
    assert_false(line_payload_bytes(&line, &out));
    assert_int_equal(line.member_count, 0);
}

TEST(what_only_looks_like_an_ack_is_an_event)
{
    assert_kind("{\"ack\":true}", LINE_EVENT);
    assert_kind("{\"ack\":[],\"agent_name\":\"x\"}", LINE_EVENT);
    assert_kind("{\"ack\":[],\"payload\":{}}", LINE_EVENT);
    struct json_scanner scanner;
    assert_false(line_acks_begin(&line, &scanner));
}

TEST(a_line_that_is_no_json_is_invalid_and_says_where)
{
    parse_string("{\"a\":1,}");
    assert_int_equal(line.kind, LINE_INVALID);
    assert_string_equal(line.fault, "expected a member's name in quotes");
    assert_int_equal(line.fault_offset, 7);
    assert_int_equal(line.payload.type, JSON_ABSENT);
    assert_int_equal(line.member_count, 0);
    assert_false(line.has_source);
    assert_bytes(line.text, line_text);
    assert_kind("plain text", LINE_INVALID);
    assert_kind("{\"a\":1} {\"b\":2}", LINE_INVALID);
    assert_kind("{\"a\":\"\xff\"}", LINE_INVALID);
    assert_kind("\xef\xbb\xbf{}", LINE_INVALID);
    parse(LITERAL("\0"));
    assert_int_equal(line.kind, LINE_INVALID);
}

TEST(the_source_of_an_invalid_line_is_told_where_it_could_be_read)
{
    assert_kind("{" SOURCE ",\"payload\":{\"a\":}", LINE_INVALID);
    assert_true(line.has_source);
    assert_text(line.topic, "agent-actions");
    assert_int_equal(line.partition, 3);
    assert_int_equal(line.offset, 41);
    assert_kind("{" SOURCE ",\"payload\":{\"a\":1}} trailing", LINE_INVALID);
    assert_true(line.has_source);
    assert_kind("{\"topic\":\"t\",\"partition\":0,\"offset\":", LINE_INVALID);
    assert_false(line.has_source);
}

TEST(nothing_is_left_over_from_the_line_before)
{
    parse_string("{" SOURCE
                 ",\"ts\":5,\"headers\":[],\"key\":\"k\",\"key_encoding\":\"base64\",\"payload\":{\"a\":1},"
                 "\"error\":{\"class\":\"data\"}}");
    assert_int_equal(line.kind, LINE_REJECT);
    parse_string("7");
    assert_int_equal(line.kind, LINE_EVENT);
    assert_false(line.has_source || line.has_timestamp || line.key_base64);
    assert_int_equal(line.member_count, 0);
    assert_int_equal(line.key.type, JSON_ABSENT);
    assert_int_equal(line.error.type, JSON_ABSENT);
    assert_int_equal(line.headers.type, JSON_ABSENT);
}

TEST(an_event_of_very_many_members_is_taken)
{
    cleanup_buffer struct buffer text = {0};
    buffer_append_string(&text, "{" SOURCE ",\"payload\":{");
    for (int i = 0; i < 5000; i++) {
        buffer_append_string(&text, i ? ",\"m" : "\"m");
        buffer_append_int(&text, i);
        buffer_append_string(&text, "\":");
        buffer_append_int(&text, i);
    }
    buffer_append_string(&text, "}}");
    parse(buffer_slice(&text));
    assert_int_equal(line.kind, LINE_ENVELOPE);
    assert_int_equal(line.member_count, 5000);
    assert_text(line_member(&line, "m0")->text, "0");
    assert_text(line_member(&line, "m4999")->text, "4999");
}

static void parse_nested(const char *before, size_t levels, const char *after)
{
    cleanup_buffer struct buffer text = {0};
    buffer_append_string(&text, before);
    for (size_t i = 0; i < levels; i++)
        buffer_append_char(&text, '[');
    for (size_t i = 0; i < levels; i++)
        buffer_append_char(&text, ']');
    buffer_append_string(&text, after);
    parse(buffer_slice(&text));
}

TEST(an_event_nests_512_levels_bare_and_in_an_envelope_alike)
{
    parse_nested("", 512, "");
    assert_int_equal(line.kind, LINE_EVENT);
    parse_nested("", 513, "");
    assert_int_equal(line.kind, LINE_INVALID);

    parse_nested("{\"a\":", 511, "}");
    assert_int_equal(line.kind, LINE_EVENT);
    parse_nested("{\"a\":", 512, "}");
    assert_int_equal(line.kind, LINE_INVALID);
    assert_string_equal(line.fault, "nested too deeply");
    assert_int_equal(line.fault_offset, 5 + 511);
    parse_nested("{\"payload\":", 512, "}");
    assert_int_equal(line.kind, LINE_INVALID);
    parse_nested("{\"payload\":{\"a\":", 511, "}}");
    assert_int_equal(line.kind, LINE_INVALID);

    parse_nested("{" SOURCE ",\"payload\":", 512, "}");
    assert_int_equal(line.kind, LINE_ENVELOPE);
    parse_nested("{" SOURCE ",\"payload\":{\"a\":", 511, "}}");
    assert_int_equal(line.kind, LINE_ENVELOPE);
    parse_nested("{" SOURCE ",\"payload\":{\"a\":", 512, "}}");
    assert_int_equal(line.kind, LINE_INVALID);
    assert_true(line.has_source);

    parse_nested("{" SOURCE ",\"extra\":", 512, ",\"payload\":{}}");
    assert_int_equal(line.kind, LINE_INVALID);
    parse_nested("{" SOURCE ",\"payload\":{},\"extra\":", 512, "}");
    assert_int_equal(line.kind, LINE_INVALID);

    parse_nested("{\"payload\":{\"a\":", 511, "},\"error\":{\"class\":\"data\"}}");
    assert_int_equal(line.kind, LINE_REJECT);
}

TEST(the_correlation_id_is_the_events_own_else_the_key)
{
    cleanup_buffer struct buffer out = {0};
    parse_string("{" SOURCE ",\"key\":\"from key\",\"payload\":{\"correlation_id\":\"from \\u0065vent\"}}");
    assert_true(line_correlation_id(&line, &out));
    assert_buffer(&out, "from event");

    out.len = 0;
    parse_string("{" SOURCE ",\"key\":\"from\\u0020key\",\"payload\":{\"correlation_id\":7}}");
    assert_true(line_correlation_id(&line, &out));
    assert_buffer(&out, "from key");

    out.len = 0;
    parse_string("{" SOURCE ",\"key\":\"from key\",\"payload\":{\"correlation_id\":\"half \\ud800\"}}");
    assert_true(line_correlation_id(&line, &out));
    assert_buffer(&out, "from key");

    out.len = 0;
    parse_string("{\"correlation_id\":\"bare\"}");
    assert_true(line_correlation_id(&line, &out));
    assert_buffer(&out, "bare");

    out.len = 0;
    parse_string("{" SOURCE ",\"key\":null,\"payload\":{}}");
    assert_false(line_correlation_id(&line, &out));
    parse_string("{" SOURCE ",\"key\":\"/w==\",\"key_encoding\":\"base64\",\"payload\":{}}");
    assert_false(line_correlation_id(&line, &out));
    parse_string("not json");
    assert_false(line_correlation_id(&line, &out));
    assert_buffer(&out, "");
}

static void parse_prefix(const char *text)
{
    free_copy(line_text);
    line_text = exact_copy(slice_of_string(text));
    line_parse_prefix(&line, line_text);
}

TEST(of_a_line_that_was_cut_the_source_is_told)
{
    parse_prefix("{" SOURCE ",\"ts\":1,\"key\":\"k\",\"payload\":{\"a\":\"xxxxxxxx");
    assert_int_equal(line.kind, LINE_INVALID);
    assert_string_equal(line.fault, "the line is too long");
    assert_true(line.has_source);
    assert_text(line.topic, "agent-actions");
    assert_int_equal(line.partition, 3);
    assert_int_equal(line.offset, 41);
    assert_int_equal(line.payload.type, JSON_ABSENT);
    assert_int_equal(line.member_count, 0);
    assert_bytes(line.text, line_text);
}

TEST(an_offset_that_was_cut_is_not_taken_for_a_smaller_one)
{
    parse_prefix("{\"topic\":\"t\",\"partition\":0,\"offset\":12");
    assert_false(line.has_source);
    parse_prefix("{\"topic\":\"t\",\"offset\":12,\"partition\":1");
    assert_false(line.has_source);
}

TEST(a_prefix_of_anything_else_has_no_source)
{
    static const char *const cases[] = {"", "{", "[[[[", "text", "{\"agent_name\":\"xxxx", "{\"topic\":\"t"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        parse_prefix(cases[i]);
        assert_int_equal(line.kind, LINE_INVALID);
        assert_false(line.has_source);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bare_object_is_an_event),
        cmocka_unit_test(space_around_an_event_is_not_of_it),
        cmocka_unit_test(an_event_may_be_any_json_value),
        cmocka_unit_test(nothing_or_white_space_is_blank),
        cmocka_unit_test(an_envelope_is_taken_apart),
        cmocka_unit_test(an_envelopes_members_may_come_in_any_order_with_space_between),
        cmocka_unit_test(flags_of_a_payload_are_its_own_not_its_envelopes),
        cmocka_unit_test(kcats_other_members_are_passed_over),
        cmocka_unit_test(an_envelope_may_carry_any_json_value),
        cmocka_unit_test(an_object_that_lacks_part_of_a_source_is_an_event),
        cmocka_unit_test(an_event_may_have_members_called_payload_topic_and_error),
        cmocka_unit_test(members_of_an_events_own_payload_are_not_the_events),
        cmocka_unit_test(of_a_member_given_twice_the_last_one_counts),
        cmocka_unit_test(a_member_is_found_by_its_name_however_that_is_spelt),
        cmocka_unit_test(a_source_with_an_error_is_a_reject),
        cmocka_unit_test(a_wrapper_with_an_error_is_a_reject_without_a_source),
        cmocka_unit_test(an_error_that_is_no_object_makes_no_reject),
        cmocka_unit_test(an_ack_tells_topic_partition_and_next),
        cmocka_unit_test(a_malformed_part_of_an_ack_is_not_taken_for_one),
        cmocka_unit_test(an_ack_has_no_payload),
        cmocka_unit_test(what_only_looks_like_an_ack_is_an_event),
        cmocka_unit_test(a_line_that_is_no_json_is_invalid_and_says_where),
        cmocka_unit_test(the_source_of_an_invalid_line_is_told_where_it_could_be_read),
        cmocka_unit_test(nothing_is_left_over_from_the_line_before),
        cmocka_unit_test(an_event_of_very_many_members_is_taken),
        cmocka_unit_test(an_event_nests_512_levels_bare_and_in_an_envelope_alike),
        cmocka_unit_test(the_correlation_id_is_the_events_own_else_the_key),
        cmocka_unit_test(of_a_line_that_was_cut_the_source_is_told),
        cmocka_unit_test(an_offset_that_was_cut_is_not_taken_for_a_smaller_one),
        cmocka_unit_test(a_prefix_of_anything_else_has_no_source),
    };
    return cmocka_run_group_tests(tests, NULL, release);
}
