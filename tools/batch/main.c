/* batch - groups the lines of stdin into paragraphs. See batch.1.
 *
 * One loop: wait for stdin, or for the open batch's time to be up; copy what has come. */
#include "common/library_pages.h"
#include "common/options.h"
#include "common/signals.h"
#include "common/timestamp.h"
#include "common/output.h"
#include "paragraphs.h"
#include "progress.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#define PIPE_SIZE (1024 * 1024)
#define HEARTBEAT_US 1000000

struct options {
    struct common_options common;
    int64_t lines, bytes, time_us;
    bool shows_progress;
};

enum { KEY_PROGRESS = 0x100, KEY_NO_PROGRESS };

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &options->common;
        return 0;
    case 'n':
        options->lines = option_count(state, "-n", arg, 1, INT64_MAX);
        return 0;
    case 't':
        options->time_us = option_duration(state, "-t", arg, 1000);
        return 0;
    case 'z':
        options->bytes = option_size(state, "-z", arg);
        return 0;
    case KEY_PROGRESS:
    case KEY_NO_PROGRESS:
        options->shows_progress = key == KEY_PROGRESS;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "\"%s\": there are no arguments; lines come from stdin", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option option_table[] = {
    {"lines", 'n', "LINES", 0, "End a batch after so many lines (100)", 0},
    {"time", 't', "TIME", 0, "End a batch so long after its first line (1000ms); 0: when no more waits", 0},
    {"bytes", 'z', "BYTES", 0, "End a batch that has reached so many bytes (no limit)", 0},
    {"progress", KEY_PROGRESS, NULL, 0, "Show how far it is, on stderr", 0},
    {"no-progress", KEY_NO_PROGRESS, NULL, 0, "Show nothing (default: shown on a terminal for a file)", 0},
    {0},
};
static const struct argp_child children[] = {{&common_argp, 0, NULL, 0}, {0}};
static const struct argp argp = {
    option_table, parse, NULL, "Group the lines of stdin into paragraphs: a blank line ends a batch.",
    children,     NULL,  NULL};

/* Milliseconds that poll() may wait: until the open batch's time is up, at most until the heartbeat. */
static int wait_ms(const struct paragraphs *paragraphs, int64_t time_us)
{
    int64_t wait = HEARTBEAT_US;
    if (paragraphs->opened_at && !paragraphs->is_streaming) {
        int64_t left = paragraphs->opened_at + time_us - monotonic_microseconds();
        wait = left < wait ? left : wait;
    }
    return wait <= 0 ? 0 : (int)((wait + 999) / 1000);
}

/* Copies until the input ends or a signal comes. */
static enum paragraphs_status run(struct paragraphs *paragraphs, struct progress *progress, int64_t time_us)
{
    enum paragraphs_status status = PARAGRAPHS_OK;
    while (status == PARAGRAPHS_OK && !signals_pending()) {
        struct pollfd waiting = {.fd = paragraphs->in, .events = POLLIN};
        int ready = poll(&waiting, 1, wait_ms(paragraphs, time_us));
        stats_heartbeat(paragraphs->stats);
        if (ready > 0)
            status = paragraphs_copy(paragraphs);
        bool is_time = paragraphs->opened_at && !paragraphs->is_streaming &&
                       monotonic_microseconds() >= paragraphs->opened_at + time_us &&
                       (time_us > 0 || poll(&waiting, 1, 0) <= 0);
        if (status == PARAGRAPHS_OK && is_time) {
            stats_add(paragraphs->stats, COUNTER_batches_by_time, paragraphs->lines > 0);
            status = paragraphs_end_batch(paragraphs);
        }
        progress_update(progress, paragraphs->total_lines, paragraphs->total_bytes);
    }
    return status;
}

static int finish(struct paragraphs *paragraphs, enum paragraphs_status status, const struct log *log)
{
    bool is_torn = false;
    if (status == PARAGRAPHS_END)
        status = paragraphs_finish(paragraphs, &is_torn);
    else if (status == PARAGRAPHS_OK) /* a signal: what is whole has gone out */
        status = paragraphs_end_batch(paragraphs);
    if (status == PARAGRAPHS_READ_FAILED)
        log_error(log, "could not read stdin: %m");
    else if (status == PARAGRAPHS_WRITE_FAILED)
        log_error(log, "could not write to stdout: %m");
    else if (is_torn)
        log_warning(log, "the last line has no newline and is not JSON: dropped as torn");
    if (status == PARAGRAPHS_READ_FAILED || status == PARAGRAPHS_WRITE_FAILED)
        return EX_IOERR;
    return is_torn ? EX_DATAERR : EX_OK;
}

int main(int argc, char **argv)
{
    struct options options = {.lines = 100, .time_us = 1000000};
    options.shows_progress = isatty(STDERR_FILENO) && lseek(STDIN_FILENO, 0, SEEK_CUR) >= 0;
    options_init();
    argp_parse(&argp, argc, argv, 0, NULL, &options);

    struct log log;
    options_apply(&options.common, &log, "batch");
    cleanup_free char *stats_error = NULL;
    struct stats_slot *stats = stats_attach(options.common.stats_file, TOOL_BATCH, &stats_error);
    if (stats_error)
        log_warning(&log, "%s", stats_error);
    signals_init();
    enlarge_pipe(STDIN_FILENO, PIPE_SIZE);
    enlarge_pipe(STDOUT_FILENO, PIPE_SIZE);

    struct paragraphs paragraphs = {.in = STDIN_FILENO,
                                    .out = STDOUT_FILENO,
                                    .max_lines = options.lines,
                                    .max_bytes = options.bytes,
                                    .stats = stats};
    struct progress progress = {.is_shown = options.shows_progress};
    progress_start(&progress, STDIN_FILENO);
    library_pages_give_back();
    enum paragraphs_status status = run(&paragraphs, &progress, options.time_us);
    int code = finish(&paragraphs, status, &log);
    progress_finish(&progress, paragraphs.total_lines, paragraphs.total_bytes);
    buffer_free(&paragraphs.buffer);
    return code;
}
