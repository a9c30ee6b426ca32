#include "unit.h"

#include "common/base64.h"

static void assert_pair(struct slice bytes, struct slice text)
{
    cleanup_buffer struct buffer encoded = {0}, decoded = {0};
    base64_encode(&encoded, bytes);
    assert_bytes(buffer_slice(&encoded), text);
    assert_true(base64_decode(&decoded, text));
    assert_bytes(buffer_slice(&decoded), bytes);
}

TEST(the_vectors_of_rfc_4648_hold)
{
    assert_pair(LITERAL(""), LITERAL(""));
    assert_pair(LITERAL("f"), LITERAL("Zg=="));
    assert_pair(LITERAL("fo"), LITERAL("Zm8="));
    assert_pair(LITERAL("foo"), LITERAL("Zm9v"));
    assert_pair(LITERAL("foob"), LITERAL("Zm9vYg=="));
    assert_pair(LITERAL("fooba"), LITERAL("Zm9vYmE="));
    assert_pair(LITERAL("foobar"), LITERAL("Zm9vYmFy"));
}

TEST(the_alphabet_is_the_standard_one)
{
    assert_pair(LITERAL("\xfb\xff\xbf\xff"), LITERAL("+/+//w=="));
    assert_pair(LITERAL("\0\0\0"), LITERAL("AAAA"));
    assert_pair(LITERAL("\0"), LITERAL("AA=="));
}

TEST(all_bytes_come_back_at_every_length)
{
    char bytes[256];
    for (int i = 0; i < 256; i++)
        bytes[i] = (char)(i * 37 + 11);
    for (size_t len = 0; len <= sizeof bytes; len++) {
        cleanup_buffer struct buffer encoded = {0}, decoded = {0};
        base64_encode(&encoded, slice_of(bytes, len));
        assert_int_equal(encoded.len, (len + 2) / 3 * 4);
        assert_true(base64_decode(&decoded, buffer_slice(&encoded)));
        assert_bytes(buffer_slice(&decoded), slice_of(bytes, len));
    }
}

TEST(what_is_no_base64_is_refused_and_the_buffer_stays)
{
    static const struct slice cases[] = {BYTES("Z"),
                                         BYTES("Zg"),
                                         BYTES("Zg="),
                                         BYTES("Zm9vY"),
                                         BYTES("===="),
                                         BYTES("Z==="),
                                         BYTES("Zg=g"),
                                         BYTES("=Zg="),
                                         BYTES("Zg==Zg=="),
                                         BYTES("Zm8=Zm9v"),
                                         BYTES("Zm9 "),
                                         BYTES("Zm9v\n"),
                                         BYTES("Zm9\n"),
                                         BYTES("Zm9-"),
                                         BYTES("Zm9_"),
                                         BYTES("Zm9\0"),
                                         BYTES("Zm9\x80"),
                                         BYTES("Zm9vZm9*"),
                                         BYTES("\xff\xff\xff\xff")};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cleanup_buffer struct buffer out = {0};
        buffer_append_string(&out, "before");
        if (base64_decode(&out, cases[i]))
            fail_msg("taken: %s", cases[i].data);
        assert_buffer(&out, "before");
    }
}

TEST(both_ways_append)
{
    cleanup_buffer struct buffer out = {0};
    base64_encode(&out, LITERAL("foo"));
    base64_encode(&out, LITERAL("f"));
    assert_buffer(&out, "Zm9vZg==");
    out.len = 0;
    assert_true(base64_decode(&out, LITERAL("Zm9v")));
    assert_true(base64_decode(&out, LITERAL("Zg==")));
    assert_buffer(&out, "foof");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_rfc_4648_hold),
        cmocka_unit_test(the_alphabet_is_the_standard_one),
        cmocka_unit_test(all_bytes_come_back_at_every_length),
        cmocka_unit_test(what_is_no_base64_is_refused_and_the_buffer_stays),
        cmocka_unit_test(both_ways_append),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
