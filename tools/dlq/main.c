/* dlq - the confirmed publisher: rejects to a dead letter queue, acks to stdout once they are true. */
#include "check.h"
#include "dlq.h"

#include "common/library_pages.h"
#include "common/signals.h"

#include <errno.h>
#include <signal.h>
#include <sysexits.h>

enum {
    KEY_FORMAT = 0x200,
    KEY_REPLAY,
    KEY_PUBLISH,
    KEY_KEY,
    KEY_MAX_PENDING,
    KEY_MAX_PENDING_BYTES,
    KEY_MAX_LINE,
    KEY_DRAIN_TIMEOUT,
    KEY_CHECK,
};

struct arguments {
    struct settings settings;
    struct common_options common;
    struct kafka_config kafka;
    bool has_format;
    bool is_check;
};

static const struct argp_option option_table[] = {
    {"brokers", 'b', "BROKERS", 0, "Kafka brokers (default: $KAFKA_BROKERS, else localhost:9092)", 1},
    {"topic", 't', "TOPIC", 0, "Publish to TOPIC (default: the reject's own topic with -dlq appended)", 1},
    {"group", 'g', "GROUP", 0, "The consumer_group to tell (default: $KAFKA_GROUP_ID)", 1},
    {"property", 'X', "PROPERTY=VALUE", 0, "Set a property of the Kafka client", 1},
    {"kafka-config", 'F', "FILE", 0, "Read properties of the Kafka client", 1},
    {"output", 'o', "FILE", 0, "Append the rejects to FILE instead of publishing them", 2},
    {"format", KEY_FORMAT, "json|raw", 0, "The original in JSON with the error, or as it is", 2},
    {"replay", KEY_REPLAY, NULL, 0, "Publish the originals of dead letters", 3},
    {"publish", KEY_PUBLISH, NULL, 0, "Publish events", 3},
    {"key", KEY_KEY, "MEMBER", 0, "With --publish: the member that is the key (correlation_id)", 3},
    {"check", KEY_CHECK, NULL, 0, "Say whether the topic is there, or would be made; publish nothing", 3},
    {"max-pending", KEY_MAX_PENDING, "N", 0, "Messages not yet confirmed, at most (50000)", 4},
    {"max-pending-bytes", KEY_MAX_PENDING_BYTES, "SIZE", 0, "Their bytes, at most (32M)", 4},
    {"max-line", KEY_MAX_LINE, "SIZE", 0, "The longest line read whole (256M)", 4},
    {"drain-timeout", KEY_DRAIN_TIMEOUT, "TIME", 0, "Wait so long after a signal (30s)", 4},
    {0},
};

static void choose_mode(struct argp_state *state, struct settings *settings, const struct mode *mode)
{
    if (settings->mode != &dead_letters_mode && settings->mode != mode)
        argp_error(state, "--replay and --publish exclude each other");
    settings->mode = mode;
}

static void set_format(struct argp_state *state, struct arguments *arguments, const char *name)
{
    arguments->has_format = true;
    if (strcmp(name, "json") == 0)
        arguments->settings.format = DEAD_LETTER_JSON;
    else if (strcmp(name, "raw") == 0)
        arguments->settings.format = DEAD_LETTER_RAW;
    else
        argp_error(state, "--format \"%s\" is none of json, raw", name);
}

static void check_combination(struct argp_state *state, const struct arguments *arguments)
{
    const struct settings *settings = &arguments->settings;
    bool is_dead_letters = settings->mode == &dead_letters_mode;
    if (settings->output_path && !is_dead_letters)
        argp_error(state, "-o is for rejects: it goes with neither --replay nor --publish");
    if (settings->output_path && (settings->topic || arguments->has_format))
        argp_error(state, "-o writes the rejects as they are: it goes with neither -t nor --format");
    if (settings->output_path && arguments->is_check)
        argp_error(state, "--check is about the topic: it does not go with -o");
    if (arguments->has_format && !is_dead_letters)
        argp_error(state, "--format goes with neither --replay nor --publish");
    if (settings->key_member && settings->mode != &publish_mode)
        argp_error(state, "--key goes with --publish alone");
    if (settings->topic && !*settings->topic)
        argp_error(state, "-t needs the name of a topic");
}

static void report(const struct argp_state *state, char *error)
{
    if (error)
        argp_error(state, "%s", error);
    free(error);
}

