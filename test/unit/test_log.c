/* What stands on stderr, byte for byte: people grep for it. */
#include "unit.h"

#include "common/json_scan.h"
#include "common/log.h"
#include "common/timestamp.h"

#include <errno.h>
#include <fcntl.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* fd 2 leads into a pipe between capture_begin and capture_end; nothing may be asserted in between. */
struct capture {
    int saved, reader;
};

static struct capture capture_begin(void)
{
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    struct capture capture = {.saved = dup(2), .reader = pipe_fds[0]};
    dup2(pipe_fds[1], 2);
    close(pipe_fds[1]);
    return capture;
}

static void capture_end(struct capture *capture, struct buffer *out)
{
    dup2(capture->saved, 2);
    close(capture->saved);
    char bytes[4096];
    ssize_t got;
    while ((got = read(capture->reader, bytes, sizeof bytes)) > 0)
        buffer_append(out, bytes, (size_t)got);
    buffer_append_char(out, '\0');
    close(capture->reader);
}

static void assert_matches(const char *text, const char *pattern)
{
    regex_t regex;
    assert_int_equal(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB), 0);
    int result = regexec(&regex, text, 0, NULL, 0);
    regfree(&regex);
    if (result != 0)
        fail_msg("\"%s\" does not match %s", text, pattern);
}

#define TIME "20[0-9]{2}-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9],[0-9]{3}"

static int clear_environment(void **state)
{
    (void)state;
    unsetenv("LOG_LEVEL");
    unsetenv("LOG_FORMAT");
    unsetenv("JOURNAL_STREAM");
    return 0;
}

TEST(a_line_has_time_tool_level_and_message)
{
    cleanup_buffer struct buffer out = {0};
    struct log log;
    setenv("LOG_LEVEL", "INFO", 1);
    log_init(&log, "pgsink");
    struct capture capture = capture_begin();
    log_info(&log, "Batch processed: %d messages, %d inserted, %d failed, %.2f ms", 100, 100, 0, 45.23);
    capture_end(&capture, &out);
    assert_matches(out.data,
                   "^" TIME " - pgsink - INFO - Batch processed: 100 messages, 100 inserted, 0 failed, "
                   "45\\.23 ms\n$");
}

TEST(the_time_is_now_in_utc)
{
    cleanup_buffer struct buffer out = {0};
    struct log log = {.tool = "batch"};
    setenv("TZ", "Asia/Tokyo", 1);
    tzset();
    int64_t before = now_microseconds() / 1000;
    struct capture capture = capture_begin();
    log_error(&log, "x");
    capture_end(&capture, &out);
    int64_t after = now_microseconds() / 1000;
    unsetenv("TZ");
    tzset();
    struct timestamp time;
    assert_true(timestamp_parse(slice_of(out.data, 23), &time));
    assert_in_range(time.milliseconds, before, after);
}

TEST(each_level_has_its_name)
{
    cleanup_buffer struct buffer out = {0};
    struct log log = {.tool = "t", .level = LOG_LEVEL_DEBUG};
    struct capture capture = capture_begin();
    log_debug(&log, "one");
    log_info(&log, "two");
    log_warning(&log, "three");
    log_error(&log, "four");
    capture_end(&capture, &out);
    assert_matches(out.data, "^" TIME " - t - DEBUG - one\n" TIME " - t - INFO - two\n" TIME
                             " - t - WARNING - three\n" TIME " - t - ERROR - four\n$");
}

TEST(what_is_below_the_level_is_not_said)
{
    for (int level = LOG_LEVEL_DEBUG; level <= LOG_LEVEL_ERROR; level++) {
        cleanup_buffer struct buffer out = {0};
        struct log log = {.tool = "t", .level = (enum log_level)level};
        struct capture capture = capture_begin();
        log_debug(&log, "x");
        log_info(&log, "x");
        log_warning(&log, "x");
        log_error(&log, "x");
        capture_end(&capture, &out);
        int lines = 0;
        for (const char *at = out.data; *at; at++)
            lines += *at == '\n';
        assert_int_equal(lines, 4 - level);
    }
}

