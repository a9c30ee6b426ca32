/* Expected values come from `date -u -d TEXT +%s`, python's datetime and PostgreSQL, not from the code. */
#include "unit.h"

#include "common/timestamp.h"

#include <stdio.h>
#include <time.h>

#define NOVEMBER INT64_C(1795456800) /* 2026-11-23T18:00:00Z */

static struct timestamp parse(const char *text)
{
    struct timestamp result = {0};
    struct slice copy = exact_copy(slice_of_string(text));
    bool taken = timestamp_parse(copy, &result);
    free_copy(copy);
    if (!taken)
        fail_msg("refused: %s", text);
    return result;
}

static void assert_seconds(const char *text, int64_t seconds)
{
    struct timestamp result = parse(text);
    if (result.microseconds != seconds * 1000000 || result.milliseconds != seconds * 1000)
        fail_msg("%s: %lld us, %lld ms", text, (long long)result.microseconds,
                 (long long)result.milliseconds);
}

static void assert_fraction(const char *text, int64_t seconds, int64_t microseconds, int64_t milliseconds)
{
    struct timestamp result = parse(text);
    if (result.microseconds != seconds * 1000000 + microseconds ||
        result.milliseconds != seconds * 1000 + milliseconds)
        fail_msg("%s: %lld us, %lld ms", text, (long long)result.microseconds,
                 (long long)result.milliseconds);
}

static void assert_refused(const char *text)
{
    struct timestamp result;
    struct slice copy = exact_copy(slice_of_string(text));
    bool taken = timestamp_parse(copy, &result);
    free_copy(copy);
    if (taken)
        fail_msg("taken: %s", text);
}

TEST(a_time_without_zone_is_utc)
{
    setenv("TZ", "America/New_York", 1);
    tzset();
    assert_seconds("2026-11-23T18:00:00", NOVEMBER);
    unsetenv("TZ");
    tzset();
}

TEST(zones_are_taken_off)
{
    assert_seconds("2026-11-23T18:00:00Z", NOVEMBER);
    assert_seconds("2026-11-23t18:00:00z", NOVEMBER);
    assert_seconds("2026-11-23T18:00:00+00:00", NOVEMBER);
    assert_seconds("2026-11-23T18:00:00-00:00", NOVEMBER);
    assert_seconds("2026-11-23T20:00:00+02:00", NOVEMBER);
    assert_seconds("2026-11-23T20:00:00+0200", NOVEMBER);
    assert_seconds("2026-11-23T20:00:00+02", NOVEMBER);
    assert_seconds("2026-11-23T13:00:00-05", NOVEMBER);
    assert_seconds("2026-11-23T23:30:00+05:30", NOVEMBER);
    assert_seconds("2026-11-23T14:30:00-0330", NOVEMBER);
    assert_seconds("2026-11-24T08:00:00+14:00", NOVEMBER);
    assert_seconds("2026-11-24T09:59:00+15:59", NOVEMBER);
    assert_seconds("2026-11-23T18:00:00 +00:00", NOVEMBER);
}

TEST(date_and_time_stand_apart_by_t_or_a_space)
{
    assert_seconds("2026-11-23 18:00:00", NOVEMBER);
    assert_seconds("2026-11-23t18:00:00", NOVEMBER);
    assert_seconds("2026-11-23 18:00:00+00", NOVEMBER);
    assert_seconds("  2026-11-23T18:00:00Z  ", NOVEMBER);
}

TEST(the_basic_format_is_read)
{
    assert_seconds("20261123T180000", NOVEMBER);
    assert_seconds("20261123T180000Z", NOVEMBER);
    assert_seconds("20261123T1800", NOVEMBER);
    assert_seconds("20261123T200000+0200", NOVEMBER);
    assert_seconds("20261123T200000+02:00", NOVEMBER);
    assert_seconds("20261123 180000", NOVEMBER);
    assert_fraction("20261123T180000.5Z", NOVEMBER, 500000, 500);
    assert_seconds("20261123", NOVEMBER - 18 * 3600);
}

TEST(seconds_and_the_time_of_day_may_be_left_out)
{
    assert_seconds("2026-11-23T18:00", NOVEMBER);
    assert_seconds("2026-11-23T18:00Z", NOVEMBER);
    assert_seconds("2026-11-23T20:00+02:00", NOVEMBER);
    assert_seconds("2026-11-23", NOVEMBER - 18 * 3600);
}

