#include "unit.h"

TEST(a_zeroed_buffer_is_empty_and_can_be_freed)
{
    struct buffer buffer = {0};
    assert_buffer(&buffer, "");
    buffer_append(&buffer, NULL, 0);
    buffer_consume(&buffer, 0);
    buffer_reset(&buffer, 0);
    assert_int_equal(buffer.capacity, 0);
    buffer_free(&buffer);
    buffer_free(&buffer);
}

TEST(what_is_appended_stands_in_order)
{
    cleanup_buffer struct buffer buffer = {0};
    buffer_append_string(&buffer, "ab");
    buffer_append_char(&buffer, 'c');
    buffer_append(&buffer, "d\0e", 3);
    buffer_append_slice(&buffer, slice_of(NULL, 0));
    buffer_append_slice(&buffer, LITERAL("f"));
    assert_buffer(&buffer, "abcd\0ef");
}

TEST(it_grows_by_doubling_and_keeps_its_bytes)
{
    cleanup_buffer struct buffer buffer = {0};
    size_t growths = 0, capacity = 0;
    for (int i = 0; i < 1000000; i++) {
        buffer_append_char(&buffer, (char)(i * 7));
        if (buffer.capacity != capacity) {
            growths++;
            capacity = buffer.capacity;
        }
    }
    assert_int_equal(buffer.len, 1000000);
    for (int i = 0; i < 1000000; i++)
        if (buffer.data[i] != (char)(i * 7))
            fail_msg("byte %d was lost", i);
    assert_in_range(growths, 1, 16);
    assert_in_range(buffer.capacity, 1000000, 2000000);
}

TEST(a_reservation_is_enough_for_what_follows)
{
    cleanup_buffer struct buffer buffer = {0};
    buffer_append_string(&buffer, "x");
    buffer_reserve(&buffer, 5000);
    const char *data = buffer.data;
    for (int i = 0; i < 5000; i++)
        buffer_append_char(&buffer, 'y');
    assert_ptr_equal(buffer.data, data);
    buffer_reserve(&buffer, 0);
    assert_ptr_equal(buffer.data, data);
}

TEST(consuming_drops_bytes_from_the_front)
{
    cleanup_buffer struct buffer buffer = {0};
    buffer_append_string(&buffer, "abcdef");
    buffer_consume(&buffer, 2);
    assert_buffer(&buffer, "cdef");
    buffer_consume(&buffer, 4);
    assert_buffer(&buffer, "");
    buffer_append_string(&buffer, "again");
    assert_buffer(&buffer, "again");
}

TEST(a_reset_empties_it_and_gives_back_what_is_too_much)
{
    cleanup_buffer struct buffer buffer = {0};
    buffer_append_string(&buffer, "small");
    const char *data = buffer.data;
    buffer_reset(&buffer, 65536);
    assert_int_equal(buffer.len, 0);
    assert_ptr_equal(buffer.data, data);
    buffer_reserve(&buffer, 1 << 20);
    buffer_reset(&buffer, 65536);
    assert_int_equal(buffer.len, 0);
    assert_int_equal(buffer.capacity, 0);
    buffer_append_string(&buffer, "again");
    assert_buffer(&buffer, "again");
}

TEST(integers_are_written_to_the_limits_of_64_bits)
{
    cleanup_buffer struct buffer buffer = {0};
    const int64_t values[] = {0, -1, 10, -10, 1234567890, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        buffer_append_int(&buffer, values[i]);
        buffer_append_char(&buffer, ' ');
    }
    assert_buffer(&buffer, "0 -1 10 -10 1234567890 9223372036854775807 -9223372036854775808 ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_zeroed_buffer_is_empty_and_can_be_freed),
        cmocka_unit_test(what_is_appended_stands_in_order),
        cmocka_unit_test(it_grows_by_doubling_and_keeps_its_bytes),
        cmocka_unit_test(a_reservation_is_enough_for_what_follows),
        cmocka_unit_test(consuming_drops_bytes_from_the_front),
        cmocka_unit_test(a_reset_empties_it_and_gives_back_what_is_too_much),
        cmocka_unit_test(integers_are_written_to_the_limits_of_64_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
