/* Text already known to be valid JSON: escapes resolved, U+0000 by policy, white space left out. */
#include "unit.h"

#include "common/json_scan.h"

/* Decodes the string between the quotes; the result is compared by the caller. */
static const char *decode(struct slice inner, enum nul_policy policy, struct buffer *out)
{
    struct slice copy = exact_copy(inner);
    out->len = 0;
    const char *error = json_decode_string(copy, policy, out);
    free_copy(copy);
    return error;
}

#define assert_decodes(inner, expected)                                                                      \
    do {                                                                                                     \
        cleanup_buffer struct buffer out = {0};                                                              \
        assert_null(decode(LITERAL(inner), NUL_KEEP, &out));                                                 \
        assert_buffer(&out, expected);                                                                       \
    } while (0)

#define assert_refused(inner, policy)                                                                        \
    do {                                                                                                     \
        cleanup_buffer struct buffer out = {0};                                                              \
        assert_non_null(decode(LITERAL(inner), policy, &out));                                               \
    } while (0)

TEST(a_string_without_escapes_stays_as_it_is)
{
    assert_decodes("", "");
    assert_decodes("plain text", "plain text");
    assert_decodes("\xe2\x82\xac \xf0\x9d\x84\x9e", "\xe2\x82\xac \xf0\x9d\x84\x9e");
}

TEST(the_short_escapes_are_resolved)
{
    assert_decodes("\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t");
    assert_decodes("a\\nb\\\\n", "a\nb\\n");
    assert_decodes("\\\\\\\\u0041", "\\\\u0041");
}

TEST(u_escapes_become_utf8_of_every_length)
{
    assert_decodes("\\u0041", "A");
    assert_decodes("\\u007f\\u0080", "\x7f\xc2\x80");
    assert_decodes("\\u07FF\\u0800", "\xdf\xbf\xe0\xa0\x80");
    assert_decodes("\\uD7ff\\uE000", "\xed\x9f\xbf\xee\x80\x80");
    assert_decodes("\\uffff", "\xef\xbf\xbf");
    assert_decodes("x\\u20aCy", "x\xe2\x82\xacy");
}

TEST(a_surrogate_pair_is_one_character)
{
    assert_decodes("\\ud800\\udc00", "\xf0\x90\x80\x80");
    assert_decodes("\\uDBFF\\uDFFF", "\xf4\x8f\xbf\xbf");
    assert_decodes("a\\uD83D\\uDE00b", "a\xf0\x9f\x98\x80"
                                       "b");
    assert_decodes("\\ud83d\\ude00\\ud83d\\ude01", "\xf0\x9f\x98\x80\xf0\x9f\x98\x81");
}

TEST(a_lone_surrogate_is_refused)
{
    assert_refused("\\ud800", NUL_KEEP);
    assert_refused("\\udc00", NUL_KEEP);
    assert_refused("\\udfff", NUL_KEEP);
    assert_refused("\\udbff", NUL_KEEP);
    assert_refused("\\udc00\\ud800", NUL_KEEP);
    assert_refused("\\ud800\\ud800", NUL_KEEP);
    assert_refused("\\ud800\\u0041", NUL_KEEP);
    assert_refused("\\ud800\\ue000", NUL_KEEP);
    assert_refused("\\udbff\\uffff", NUL_KEEP);
    assert_refused("\\ud800\\n", NUL_KEEP);
    assert_refused("\\ud800\\\\udc00", NUL_KEEP);
    assert_refused("\\ud800udc00", NUL_KEEP);
    assert_refused("\\ud800 \\udc00", NUL_KEEP);
    assert_refused("ok \\ud83d\\ude00 \\ud83d", NUL_KEEP);
}

TEST(a_refused_string_leaves_the_buffer_as_it_was)
{
    cleanup_buffer struct buffer out = {0};
    buffer_append_string(&out, "before");
    assert_non_null(json_decode_string(LITERAL("some text \\ud800"), NUL_KEEP, &out));
    assert_buffer(&out, "before");
    assert_non_null(json_decode_string(LITERAL("some text \\u0000"), NUL_REJECT, &out));
    assert_buffer(&out, "before");
    assert_non_null(json_copy_storable(LITERAL("[\"text \\ud800\"]"), NUL_KEEP, &out));
    assert_buffer(&out, "before");
    assert_non_null(json_copy_storable(LITERAL("[\"text \\u0000\"]"), NUL_REJECT, &out));
    assert_buffer(&out, "before");
}

TEST(decoding_appends)
{
    cleanup_buffer struct buffer out = {0};
    assert_null(json_decode_string(LITERAL("a\\n"), NUL_KEEP, &out));
    assert_null(json_decode_string(LITERAL("b"), NUL_KEEP, &out));
    assert_buffer(&out, "a\nb");
}

TEST(nul_is_kept_rejected_stripped_or_replaced)
{
    cleanup_buffer struct buffer out = {0};
    struct slice inner = LITERAL("a\\u0000b\\u0000");
    assert_null(decode(inner, NUL_KEEP, &out));
    assert_buffer(&out, "a\0b\0");
    assert_non_null(decode(inner, NUL_REJECT, &out));
    assert_null(decode(inner, NUL_STRIP, &out));
    assert_buffer(&out, "ab");
    assert_null(decode(inner, NUL_REPLACE, &out));
    assert_buffer(&out, "a\xef\xbf\xbd"
                        "b\xef\xbf\xbd");
}

TEST(an_escaped_backslash_before_u0000_is_no_nul)
{
    cleanup_buffer struct buffer out = {0};
    assert_null(decode(LITERAL("\\\\u0000"), NUL_REJECT, &out));
    assert_buffer(&out, "\\u0000");
}