TEST(a_fraction_has_any_number_of_digits)
{
    assert_fraction("2026-11-23T18:00:00.1", NOVEMBER, 100000, 100);
    assert_fraction("2026-11-23T18:00:00.12", NOVEMBER, 120000, 120);
    assert_fraction("2026-11-23T18:00:00.123Z", NOVEMBER, 123000, 123);
    assert_fraction("2026-11-23T18:00:00.1234", NOVEMBER, 123400, 123);
    assert_fraction("2026-11-23T18:00:00.123456", NOVEMBER, 123456, 123);
    assert_fraction("2026-11-23T18:00:00,123456+00:00", NOVEMBER, 123456, 123);
    assert_fraction("2026-11-23T18:00:00.000001", NOVEMBER, 1, 0);
    assert_fraction("2026-11-23T18:00:00.00", NOVEMBER, 0, 0);
    assert_fraction("2026-11-23T18:00:00.12345600000000000000000000000000000001Z", NOVEMBER, 123456, 123);
}

TEST(microseconds_are_rounded_to_the_nearest_and_milliseconds_down)
{
    assert_fraction("2026-11-23T18:00:00.1234564", NOVEMBER, 123456, 123);
    assert_fraction("2026-11-23T18:00:00.1234566", NOVEMBER, 123457, 123);
    assert_fraction("2026-11-23T18:00:00.123456499999999", NOVEMBER, 123456, 123);
    assert_fraction("2026-11-23T18:00:00.1239999", NOVEMBER, 124000, 123);
    assert_fraction("2026-11-23T18:00:00.9999999", NOVEMBER, 1000000, 999);
    assert_fraction("2026-11-23T18:00:59.9999996", NOVEMBER + 59, 1000000, 999);
    assert_fraction("2026-12-31T23:59:59.9999999", INT64_C(1798761599), 1000000, 999);
}

/* What PostgreSQL 15 makes of them: rint() of a double. */
TEST(half_a_microsecond_goes_where_postgresql_takes_it)
{
    static const struct {
        const char *digits;
        int64_t microseconds;
    } cases[] = {{"1234565", 123456}, {"1234575", 123458}, {"0000005", 0},      {"0000015", 2},
                 {"0000025", 2},      {"9999985", 999998}, {"5000005", 500000}, {"1111115", 111112},
                 {"2222225", 222222}, {"0123455", 12346},  {"9876545", 987654}, {"4999995", 500000},
                 {"3333335", 333334}, {"7777775", 777778}, {"6666665", 666666}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64];
        snprintf(text, sizeof text, "2026-11-23T18:00:00.%s", cases[i].digits);
        assert_fraction(text, NOVEMBER, cases[i].microseconds, atoi(cases[i].digits) / 10000);
    }
    assert_fraction("2026-11-23T18:00:00.12345651", NOVEMBER, 123457, 123);
    assert_fraction("2026-11-23T18:00:00.1234565000", NOVEMBER, 123456, 123);
}

TEST(milliseconds_before_1970_are_rounded_down_too)
{
    assert_seconds("1970-01-01T00:00:00Z", 0);
    assert_seconds("1969-12-31T23:59:59Z", -1);
    assert_fraction("1969-12-31T23:59:59.9999", -1, 999900, 999);
    assert_fraction("1969-12-31T23:59:59.0001", -1, 100, 0);
    assert_fraction("1969-12-31T23:59:58.1239999", -2, 124000, 123);
    assert_seconds("1970-01-01T00:00:00+01:00", -3600);
    assert_seconds("1900-01-01", INT64_C(-2208988800));
    assert_seconds("1582-10-15", INT64_C(-12219292800));
}

TEST(leap_years_are_those_of_the_gregorian_calendar)
{
    assert_seconds("2024-02-29", 1709164800);
    assert_seconds("2000-02-29", 951782400);
    assert_seconds("2024-03-01", 1709251200);
    assert_seconds("2023-03-01", 1677628800);
    assert_seconds("2100-03-01", INT64_C(4107542400));
    assert_refused("2023-02-29");
    assert_refused("2100-02-29");
    assert_refused("1900-02-29");
    assert_refused("2024-02-30");
}

