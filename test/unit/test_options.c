#include "unit.h"

#include "common/options.h"

#include <stdio.h>
#include <sys/wait.h>
#include <sysexits.h>

static void assert_duration(const char *text, int64_t unit, int64_t expected)
{
    int64_t value = -1;
    if (!parse_duration(text, unit, &value) || value != expected)
        fail_msg("%s: %lld", text, (long long)value);
}

TEST(a_duration_has_a_unit_or_takes_the_options_own)
{
    assert_duration("250", 1000, 250000);
    assert_duration("250", 1000000, 250000000);
    assert_duration("0", 1000, 0);
    assert_duration("7us", 1000, 7);
    assert_duration("250ms", 1000000, 250000);
    assert_duration("1s", 1000, 1000000);
    assert_duration("2m", 1000, 120000000);
    assert_duration("1h", 1000, INT64_C(3600000000));
    assert_duration("9223372036854775807us", 1, INT64_MAX);
}

TEST(what_is_no_duration_is_refused)
{
    static const char *const cases[] = {"",
                                        "-1",
                                        "+1",
                                        " 1",
                                        "1 ",
                                        "1 s",
                                        "s",
                                        "1.5s",
                                        "1x",
                                        "1ss",
                                        "1S",
                                        "1M",
                                        "1d",
                                        "1e3",
                                        "0x10",
                                        "1,5s",
                                        "1ms2",
                                        "9223372036854775808us",
                                        "9223372036854775807s",
                                        "99999999999999999999"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t value;
        if (parse_duration(cases[i], 1000, &value))
            fail_msg("taken: \"%s\"", cases[i]);
    }
}

static void assert_size(const char *text, int64_t expected)
{
    int64_t value = -1;
    if (!parse_size(text, &value) || value != expected)
        fail_msg("%s: %lld", text, (long long)value);
}

TEST(a_size_counts_in_powers_of_1024)
{
    assert_size("0", 0);
    assert_size("4096", 4096);
    assert_size("64K", 65536);
    assert_size("64KiB", 65536);
    assert_size("1M", 1048576);
    assert_size("1MiB", 1048576);
    assert_size("4G", INT64_C(4294967296));
    assert_size("4GiB", INT64_C(4294967296));
}

TEST(what_is_no_size_is_refused)
{
    static const char *const cases[] = {"",
                                        "-1",
                                        "K",
                                        "1KB",
                                        "1k",
                                        "1 K",
                                        "1.5M",
                                        "1T",
                                        "1Ki",
                                        "9223372036854775807K",
                                        "9223372036854775808"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t value;
        if (parse_size(cases[i], &value))
            fail_msg("taken: \"%s\"", cases[i]);
    }
}

TEST(a_count_keeps_its_bounds)
{
    int64_t value;
    assert_true(parse_count("1", 1, 100, &value) && value == 1);
    assert_true(parse_count("100", 1, 100, &value) && value == 100);
    assert_false(parse_count("0", 1, 100, &value));
    assert_false(parse_count("101", 1, 100, &value));
    assert_false(parse_count("-5", -10, 100, &value));
    assert_false(parse_count("5 ", 1, 100, &value));
    assert_false(parse_count("5x", 1, 100, &value));
    assert_false(parse_count("", 0, 100, &value));
    assert_false(parse_count("9223372036854775808", 0, INT64_MAX, &value));
    assert_true(parse_count("9223372036854775807", 0, INT64_MAX, &value) && value == INT64_MAX);
}

/* A tool with one option of its own. */
struct tool_options {
    struct common_options common;
    int64_t wait_us, limit, count;
};

