#include "arguments.h"

#include <string.h>

enum {
    KEY_ACKS = 0x100,
    KEY_COMMIT_ON_WRITE,
    KEY_BARE,
    KEY_SELECT,
    KEY_MAX_IN_FLIGHT,
    KEY_MAX_IN_FLIGHT_BYTES,
    KEY_DRAIN_TIMEOUT,
    KEY_CHECK,
};

static const struct argp_option option_table[] = {
    {"brokers", 'b', "BROKERS", 0, "Bootstrap brokers (default: $KAFKA_BROKERS, else localhost:9092)", 0},
    {"topic", 't', "TOPIC", 0, "Topic to read; repeatable; ^REGEX with a group", 0},
    {"group", 'g', "GROUP", 0, "Read as a member of this consumer group", 0},
    {"partition", 'p', "N", 0, "Read this partition; repeatable (all)", 0},
    {"offset", 'o', "OFFSET", 0,
     "From where: beginning, end, stored, N, -N (from the end), s@MS; e@MS: until", 0},
    {"count", 'c', "N", 0, "End after so many records", 0},
    {"exit", 'e', NULL, 0, "End at the end of the partitions", 0},
    {"property", 'X', "NAME=VALUE", 0, "Set a property of librdkafka", 0},
    {"config", 'F', "FILE", 0, "Read properties from a file, as kcat does", 0},
    {"acks", KEY_ACKS, "FIFO", 0, "Commit what the acks coming back through FIFO say is safe", 1},
    {"commit-on-write", KEY_COMMIT_ON_WRITE, NULL, 0, "Commit what stdout has taken", 1},
    {"bare", KEY_BARE, NULL, 0, "Print payloads only", 1},
    {"select", KEY_SELECT, "JQ", 0, "Keep the records for which this jq program is true", 1},
    {"max-in-flight", KEY_MAX_IN_FLIGHT, "N", 0, "Records not yet acknowledged at most (50000)", 2},
    {"max-in-flight-bytes", KEY_MAX_IN_FLIGHT_BYTES, "BYTES", 0, "Their bytes at most (64M)", 2},
    {"drain-timeout", KEY_DRAIN_TIMEOUT, "TIME", 0, "How long to wait at the end for acks (30s)", 2},
    {"check", KEY_CHECK, NULL, 0, "Say whether the topics and the group could be read; read nothing", 3},
    {NULL, 'C', NULL, OPTION_HIDDEN, "", 3}, /* kcat's users type these two: they say what is so anyway */
    {NULL, 'J', NULL, OPTION_HIDDEN, "", 3},
    {0},
};

static void add_setting(struct arguments *arguments, const char *text, bool is_file)
{
    size_t count = arguments->setting_count++;
    arguments->settings = xreallocarray(arguments->settings, count + 1, sizeof *arguments->settings);
    arguments->setting_is_file = xreallocarray(arguments->setting_is_file, count + 1, sizeof(bool));
    arguments->settings[count] = text;
    arguments->setting_is_file[count] = is_file;
}

static void add_topic(struct consumer_options *consumer, const char *topic)
{
    for (size_t i = 0; i < consumer->topic_count; i++)
        if (strcmp(consumer->topics[i], topic) == 0)
            return;
    consumer->topics = xreallocarray(consumer->topics, consumer->topic_count + 1, sizeof *consumer->topics);
    consumer->topics[consumer->topic_count++] = topic;
}

static void set_offset(struct consumer_options *consumer, const struct argp_state *state, const char *arg)
{
    int64_t number;
    if (strncmp(arg, "e@", 2) == 0 && parse_count(arg + 2, 0, INT64_MAX, &consumer->end_time))
        return;
    consumer->start = 0;
    if (strcmp(arg, "beginning") == 0)
        consumer->start_kind = OFFSET_BEGINNING;
    else if (strcmp(arg, "end") == 0)
        consumer->start_kind = OFFSET_END;
    else if (strcmp(arg, "stored") == 0)
        consumer->start_kind = OFFSET_STORED;
    else if (parse_count(arg, 0, INT64_MAX, &number))
        consumer->start_kind = OFFSET_AT, consumer->start = number;
    else if (*arg == '-' && parse_count(arg + 1, 1, INT32_MAX, &number))
        consumer->start_kind = OFFSET_TAIL, consumer->start = number;
    else if (strncmp(arg, "s@", 2) == 0 && parse_count(arg + 2, 0, INT64_MAX, &number))
        consumer->start_kind = OFFSET_TIME, consumer->start = number;
    else
        argp_error(state, "-o \"%s\" is none of beginning, end, stored, N, -N, s@MS, e@MS", arg);
}