/* Every day of 400 years, counted one by one. */
TEST(days_follow_each_other_without_gap)
{
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t seconds = INT64_C(-11676096000); /* 1600-01-01 */
    for (int year = 1600; year < 2000; year++)
        for (int month = 1; month <= 12; month++) {
            bool leap = year % 400 == 0 || (year % 4 == 0 && year % 100 != 0);
            int length = lengths[month - 1] + (month == 2 && leap);
            for (int day = 1; day <= 32; day++) {
                char text[40];
                snprintf(text, sizeof text, "%04d-%02d-%02d", year, month, day);
                if (day > length) {
                    assert_refused(text);
                } else {
                    assert_seconds(text, seconds);
                    seconds += 86400;
                }
            }
        }
    assert_int_equal(seconds, 946684800); /* 2000-01-01 */
}

TEST(years_reach_from_1_to_9999)
{
    assert_seconds("0001-01-01T00:00:00Z", INT64_C(-62135596800));
    assert_seconds("9999-12-31T23:59:59Z", INT64_C(253402300799));
    assert_fraction("9999-12-31T23:59:59.999999Z", INT64_C(253402300799), 999999, 999);
    assert_refused("0000-01-01");
    assert_refused("10000-01-01");
    assert_refused("-0001-01-01");
    assert_refused("+2026-11-23");
}

TEST(hour_24_is_the_next_days_midnight)
{
    assert_seconds("2026-11-23T24:00:00", NOVEMBER + 6 * 3600);
    assert_seconds("2026-11-23T24:00", NOVEMBER + 6 * 3600);
    assert_seconds("2026-12-31T24:00:00Z", 1798761600);
    assert_refused("2026-11-23T24:00:01");
    assert_refused("2026-11-23T24:01:00");
    assert_refused("2026-11-23T24:00:00.5");
    assert_refused("2026-11-23T25:00:00");
}

TEST(second_60_is_the_next_minutes_first)
{
    assert_seconds("2016-12-31T23:59:60Z", 1483228800);
    assert_seconds("2026-11-23T18:00:60Z", NOVEMBER + 60);
    assert_refused("2026-11-23T18:00:61Z");
}