TEST(a_tool_alone_says_warnings_and_above)
{
    struct log log;
    log_init(&log, "t");
    assert_int_equal(log.level, LOG_LEVEL_WARNING);
    setenv("LOG_LEVEL", "", 1);
    log_init(&log, "t");
    assert_int_equal(log.level, LOG_LEVEL_WARNING);
    assert_false(log.is_json);
}

TEST(the_environment_sets_the_level_in_any_case_of_letters)
{
    static const struct {
        const char *name;
        enum log_level level;
    } cases[] = {{"DEBUG", LOG_LEVEL_DEBUG},
                 {"info", LOG_LEVEL_INFO},
                 {"Warning", LOG_LEVEL_WARNING},
                 {"ERROR", LOG_LEVEL_ERROR}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct log log;
        setenv("LOG_LEVEL", cases[i].name, 1);
        log_init(&log, "t");
        assert_int_equal(log.level, cases[i].level);
    }
}

TEST(an_unknown_level_is_info_and_is_told)
{
    cleanup_buffer struct buffer out = {0};
    struct log log;
    setenv("LOG_LEVEL", "LOUD", 1);
    struct capture capture = capture_begin();
    log_init(&log, "batch");
    capture_end(&capture, &out);
    assert_int_equal(log.level, LOG_LEVEL_INFO);
    assert_matches(out.data, "^" TIME " - batch - WARNING - LOG_LEVEL \"LOUD\" is none of [^\n]*\n$");
}

TEST(the_level_moves_by_steps_and_stops_at_its_ends)
{
    struct log log = {.level = LOG_LEVEL_WARNING};
    log_adjust(&log, 1);
    assert_int_equal(log.level, LOG_LEVEL_INFO);
    log_adjust(&log, 10);
    assert_int_equal(log.level, LOG_LEVEL_DEBUG);
    log_adjust(&log, -2);
    assert_int_equal(log.level, LOG_LEVEL_WARNING);
    log_adjust(&log, -10);
    assert_int_equal(log.level, LOG_LEVEL_ERROR);
}

TEST(line_breaks_inside_a_message_become_spaces)
{
    cleanup_buffer struct buffer out = {0};
    struct log log = {.tool = "t"};
    struct capture capture = capture_begin();
    log_error(&log, "could not connect:\nrefused\r\nby the server\n\n");
    capture_end(&capture, &out);
    assert_matches(out.data, "^" TIME " - t - ERROR - could not connect: refused {1,2}by the server\n$");
}

TEST(json_lines_are_valid_and_have_four_members)
{
    cleanup_buffer struct buffer out = {0};
    struct log log;
    setenv("LOG_FORMAT", "json", 1);
    log_init(&log, "dlq");
    assert_true(log.is_json);
    struct capture capture = capture_begin();
    log_error(&log, "a \"quoted\" name\nand a \xff byte\n");
    capture_end(&capture, &out);
    assert_matches(
        out.data,
        "^\\{\"time\":\"20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{3}Z\",\"level\":\"ERROR\","
        "\"tool\":\"dlq\",\"message\":\"a \\\\\"quoted\\\\\" name\\\\nand a \xef\xbf\xbd byte\"\\}\n$");
    struct json_value value;
    assert_true(json_scan_document(slice_of(out.data, out.len - 2), &value, NULL, NULL));
}

TEST(a_long_message_is_one_line)
{
    cleanup_buffer struct buffer out = {0};
    struct log log = {.tool = "t"};
    char message[20001];
    memset(message, 'm', sizeof message - 1);
    message[sizeof message - 1] = '\0';
    struct capture capture = capture_begin();
    log_error(&log, "%s", message);
    capture_end(&capture, &out);
    assert_int_equal(out.len - 1, strlen("2026-11-23 18:00:00,123 - t - ERROR - ") + 20000 + 1);
}

