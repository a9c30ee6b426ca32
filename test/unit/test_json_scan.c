/* The grammar of RFC 8259, after the cases of JSONTestSuite (Nicolas Seriot, "Parsing JSON is a Minefield"),
 * and visiting objects and arrays. */
#include "unit.h"

#include "common/json_scan.h"

#include <stdio.h>

static const struct slice valid_documents[] = {
    /* scalars at the top */
    BYTES("null"),
    BYTES("true"),
    BYTES("false"),
    BYTES("0"),
    BYTES("-0"),
    BYTES("42"),
    BYTES("-1"),
    BYTES("\"\""),
    BYTES("\"asd\""),
    /* white space: these four and no other */
    BYTES(" 1"),
    BYTES("1 "),
    BYTES("\t\r\n [ \t\r\n1 \t\r\n, \t\r\n2 ] \t\r\n"),
    BYTES(" { \"a\" : 1 , \"b\" : 2 } "),
    /* numbers */
    BYTES("[123e65]"),
    BYTES("[0e+1]"),
    BYTES("[0e1]"),
    BYTES("[-0]"),
    BYTES("[-0.0]"),
    BYTES("[20e1]"),
    BYTES("[1E22]"),
    BYTES("[1E-2]"),
    BYTES("[1E+2]"),
    BYTES("[123e45]"),
    BYTES("[123.456e78]"),
    BYTES("[123.456789]"),
    BYTES("[1e-2]"),
    BYTES("[-123]"),
    BYTES("[0.000000000000000000000000000000000000000000000000000000000000000000000000000001]"),
    BYTES("[1e99999]"),
    BYTES("[-1e-99999]"),
    BYTES("[123456789012345678901234567890123456789012345678901234567890]"),
    /* arrays */
    BYTES("[]"),
    BYTES("[[]]"),
    BYTES("[[]   ]"),
    BYTES("[\"\"]"),
    BYTES("[1,null,null,null,2]"),
    BYTES("[null, 1, \"1\", {}]"),
    BYTES("[ 1]"),
    BYTES("[2] "),
    BYTES("[[[[]]],[],{}]"),
    /* objects */
    BYTES("{}"),
    BYTES("{\"\":0}"),
    BYTES("{\"a\":\"b\",\"c\":\"d\"}"),
    BYTES("{\"a\":\"b\",\"a\":\"c\"}"),
    BYTES("{\"a\":\"b\",\"a\":\"b\"}"),
    BYTES("{\"foo\\u0000bar\":42}"),
    BYTES("{\"a\":{\"b\":{\"c\":[{\"d\":{}}]}}}"),
    BYTES("{\"min\":-1.0e+28,\"max\":1.0e+28}"),
    BYTES("{\n\"a\": \"b\"\n}"),
    /* strings: escapes */
    BYTES("[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]"),
    BYTES("[\"\\u0060\\u012a\\u12AB\"]"),
    BYTES("[\"\\u0000\"]"),
    BYTES("[\"\\u0022\\u005C\"]"),
    BYTES("[\"\\\\u0000\"]"),
    BYTES("[\"\\\\a\"]"),
    BYTES("[\"\\\\n\"]"),
    BYTES("[\"\\uD801\\udc37\"]"),
    BYTES("[\"\\ud83d\\ude39\\ud83d\\udc8d\"]"),
    BYTES("[\"\\uDBFF\\uDFFF\"]"),
    BYTES("[\"new\\u00A0line\"]"),
    /* the grammar takes half a pair; what stores it does not */
    BYTES("[\"\\ud800\"]"),
    BYTES("[\"\\udfff\\ud800\"]"),
    BYTES("[\"\\ud800\\n\"]"),
    /* strings: plain */
    BYTES("[\"a/*b*/c/*d//e\"]"),
    BYTES("[\"\x7f\"]"),
    BYTES("[\"a\x7f"
          "a\"]"),
    BYTES("[\"\xc2\x80\"]"),
    BYTES("[\"\xe2\x80\xa8\xe2\x80\xa9\"]"),
    BYTES("[\"\xef\xbf\xbe\xef\xbf\xbf\"]"),
    BYTES("[\"\xf4\x8f\xbf\xbf\"]"),
    BYTES("[\"\xed\x9f\xbf\xee\x80\x80\"]"),
    BYTES("[\"\xe0\xa0\x80\xf0\x90\x80\x80\"]"),
    BYTES("[\"\xef\xbb\xbfmark inside\"]"),
    BYTES("[\"\xe3\x82\xaf\xe3\x83\xaa\xe3\x82\xb9\"]"),
    BYTES("{\"\xe2\x82\xac\":\"\xf0\x9d\x84\x9e\"}"),
};