TEST(what_is_no_date_and_time_is_refused)
{
    static const char *const cases[] = {"",
                                        " ",
                                        "now",
                                        "today",
                                        "infinity",
                                        "epoch",
                                        "null",
                                        "T18:00:00",
                                        "18:00:00",
                                        "1795456800",
                                        "1795456800000",
                                        "2026",
                                        "2026-11",
                                        "2026-11-",
                                        "2026-1-23",
                                        "2026-11-2",
                                        "26-11-23",
                                        "202611",
                                        "2026-1123",
                                        "202611-23",
                                        "2026/11/23",
                                        "23.11.2026",
                                        "2026-00-23",
                                        "2026-13-23",
                                        "2026-11-00",
                                        "2026-11-31",
                                        "2026-11-32",
                                        "2026-327",
                                        "2026-W48-1",
                                        "2026-11-23T",
                                        "2026-11-23 T18:00",
                                        "2026-11-23Z",
                                        "2026-11-23T18",
                                        "2026-11-23T18Z",
                                        "2026-11-23T18:",
                                        "2026-11-23T18:0",
                                        "2026-11-23T18:00:",
                                        "2026-11-23T18:00:0",
                                        "2026-11-23T18:60:00",
                                        "2026-11-23T18:00:00.",
                                        "2026-11-23T18:00:00.Z",
                                        "2026-11-23T18:00:00,",
                                        "2026-11-23T18:00.5",
                                        "2026-11-23T1800",
                                        "2026-11-23T180000",
                                        "20261123T18:00:00",
                                        "2026-11-23T18:00:00Zjunk",
                                        "2026-11-23T18:00:00ZZ",
                                        "2026-11-23T18:00:00+",
                                        "2026-11-23T18:00:00+2",
                                        "2026-11-23T18:00:00+02:",
                                        "2026-11-23T18:00:00+02:0",
                                        "2026-11-23T18:00:00+02:60",
                                        "2026-11-23T18:00:00+16:00",
                                        "2026-11-23T18:00:00+020",
                                        "2026-11-23T18:00:00+02:000",
                                        "2026-11-23T18:00:00 UTC",
                                        "2026-11-23T18:00:00 PM",
                                        "2026-11-23T18:00:00  Z",
                                        "2026-11-23T-1:00:00",
                                        "2026-11-23T18:00:-1",
                                        "2026-11-23T 8:00:00",
                                        "2026-11-23T18:00:00.1.2",
                                        "2026-11-23T18:00:00.-1",
                                        "2026-11-23x18:00:00",
                                        "2026-11-23\n",
                                        "2026-11-23T18:00:00\xc2\xa0Z",
                                        "\xef\xbc\x92"
                                        "026-11-23"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_refused(cases[i]);
    struct timestamp result;
    assert_false(timestamp_parse(slice_of(NULL, 0), &result));
    assert_false(timestamp_parse(LITERAL("2026-11-23\0"), &result));
}

static void assert_format(int64_t microseconds, int digits, const char *expected)
{
    char text[TIMESTAMP_TEXT_SIZE];
    timestamp_format(microseconds, digits, text);
    assert_string_equal(text, expected);
}

TEST(a_time_is_written_in_utc_with_its_fraction_cut)
{
    assert_format(NOVEMBER * 1000000 + 123999, 0, "2026-11-23T18:00:00Z");
    assert_format(NOVEMBER * 1000000 + 123999, 3, "2026-11-23T18:00:00.123Z");
    assert_format(NOVEMBER * 1000000 + 123999, 6, "2026-11-23T18:00:00.123999Z");
    assert_format(0, 3, "1970-01-01T00:00:00.000Z");
    assert_format(5, 6, "1970-01-01T00:00:00.000005Z");
}

TEST(a_time_before_1970_is_written_right)
{
    assert_format(-1, 6, "1969-12-31T23:59:59.999999Z");
    assert_format(-1, 3, "1969-12-31T23:59:59.999Z");
    assert_format(-1, 0, "1969-12-31T23:59:59Z");
    assert_format(-1000000, 6, "1969-12-31T23:59:59.000000Z");
}

TEST(a_year_is_written_with_four_digits)
{
    assert_format(INT64_C(-62135596800) * 1000000, 0, "0001-01-01T00:00:00Z");
    assert_format(INT64_C(-30610224000) * 1000000, 0, "1000-01-01T00:00:00Z");
    assert_format(INT64_C(253402300799) * 1000000, 0, "9999-12-31T23:59:59Z");
}

TEST(any_64_bit_time_can_be_written)
{
    char text[TIMESTAMP_TEXT_SIZE];
    timestamp_format(INT64_MAX, 6, text);
    assert_string_equal(text, "294247-01-10T04:00:54.775807Z");
    timestamp_format(INT64_MIN, 6, text);
    assert_true(strlen(text) < TIMESTAMP_TEXT_SIZE);
}

TEST(what_is_written_is_read_as_the_same_time)
{
    for (int64_t time = INT64_C(-62135596800000000); time < INT64_C(253402300799000000);
         time += INT64_C(31556952123457)) {
        char text[TIMESTAMP_TEXT_SIZE];
        timestamp_format(time, 6, text);
        assert_true(parse(text).microseconds == time);
    }
}

TEST(the_clocks_tell_microseconds)
{
    int64_t now = now_microseconds(), before = monotonic_microseconds();
    assert_true(now / 1000000 - time(NULL) >= -1 && now / 1000000 - time(NULL) <= 1);
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    assert_true(monotonic_microseconds() - before >= 2000);
    assert_true(monotonic_microseconds() - before < 60000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_without_zone_is_utc),
        cmocka_unit_test(zones_are_taken_off),
        cmocka_unit_test(date_and_time_stand_apart_by_t_or_a_space),
        cmocka_unit_test(the_basic_format_is_read),
        cmocka_unit_test(seconds_and_the_time_of_day_may_be_left_out),
        cmocka_unit_test(a_fraction_has_any_number_of_digits),
        cmocka_unit_test(microseconds_are_rounded_to_the_nearest_and_milliseconds_down),
        cmocka_unit_test(half_a_microsecond_goes_where_postgresql_takes_it),
        cmocka_unit_test(milliseconds_before_1970_are_rounded_down_too),
        cmocka_unit_test(leap_years_are_those_of_the_gregorian_calendar),
        cmocka_unit_test(days_follow_each_other_without_gap),
        cmocka_unit_test(years_reach_from_1_to_9999),
        cmocka_unit_test(hour_24_is_the_next_days_midnight),
        cmocka_unit_test(second_60_is_the_next_minutes_first),
        cmocka_unit_test(what_is_no_date_and_time_is_refused),
        cmocka_unit_test(a_time_is_written_in_utc_with_its_fraction_cut),
        cmocka_unit_test(a_time_before_1970_is_written_right),
        cmocka_unit_test(a_year_is_written_with_four_digits),
        cmocka_unit_test(any_64_bit_time_can_be_written),
        cmocka_unit_test(what_is_written_is_read_as_the_same_time),
        cmocka_unit_test(the_clocks_tell_microseconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