TEST(a_key_is_the_name_it_says_with_or_without_escapes)
{
    struct json_key plain = {BYTES("name"), false}, escaped = {BYTES("n\\u0061me"), true};
    struct json_key broken = {BYTES("\\ud800"), true};
    assert_true(json_key_is(&plain, LITERAL("name")));
    assert_false(json_key_is(&plain, LITERAL("names")));
    assert_true(json_key_is(&escaped, LITERAL("name")));
    assert_false(json_key_is(&escaped, LITERAL("n\\u0061me")));
    assert_false(json_key_is(&broken, LITERAL("")));
}

static const char *copy_storable(struct slice text, enum nul_policy policy, struct buffer *out)
{
    struct slice copy = exact_copy(text);
    out->len = 0;
    const char *error = json_copy_storable(copy, policy, out);
    free_copy(copy);
    return error;
}

TEST(storable_text_is_copied_byte_for_byte)
{
    struct slice text =
        LITERAL("{ \"a\\u0041\\n\" : [1.50, \"\\ud83d\\ude00\\\\\", \"\\\\u0000\", \"\xe2\x82\xac\"]}");
    const enum nul_policy policies[] = {NUL_KEEP, NUL_REJECT, NUL_STRIP, NUL_REPLACE};
    for (size_t i = 0; i < 4; i++) {
        cleanup_buffer struct buffer out = {0};
        assert_null(copy_storable(text, policies[i], &out));
        assert_bytes(buffer_slice(&out), text);
    }
}

TEST(nul_in_text_to_be_stored_follows_the_policy)
{
    struct slice text = LITERAL("{\"a\\u0000\":\"\\u0000b\\u0000\"}");
    cleanup_buffer struct buffer out = {0};
    assert_null(copy_storable(text, NUL_KEEP, &out));
    assert_bytes(buffer_slice(&out), text);
    assert_non_null(copy_storable(text, NUL_REJECT, &out));
    assert_null(copy_storable(text, NUL_STRIP, &out));
    assert_buffer(&out, "{\"a\":\"b\"}");
    assert_null(copy_storable(text, NUL_REPLACE, &out));
    assert_buffer(&out, "{\"a\\ufffd\":\"\\ufffdb\\ufffd\"}");
}

TEST(a_lone_surrogate_cannot_be_stored)
{
    cleanup_buffer struct buffer out = {0};
    assert_non_null(copy_storable(LITERAL("[\"\\ud800\"]"), NUL_KEEP, &out));
    assert_non_null(copy_storable(LITERAL("{\"\\udc00\":1}"), NUL_STRIP, &out));
    assert_non_null(copy_storable(LITERAL("[\"\\ud800\\ud800\"]"), NUL_REPLACE, &out));
    assert_non_null(copy_storable(LITERAL("\"\\ud800\""), NUL_KEEP, &out));
}

#define assert_compacts(text, expected)                                                                      \
    do {                                                                                                     \
        cleanup_buffer struct buffer out = {0};                                                              \
        struct slice copy = exact_copy(LITERAL(text));                                                       \
        json_compact(copy, &out);                                                                            \
        free_copy(copy);                                                                                     \
        assert_buffer(&out, expected);                                                                       \
    } while (0)

TEST(compacting_leaves_out_the_space_between_tokens)
{
    assert_compacts("{ \"a\" :\t[ 1 ,\r\n2 ] , \"b\" : { } }\n", "{\"a\":[1,2],\"b\":{}}");
    assert_compacts("  true ", "true");
    assert_compacts("[ ]", "[]");
    assert_compacts("-1.50E+3", "-1.50E+3");
}

TEST(compacting_leaves_strings_alone)
{
    assert_compacts("{\"a b\" : \" c\\\" d \"}", "{\"a b\":\" c\\\" d \"}");
    assert_compacts("[ \"ends in a backslash \\\\\" , \" x \" ]", "[\"ends in a backslash \\\\\",\" x \"]");
    assert_compacts("[\"\\\\\\\"  \" , 1]", "[\"\\\\\\\"  \",1]");
    assert_compacts("[\"\" , \" \"]", "[\"\",\" \"]");
    assert_compacts("[\"\\\"\\\" \\\" \" ]", "[\"\\\"\\\" \\\" \"]");
    assert_compacts("\"\\u0020  \"", "\"\\u0020  \"");
}

TEST(compacting_changes_neither_numbers_nor_escapes_nor_order)
{
    assert_compacts("{\"b\":1.000,\"a\":1e5,\"b\":\"\\u00e9\\/\"}",
                    "{\"b\":1.000,\"a\":1e5,\"b\":\"\\u00e9\\/\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_string_without_escapes_stays_as_it_is),
        cmocka_unit_test(the_short_escapes_are_resolved),
        cmocka_unit_test(u_escapes_become_utf8_of_every_length),
        cmocka_unit_test(a_surrogate_pair_is_one_character),
        cmocka_unit_test(a_lone_surrogate_is_refused),
        cmocka_unit_test(a_refused_string_leaves_the_buffer_as_it_was),
        cmocka_unit_test(decoding_appends),
        cmocka_unit_test(nul_is_kept_rejected_stripped_or_replaced),
        cmocka_unit_test(an_escaped_backslash_before_u0000_is_no_nul),
        cmocka_unit_test(a_key_is_the_name_it_says_with_or_without_escapes),
        cmocka_unit_test(storable_text_is_copied_byte_for_byte),
        cmocka_unit_test(nul_in_text_to_be_stored_follows_the_policy),
        cmocka_unit_test(a_lone_surrogate_cannot_be_stored),
        cmocka_unit_test(compacting_leaves_out_the_space_between_tokens),
        cmocka_unit_test(compacting_leaves_strings_alone),
        cmocka_unit_test(compacting_changes_neither_numbers_nor_escapes_nor_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
