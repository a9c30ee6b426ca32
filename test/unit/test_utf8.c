#include "unit.h"

#include "common/utf8.h"

/* RFC 3629's definition, written out anew: decode, then ask whether the code point may have this length. */
static size_t reference_sequence(const unsigned char *s, size_t left)
{
    static const uint32_t lowest[] = {0, 0, 0x80, 0x800, 0x10000};
    if (left == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    size_t length = s[0] >= 0xF8 ? 0 : s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : s[0] >= 0xC0 ? 2 : 0;
    if (length == 0 || left < length)
        return 0;
    uint32_t code_point = s[0] & (0xFFu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if (s[i] < 0x80 || s[i] > 0xBF)
            return 0;
        code_point = code_point << 6 | (s[i] & 0x3F);
    }
    bool is_surrogate = code_point >= 0xD800 && code_point <= 0xDFFF;
    return code_point >= lowest[length] && code_point <= 0x10FFFF && !is_surrogate ? length : 0;
}

static size_t sequence(struct slice text)
{
    struct slice copy = exact_copy(text);
    size_t length = utf8_sequence(copy.data, copy.data + copy.len);
    free_copy(copy);
    return length;
}

TEST(the_first_and_last_of_every_length_are_well_formed)
{
    assert_int_equal(sequence(LITERAL("\0")), 1);
    assert_int_equal(sequence(LITERAL("\x7f")), 1);
    assert_int_equal(sequence(LITERAL("\xc2\x80")), 2);
    assert_int_equal(sequence(LITERAL("\xdf\xbf")), 2);
    assert_int_equal(sequence(LITERAL("\xe0\xa0\x80")), 3);
    assert_int_equal(sequence(LITERAL("\xed\x9f\xbf")), 3);
    assert_int_equal(sequence(LITERAL("\xee\x80\x80")), 3);
    assert_int_equal(sequence(LITERAL("\xef\xbf\xbf")), 3);
    assert_int_equal(sequence(LITERAL("\xf0\x90\x80\x80")), 4);
    assert_int_equal(sequence(LITERAL("\xf4\x8f\xbf\xbf")), 4);
}

TEST(overlong_forms_are_refused)
{
    assert_int_equal(sequence(LITERAL("\xc0\x80")), 0);
    assert_int_equal(sequence(LITERAL("\xc1\xbf")), 0);
    assert_int_equal(sequence(LITERAL("\xe0\x80\x80")), 0);
    assert_int_equal(sequence(LITERAL("\xe0\x9f\xbf")), 0);
    assert_int_equal(sequence(LITERAL("\xf0\x80\x80\x80")), 0);
    assert_int_equal(sequence(LITERAL("\xf0\x8f\xbf\xbf")), 0);
}

TEST(surrogates_and_what_is_above_10ffff_are_refused)
{
    assert_int_equal(sequence(LITERAL("\xed\xa0\x80")), 0);
    assert_int_equal(sequence(LITERAL("\xed\xbf\xbf")), 0);
    assert_int_equal(sequence(LITERAL("\xf4\x90\x80\x80")), 0);
    assert_int_equal(sequence(LITERAL("\xf5\x80\x80\x80")), 0);
    assert_int_equal(sequence(LITERAL("\xf8\x88\x80\x80\x80")), 0);
    assert_int_equal(sequence(LITERAL("\xff")), 0);
}

TEST(a_sequence_cut_short_is_refused)
{
    assert_int_equal(sequence(LITERAL("")), 0);
    assert_int_equal(sequence(LITERAL("\xc2")), 0);
    assert_int_equal(sequence(LITERAL("\xe2\x82")), 0);
    assert_int_equal(sequence(LITERAL("\xf0\x9f\x98")), 0);
    assert_int_equal(sequence(LITERAL("\x80")), 0);
}

TEST(every_first_three_bytes_agree_with_the_definition)
{
    for (unsigned i = 0; i < 1u << 24; i++) {
        unsigned char s[4] = {(unsigned char)(i >> 16), (unsigned char)(i >> 8), (unsigned char)i, 0xBF};
        if (s[0] < 0xC0 && (i & 0xFFFF))
            continue; /* these do not look further than their first byte */
        for (size_t left = 1; left <= 4; left++)
            if (utf8_sequence((char *)s, (char *)s + left) != reference_sequence(s, left))
                fail_msg("%02x %02x %02x bf, %zu bytes of it", s[0], s[1], s[2], left);
    }
}

TEST(every_fourth_byte_agrees_with_the_definition)
{
    static const char *const starts[] = {"\xf0\x90\x80", "\xf1\x80\xbf", "\xf4\x8f\xbf"};
    for (size_t i = 0; i < 3; i++)
        for (int byte = 0; byte < 256; byte++) {
            char s[4] = {starts[i][0], starts[i][1], starts[i][2], (char)byte};
            assert_int_equal(utf8_sequence(s, s + 4), byte >= 0x80 && byte <= 0xBF ? 4 : 0);
        }
}

TEST(a_fault_is_found_at_every_place_of_a_text)
{
    /* ASCII is checked eight bytes at a time. */
    for (size_t len = 0; len < 40; len++) {
        char text[40];
        memset(text, 'x', sizeof text);
        assert_true(utf8_is_valid(text, len));
        for (size_t at = 0; at < len; at++) {
            text[at] = '\xff';
            assert_false(utf8_is_valid(text, len));
            text[at] = '\xc3';
            assert_false(utf8_is_valid(text, len));
            if (at + 1 < len) {
                text[at + 1] = '\xa9';
                assert_true(utf8_is_valid(text, len));
                text[at + 1] = 'x';
            }
            text[at] = 'x';
        }
    }
    assert_true(utf8_is_valid(NULL, 0));
}

TEST(every_character_is_encoded_as_a_well_formed_sequence)
{
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        if (c >= 0xD800 && c <= 0xDFFF)
            continue;
        char bytes[4];
        size_t length = utf8_encode(c, bytes);
        assert_int_equal(utf8_sequence(bytes, bytes + length), length);
    }
    char bytes[4];
    assert_int_equal(utf8_encode(0x20AC, bytes), 3);
    assert_memory_equal(bytes, "\xe2\x82\xac", 3);
    assert_int_equal(utf8_encode(0x1D11E, bytes), 4);
    assert_memory_equal(bytes, "\xf0\x9d\x84\x9e", 4);
}

TEST(a_prefix_does_not_cut_a_character)
{
    const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9d\x84\x9e"; /* 1, 2, 3 and 4 bytes */
    static const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10, 10};
    for (size_t limit = 0; limit < sizeof expected / sizeof *expected; limit++)
        assert_int_equal(utf8_prefix(text, 10, limit), expected[limit]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_and_last_of_every_length_are_well_formed),
        cmocka_unit_test(overlong_forms_are_refused),
        cmocka_unit_test(surrogates_and_what_is_above_10ffff_are_refused),
        cmocka_unit_test(a_sequence_cut_short_is_refused),
        cmocka_unit_test(every_first_three_bytes_agree_with_the_definition),
        cmocka_unit_test(every_fourth_byte_agrees_with_the_definition),
        cmocka_unit_test(a_fault_is_found_at_every_place_of_a_text),
        cmocka_unit_test(every_character_is_encoded_as_a_well_formed_sequence),
        cmocka_unit_test(a_prefix_does_not_cut_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
