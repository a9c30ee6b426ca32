#include "unit.h"

#include "common/json_scan.h"
#include "common/json_write.h"

TEST(commas_stand_between_members_and_items_alone)
{
    cleanup_buffer struct buffer out = {0};
    json_open(&out, '{');
    json_member(&out, "a");
    json_open(&out, '[');
    json_item(&out);
    buffer_append_int(&out, 1);
    json_item(&out);
    json_open(&out, '{');
    json_close(&out, '}');
    json_item(&out);
    json_open(&out, '[');
    json_close(&out, ']');
    json_item(&out);
    json_write_string(&out, LITERAL("x"));
    json_close(&out, ']');
    json_member(&out, "b");
    buffer_append_string(&out, "null");
    json_close(&out, '}');
    assert_buffer(&out, "{\"a\":[1,{},[],\"x\"],\"b\":null}");
}

TEST(a_string_that_ends_in_a_bracket_is_followed_by_a_comma)
{
    cleanup_buffer struct buffer out = {0};
    json_open(&out, '[');
    json_item(&out);
    json_write_string(&out, LITERAL("["));
    json_item(&out);
    json_write_string(&out, LITERAL("{"));
    json_close(&out, ']');
    assert_buffer(&out, "[\"[\",\"{\"]");
}

#define assert_writes(text, expected)                                                                        \
    do {                                                                                                     \
        cleanup_buffer struct buffer out = {0};                                                              \
        struct slice copy = exact_copy(LITERAL(text));                                                       \
        json_write_string(&out, copy);                                                                       \
        free_copy(copy);                                                                                     \
        assert_buffer(&out, expected);                                                                       \
    } while (0)

TEST(quotes_backslashes_and_controls_are_escaped)
{
    assert_writes("", "\"\"");
    assert_writes("plain / text", "\"plain / text\"");
    assert_writes("\"\\\b\f\n\r\t", "\"\\\"\\\\\\b\\f\\n\\r\\t\"");
    assert_writes("a\0b\x01\x1f\x7f", "\"a\\u0000b\\u0001\\u001f\x7f\"");
}

TEST(utf8_is_written_as_it_is)
{
    assert_writes("\xc3\xa9\xe2\x82\xac\xf0\x9d\x84\x9e", "\"\xc3\xa9\xe2\x82\xac\xf0\x9d\x84\x9e\"");
}

TEST(bytes_that_are_no_utf8_become_replacement_characters)
{
    assert_writes("a\xff"
                  "b",
                  "\"a\xef\xbf\xbd"
                  "b\"");
    assert_writes("\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\"");
    assert_writes("\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    assert_writes("\xc3\"", "\"\xef\xbf\xbd\\\"\"");
}

TEST(an_absent_text_is_an_empty_string)
{
    cleanup_buffer struct buffer out = {0};
    json_write_string(&out, slice_of(NULL, 0));
    assert_buffer(&out, "\"\"");
}

TEST(every_byte_and_pair_of_bytes_comes_back_from_valid_json)
{
    for (int i = 0; i < 65536; i++) {
        char text[2] = {(char)(i >> 8), (char)i};
        cleanup_buffer struct buffer out = {0}, decoded = {0};
        struct json_value value;
        json_write_string(&out, slice_of(text, 2));
        assert_true(json_scan_document(buffer_slice(&out), &value, NULL, NULL));
        assert_null(json_decode_string(json_inner(&value), NUL_KEEP, &decoded));
        if (i >> 8 < 0x80 && (i & 0xFF) < 0x80)
            assert_bytes(buffer_slice(&decoded), slice_of(text, 2));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_stand_between_members_and_items_alone),
        cmocka_unit_test(a_string_that_ends_in_a_bracket_is_followed_by_a_comma),
        cmocka_unit_test(quotes_backslashes_and_controls_are_escaped),
        cmocka_unit_test(utf8_is_written_as_it_is),
        cmocka_unit_test(bytes_that_are_no_utf8_become_replacement_characters),
        cmocka_unit_test(an_absent_text_is_an_empty_string),
        cmocka_unit_test(every_byte_and_pair_of_bytes_comes_back_from_valid_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