TEST(errno_survives_a_message_and_percent_m_tells_it)
{
    cleanup_buffer struct buffer out = {0};
    struct log log = {.tool = "t"};
    struct capture capture = capture_begin();
    errno = ENOENT;
    log_error(&log, "could not open fifo: %m");
    int after = errno;
    capture_end(&capture, &out);
    assert_int_equal(after, ENOENT);
    assert_matches(out.data, "could not open fifo: No such file or directory\n$");
}

TEST(a_closed_stderr_harms_nobody)
{
    struct log log = {.tool = "t"};
    int saved = dup(2);
    close(2);
    errno = ENOENT;
    log_error(&log, "nobody hears");
    int after = errno;
    dup2(saved, 2);
    close(saved);
    assert_int_equal(after, ENOENT);
}

TEST(a_limited_message_is_due_once_in_its_interval)
{
    struct log_limit limit = {0};
    assert_true(log_is_due(&limit, 60000000));
    assert_false(log_is_due(&limit, 60000000));
    limit.last -= 60000001;
    assert_true(log_is_due(&limit, 60000000));
    assert_false(log_is_due(&limit, 60000000));
}

/* What `talk` writes, in a process of its own, up to and with its end. */
static void say_in_process(void (*talk)(struct log *), struct buffer *out)
{
    struct capture capture = capture_begin();
    pid_t child = fork();
    if (child == 0) {
        struct log log;
        close(capture.reader);
        log_init(&log, "t");
        talk(&log);
        exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    capture_end(&capture, out);
    assert_int_equal(status, 0);
}

static void warn_a_thousand_times(struct log *log)
{
    for (int i = 0; i < 1000; i++)
        log_warning(log, "no broker answers");
}

TEST(a_warning_said_a_thousand_times_is_one_line_and_how_often)
{
    cleanup_buffer struct buffer out = {0};
    say_in_process(warn_a_thousand_times, &out);
    assert_matches(out.data, "^" TIME " - t - WARNING - no broker answers\n" TIME
                             " - t - WARNING - no broker answers \\(repeated 999 times\\)\n$");
}

static void warn_then_fail(struct log *log)
{
    for (int i = 0; i < 3; i++)
        log_warning(log, "slow");
    log_error(log, "slow");
    log_error(log, "slow");
    log_warning(log, "fast");
}

TEST(repeats_are_told_before_the_next_other_message_and_a_single_one_as_it_is)
{
    cleanup_buffer struct buffer out = {0};
    say_in_process(warn_then_fail, &out);
    assert_matches(out.data,
                   "^" TIME " - t - WARNING - slow\n" TIME
                   " - t - WARNING - slow \\(repeated 2 times\\)\n" TIME " - t - ERROR - slow\n" TIME
                   " - t - ERROR - slow\n" TIME " - t - WARNING - fast\n$");
}

static void inform_twice(struct log *log)
{
    log_adjust(log, 1);
    for (int i = 0; i < 3; i++)
        log_info(log, "Batch insert: 1 inserted, 0 duplicates (total: 1)");
}

TEST(what_informs_is_never_held_back)
{
    cleanup_buffer struct buffer out = {0};
    say_in_process(inform_twice, &out);
    int lines = 0;
    for (const char *at = out.data; *at; at++)
        lines += *at == '\n';
    assert_int_equal(lines, 3);
}

TEST(characters_that_a_terminal_obeys_become_spaces)
{
    cleanup_buffer struct buffer out = {0};
    struct log log = {.tool = "t"};
    struct capture capture = capture_begin();
    log_error(&log, "red \x1b[31m and a bell\x07, \x7f, but not \xc3\xa9");
    capture_end(&capture, &out);
    assert_matches(out.data, " - red  \\[31m and a bell ,  , but not \xc3\xa9\n$");
}

TEST(json_is_valid_whatever_byte_a_message_has)
{
    cleanup_buffer struct buffer out = {0};
    struct log log;
    char every_byte[256];
    for (int i = 0; i < 255; i++)
        every_byte[i] = (char)(i + 1);
    every_byte[255] = '\0';
    setenv("LOG_FORMAT", "json", 1);
    log_init(&log, "t");
    struct capture capture = capture_begin();
    log_error(&log, "%s", every_byte);
    capture_end(&capture, &out);
    struct json_value value;
    assert_true(json_scan_document(slice_of(out.data, out.len - 2), &value, NULL, NULL));
    assert_null(memchr(out.data, 0x1b, out.len));
}

/* $JOURNAL_STREAM for fd 2 as it is, or a little wrong. */
static void set_journal_stream(unsigned wrong)
{
    struct stat status;
    char text[64];
    fstat(2, &status);
    snprintf(text, sizeof text, "%llu:%llu", (unsigned long long)status.st_dev,
             (unsigned long long)status.st_ino + wrong);
    setenv("JOURNAL_STREAM", text, 1);
}

static void say_all_levels(struct log *log)
{
    log_adjust(log, 2);
    log_debug(log, "one");
    log_info(log, "two");
    log_warning(log, "three");
    log_error(log, "four");
}

TEST(for_the_journal_each_line_begins_with_its_priority)
{
    cleanup_buffer struct buffer out = {0};
    struct capture capture = capture_begin();
    struct log log;
    set_journal_stream(0);
    log_init(&log, "t");
    say_all_levels(&log);
    setenv("LOG_FORMAT", "json", 1);
    log_init(&log, "t");
    log_error(&log, "five");
    capture_end(&capture, &out);
    assert_matches(out.data, "^<7>" TIME " - t - DEBUG - one\n<6>" TIME " - t - INFO - two\n<4>" TIME
                             " - t - WARNING - three\n<3>" TIME " - t - ERROR - four\n<3>\\{\"time\"");
}

TEST(for_a_stderr_that_was_redirected_away_from_the_journal_there_is_no_priority)
{
    cleanup_buffer struct buffer out = {0};
    struct capture capture = capture_begin();
    struct log log;
    set_journal_stream(1);
    log_init(&log, "t");
    say_all_levels(&log);
    capture_end(&capture, &out);
    assert_matches(out.data, "^" TIME " - t - DEBUG - one\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_line_has_time_tool_level_and_message, clear_environment),
        cmocka_unit_test_setup(the_time_is_now_in_utc, clear_environment),
        cmocka_unit_test_setup(each_level_has_its_name, clear_environment),
        cmocka_unit_test_setup(what_is_below_the_level_is_not_said, clear_environment),
        cmocka_unit_test_setup(a_tool_alone_says_warnings_and_above, clear_environment),
        cmocka_unit_test_setup(the_environment_sets_the_level_in_any_case_of_letters, clear_environment),
        cmocka_unit_test_setup(an_unknown_level_is_info_and_is_told, clear_environment),
        cmocka_unit_test_setup(the_level_moves_by_steps_and_stops_at_its_ends, clear_environment),
        cmocka_unit_test_setup(line_breaks_inside_a_message_become_spaces, clear_environment),
        cmocka_unit_test_setup(json_lines_are_valid_and_have_four_members, clear_environment),
        cmocka_unit_test_setup(a_long_message_is_one_line, clear_environment),
        cmocka_unit_test_setup(errno_survives_a_message_and_percent_m_tells_it, clear_environment),
        cmocka_unit_test_setup(a_closed_stderr_harms_nobody, clear_environment),
        cmocka_unit_test_setup(a_limited_message_is_due_once_in_its_interval, clear_environment),
        cmocka_unit_test_setup(a_warning_said_a_thousand_times_is_one_line_and_how_often, clear_environment),
        cmocka_unit_test_setup(repeats_are_told_before_the_next_other_message_and_a_single_one_as_it_is,
                               clear_environment),
        cmocka_unit_test_setup(what_informs_is_never_held_back, clear_environment),
        cmocka_unit_test_setup(characters_that_a_terminal_obeys_become_spaces, clear_environment),
        cmocka_unit_test_setup(json_is_valid_whatever_byte_a_message_has, clear_environment),
        cmocka_unit_test_setup(for_the_journal_each_line_begins_with_its_priority, clear_environment),
        cmocka_unit_test_setup(for_a_stderr_that_was_redirected_away_from_the_journal_there_is_no_priority,
                               clear_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