static const struct slice invalid_documents[] = {
    /* nothing, or nothing but space */
    BYTES(""),
    BYTES(" "),
    BYTES("\n"),
    /* literals */
    BYTES("nul"),
    BYTES("nulll"),
    BYTES("[nul]"),
    BYTES("tru"),
    BYTES("[tru]"),
    BYTES("truee"),
    BYTES("TRUE"),
    BYTES("[True]"),
    BYTES("fals"),
    BYTES("[fals]"),
    BYTES("[NaN]"),
    BYTES("[nan]"),
    BYTES("[Infinity]"),
    BYTES("[-Infinity]"),
    BYTES("[Inf]"),
    BYTES("undefined"),
    BYTES("[a]"),
    BYTES("*"),
    BYTES("<null>"),
    BYTES("asd"),
    /* numbers */
    BYTES("-"),
    BYTES("+1"),
    BYTES("[+1]"),
    BYTES("[+Inf]"),
    BYTES("[-]"),
    BYTES("[--2.]"),
    BYTES("[- 1]"),
    BYTES("[-foo]"),
    BYTES("[-01]"),
    BYTES("[-012]"),
    BYTES("[012]"),
    BYTES("[00]"),
    BYTES("[-00]"),
    BYTES("[0_1]"),
    BYTES("[1_000]"),
    BYTES("[1 000.0]"),
    BYTES("[++1234]"),
    BYTES("[.123]"),
    BYTES("[-.123]"),
    BYTES("[.-1]"),
    BYTES("[.2e-3]"),
    BYTES("[1.]"),
    BYTES("1."),
    BYTES("[2.e3]"),
    BYTES("[2.e+3]"),
    BYTES("[2.e-3]"),
    BYTES("[0.e1]"),
    BYTES("[0.3e]"),
    BYTES("[0.3e+]"),
    BYTES("[0e]"),
    BYTES("[0e+]"),
    BYTES("[0E]"),
    BYTES("[0E+]"),
    BYTES("[1e]"),
    BYTES("1e"),
    BYTES("1e-"),
    BYTES("[1.0e]"),
    BYTES("[1.0e+]"),
    BYTES("[1.0e-]"),
    BYTES("[1eE2]"),
    BYTES("[1ee2]"),
    BYTES("[9.e+]"),
    BYTES("[0.1.2]"),
    BYTES("[-1.0.]"),
    BYTES("[1+2]"),
    BYTES("[1-2]"),
    BYTES("[0x1]"),
    BYTES("[0x42]"),
    BYTES("[1a]"),
    BYTES("[-1x]"),
    BYTES("[1.2a-3]"),
    BYTES("[1.8011670033376514H-308]"),
    BYTES("[1,5.]"),
    BYTES("[\xef\xbc\x91]"),
    BYTES("[123\xc3\xa5]"),
    BYTES("1\0"),
    /* arrays */
    BYTES("["),
    BYTES("]"),
    BYTES("[]]"),
    BYTES("[[]"),
    BYTES("[1"),
    BYTES("[1,"),
    BYTES("[1,]"),
    BYTES("[1,,]"),
    BYTES("[1,,2]"),
    BYTES("[,]"),
    BYTES("[,1]"),
    BYTES("[,"),
    BYTES("[\"\",]"),
    BYTES("[1 2]"),
    BYTES("[1 true]"),
    BYTES("[\"a\" \"b\"]"),
    BYTES("[\"a\"\"b\"]"),
    BYTES("[3[4]]"),
    BYTES("[{}{}]"),
    BYTES("[[] []]"),
    BYTES("[1:2]"),
    BYTES("[\"a\":1]"),
    BYTES("[:]"),
    BYTES("[1}"),
    BYTES("[1]x"),
    BYTES("[1]]"),
    BYTES("[1],"),
    BYTES("[1][2]"),
    BYTES("[*]"),
    BYTES("[   , \"\"]"),
    BYTES("[\"\"],"),
    BYTES("[1\n,1\n,1"),
    BYTES("[\"\": 1]"),
    BYTES("['single']"),
    BYTES("[(1)]"),
    /* objects */
    BYTES("{"),
    BYTES("}"),
    BYTES("{}}"),
    BYTES("{]"),
    BYTES("[}"),
    BYTES("{[]"),
    BYTES("{\"a\"}"),
    BYTES("{\"a\""),
    BYTES("{\"a\":"),
    BYTES("{\"a\":}"),
    BYTES("{\"a\" b}"),
    BYTES("{\"a\",1}"),
    BYTES("{\"a\" 1}"),
    BYTES("{\"a\"::1}"),
    BYTES("{\"a\":1"),
    BYTES("{\"a\":1,"),
    BYTES("{\"a\":1,}"),
    BYTES("{\"a\":1,,}"),
    BYTES("{\"a\":1,,\"b\":2}"),
    BYTES("{,}"),
    BYTES("{,\"a\":1}"),
    BYTES("{\"a\":1 \"b\":2}"),
    BYTES("{\"a\":1;\"b\":2}"),
    BYTES("{\"a\":1]"),
    BYTES("{\"a\":[1}"),
    BYTES("{\"a\":1 2}"),
    BYTES("{\"a\":\"b\"}/**/"),
    BYTES("{\"a\":\"b\"}//"),
    BYTES("{\"a\":/*comment*/\"b\"}"),
    BYTES("# comment\n{}"),
    BYTES("{a:1}"),
    BYTES("{'a':1}"),
    BYTES("{1:1}"),
    BYTES("{null:1}"),
    BYTES("{true:1}"),
    BYTES("{[1]:1}"),
    BYTES("{{}:1}"),
    BYTES("{\"a\":1}{\"b\":2}"),
    BYTES("{\"a\":1} x"),
    BYTES("{\"a\":1}\"b\""),
    BYTES("{:\"b\"}"),
    BYTES("{\"x\", null}"),
    BYTES("{\"x\"::\"b\"}"),
    BYTES("{\"id\":0,,,,,}"),
    BYTES("{\"a\":\"a\" 123}"),
    BYTES("{\"a\":\"a"),
    BYTES("{\"a"),
    BYTES("{9999E9999:1}"),
    /* strings */
    BYTES("\""),
    BYTES("\"a"),
    BYTES("'a'"),
    BYTES("\"\\"),
    BYTES("\"\\\""),
    BYTES("[\"\\\"]"),
    BYTES("[\"\\a\"]"),
    BYTES("[\"\\x00\"]"),
    BYTES("[\"\\'\"]"),
    BYTES("[\"\\0\"]"),
    BYTES("[\"\\ \"]"),
    BYTES("[\"\\\t\"]"),
    BYTES("[\"\\B\"]"),
    BYTES("[\"\\U0041\"]"),
    BYTES("[\"\\\xf0\x9f\x8c\x80\"]"),
    BYTES("[\"\\\xe5\"]"),
    BYTES("[\"\\u\"]"),
    BYTES("[\"\\u0\"]"),
    BYTES("[\"\\u00\"]"),
    BYTES("[\"\\u00A\"]"),
    BYTES("[\"\\u00G0\"]"),
    BYTES("[\"\\u 041\"]"),
    BYTES("[\"\\u-041\"]"),
    BYTES("[\"\\uD834\\uDd\"]"),
    BYTES("[\"\\uD800\\u\"]"),
    BYTES("[\"\\uD800\\u1x\"]"),
    BYTES("[\"\\uD800\\\"]"),
    BYTES("[\\n]"),
    BYTES("[\\u0020\"asd\"]"),
    BYTES("[\"new\nline\"]"),
    BYTES("[\"\t\"]"),
    BYTES("[\"a\0b\"]"),
    BYTES("[\"\x1f\"]"),
    BYTES("\"\"x"),
    BYTES("abc\""),
    BYTES("[\xe2\x80\x9cquoted\xe2\x80\x9d]"),
    /* space and marks that are none of JSON's */
    BYTES("[\f]"),
    BYTES("\v1"),
    BYTES("[1\xc2\xa0]"),
    BYTES("[\xe2\x81\xa0]"),
    BYTES("\xef\xbb\xbf"),
    BYTES("\xef\xbb\xbf{}"),
    BYTES("\0"),
    BYTES("[1]\0"),
    BYTES("[\0"
          "1]"),
    /* UTF-8 faults inside strings, and bytes outside of them */
    BYTES("\xe5"),
    BYTES("[\xff]"),
    BYTES("[\"\xff\"]"),
    BYTES("[\"\x80\"]"),
    BYTES("[\"\xc0\xaf\"]"),
    BYTES("[\"\xc1\xbf\"]"),
    BYTES("[\"\xc3\"]"),
    BYTES("[\"\xc3\x28\"]"),
    BYTES("[\"\xe0\x80\xaf\"]"),
    BYTES("[\"\xe0\x9f\xbf\"]"),
    BYTES("[\"\xe2\x82\"]"),
    BYTES("[\"\xed\xa0\x80\"]"),
    BYTES("[\"\xed\xbf\xbf\"]"),
    BYTES("[\"\xf0\x80\x80\xaf\"]"),
    BYTES("[\"\xf0\x8f\xbf\xbf\"]"),
    BYTES("[\"\xf0\x9f\x98\"]"),
    BYTES("[\"\xf4\x90\x80\x80\"]"),
    BYTES("[\"\xf5\x80\x80\x80\"]"),
    BYTES("[\"\xfc\x80\x80\x80\x80\x80\"]"),
    BYTES("[\"\xfe\"]"),
    BYTES("{\"\xb9\":\"0\",}"),
    BYTES("{\"\xff\":1}"),
    /* the other encodings of Unicode */
    BYTES("[\0\"\0\xe9\0\"\0]\0"),
    BYTES("\xff\xfe[\0]\0"),
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool is_valid(struct slice text)
{
    struct slice copy = exact_copy(text);
    struct json_value value;
    const char *error = NULL;
    size_t offset = SIZE_MAX;
    bool valid = json_scan_document(copy, &value, &error, &offset);
    if (!valid) {
        assert_non_null(error);
        assert_true(offset <= text.len);
    }
    free_copy(copy);
    return valid;
}

static struct json_value scan(struct slice text)
{
    struct json_value value;
    if (!json_scan_document(text, &value, NULL, NULL))
        fail_msg("refused: %.*s", (int)text.len, text.data);
    return value;
}

static void assert_fault(const char *text, const char *expected, size_t expected_offset)
{
    struct json_value value;
    const char *error;
    size_t offset;
    assert_false(json_scan_document(slice_of_string(text), &value, &error, &offset));
    assert_string_equal(error, expected);
    assert_int_equal(offset, expected_offset);
}

TEST(every_valid_document_is_taken)
{
    for (size_t i = 0; i < COUNT(valid_documents); i++)
        if (!is_valid(valid_documents[i]))
            fail_msg("refused: %.*s", (int)valid_documents[i].len, valid_documents[i].data);
}

TEST(every_invalid_document_is_refused)
{
    for (size_t i = 0; i < COUNT(invalid_documents); i++)
        if (is_valid(invalid_documents[i]))
            fail_msg("taken: %.*s", (int)invalid_documents[i].len, invalid_documents[i].data);
}

/* Documents are wrapped in an array so that one without an end can be told from a shorter one. */
TEST(a_document_cut_anywhere_is_refused)
{
    for (size_t i = 0; i < COUNT(valid_documents); i++) {
        cleanup_buffer struct buffer text = {0};
        buffer_append_char(&text, '[');
        buffer_append_slice(&text, valid_documents[i]);
        buffer_append_char(&text, ']');
        assert_true(is_valid(buffer_slice(&text)));
        for (size_t len = 0; len < text.len; len++)
            assert_false(is_valid(slice_of(text.data, len)));
    }
}

/* The scanner takes strings in steps of sixteen bytes: what is special must be seen at every place. */
TEST(a_special_byte_is_seen_at_every_place_of_a_string)
{
    for (size_t len = 1; len < 50; len++)
        for (size_t at = 0; at < len; at++) {
            char text[64];
            memset(text, 'x', sizeof text);
            text[0] = text[len + 1] = '"';
            assert_true(is_valid(slice_of(text, len + 2)));
            for (int byte = 0; byte < 256; byte++) {
                bool is_plain = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
                if (is_plain && byte != 0x7F && byte != ' ')
                    continue;
                text[at + 1] = (char)byte;
                assert_int_equal(is_valid(slice_of(text, len + 2)), is_plain);
            }
        }
}

TEST(exactly_eight_letters_and_u_may_follow_a_backslash)
{
    for (int byte = 0; byte < 256; byte++) {
        char text[] = "\"\\?\"";
        text[2] = (char)byte;
        bool allowed = byte != 0 && strchr("\"\\/bfnrt", byte) != NULL;
        assert_int_equal(is_valid(slice_of(text, 4)), allowed);
    }
    for (int place = 3; place < 7; place++)
        for (int byte = 0; byte < 256; byte++) {
            char text[] = "\"\\u0000\"";
            text[place] = (char)byte;
            bool allowed = byte != 0 && strchr("0123456789abcdefABCDEF", byte) != NULL;
            assert_int_equal(is_valid(slice_of(text, 8)), allowed);
        }
}

TEST(exactly_four_bytes_are_white_space)
{
    for (int byte = 0; byte < 256; byte++) {
        char text[] = "[?1]";
        text[1] = (char)byte;
        bool allowed = byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r' || byte == '-' ||
                       (byte >= '1' && byte <= '9');
        assert_int_equal(is_valid(slice_of(text, 4)), allowed);
    }
}

static struct slice nested(struct buffer *out, const char *open, const char *close, size_t levels,
                           const char *inside)
{
    out->len = 0;
    for (size_t i = 0; i < levels; i++)
        buffer_append_string(out, open);
    buffer_append_string(out, inside);
    for (size_t i = 0; i < levels; i++)
        buffer_append_string(out, close);
    return buffer_slice(out);
}

TEST(nesting_of_512_is_taken_and_of_513_refused)
{
    cleanup_buffer struct buffer text = {0};
    assert_true(is_valid(nested(&text, "[", "]", 512, "1")));
    assert_false(is_valid(nested(&text, "[", "]", 513, "1")));
    assert_true(is_valid(nested(&text, "{\"a\":", "}", 512, "1")));
    assert_false(is_valid(nested(&text, "{\"a\":", "}", 513, "1")));
    assert_true(is_valid(nested(&text, "[{\"a\":", "}]", 256, "1")));
    assert_true(is_valid(nested(&text, "[{\"a\":", "}]", 255, "[[]]")));
    assert_false(is_valid(nested(&text, "[{\"a\":", "}]", 256, "[]")));
    assert_false(is_valid(nested(&text, "[{\"a\":", "}]", 256, "{}")));
    assert_false(is_valid(nested(&text, "[", "", 200000, "")));
}

TEST(nesting_is_counted_by_level_not_by_bracket)
{
    cleanup_buffer struct buffer text = {0};
    buffer_append_char(&text, '[');
    for (int i = 0; i < 2000; i++)
        buffer_append_string(&text, "[{}],");
    buffer_append_string(&text, "[]]");
    assert_true(is_valid(buffer_slice(&text)));
}

TEST(too_deep_is_told_with_the_place_of_the_bracket)
{
    cleanup_buffer struct buffer text = {0};
    nested(&text, "[", "]", 600, "");
    buffer_append_char(&text, '\0');
    assert_fault(text.data, "nested too deeply", 512);
}

TEST(brackets_close_what_was_opened_at_every_depth)
{
    for (size_t levels = 1; levels <= 512; levels++) {
        cleanup_buffer struct buffer text = {0};
        /* Levels alternate unevenly, so that a slip by one in the record of them shows. */
        for (size_t i = 0; i < levels; i++)
            buffer_append_string(&text, i % 3 ? "[" : "{\"a\":");
        buffer_append_char(&text, '1');
        for (size_t i = levels; i-- > 0;)
            buffer_append_char(&text, i % 3 ? ']' : '}');
        assert_true(is_valid(buffer_slice(&text)));
        char *last_inner = text.data + text.len - 1 - (levels - 1) / 2;
        *last_inner = *last_inner == ']' ? '}' : ']';
        assert_false(is_valid(buffer_slice(&text)));
    }
}

TEST(a_fault_is_told_with_its_kind_and_place)
{
    assert_fault("", "unexpected end", 0);
    assert_fault("  ", "unexpected end", 2);
    assert_fault("{\"a\":1", "unexpected end", 6);
    assert_fault("{\"a\"", "unexpected end", 4);
    assert_fault("[1,", "unexpected end", 3);
    assert_fault("[1 2]", "expected a comma or a closing bracket", 3);
    assert_fault("{\"a\":1]", "expected a comma or a closing bracket", 6);
    assert_fault("{\"a\" 1}", "expected a colon", 5);
    assert_fault("{a:1}", "expected a member's name in quotes", 1);
    assert_fault("{\"a\":1,}", "expected a member's name in quotes", 7);
    assert_fault("[1,]", "unexpected character", 3);
    assert_fault("nul", "unexpected character", 0);
    assert_fault("{} {}", "something follows the value", 3);
    assert_fault("\"abc", "string without an end", 4);
    assert_fault("\"ab\\", "string without an end", 3);
    assert_fault("\"a\nb\"", "control character in a string", 2);
    assert_fault("\"a\\qb\"", "unknown escape in a string", 2);
    assert_fault("\"a\\u12\"", "\\u without four hexadecimal digits", 2);
    assert_fault("\"a\xff\"", "not UTF-8", 2);
    assert_fault("-", "number without digits", 1);
    assert_fault("1.x", "number without digits behind the point", 2);
    assert_fault("1e+x", "number without digits in its exponent", 3);
}

TEST(a_fault_need_not_be_asked_for)
{
    struct json_value value;
    assert_false(json_scan_document(LITERAL("{"), &value, NULL, NULL));
    assert_false(json_scan_document(slice_of(NULL, 0), &value, NULL, NULL));
}

TEST(a_value_is_an_exact_slice_without_the_space_around_it)
{
    static const struct {
        struct slice text, value;
        enum json_type type;
    } cases[] = {
        {BYTES("  null "), BYTES("null"), JSON_NULL},
        {BYTES("true"), BYTES("true"), JSON_TRUE},
        {BYTES("\tfalse\n"), BYTES("false"), JSON_FALSE},
        {BYTES(" -1.50e+03 "), BYTES("-1.50e+03"), JSON_NUMBER},
        {BYTES(" \"a b\" "), BYTES("\"a b\""), JSON_STRING},
        {BYTES("\r\n{ \"a\" : [ 1 ] } \n"), BYTES("{ \"a\" : [ 1 ] }"), JSON_OBJECT},
        {BYTES(" [ ] "), BYTES("[ ]"), JSON_ARRAY},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct json_value value = scan(cases[i].text);
        assert_int_equal(value.type, cases[i].type);
        assert_bytes(value.text, cases[i].value);
        assert_true(value.text.data >= cases[i].text.data);
    }
}

TEST(escaped_is_set_by_a_backslash_in_it_or_below_it)
{
    assert_false(scan(LITERAL("\"plain\"")).escaped);
    assert_true(scan(LITERAL("\"a\\n\"")).escaped);
    assert_true(scan(LITERAL("[[\"a\\u0041\"]]")).escaped);
    assert_true(scan(LITERAL("{\"\\u0061\":1}")).escaped);
    assert_false(scan(LITERAL("{\"a\":\"b/c\"}")).escaped);
    assert_false(scan(LITERAL("12")).escaped);
}

TEST(spaced_is_set_by_white_space_between_tokens_alone)
{
    assert_false(scan(LITERAL("  {\"a\":[1,2]}  ")).spaced);
    assert_false(scan(LITERAL("{\"a b\":\"c d\"}")).spaced);
    assert_true(scan(LITERAL("{ \"a\":1}")).spaced);
    assert_true(scan(LITERAL("{\"a\" :1}")).spaced);
    assert_true(scan(LITERAL("{\"a\": 1}")).spaced);
    assert_true(scan(LITERAL("{\"a\":1 }")).spaced);
    assert_true(scan(LITERAL("[1,\t2]")).spaced);
    assert_true(scan(LITERAL("[1\n,2]")).spaced);
    assert_true(scan(LITERAL("[\r]")).spaced);
    assert_true(scan(LITERAL("{ }")).spaced);
    assert_false(scan(LITERAL(" 12 ")).spaced);
}

TEST(an_object_is_visited_member_by_member_in_its_order)
{
    struct slice text = LITERAL(" { \"a\" : 1 , \"b\\n\":{\"x\": [\"\\t\"]},\"\":\"s\" , \"a\":null } ");
    struct json_scanner s;
    struct json_key key;
    struct json_value value;
    json_scanner_init(&s, text.data, text.len);
    assert_true(json_enter_object(&s));

    assert_true(json_next_key(&s, &key));
    assert_text(key.text, "a");
    assert_false(key.escaped);
    assert_int_equal(json_peek_type(&s), JSON_NUMBER);
    assert_true(json_scan_value(&s, &value));
    assert_text(value.text, "1");
    assert_false(value.escaped || value.spaced);

    assert_true(json_next_key(&s, &key));
    assert_text(key.text, "b\\n");
    assert_true(key.escaped);
    assert_true(json_scan_value(&s, &value));
    assert_text(value.text, "{\"x\": [\"\\t\"]}");
    assert_true(value.escaped && value.spaced);

    assert_true(json_next_key(&s, &key));
    assert_text(key.text, "");
    assert_false(key.escaped);
    assert_true(json_scan_value(&s, &value));
    assert_text(json_inner(&value), "s");
    assert_false(value.escaped || value.spaced);

    assert_true(json_next_key(&s, &key));
    assert_text(key.text, "a");
    assert_true(json_scan_value(&s, &value));
    assert_int_equal(value.type, JSON_NULL);

    assert_false(json_next_key(&s, &key));
    assert_null(s.error);
    assert_int_equal(s.depth, 0);
    assert_true(json_at_end(&s));
    assert_true(s.escaped && s.spaced);
}

TEST(an_array_is_visited_item_by_item)
{
    struct slice text = LITERAL("[1, [2,[]], {\"a\":[3]} ,\"x\"]");
    const char *const expected[] = {"1", "[2,[]]", "{\"a\":[3]}", "\"x\""};
    struct json_scanner s;
    struct json_value value;
    size_t count = 0;
    json_scanner_init(&s, text.data, text.len);
    assert_true(json_enter_array(&s));
    while (json_next_item(&s)) {
        assert_true(json_scan_value(&s, &value));
        assert_true(slice_is(value.text, expected[count++]));
    }
    assert_int_equal(count, 4);
    assert_true(json_at_end(&s));
}

TEST(empty_containers_have_nothing_to_visit)
{
    struct json_scanner s;
    struct json_key key;
    json_scanner_init(&s, " { } ", 5);
    assert_true(json_enter_object(&s));
    assert_false(json_next_key(&s, &key));
    assert_true(json_at_end(&s));
    json_scanner_init(&s, "[]", 2);
    assert_true(json_enter_array(&s));
    assert_false(json_next_item(&s));
    assert_true(json_at_end(&s));
}

TEST(containers_can_be_visited_within_each_other)
{
    struct slice text = LITERAL("{\"a\":[[],[1,{}]],\"b\":{},\"c\":2}");
    struct json_scanner s;
    struct json_key key;
    struct json_value value;
    json_scanner_init(&s, text.data, text.len);
    assert_true(json_enter_object(&s));
    assert_true(json_next_key(&s, &key));
    assert_true(json_enter_array(&s));
    assert_true(json_next_item(&s));
    assert_true(json_enter_array(&s));
    assert_false(json_next_item(&s)); /* of the first [] */
    assert_true(json_next_item(&s));
    assert_true(json_scan_value(&s, &value));
    assert_text(value.text, "[1,{}]");
    assert_false(json_next_item(&s));
    assert_true(json_next_key(&s, &key));
    assert_text(key.text, "b");
    assert_true(json_enter_object(&s));
    assert_false(json_next_key(&s, &key));
    assert_true(json_next_key(&s, &key));
    assert_text(key.text, "c");
    assert_true(json_scan_value(&s, &value));
    assert_false(json_next_key(&s, &key));
    assert_true(json_at_end(&s));
}

/* Visits everything by entering it; true if all is well. */
static bool visit(struct json_scanner *s)
{
    struct json_key key;
    struct json_value value;
    switch (json_peek_type(s)) {
    case JSON_OBJECT:
        if (!json_enter_object(s))
            return false;
        while (json_next_key(s, &key))
            if (!visit(s))
                return false;
        return !s->error;
    case JSON_ARRAY:
        if (!json_enter_array(s))
            return false;
        while (json_next_item(s))
            if (!visit(s))
                return false;
        return !s->error;
    default:
        return json_scan_value(s, &value);
    }
}

static bool is_valid_by_visit(struct slice text)
{
    struct slice copy = exact_copy(text);
    struct json_scanner s;
    json_scanner_init(&s, copy.data, copy.len);
    bool valid = visit(&s) && json_at_end(&s);
    free_copy(copy);
    return valid;
}

TEST(visiting_and_scanning_agree_on_every_document)
{
    for (size_t i = 0; i < COUNT(valid_documents); i++)
        if (!is_valid_by_visit(valid_documents[i]))
            fail_msg("refused: %.*s", (int)valid_documents[i].len, valid_documents[i].data);
    for (size_t i = 0; i < COUNT(invalid_documents); i++)
        if (is_valid_by_visit(invalid_documents[i]))
            fail_msg("taken: %.*s", (int)invalid_documents[i].len, invalid_documents[i].data);
}

TEST(visiting_has_the_same_depth_limit)
{
    cleanup_buffer struct buffer text = {0};
    assert_true(is_valid_by_visit(nested(&text, "[", "]", 512, "")));
    assert_false(is_valid_by_visit(nested(&text, "[", "]", 513, "")));
    assert_true(is_valid_by_visit(nested(&text, "{\"\":", "}", 512, "0")));
    assert_false(is_valid_by_visit(nested(&text, "{\"\":", "}", 513, "0")));
}

TEST(a_value_scanned_inside_an_entered_container_counts_from_there)
{
    cleanup_buffer struct buffer text = {0};
    struct json_value value;
    for (size_t levels = 512; levels <= 513; levels++) {
        struct json_scanner s;
        nested(&text, "[", "]", levels, "");
        json_scanner_init(&s, text.data, text.len);
        assert_true(json_enter_array(&s));
        assert_true(json_next_item(&s));
        assert_int_equal(json_scan_value(&s, &value), levels == 512);
    }
}

TEST(entering_another_kind_of_value_is_a_fault)
{
    struct json_scanner s;
    json_scanner_init(&s, "[1]", 3);
    assert_false(json_enter_object(&s));
    assert_string_equal(s.error, "unexpected kind of value");
    json_scanner_init(&s, "", 0);
    assert_false(json_enter_array(&s));
    assert_string_equal(s.error, "unexpected end");
}

TEST(after_a_fault_every_call_returns_false_and_the_first_fault_stays)
{
    struct json_scanner s;
    struct json_key key;
    struct json_value value;
    json_scanner_init(&s, "{\"a\":tru,\"b\":1}", 15);
    assert_true(json_enter_object(&s));
    assert_true(json_next_key(&s, &key));
    assert_false(json_scan_value(&s, &value));
    const char *error = s.error, *error_at = s.error_at;
    assert_false(json_scan_value(&s, &value));
    assert_false(json_next_key(&s, &key));
    assert_false(json_next_item(&s));
    assert_false(json_enter_object(&s));
    assert_false(json_enter_array(&s));
    assert_false(json_at_end(&s));
    assert_int_equal(json_peek_type(&s), JSON_ABSENT);
    assert_ptr_equal(s.error, error);
    assert_ptr_equal(s.error_at, error_at);
    assert_int_equal(error_at - s.start, 5);
}

TEST(text_behind_the_value_is_a_fault_only_at_the_end)
{
    struct json_scanner s;
    struct json_value value;
    json_scanner_init(&s, "{} {}", 5);
    assert_true(json_scan_value(&s, &value));
    assert_text(value.text, "{}");
    assert_false(json_at_end(&s));
    assert_string_equal(s.error, "something follows the value");
}

TEST(peeking_tells_the_type_by_its_first_byte)
{
    static const struct {
        const char *text;
        enum json_type type;
    } cases[] = {{" \n{", JSON_OBJECT}, {"[", JSON_ARRAY},    {"\"", JSON_STRING}, {"-", JSON_NUMBER},
                 {"0", JSON_NUMBER},    {"9", JSON_NUMBER},   {"t", JSON_TRUE},    {"f", JSON_FALSE},
                 {"n", JSON_NULL},      {"x", JSON_ABSENT},   {"", JSON_ABSENT},   {"+", JSON_ABSENT},
                 {"}", JSON_ABSENT},    {"\xef", JSON_ABSENT}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct json_scanner s;
        json_scanner_init(&s, cases[i].text, strlen(cases[i].text));
        assert_int_equal(json_peek_type(&s), cases[i].type);
        assert_null(s.error);
    }
}

static void assert_integer(const char *text, int64_t expected)
{
    int64_t value = 12345;
    if (!json_integer(slice_of_string(text), &value))
        fail_msg("no integer: %s", text);
    assert_true(value == expected);
}

static void assert_no_integer(const char *text)
{
    int64_t value;
    if (json_integer(slice_of_string(text), &value))
        fail_msg("taken as integer: %s", text);
}

TEST(integers_reach_to_the_limits_of_64_bits)
{
    assert_integer("0", 0);
    assert_integer("-0", 0);
    assert_integer("7", 7);
    assert_integer("-7", -7);
    assert_integer("9223372036854775807", INT64_MAX);
    assert_integer("-9223372036854775808", INT64_MIN);
    assert_no_integer("9223372036854775808");
    assert_no_integer("-9223372036854775809");
    assert_no_integer("18446744073709551616");
    assert_no_integer("100000000000000000000");
}

TEST(a_number_with_fraction_or_exponent_is_no_integer)
{
    assert_no_integer("1.0");
    assert_no_integer("1e3");
    assert_no_integer("1E3");
    assert_no_integer("-0.0");
    assert_no_integer("");
    assert_no_integer("-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_valid_document_is_taken),
        cmocka_unit_test(every_invalid_document_is_refused),
        cmocka_unit_test(a_document_cut_anywhere_is_refused),
        cmocka_unit_test(a_special_byte_is_seen_at_every_place_of_a_string),
        cmocka_unit_test(exactly_eight_letters_and_u_may_follow_a_backslash),
        cmocka_unit_test(exactly_four_bytes_are_white_space),
        cmocka_unit_test(nesting_of_512_is_taken_and_of_513_refused),
        cmocka_unit_test(nesting_is_counted_by_level_not_by_bracket),
        cmocka_unit_test(too_deep_is_told_with_the_place_of_the_bracket),
        cmocka_unit_test(brackets_close_what_was_opened_at_every_depth),
        cmocka_unit_test(a_fault_is_told_with_its_kind_and_place),
        cmocka_unit_test(a_fault_need_not_be_asked_for),
        cmocka_unit_test(a_value_is_an_exact_slice_without_the_space_around_it),
        cmocka_unit_test(escaped_is_set_by_a_backslash_in_it_or_below_it),
        cmocka_unit_test(spaced_is_set_by_white_space_between_tokens_alone),
        cmocka_unit_test(an_object_is_visited_member_by_member_in_its_order),
        cmocka_unit_test(an_array_is_visited_item_by_item),
        cmocka_unit_test(empty_containers_have_nothing_to_visit),
        cmocka_unit_test(containers_can_be_visited_within_each_other),
        cmocka_unit_test(visiting_and_scanning_agree_on_every_document),
        cmocka_unit_test(visiting_has_the_same_depth_limit),
        cmocka_unit_test(a_value_scanned_inside_an_entered_container_counts_from_there),
        cmocka_unit_test(entering_another_kind_of_value_is_a_fault),
        cmocka_unit_test(after_a_fault_every_call_returns_false_and_the_first_fault_stays),
        cmocka_unit_test(text_behind_the_value_is_a_fault_only_at_the_end),
        cmocka_unit_test(peeking_tells_the_type_by_its_first_byte),
        cmocka_unit_test(integers_reach_to_the_limits_of_64_bits),
        cmocka_unit_test(a_number_with_fraction_or_exponent_is_no_integer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
