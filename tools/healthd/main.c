/* healthd - health, metrics and a small page about running pipelines. See healthd.1.
 *
 * It reads the counters that all tools share and answers over HTTP, or once on standard output. */
#include "http.h"
#include "listen.h"
#include "metrics.h"

#include "common/library_pages.h"
#include "common/options.h"
#include "common/output.h"
#include "common/signals.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sysexits.h>

#define SECOND INT64_C(1000000)
#define DEFAULT_PORT "8080"

enum {
    KEY_ONCE = 0x2000,
    KEY_FORMAT,
    KEY_HEALTH,
    KEY_PORT_FILE,
    KEY_HEARTBEAT,
    KEY_KAFKA,
    KEY_DATABASE,
    KEY_DLQ,
    KEY_PROGRESS
};

struct options {
    struct common_options common;
    struct listen_address address;
    bool has_address, once, health, has_format, prometheus;
    const char *port_file;
    struct health_limits limits;
};

static const struct argp_option option_table[] = {
    {"listen", 'l', "[ADDRESS:]PORT", 0, "Where to listen (127.0.0.1 and $HEALTH_CHECK_PORT, else 8080)", 1},
    {"port-file", KEY_PORT_FILE, "FILE", 0, "Write the port to FILE as soon as it serves", 1},
    {"once", KEY_ONCE, NULL, 0, "Print the metrics and end", 2},
    {"format", KEY_FORMAT, "FORMAT", 0, "With --once: json (default) or prometheus", 2},
    {"health", KEY_HEALTH, NULL, 0, "With --once: print the health instead; ends with 0 or 1", 2},
    {"heartbeat-timeout", KEY_HEARTBEAT, "DURATION", 0, "Oldest heartbeat of a healthy tool (30s)", 3},
    {"kafka-timeout", KEY_KAFKA, "DURATION", 0, "Longest time that no broker may answer (60s)", 3},
    {"database-timeout", KEY_DATABASE, "DURATION", 0, "Longest time that PostgreSQL may refuse (60s)", 3},
    {"dlq-timeout", KEY_DLQ, "DURATION", 0, "Longest time that the dead letter queue may refuse (60s)", 3},
    {"progress-timeout", KEY_PROGRESS, "DURATION", 0,
     "Longest time without progress while there is lag (60s)", 3},
    {0},
};

static void parse_format(struct options *options, const char *arg, const struct argp_state *state)
{
    options->has_format = true;
    options->prometheus = strcmp(arg, "prometheus") == 0;
    if (!options->prometheus && strcmp(arg, "json") != 0)
        argp_error(state, "--format \"%s\" is neither json nor prometheus", arg);
}

