/* pgsink - stores NDJSON in a PostgreSQL table. See pgsink.1. */
#include "check.h"
#include "common/options.h"
#include "common/signals.h"
#include "connection.h"
#include "stream.h"

#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

#define PIPE_SIZE (1024 * 1024)

struct options {
    struct common_options common;
    struct sink_options sink;
    struct map_option *maps;
    int64_t max_rows, max_bytes, max_line;
    bool is_dry_run;
    bool is_check;
};

enum {
    KEY_MAP = 0x100,
    KEY_ID,
    KEY_ON_CONFLICT,
    KEY_UNKNOWN,
    KEY_NUL,
    KEY_MAX_ROWS,
    KEY_MAX_BYTES,
    KEY_MAX_LINE,
    KEY_MAX_REJECT_RATIO,
    KEY_RETRY_FOR,
    KEY_CONNECTIONS,
    KEY_DRY_RUN,
    KEY_CHECK,
};

static const struct argp_option option_table[] = {
    {"dbname", 'd', "CONNINFO", 0, "Connection string or URI (default: libpq's environment)", 0},
    {"table", 'T', "TABLE", 0, "[SCHEMA.]TABLE to write to (agent_actions)", 0},
    {"map", KEY_MAP, "COLUMN=PATH", 0, "Fill COLUMN from the member PATH, or by a jq program", 1},
    {"id", KEY_ID, "HOW", 0, "Ids: auto (the event's, else derived), content, offset or none", 1},
    {"on-conflict", KEY_ON_CONFLICT, "WHAT", 0, "A row that is there already: nothing, update or error", 1},
    {"unknown", KEY_UNKNOWN, "WHAT", 0,
     "Members that no column takes: ignore, reject, or a COLUMN to collect them", 1},
    {"nul", KEY_NUL, "WHAT", 0, "\\u0000 in a value: reject, strip or replace", 1},
    {"max-rows", KEY_MAX_ROWS, "N", 0, "Rows of a transaction at most (2000)", 2},
    {"max-bytes", KEY_MAX_BYTES, "BYTES", 0, "Bytes of a transaction at most, or one event (4M)", 2},
    {"max-line", KEY_MAX_LINE, "BYTES", 0, "Longer lines are rejected (64M)", 2},
    {"max-reject-ratio", KEY_MAX_REJECT_RATIO, "R", 0, "Stop when more than this share is rejected (off)", 2},
    {"retry-for", KEY_RETRY_FOR, "TIME", 0, "Give up when PostgreSQL has refused for so long (never)", 2},
    {"connections", KEY_CONNECTIONS, "N", 0, "1, or 2 where the database is slower than the stream (2)", 2},
    {"dry-run", KEY_DRY_RUN, NULL, 0, "Show the mapping and check the events; write nothing", 3},
    {"check", KEY_CHECK, NULL, 0, "Say whether the table takes events from this user; store nothing", 3},
    {0},
};

static int choose(const struct argp_state *state, const char *option, const char *arg,
                  const char *const *names)
{
    for (int i = 0; names[i]; i++)
        if (strcmp(arg, names[i]) == 0)
            return i;
    cleanup_buffer struct buffer list = {0};
    for (int i = 0; names[i]; i++) {
        buffer_append_string(&list, i ? ", " : "");
        buffer_append_string(&list, names[i]);
    }
    buffer_append_char(&list, '\0');
    argp_error(state, "%s \"%s\" is none of %s", option, arg, list.data);
    return 0;
}

static void add_map(struct options *options, const struct argp_state *state, char *arg)
{
    char *equals = strchr(arg, '=');
    if (!equals || equals == arg || !equals[1]) {
        argp_error(state, "--map \"%s\" is not of the form COLUMN=PATH", arg);
        return;
    }
    *equals = '\0';
    size_t count = options->sink.mapping.map_count++;
    options->maps = xreallocarray(options->maps, count + 1, sizeof *options->maps);
    options->maps[count] = (struct map_option){arg, equals + 1};
}

static void set_unknown(struct mapping_options *mapping, const char *arg)
{
    mapping->unknown = strcmp(arg, "ignore") == 0   ? UNKNOWN_IGNORE
                       : strcmp(arg, "reject") == 0 ? UNKNOWN_REJECT
                                                    : UNKNOWN_COLLECT;
    mapping->unknown_column = arg;
}