static error_t parse_tool(int key, char *arg, struct argp_state *state)
{
    struct tool_options *options = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &options->common;
        return 0;
    case 't':
        options->wait_us = option_duration(state, "-t", arg, 1000);
        return 0;
    case 'z':
        options->limit = option_size(state, "-z", arg);
        return 0;
    case 'n':
        options->count = option_count(state, "-n", arg, 1, 1000);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option tool_option_table[] = {{"wait", 't', "DURATION", 0, "", 0},
                                                       {"limit", 'z', "SIZE", 0, "", 0},
                                                       {"count", 'n', "N", 0, "", 0},
                                                       {0}};

static void parse_arguments(struct tool_options *options, const char *const *arguments)
{
    static char copies[8][64]; /* argp wants them writable, and options may point into them */
    char *argv[8] = {copies[0]};
    int argc = 1;
    strcpy(copies[0], "tool");
    for (; *arguments; arguments++, argc++)
        argv[argc] = strcpy(copies[argc], *arguments);
    const struct argp_child children[] = {{&common_argp, 0, NULL, 0}, {0}};
    const struct argp argp = {tool_option_table, parse_tool, NULL, NULL, children, NULL, NULL};
    options_init();
    assert_int_equal(argp_parse(&argp, argc, argv, 0, NULL, options), 0);
}

#define ARGUMENTS(...) ((const char *const[]){__VA_ARGS__, NULL})

TEST(the_common_options_work_beside_a_tools_own)
{
    struct tool_options options = {0};
    parse_arguments(&options, ARGUMENTS("-vv", "-t", "2s", "-z", "16M", "--count=7", "--quiet"));
    assert_int_equal(options.common.verbosity, 1);
    assert_null(options.common.stats_file);
    assert_int_equal(options.wait_us, 2000000);
    assert_int_equal(options.limit, 16 << 20);
    assert_int_equal(options.count, 7);
}

TEST(v_and_q_move_the_level_of_the_log)
{
    static const struct {
        int verbosity;
        enum log_level level;
    } cases[] = {{0, LOG_LEVEL_WARNING}, {1, LOG_LEVEL_INFO},   {2, LOG_LEVEL_DEBUG},
                 {3, LOG_LEVEL_DEBUG},   {-1, LOG_LEVEL_ERROR}, {-5, LOG_LEVEL_ERROR}};
    unsetenv("LOG_LEVEL");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct common_options options = {.verbosity = cases[i].verbosity};
        struct log log;
        options_apply(&options, &log, "tool");
        assert_int_equal(log.level, cases[i].level);
        assert_string_equal(log.tool, "tool");
    }
}

TEST(the_stats_file_comes_from_the_option_else_from_the_environment)
{
    struct log log;
    struct common_options options = {0};
    setenv("AGENT_ACTIONS_STATS", "/from/environment", 1);
    options_apply(&options, &log, "tool");
    assert_string_equal(options.stats_file, "/from/environment");

    struct tool_options given = {0};
    parse_arguments(&given, ARGUMENTS("--stats=/from/option"));
    options_apply(&given.common, &log, "tool");
    assert_string_equal(given.common.stats_file, "/from/option");

    setenv("AGENT_ACTIONS_STATS", "", 1);
    options = (struct common_options){0};
    options_apply(&options, &log, "tool");
    assert_null(options.stats_file);
    unsetenv("AGENT_ACTIONS_STATS");
}

/* Runs the parser in a child; what it prints goes to `out`. Returns its exit status. */
static int run_child(const char *const *arguments, struct buffer *out)
{
    int pipe_fds[2];
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t child = fork();
    if (child == 0) {
        dup2(pipe_fds[1], 1);
        dup2(pipe_fds[1], 2);
        close(pipe_fds[0]);
        close(pipe_fds[1]);
        struct tool_options options = {0};
        parse_arguments(&options, arguments);
        _exit(0);
    }
    close(pipe_fds[1]);
    char bytes[4096];
    ssize_t got;
    while ((got = read(pipe_fds[0], bytes, sizeof bytes)) > 0)
        buffer_append(out, bytes, (size_t)got);
    buffer_append_char(out, '\0');
    close(pipe_fds[0]);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

TEST(a_usage_error_names_the_option_and_exits_with_64)
{
    static const struct {
        const char *option, *value, *expected;
    } cases[] = {{"-t", "soon", "-t \"soon\" is no duration"},
                 {"-z", "big", "-z \"big\" is no size"},
                 {"-z", "0", "-z \"0\" is no size"},
                 {"-n", "1001", "-n \"1001\" is no whole number from 1 to 1000"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cleanup_buffer struct buffer out = {0};
        assert_int_equal(run_child(ARGUMENTS(cases[i].option, cases[i].value), &out), EX_USAGE);
        assert_non_null(strstr(out.data, cases[i].expected));
    }
    cleanup_buffer struct buffer out = {0};
    assert_int_equal(run_child(ARGUMENTS("--nonsense"), &out), EX_USAGE);
}

TEST(the_version_names_tool_and_suite)
{
    cleanup_buffer struct buffer out = {0};
    assert_int_equal(run_child(ARGUMENTS("--version"), &out), 0);
    assert_string_equal(out.data, "tool (agent-actions) " VERSION "\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_duration_has_a_unit_or_takes_the_options_own),
        cmocka_unit_test(what_is_no_duration_is_refused),
        cmocka_unit_test(a_size_counts_in_powers_of_1024),
        cmocka_unit_test(what_is_no_size_is_refused),
        cmocka_unit_test(a_count_keeps_its_bounds),
        cmocka_unit_test(the_common_options_work_beside_a_tools_own),
        cmocka_unit_test(v_and_q_move_the_level_of_the_log),
        cmocka_unit_test(the_stats_file_comes_from_the_option_else_from_the_environment),
        cmocka_unit_test(a_usage_error_names_the_option_and_exits_with_64),
        cmocka_unit_test(the_version_names_tool_and_suite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
