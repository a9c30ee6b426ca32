/* The derived ids below were computed with python's hashlib from the words of uuid.h, so that they hold the
 * format still: an id that changes makes every replay a duplicate. */
#include "unit.h"

#include "common/json_scan.h"
#include "common/timestamp.h"
#include "common/uuid.h"

#include <openssl/sha.h>

static bool parse(struct slice text, char out[UUID_TEXT_SIZE])
{
    struct uuid uuid;
    struct slice copy = exact_copy(text);
    bool taken = uuid_parse(copy, &uuid);
    free_copy(copy);
    if (taken)
        uuid_format(&uuid, out);
    return taken;
}

TEST(every_form_that_postgresql_takes_is_taken)
{
    static const char *const forms[] = {
        "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",   "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
        "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", "a0eebc999c0b4ef8bb6d6bb9bd380a11",
        "{a0eebc999c0b4ef8bb6d6bb9bd380a11}",     "a0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11",
        "{a0eebc99-9c0b4ef8-bb6d6bb9-bd380a11}",  "a0ee-bc999c0b4EF8bb6d6bb9bd380a11"};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        char text[UUID_TEXT_SIZE];
        if (!parse(slice_of_string(forms[i]), text))
            fail_msg("refused: %s", forms[i]);
        assert_string_equal(text, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
    }
}

