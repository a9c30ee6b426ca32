#include "unit.h"

#include "common/backoff.h"

TEST(waits_double_from_the_first_to_the_most_with_jitter_on_the_upper_half)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct backoff backoff = {.first_us = 1000, .most_us = 60000, .random = seed * 0x9E3779B97F4A7C15u};
        const int64_t full[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000, 60000};
        for (size_t i = 0; i < sizeof full / sizeof *full; i++)
            assert_in_range(backoff_next(&backoff), full[i] / 2, full[i]);
        assert_int_equal(backoff.attempts, sizeof full / sizeof *full);
    }
}

TEST(waits_differ_so_that_clients_spread)
{
    struct backoff backoff = {.first_us = 1000000, .most_us = 1000000};
    int64_t low = INT64_MAX, high = 0;
    for (int i = 0; i < 1000; i++) {
        int64_t wait = backoff_next(&backoff);
        low = wait < low ? wait : low;
        high = wait > high ? wait : high;
    }
    assert_in_range(low, 500000, 520000);
    assert_in_range(high, 980000, 1000000);
}

TEST(a_reset_starts_from_the_first_again)
{
    struct backoff backoff = {.first_us = 1000, .most_us = 1000000};
    for (int i = 0; i < 20; i++)
        backoff_next(&backoff);
    assert_in_range(backoff_next(&backoff), 500000, 1000000);
    backoff_reset(&backoff);
    assert_in_range(backoff_next(&backoff), 500, 1000);
}

TEST(any_number_of_attempts_stays_within_the_bounds)
{
    struct backoff backoff = {.first_us = 1, .most_us = INT64_MAX};
    for (int i = 0; i < 1000; i++)
        assert_true(backoff_next(&backoff) >= 0);
    assert_true(backoff_next(&backoff) >= INT64_MAX / 2);
    backoff = (struct backoff){.first_us = 3, .most_us = 60000000, .attempts = UINT32_MAX - 2};
    for (int i = 0; i < 6; i++) /* the count of attempts comes round */
        assert_true(backoff_next(&backoff) <= 60000000);
}

TEST(a_first_above_the_most_is_the_most)
{
    struct backoff backoff = {.first_us = 5000, .most_us = 1000};
    assert_in_range(backoff_next(&backoff), 500, 1000);
}

TEST(no_wait_is_no_wait)
{
    struct backoff backoff = {0};
    for (int i = 0; i < 5; i++)
        assert_int_equal(backoff_next(&backoff), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waits_double_from_the_first_to_the_most_with_jitter_on_the_upper_half),
        cmocka_unit_test(waits_differ_so_that_clients_spread),
        cmocka_unit_test(a_reset_starts_from_the_first_again),
        cmocka_unit_test(any_number_of_attempts_stays_within_the_bounds),
        cmocka_unit_test(a_first_above_the_most_is_the_most),
        cmocka_unit_test(no_wait_is_no_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