static error_t parse_kafka_option(int key, char *arg, struct argp_state *state, struct arguments *arguments)
{
    switch (key) {
    case 'b':
        arguments->kafka.brokers = arg;
        return 0;
    case 'X':
        report(state, kafka_config_set(&arguments->kafka, arg));
        return 0;
    case 'F':
        report(state, kafka_config_read_file(&arguments->kafka, arg));
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_limit(int key, char *arg, struct argp_state *state, struct settings *settings)
{
    switch (key) {
    case KEY_MAX_PENDING:
        settings->max_pending = (uint64_t)option_count(state, "--max-pending", arg, 1, 10000000);
        return 0;
    case KEY_MAX_PENDING_BYTES:
        settings->max_pending_bytes = (size_t)option_size(state, "--max-pending-bytes", arg);
        return 0;
    case KEY_MAX_LINE:
        settings->max_line = (size_t)option_size(state, "--max-line", arg);
        return 0;
    case KEY_DRAIN_TIMEOUT:
        settings->drain_timeout_us = option_duration(state, "--drain-timeout", arg, 1000000);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    struct settings *settings = &arguments->settings;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->common;
        return 0;
    case 't':
        settings->topic = arg;
        return 0;
    case 'g':
        settings->group = arg;
        return 0;
    case 'o':
        settings->output_path = arg;
        return 0;
    case KEY_FORMAT:
        set_format(state, arguments, arg);
        return 0;
    case KEY_REPLAY:
        choose_mode(state, settings, &replay_mode);
        return 0;
    case KEY_PUBLISH:
        choose_mode(state, settings, &publish_mode);
        return 0;
    case KEY_CHECK:
        arguments->is_check = true;
        return 0;
    case KEY_KEY:
        settings->key_member = arg;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument \"%s\": the input is stdin", arg);
        return 0;
    case ARGP_KEY_END:
        check_combination(state, arguments);
        return 0;
    default:
        if (parse_kafka_option(key, arg, state, arguments) == 0)
            return 0;
        return parse_limit(key, arg, state, settings);
    }
}

static const char *environment(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value && *value ? value : otherwise;
}

/* NULL, or what is wrong with the environment (to be freed). */
static char *set_defaults(struct arguments *arguments)
{
    *arguments = (struct arguments){.settings = {.mode = &dead_letters_mode,
                                                 .default_topic = environment("KAFKA_TOPIC", "agent-actions"),
                                                 .max_pending = 50000,
                                                 .max_pending_bytes = (size_t)32 << 20,
                                                 .max_line = (size_t)256 << 20,
                                                 .drain_timeout_us = 30000000}};
    static const char *const properties[][2] = {
        {"client.id", "agent-actions-dlq"},
        {"enable.idempotence", "true"},
        {"acks", "all"},
        {"message.timeout.ms", "0"}, /* for ever */
        {"linger.ms", "1"},          /* a batch that is refused is sent again one by one */
        {"message.max.bytes", "100000000"},
        {"partitioner", "murmur2_random"},
        {"topic.metadata.refresh.interval.ms", "10000"}, /* a topic made later must be found soon */
        {"topic.metadata.propagation.max.ms", "5000"},   /* one that is not there is told soon */
    };
    kafka_config_init(&arguments->kafka);
    for (size_t i = 0; i < sizeof properties / sizeof *properties; i++)
        kafka_config_default(&arguments->kafka, properties[i][0], properties[i][1]);
    return kafka_config_environment(&arguments->kafka);
}

static void confirmed(void *data, uint64_t sequence)
{
    dlq_confirm(data, sequence);
}

static bool too_large(void *data, uint64_t sequence, const char *topic)
{
    struct dlq *dlq = data;
    return dlq->settings.mode->too_large(dlq, sequence, topic);
}

/* The client tries again in silence, for ever. Of dead letters we would rather know the reason: it gives
 * them back soon, and we send them again. That may change their order, which matters in the other modes. */
static void limit_retries(struct kafka_config *kafka)
{
    char retries[16] = "";
    size_t size = sizeof retries;
    rd_kafka_conf_get(kafka->conf, "message.send.max.retries", retries, &size);
    if (strcmp(retries, "2147483647") == 0) /* the library's default: nobody has set it */
        kafka_config_default(kafka, "message.send.max.retries", "10");
}

/* Opens where the messages go. 0, or an exit status. */
static int open_destination(struct dlq *dlq, struct kafka_config *kafka)
{
    const char *path = dlq->settings.output_path;
    if (path) {
        kafka_config_free(kafka);
        if (reject_file_open(&dlq->file, path))
            return 0;
        if (errno == EINTR) {
            log_warning(&dlq->log, "ending: nobody has opened the fifo %s to read", path);
            return EX_TEMPFAIL;
        }
        log_error(&dlq->log, "could not open %s: %m", path);
        return EX_CANTCREAT;
    }
    dlq->publisher = (struct publisher){
        .owner = {dlq, confirmed, too_large}, .log = &dlq->log, .stats = dlq->stats, .event_fd = -1};
    if (dlq->settings.mode == &dead_letters_mode)
        limit_retries(kafka);
    char *error;
    rd_kafka_conf_t *conf = kafka_config_take(kafka, &error);
    if (conf)
        error = publisher_open(&dlq->publisher, conf);
    if (!error)
        return 0;
    log_error(&dlq->log, "could not set up the Kafka client: %s", error);
    free(error);
    return EX_CONFIG;
}

static int check_topic(const struct settings *settings, struct kafka_config *kafka)
{
    cleanup_free char *topic = settings->topic ? xstrdup(settings->topic)
                               : settings->mode == &dead_letters_mode
                                   ? xasprintf("%s-dlq", settings->default_topic)
                                   : xstrdup(settings->default_topic);
    return check_run(topic, kafka);
}

static void close_all(struct dlq *dlq)
{
    if (dlq->settings.output_path)
        reject_file_close(&dlq->file);
    else
        publisher_close(&dlq->publisher);
    in_flight_free(&dlq->in_flight);
    line_reader_free(&dlq->reader);
    line_free(&dlq->line);
    line_free(&dlq->rejected);
    dead_letter_free(&dlq->letter);
    buffer_free(&dlq->output.buffer);
    buffer_free(&dlq->key);
    buffer_free(&dlq->topic);
}

static const char doc[] =
    "Publish rejects to a dead letter queue, and pass acknowledgements on once they are safe."
    "\vReads NDJSON from stdin, writes acknowledgements to stdout. See dlq(1).";

int main(int argc, char **argv)
{
    static const struct argp_child children[] = {{&common_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {option_table, parse_option, NULL, doc, children, NULL, NULL};
    static struct dlq dlq; /* large, and zero */
    struct arguments arguments;
    options_init();
    cleanup_free char *fault = set_defaults(&arguments);
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);

    dlq.settings = arguments.settings;
    if (!dlq.settings.group)
        dlq.settings.group = environment("KAFKA_GROUP_ID", "agent-actions-postgres");
    if (!dlq.settings.key_member)
        dlq.settings.key_member = "correlation_id";
    /* The slot of the pipeline's dlq is not for one that runs beside it. */
    if ((arguments.is_check || dlq.settings.mode != &dead_letters_mode) && !arguments.common.stats_file)
        arguments.common.stats_file = "";
    options_apply(&arguments.common, &dlq.log, "dlq");
    if (fault) {
        log_error(&dlq.log, "%s", fault);
        kafka_config_free(&arguments.kafka);
        return EX_CONFIG;
    }
    if (arguments.is_check)
        return check_topic(&dlq.settings, &arguments.kafka);
    cleanup_free char *stats_error = NULL;
    dlq.stats = stats_attach(arguments.common.stats_file, TOOL_DLQ, &stats_error);
    if (stats_error)
        log_warning(&dlq.log, "%s", stats_error);

    int signal_fd = signals_init();
    signal(SIGXFSZ, SIG_IGN); /* a file that must not grow is an errno, like a full disk */
    line_reader_init(&dlq.reader, STDIN_FILENO, dlq.settings.max_line);
    dlq.output.fd = output_open_nonblocking(STDOUT_FILENO, 1 << 16);
    int status = open_destination(&dlq, &arguments.kafka);
    if (status == 0) {
        library_pages_give_back();
        status = dlq_run(&dlq, signal_fd);
    }
    if (dlq.published)
        log_info(&dlq.log, "published %llu messages", (unsigned long long)dlq.published);
    close_all(&dlq);
    return status;
}
