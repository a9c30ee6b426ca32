/* dev-broker - librdkafka's mock Kafka cluster as a process, for ./scripts/demo and the tests.
 *
 * It keeps everything in memory and speaks enough of Kafka's protocol for producers (idempotent ones too)
 * and consumer groups. It prints its bootstrap servers, 127.0.0.1:PORT, on stdout, and runs until SIGTERM
 * or SIGINT. A topic is made when it is first asked for, with four partitions (the mock's own number); for
 * another number topics are made at the start. */
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <argp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sysexits.h>
#include <unistd.h>

#define MAX_TOPICS 64
#define DEFAULT_PARTITIONS 4 /* what the mock gives a topic that it makes by itself */

struct options {
    int brokers, partitions;
    const char *topics[MAX_TOPICS];
    int topic_count;
    int delay; /* of each answer, milliseconds */
    const char *port_file;
    bool dies_with_parent;
};

enum { KEY_PORT_FILE = 0x100, KEY_DIE_WITH_PARENT, KEY_DELAY };

static int positive(const struct argp_state *state, const char *option, const char *text, int most)
{
    char *end;
    long value = strtol(text, &end, 10);
    if (end == text || *end || value < 1 || value > most)
        argp_error(state, "%s \"%s\": must be a number from 1 to %d", option, text, most);
    return (int)value;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case 'b':
        options->brokers = positive(state, "-b", arg, 16);
        return 0;
    case 'p':
        options->partitions = positive(state, "-p", arg, 1000);
        return 0;
    case 't':
        if (options->topic_count == MAX_TOPICS)
            argp_error(state, "-t: at most %d topics", MAX_TOPICS);
        options->topics[options->topic_count++] = arg;
        return 0;
    case KEY_DELAY:
        options->delay = positive(state, "--delay", arg, 10000);
        return 0;
    case KEY_PORT_FILE:
        options->port_file = arg;
        return 0;
    case KEY_DIE_WITH_PARENT:
        options->dies_with_parent = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option option_table[] = {
    {"brokers", 'b', "N", 0, "Brokers in the cluster (1)", 0},
    {"partitions", 'p', "N", 0, "Partitions of the topics made at the start (4)", 0},
    {"topic", 't', "TOPIC", 0,
     "Make this topic at the start (again for more; default with -p: agent-actions and agent-actions-dlq)",
     0},
    {"port-file", KEY_PORT_FILE, "FILE", 0, "Write the bootstrap servers to this file too", 0},
    {"delay", KEY_DELAY, "MS", 0, "Answer each request so many milliseconds later", 0},
    {"die-with-parent", KEY_DIE_WITH_PARENT, NULL, 0, "End when the process that started this one ends", 0},
    {0},
};
static const struct argp argp = {
    option_table, parse, NULL, "A Kafka for tests and demonstrations: in memory, on 127.0.0.1.",
    NULL,         NULL,  NULL};

/* The mock's client warns that it has no bootstrap servers (CONFWARN) and tells of each connection that its
 * clients close: only what is worse is of interest. */
static void on_log(const rd_kafka_t *client, int level, const char *facility, const char *text)
{
    (void)client;
    if (level <= 3) /* syslog's LOG_ERR */
        fprintf(stderr, "dev-broker: %s: %s\n", facility, text);
}

static void make_topics(rd_kafka_mock_cluster_t *cluster, struct options *options)
{
    if (options->partitions != DEFAULT_PARTITIONS && options->topic_count == 0) {
        options->topics[options->topic_count++] = "agent-actions";
        options->topics[options->topic_count++] = "agent-actions-dlq";
    }
    for (int i = 0; i < options->topic_count; i++) {
        rd_kafka_resp_err_t error =
            rd_kafka_mock_topic_create(cluster, options->topics[i], options->partitions, 1);
        if (error)
            fprintf(stderr, "dev-broker: could not make the topic %s: %s\n", options->topics[i],
                    rd_kafka_err2str(error));
    }
}

/* Written beside and renamed, so that whoever waits for the file finds it whole. */
static bool write_port_file(const char *path, const char *servers)
{
    char *unfinished;
    if (asprintf(&unfinished, "%s.new", path) < 0)
        return false;
    FILE *file = fopen(unfinished, "w");
    bool is_written = file && fprintf(file, "%s\n", servers) > 0;
    if (file && fclose(file) != 0)
        is_written = false;
    if (is_written && rename(unfinished, path) != 0)
        is_written = false;
    if (!is_written)
        fprintf(stderr, "dev-broker: could not write %s: %m\n", path);
    free(unfinished);
    return is_written;
}

int main(int argc, char **argv)
{
    struct options options = {.brokers = 1, .partitions = DEFAULT_PARTITIONS};
    argp_err_exit_status = EX_USAGE;
    pid_t parent = getppid();
    argp_parse(&argp, argc, argv, 0, NULL, &options);
    if (options.dies_with_parent && (prctl(PR_SET_PDEATHSIG, SIGTERM) != 0 || getppid() != parent))
        return EX_OSERR;

    /* Blocked before there are threads, so that only sigwait() below sees them. */
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ending, NULL);

    char reason[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, on_log);
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    if (!client) {
        fprintf(stderr, "dev-broker: could not start librdkafka: %s\n", reason);
        return EX_SOFTWARE;
    }
    rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(client, options.brokers);
    if (!cluster) {
        fprintf(stderr, "dev-broker: could not start the mock cluster\n");
        return EX_UNAVAILABLE;
    }
    make_topics(cluster, &options);
    if (options.delay)
        rd_kafka_mock_broker_set_rtt(cluster, -1, options.delay);
    const char *servers = rd_kafka_mock_cluster_bootstraps(cluster);
    if (options.port_file && !write_port_file(options.port_file, servers))
        return EX_CANTCREAT;
    printf("%s\n", servers);
    if (fflush(stdout) != 0)
        return EX_IOERR;

    int signal_number;
    sigwait(&ending, &signal_number);
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(client);
    return EX_OK;
}