/* What only makes sense together, or apart. */
static void check(const struct arguments *arguments, const struct argp_state *state)
{
    const struct consumer_options *consumer = &arguments->consumer;
    bool is_group = consumer->group && consumer->partition_count == 0;
    if (consumer->topic_count == 0)
        argp_error(state, "no topic: give one with -t");
    if (consumer->acks && !consumer->group)
        argp_error(state, "--acks commits offsets of a group: give one with -g");
    if (consumer->commits_on_write && !consumer->group)
        argp_error(state, "--commit-on-write commits offsets of a group: give one with -g");
    if (consumer->acks && consumer->commits_on_write)
        argp_error(state, "--acks and --commit-on-write exclude each other");
    if (consumer->acks && consumer->is_bare)
        argp_error(state, "--bare leaves out what acks are made of: it cannot be used with --acks");
    if (is_group && (consumer->start_kind > OFFSET_STORED || consumer->end_time >= 0))
        argp_error(state, "-o N, -N, s@ and e@ need partitions of your own: add -p, or leave -g out");
    if (!is_group)
        for (size_t i = 0; i < consumer->topic_count; i++)
            if (consumer->topics[i][0] == '^')
                argp_error(state, "-t %s: a pattern of topics needs a group (-g)", consumer->topics[i]);
    if (consumer->start_kind == OFFSET_STORED && !consumer->group)
        argp_error(state, "-o stored reads the offsets of a group: give one with -g");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    struct consumer_options *consumer = &arguments->consumer;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &arguments->common;
        return 0;
    case 'b':
        arguments->kafka.brokers = arg;
        return 0;
    case 't':
        add_topic(consumer, arg);
        return 0;
    case 'g':
        consumer->group = arg;
        return 0;
    case 'p':
        consumer->partitions =
            xreallocarray(consumer->partitions, consumer->partition_count + 1, sizeof *consumer->partitions);
        consumer->partitions[consumer->partition_count++] =
            (int32_t)option_count(state, "-p", arg, 0, INT32_MAX);
        return 0;
    case 'o':
        set_offset(consumer, state, arg);
        return 0;
    case 'c':
        consumer->count = option_count(state, "-c", arg, 1, INT64_MAX);
        return 0;
    case 'e':
        consumer->ends_at_end = true;
        return 0;
    case 'X':
    case 'F':
        add_setting(arguments, arg, key == 'F');
        return 0;
    case KEY_ACKS:
        consumer->acks = arg;
        return 0;
    case KEY_COMMIT_ON_WRITE:
        consumer->commits_on_write = true;
        return 0;
    case KEY_BARE:
        consumer->is_bare = true;
        return 0;
    case KEY_SELECT:
        arguments->select = arg;
        return 0;
    case KEY_MAX_IN_FLIGHT:
        consumer->max_in_flight = option_count(state, "--max-in-flight", arg, 1, 100000000);
        return 0;
    case KEY_MAX_IN_FLIGHT_BYTES:
        consumer->max_in_flight_bytes = option_size(state, "--max-in-flight-bytes", arg);
        return 0;
    case KEY_DRAIN_TIMEOUT:
        consumer->drain_timeout_us = option_duration(state, "--drain-timeout", arg, 1000000);
        return 0;
    case KEY_CHECK:
        arguments->is_check = true;
        return 0;
    case 'C':
    case 'J':
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "\"%s\": topics are given with -t", arg);
        return 0;
    case ARGP_KEY_END:
        check(arguments, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child children[] = {{&common_argp, 0, NULL, 0}, {0}};
const struct argp arguments_argp = {option_table, parse, NULL, "Read records from Kafka as lines of JSON.",
                                    children,     NULL,  NULL};