TEST(what_postgresql_refuses_is_refused)
{
    static const struct slice forms[] = {BYTES(""),
                                         BYTES("{}"),
                                         BYTES("{"),
                                         BYTES("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1"),
                                         BYTES("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a111"),
                                         BYTES("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1g"),
                                         BYTES("g0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
                                         BYTES("{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
                                         BYTES("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}"),
                                         BYTES("{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}}"),
                                         BYTES("(a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11)"),
                                         BYTES("-a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
                                         BYTES("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11-"),
                                         BYTES("{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11-}"),
                                         BYTES("a0-eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
                                         BYTES("a0e-ebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
                                         BYTES("a0eebc99--9c0b-4ef8-bb6d-6bb9bd380a11"),
                                         BYTES(" a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
                                         BYTES("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11 "),
                                         BYTES("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11\0"),
                                         BYTES("urn:uuid:a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
                                         BYTES("a0eebc99_9c0b_4ef8_bb6d_6bb9bd380a11")};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        char text[UUID_TEXT_SIZE];
        if (parse(forms[i], text))
            fail_msg("taken: %s", forms[i].data);
    }
}

TEST(a_uuid_is_written_in_lower_case_with_four_hyphens)
{
    char text[UUID_TEXT_SIZE];
    uuid_format(&(struct uuid){{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 0xAB, 0xCD, 0xEF, 0xFF}}, text);
    assert_string_equal(text, "00010203-0405-0607-0809-0a0babcdefff");
}

/* The id of an event as a user would derive it: compact text, SHA-256, the event's time. */
static void assert_id(const char *event, const char *time, const char *expected)
{
    cleanup_buffer struct buffer compact = {0};
    json_compact(slice_of_string(event), &compact);
    uint8_t hash[SHA256_DIGEST_LENGTH];
    SHA256((const uint8_t *)compact.data, compact.len, hash);
    struct timestamp timestamp = {.milliseconds = UUID_NO_TIME};
    if (time)
        assert_true(timestamp_parse(slice_of_string(time), &timestamp));
    struct uuid uuid = uuid_derive(hash, timestamp.milliseconds);
    char text[UUID_TEXT_SIZE];
    uuid_format(&uuid, text);
    assert_string_equal(text, expected);
}

TEST(an_event_with_a_timestamp_has_this_id)
{
    assert_id("{\"correlation_id\":\"b7e23ec2-9f4b-4c0e-8a4b-0a6f0d7c1f11\",\"agent_name\":\"planner\","
              "\"action_type\":\"tool_call\",\"action_name\":\"Read\","
              "\"timestamp\":\"2026-11-23T18:00:00.123456\"}",
              "2026-11-23T18:00:00.123456", "01a20990-957b-8b52-8e30-632948629fea");
}

TEST(white_space_between_tokens_does_not_change_the_id)
{
    assert_id(
        "  { \"correlation_id\" : \"b7e23ec2-9f4b-4c0e-8a4b-0a6f0d7c1f11\",\n\t\"agent_name\": \"planner\", "
        "\"action_type\":\"tool_call\" ,\r\"action_name\":\"Read\", "
        "\"timestamp\": \"2026-11-23T18:00:00.123456\" }\n",
        "2026-11-23T18:00:00.123456", "01a20990-957b-8b52-8e30-632948629fea");
}

TEST(white_space_inside_a_string_counts)
{
    assert_id("{\"agent_name\":\"two  words\",\"timestamp\":\"1970-01-01T00:00:00Z\"}",
              "1970-01-01T00:00:00Z", "00000000-0000-802b-a6eb-b2f8ed80c2ac");
}

TEST(an_event_without_a_time_takes_its_first_bytes_from_the_hash)
{
    assert_id("{\"agent_name\":\"planner\",\"action_type\":\"decision\"}", NULL,
              "542edbab-b2e7-8e40-812f-4cd36bce3399");
}

TEST(a_time_before_1970_counts_as_none)
{
    assert_id("{\"agent_name\":\"planner\",\"timestamp\":\"1969-12-31T23:59:59.999Z\"}",
              "1969-12-31T23:59:59.999Z", "6451327d-67e3-8f49-93ce-3d521d5fb84e");
}

/* SHA-256 of {"agent_name":"planner","action_type":"decision"}. */
static const uint8_t decision_hash[32] = {0x3e, 0x40, 0xc1, 0x2f, 0x4c, 0xd3, 0x6b, 0xce, 0x33, 0x99, 0x54,
                                          0x2e, 0xdb, 0xab, 0xb2, 0xe7, 0x99, 0x62, 0xba, 0x33, 0xae, 0x3a,
                                          0x2a, 0x75, 0x76, 0xc9, 0xf3, 0xe0, 0x48, 0x80, 0xe2, 0x49};

static void assert_derives(int64_t milliseconds, const char *expected)
{
    char text[UUID_TEXT_SIZE];
    struct uuid uuid = uuid_derive(decision_hash, milliseconds);
    uuid_format(&uuid, text);
    assert_string_equal(text, expected);
}

TEST(a_time_of_more_than_48_bits_counts_as_none)
{
    assert_derives((INT64_C(1) << 48) - 1, "ffffffff-ffff-8e40-812f-4cd36bce3399");
    assert_derives(INT64_C(1) << 48, "542edbab-b2e7-8e40-812f-4cd36bce3399");
    assert_derives(INT64_MAX, "542edbab-b2e7-8e40-812f-4cd36bce3399");
    assert_derives(-1, "542edbab-b2e7-8e40-812f-4cd36bce3399");
    assert_derives(UUID_NO_TIME, "542edbab-b2e7-8e40-812f-4cd36bce3399");
    assert_derives(0, "00000000-0000-8e40-812f-4cd36bce3399");
    assert_derives(0x0102030405FF, "01020304-05ff-8e40-812f-4cd36bce3399");
}

TEST(version_8_and_variant_10_are_set_whatever_the_hash)
{
    uint8_t hash[32];
    for (int byte = 0; byte < 256; byte++) {
        memset(hash, byte, sizeof hash);
        struct uuid uuid = uuid_derive(hash, 0);
        assert_int_equal(uuid.bytes[6], 0x80 | (byte & 0x0F));
        assert_int_equal(uuid.bytes[8], 0x80 | (byte & 0x3F));
        assert_int_equal(uuid.bytes[7], byte);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_that_postgresql_takes_is_taken),
        cmocka_unit_test(what_postgresql_refuses_is_refused),
        cmocka_unit_test(a_uuid_is_written_in_lower_case_with_four_hyphens),
        cmocka_unit_test(an_event_with_a_timestamp_has_this_id),
        cmocka_unit_test(white_space_between_tokens_does_not_change_the_id),
        cmocka_unit_test(white_space_inside_a_string_counts),
        cmocka_unit_test(an_event_without_a_time_takes_its_first_bytes_from_the_hash),
        cmocka_unit_test(a_time_before_1970_counts_as_none),
        cmocka_unit_test(a_time_of_more_than_48_bits_counts_as_none),
        cmocka_unit_test(version_8_and_variant_10_are_set_whatever_the_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
