#include "common/options.h"

#include "common/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* --stats has no short letter: argp wants a key that is no option character. */
#define KEY_STATS 0x1000

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
    struct common_options *options = state->input;
    switch (key) {
    case 'v':
        options->verbosity++;
        return 0;
    case 'q':
        options->verbosity--;
        return 0;
    case KEY_STATS:
        options->stats_file = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option option_table[] = {
    {"verbose", 'v', NULL, 0, "Say more (twice: debugging)", 100},
    {"quiet", 'q', NULL, 0, "Say less", 100},
    {"stats", KEY_STATS, "FILE", 0, "Shared counters (default: $AGENT_ACTIONS_STATS)", 100},
    {0},
};

const struct argp common_argp = {option_table, parse_common, NULL, NULL, NULL, NULL, NULL};

static void print_version(FILE *stream, struct argp_state *state)
{
    fprintf(stream, "%s (agent-actions) %s\n", state->name, VERSION);
}

/* Where one is closed, the next thing to be opened would take its place: a socket would get our output.
 * Stderr last: what is opened in its place must not become stdin or stdout. */
static void check_standard_streams(void)
{
    if (fcntl(STDIN_FILENO, F_GETFD) < 0 || fcntl(STDOUT_FILENO, F_GETFD) < 0) {
        fprintf(stderr, "%s: stdin or stdout is closed\n", program_invocation_short_name);
        exit(EX_IOERR);
    }
    if (fcntl(STDERR_FILENO, F_GETFD) < 0 && open("/dev/null", O_WRONLY) < 0)
        exit(EX_IOERR);
}

void options_init(void)
{
    check_standard_streams();
    argp_err_exit_status = EX_USAGE;
    argp_program_version_hook = print_version;
}

void options_apply(struct common_options *options, struct log *log, const char *tool)
{
    log_init(log, tool);
    log_adjust(log, options->verbosity);
    if (!options->stats_file)
        options->stats_file = getenv("AGENT_ACTIONS_STATS");
    if (options->stats_file && !*options->stats_file)
        options->stats_file = NULL;
}

/* A decimal number and what stands behind it. */
static bool parse_number(const char *text, int64_t *number, const char **rest)
{
    if (*text < '0' || *text > '9')
        return false;
    char *end;
    errno = 0;
    *number = strtoll(text, &end, 10);
    *rest = end;
    return errno == 0;
}

struct unit {
    const char *name;
    int64_t factor;
};

static bool parse_with_unit(const char *text, const struct unit *units, int64_t *value)
{
    const char *rest;
    if (!parse_number(text, value, &rest))
        return false;
    for (; units->name; units++)
        if (strcmp(rest, units->name) == 0)
            return !__builtin_mul_overflow(*value, units->factor, value);
    return false;
}

bool parse_duration(const char *text, int64_t unit_us, int64_t *microseconds)
{
    const struct unit units[] = {{"", unit_us},   {"us", 1},         {"ms", 1000}, {"s", 1000000},
                                 {"m", 60000000}, {"h", 3600000000}, {NULL, 0}};
    return parse_with_unit(text, units, microseconds);
}

bool parse_size(const char *text, int64_t *bytes)
{
    static const struct unit units[] = {{"", 1},          {"K", 1 << 10}, {"KiB", 1 << 10}, {"M", 1 << 20},
                                        {"MiB", 1 << 20}, {"G", 1 << 30}, {"GiB", 1 << 30}, {NULL, 0}};
    return parse_with_unit(text, units, bytes);
}

bool parse_count(const char *text, int64_t low, int64_t high, int64_t *count)
{
    const char *rest;
    return parse_number(text, count, &rest) && !*rest && *count >= low && *count <= high;
}

int64_t option_duration(const struct argp_state *state, const char *option, const char *text, int64_t unit_us)
{
    int64_t value = 0;
    if (!parse_duration(text, unit_us, &value))
        argp_error(state, "%s \"%s\" is no duration such as 250ms, 1s or 2m", option, text);
    return value;
}

int64_t option_size(const struct argp_state *state, const char *option, const char *text)
{
    int64_t value = 0;
    if (!parse_size(text, &value) || value < 1)
        argp_error(state, "%s \"%s\" is no size such as 65536, 64K or 16M", option, text);
    return value;
}

int64_t option_count(const struct argp_state *state, const char *option, const char *text, int64_t low,
                     int64_t high)
{
    int64_t value = 0;
    if (!parse_count(text, low, high, &value))
        argp_error(state, "%s \"%s\" is no whole number from %lld to %lld", option, text, (long long)low,
                   (long long)high);
    return value;
}