static void set_ratio(struct options *options, const struct argp_state *state, const char *arg)
{
    char *end;
    options->sink.max_reject_ratio = strtod(arg, &end);
    bool is_share =
        options->sink.max_reject_ratio >= 0 && options->sink.max_reject_ratio <= 1; /* NaN is none */
    if (end == arg || *end || !is_share)
        argp_error(state, "--max-reject-ratio \"%s\" is no number from 0 to 1", arg);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    static const char *const ids[] = {"auto", "content", "offset", "none", NULL};
    static const char *const conflicts[] = {"nothing", "update", "error", NULL};
    static const char *const nuls[] = {"reject", "strip", "replace", NULL};
    struct options *options = state->input;
    struct sink_options *sink = &options->sink;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &options->common;
        return 0;
    case 'd':
        sink->conninfo = arg;
        return 0;
    case 'T':
        sink->table = arg;
        return 0;
    case KEY_MAP:
        add_map(options, state, arg);
        return 0;
    case KEY_ID:
        sink->mapping.id = (enum id_mode)choose(state, "--id", arg, ids);
        return 0;
    case KEY_ON_CONFLICT:
        sink->on_conflict = (enum conflict_action)choose(state, "--on-conflict", arg, conflicts);
        return 0;
    case KEY_UNKNOWN:
        set_unknown(&sink->mapping, arg);
        return 0;
    case KEY_NUL:
        sink->mapping.nul = (enum nul_policy)(NUL_REJECT + choose(state, "--nul", arg, nuls));
        return 0;
    case KEY_MAX_ROWS:
        options->max_rows = option_count(state, "--max-rows", arg, 1, 1000000);
        return 0;
    case KEY_MAX_BYTES:
        options->max_bytes = option_size(state, "--max-bytes", arg);
        return 0;
    case KEY_MAX_LINE:
        options->max_line = option_size(state, "--max-line", arg);
        return 0;
    case KEY_MAX_REJECT_RATIO:
        set_ratio(options, state, arg);
        return 0;
    case KEY_RETRY_FOR:
        sink->retry_for_us = option_duration(state, "--retry-for", arg, 1000000);
        return 0;
    case KEY_CONNECTIONS:
        sink->connections = (int)option_count(state, "--connections", arg, 1, 2);
        return 0;
    case KEY_DRY_RUN:
        options->is_dry_run = true;
        return 0;
    case KEY_CHECK:
        options->is_check = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "\"%s\": there are no arguments; events come from stdin", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&common_argp, 0, NULL, 0}, {0}};
static const struct argp argp = {option_table, parse, NULL, "Store NDJSON events in a PostgreSQL table.",
                                 children,     NULL,  NULL};

static void check_conninfo(const char *conninfo)
{
    char *error = NULL;
    if (!conninfo || (!strchr(conninfo, '=') && !strstr(conninfo, "://")))
        return; /* a database's name */
    PQconninfoOption *parsed = PQconninfoParse(conninfo, &error);
    if (!parsed) {
        fprintf(stderr, "pgsink: -d: %s", error ? error : "out of memory\n");
        exit(EX_USAGE);
    }
    PQconninfoFree(parsed);
}

static int exit_code(struct sink *sink)
{
    if (sink->exit_code)
        return sink->exit_code;
    if (sink->intake.read_errno) {
        log_error(&sink->log, "could not read stdin: %s", strerror(sink->intake.read_errno));
        return EX_IOERR;
    }
    if (!sink->intake.is_torn || sink->is_stopping)
        return EX_OK;
    log_warning(&sink->log, "the last line has no newline and is not JSON: dropped as torn");
    return EX_DATAERR;
}

int main(int argc, char **argv)
{
    struct options options = {
        .sink = {.table = "agent_actions",
                 .max_reject_ratio = -1,
                 .retry_for_us = -1,
                 .connections = 2,
                 .mapping = {.nul = NUL_REJECT}},
        .max_rows = 2000,
        .max_bytes = 4 << 20,
        .max_line = 64 << 20,
    };
    options_init();
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    check_conninfo(options.sink.conninfo);
    options.sink.mapping.maps = options.maps;
    /* Else it would depend on the events before what an event leaves of the row that it replaces. */
    options.sink.mapping.fills_all = options.sink.on_conflict == CONFLICT_UPDATE;
    if (options.is_check) {
        int status = check_run(&options.sink);
        free(options.maps);
        return status;
    }

    struct sink sink = {.options = options.sink,
                        .out = {.fd = STDOUT_FILENO},
                        .backoff = {.first_us = 100000, .most_us = 10000000}};
    options_apply(&options.common, &sink.log, "pgsink");
    cleanup_free char *stats_error = NULL;
    sink.stats = stats_attach(options.common.stats_file, TOOL_PGSINK, &stats_error);
    if (stats_error)
        log_warning(&sink.log, "%s", stats_error);
    sink.signal_fd = signals_init();
    enlarge_pipe(STDIN_FILENO, PIPE_SIZE);
    sink.filling = &sink.batches[0];
    intake_init(&sink.intake, STDIN_FILENO, (size_t)options.max_line, (size_t)options.max_rows,
                (size_t)options.max_bytes, sink.stats);

    if (options.is_dry_run)
        stream_check(&sink);
    else
        stream_store(&sink);
    int code = exit_code(&sink);
    connection_close(&sink);
    mapping_free(sink.mapping);
    table_free(sink.table);
    for (int i = 0; i < BATCHES; i++)
        batch_free(&sink.batches[i]);
    intake_free(&sink.intake);
    buffer_free(&sink.out.buffer);
    free(options.maps);
    return code;
}