static void check_options(const struct options *options, const struct argp_state *state)
{
    if ((options->health || options->has_format) && !options->once)
        argp_error(state, "--health and --format need --once");
    if (options->health && options->has_format)
        argp_error(state, "--health has one format: leave --format out");
    if (options->once && (options->has_address || options->port_file))
        argp_error(state, "with --once nothing is served: leave --listen and --port-file out");
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &options->common;
        return 0;
    case 'l':
        options->has_address = true;
        if (!listen_parse(arg, &options->address))
            argp_error(state, "--listen \"%s\" is no address and port such as 127.0.0.1:8080", arg);
        return 0;
    case KEY_PORT_FILE:
        options->port_file = arg;
        return 0;
    case KEY_ONCE:
        options->once = true;
        return 0;
    case KEY_FORMAT:
        parse_format(options, arg, state);
        return 0;
    case KEY_HEALTH:
        options->health = true;
        return 0;
    case KEY_HEARTBEAT:
        options->limits.heartbeat = option_duration(state, "--heartbeat-timeout", arg, SECOND);
        return 0;
    case KEY_KAFKA:
        options->limits.kafka = option_duration(state, "--kafka-timeout", arg, SECOND);
        return 0;
    case KEY_DATABASE:
        options->limits.database = option_duration(state, "--database-timeout", arg, SECOND);
        return 0;
    case KEY_DLQ:
        options->limits.dlq = option_duration(state, "--dlq-timeout", arg, SECOND);
        return 0;
    case KEY_PROGRESS:
        options->limits.progress = option_duration(state, "--progress-timeout", arg, SECOND);
        return 0;
    case ARGP_KEY_END:
        check_options(options, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int tell_unreadable(const struct stats_source *source, const struct log *log)
{
    bool is_foreign = source->error == EINVAL;
    log_error(log, "could not read the counters in %s: %s", source->path,
              is_foreign ? source_fault(source) : strerror(source->error));
    return is_foreign ? EX_DATAERR : EX_NOINPUT;
}

/* Prints what was asked for; returns the exit status. */
static int run_once(struct monitor *monitor, const struct options *options, const struct log *log)
{
    monitor_look(monitor);
    if (!monitor->has_snapshot && !options->health)
        return tell_unreadable(&monitor->source, log);
    struct output output = {.fd = STDOUT_FILENO};
    struct verdict verdict;
    monitor_judge(monitor, &verdict);
    int status = options->health && !verdict.is_healthy;
    if (options->health)
        verdict_write_json(&output.buffer, &verdict);
    else if (options->prometheus)
        metrics_write_prometheus(&output.buffer, &monitor->snapshot, verdict.is_healthy);
    else
        metrics_write_json(&output.buffer, &monitor->snapshot, monitor_rate(monitor));
    verdict_free(&verdict);
    if (!output_flush(&output)) {
        log_error(log, "could not write to standard output: %s", strerror(errno));
        status = EX_IOERR;
    }
    buffer_free(&output.buffer);
    return status;
}

/* In one step, so that who waits for the file never finds it empty. */
static bool write_port_file(const char *path, uint16_t port)
{
    cleanup_free char *fresh = xasprintf("%s.new", path);
    cleanup_close int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    return fd >= 0 && dprintf(fd, "%u\n", port) > 0 && rename(fresh, path) == 0;
}

static int serve(struct monitor *monitor, const struct options *options, const struct log *log, int stop_fd)
{
    uint16_t port = 0;
    const char *error;
    int listen_fd = listen_open(&options->address, &port, &error);
    if (listen_fd < 0) {
        log_error(log, "could not listen on %s, port %s: %s", options->address.host, options->address.port,
                  error);
        return EX_UNAVAILABLE;
    }
    struct http_server *server = http_start(monitor, listen_fd);
    if (!server) {
        log_error(log, "could not start the HTTP server: %s", strerror(errno));
        return EX_OSERR;
    }
    int status = EX_OK;
    if (options->port_file && !write_port_file(options->port_file, port)) {
        log_error(log, "could not write the port to %s: %s", options->port_file, strerror(errno));
        status = EX_IOERR;
    } else {
        log_info(log, "listening on %s, port %u; reading %s", options->address.host, port,
                 options->common.stats_file);
        library_pages_give_back();
        if (!http_run(server, stop_fd)) {
            log_error(log, "could not go on serving: %s", strerror(errno));
            status = EX_OSERR;
        }
    }
    http_stop(server);
    return status;
}

/* The port from the environment, unless --listen was given. */
static bool default_address(struct options *options)
{
    const char *port = getenv("HEALTH_CHECK_PORT");
    return options->has_address || options->once ||
           listen_parse_port(port && *port ? port : DEFAULT_PORT, &options->address);
}

int main(int argc, char **argv)
{
    static const struct argp_child children[] = {{&common_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {
        option_table, parse_option,
        NULL,         "Serves health, metrics and a small page about running pipelines over HTTP.",
        children,     NULL,
        NULL};
    struct options options = {.limits = {30 * SECOND, 60 * SECOND, 60 * SECOND, 60 * SECOND, 60 * SECOND}};
    struct log log;
    options_init();
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    options_apply(&options.common, &log, "healthd");
    if (!options.common.stats_file) {
        log_error(&log, "no file of counters: give --stats FILE, or set AGENT_ACTIONS_STATS");
        return EX_USAGE;
    }
    if (!default_address(&options)) {
        log_error(&log, "HEALTH_CHECK_PORT \"%s\" is no port from 0 to 65535", getenv("HEALTH_CHECK_PORT"));
        return EX_CONFIG;
    }
    int stop_fd = signals_init();
    struct monitor *monitor = monitor_new(options.common.stats_file, &options.limits, &log);
    int status = options.once ? run_once(monitor, &options, &log) : serve(monitor, &options, &log, stop_fd);
    monitor_free(monitor);
    return status;
}
