#include "common/timestamp.h"

#include <stdio.h>
#include <time.h>

#define SECONDS_A_DAY 86400

/* Days since 1970-01-01 of a proleptic Gregorian date.
 * Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", days_from_civil. */
static int64_t days_from_civil(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return month == 2 && leap ? 29 : days[month - 1];
}

/* Reads exactly `count` digits. */
static bool digits(const char **at, const char *end, int count, int *value)
{
    if (end - *at < count)
        return false;
    *value = 0;
    for (int i = 0; i < count; i++) {
        char c = (*at)[i];
        if (c < '0' || c > '9')
            return false;
        *value = *value * 10 + (c - '0');
    }
    *at += count;
    return true;
}

static bool accept(const char **at, const char *end, char c)
{
    if (*at == end || **at != c)
        return false;
    (*at)++;
    return true;
}

static bool parse_date(const char **at, const char *end, bool *extended, int64_t *days)
{
    int year, month, day;
    if (!digits(at, end, 4, &year))
        return false;
    *extended = accept(at, end, '-');
    if (!digits(at, end, 2, &month) || (*extended && !accept(at, end, '-')) || !digits(at, end, 2, &day))
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month))
        return false;
    *days = days_from_civil(year, month, day);
    return true;
}

/* As rint() does: half goes to the even neighbour. */
static int64_t round_to_even(double value)
{
    int64_t whole = (int64_t)value;
    double rest = value - (double)whole;
    return rest > 0.5 || (rest == 0.5 && whole % 2 != 0) ? whole + 1 : whole;
}

/* The digits behind the point: microseconds rounded to the nearest and milliseconds cut. */
static bool parse_fraction(const char **at, const char *end, int64_t *microseconds, int64_t *milliseconds)
{
    const char *start = *at;
    int64_t ticks = 0, scale = 1000000; /* of 100 ns: the first seven digits */
    bool has_more = false;              /* the others are not all 0 */
    for (; *at < end && **at >= '0' && **at <= '9'; (*at)++, scale /= 10) {
        ticks += (**at - '0') * scale;
        has_more |= scale == 0 && **at != '0';
    }
    *milliseconds = ticks / 10000;
    /* Half-way PostgreSQL goes where its floating point takes it (ParseFractionalSecond). */
    *microseconds =
        ticks % 10 == 5 && !has_more ? round_to_even((double)ticks / 1e7 * 1e6) : (ticks + 5) / 10;
    return *at > start;
}

static bool parse_time(const char **at, const char *end, bool extended, int64_t *seconds,
                       int64_t *microseconds, int64_t *milliseconds)
{
    int hour, minute, second = 0;
    if (!digits(at, end, 2, &hour) || (extended && !accept(at, end, ':')) || !digits(at, end, 2, &minute))
        return false;
    bool has_seconds = extended ? accept(at, end, ':') : *at < end && **at >= '0' && **at <= '9';
    if (has_seconds && !digits(at, end, 2, &second))
        return false;
    if (has_seconds && *at < end && (**at == '.' || **at == ',')) {
        (*at)++;
        if (!parse_fraction(at, end, microseconds, milliseconds))
            return false;
    }
    *seconds = hour * 3600 + minute * 60 + second;
    bool is_day_end = hour == 24 && minute == 0 && second == 0 && *microseconds == 0;
    return (hour <= 23 || is_day_end) && minute <= 59 && second <= 60;
}

static bool parse_zone(const char **at, const char *end, int64_t *offset_seconds)
{
    if (*at == end || accept(at, end, 'Z') || accept(at, end, 'z'))
        return true;
    char sign = **at;
    int hour, minute = 0;
    if (sign != '+' && sign != '-')
        return false;
    (*at)++;
    if (!digits(at, end, 2, &hour))
        return false;
    if (*at < end) {
        accept(at, end, ':');
        if (!digits(at, end, 2, &minute))
            return false;
    }
    /* PostgreSQL's limit on a zone's displacement is under 16 hours. */
    if (hour > 15 || minute > 59)
        return false;
    *offset_seconds = (hour * 3600 + minute * 60) * (sign == '-' ? -1 : 1);
    return true;
}

bool timestamp_parse(struct slice text, struct timestamp *timestamp)
{
    const char *at = text.data, *end = text.data + text.len;
    while (at < end && *at == ' ')
        at++;
    while (end > at && end[-1] == ' ')
        end--;
    bool extended;
    int64_t days, seconds = 0, microseconds = 0, milliseconds = 0, offset = 0;
    if (!parse_date(&at, end, &extended, &days))
        return false;
    if (at < end) {
        if (*at != 'T' && *at != 't' && *at != ' ')
            return false;
        at++;
        if (!parse_time(&at, end, extended, &seconds, &microseconds, &milliseconds))
            return false;
        if (at < end && *at == ' ')
            at++;
        if (!parse_zone(&at, end, &offset) || at != end)
            return false;
    }
    seconds += days * SECONDS_A_DAY - offset;
    timestamp->microseconds = seconds * 1000000 + microseconds;
    timestamp->milliseconds = seconds * 1000 + milliseconds;
    return true;
}

void timestamp_format(int64_t microseconds, int fraction_digits, char out[TIMESTAMP_TEXT_SIZE])
{
    int64_t seconds = microseconds / 1000000, fraction = microseconds % 1000000;
    if (fraction < 0) {
        fraction += 1000000;
        seconds--;
    }
    time_t time = (time_t)seconds;
    struct tm tm;
    gmtime_r(&time, &tm);
    /* strftime's %Y does not pad years before 1000. */
    size_t len = (size_t)snprintf(out, TIMESTAMP_TEXT_SIZE, "%04lld", (long long)tm.tm_year + 1900);
    len += strftime(out + len, TIMESTAMP_TEXT_SIZE - len, "-%m-%dT%H:%M:%S", &tm);
    if (fraction_digits == 3)
        snprintf(out + len, TIMESTAMP_TEXT_SIZE - len, ".%03dZ", (int)(fraction / 1000));
    else if (fraction_digits == 6)
        snprintf(out + len, TIMESTAMP_TEXT_SIZE - len, ".%06dZ", (int)fraction);
    else
        snprintf(out + len, TIMESTAMP_TEXT_SIZE - len, "Z");
}

static int64_t read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t now_microseconds(void)
{
    return read_clock(CLOCK_REALTIME);
}

int64_t monotonic_microseconds(void)
{
    return read_clock(CLOCK_MONOTONIC);
}
