/* What the Kafka client tells: answers, errors and messages for the log; and which of them end the tool. */
#include "publisher.h"

#include "common/timestamp.h"

#include <string.h>
#include <sysexits.h>

#define TROUBLE_INTERVAL_US 30000000

void publisher_trouble(struct publisher *publisher, const char *what)
{
    if (stats_get(publisher->stats, COUNTER_dlq_refused_since) == 0)
        stats_set(publisher->stats, COUNTER_dlq_refused_since, (uint64_t)now_microseconds());
    free(publisher->last_trouble);
    publisher->last_trouble = xstrdup(what);
    if (log_is_due(&publisher->trouble_limit, TROUBLE_INTERVAL_US))
        log_warning(publisher->log, "%s", what);
}

/* Whether a broker has ever answered: the identity of the cluster comes with the first answer. */
static bool was_connected(const struct publisher *publisher)
{
    if (!publisher->kafka)
        return false;
    char *cluster = rd_kafka_clusterid(publisher->kafka, 0);
    bool is_known = cluster || rd_kafka_controllerid(publisher->kafka, 0) >= 0;
    if (cluster)
        rd_kafka_mem_free(publisher->kafka, cluster);
    return is_known;
}

bool publisher_judge(struct publisher *publisher, rd_kafka_resp_err_t error, const char *what)
{
    if (publisher->failure)
        return true; /* it was told */
    error = kafka_true_error(error, what);
    switch (kafka_judge(error)) {
    case KAFKA_FORBIDDEN:
        log_error(publisher->log, "Kafka refuses access: %s: %s; %s", what, rd_kafka_err2str(error),
                  kafka_cure(error, what));
        publisher->failure = EX_NOPERM;
        return true;
    case KAFKA_BROKEN:
        /* A broker that goes down in a handshake looks like a fault of TLS. */
        if (error == RD_KAFKA_RESP_ERR__SSL && was_connected(publisher))
            return false;
        log_error(publisher->log, "the Kafka client cannot work as it is set up: %s: %s; %s", what,
                  rd_kafka_err2str(error), kafka_cure(error, what));
        publisher->failure = EX_CONFIG;
        return true;
    default:
        return false;
    }
}

/* No name of any broker can be resolved, and none ever could: a mistake of the configuration, most likely. */
static void on_all_brokers_down(struct publisher *publisher, const char *reason)
{
    if (publisher->unresolved && !publisher->has_other_trouble && !was_connected(publisher)) {
        log_error(publisher->log, "no broker can be found: %s; check -b or $KAFKA_BROKERS",
                  publisher->unresolved);
        publisher->failure = EX_UNAVAILABLE;
        return;
    }
    cleanup_free char *what = xasprintf("no Kafka broker answers (%s); waiting for one",
                                        publisher->last_trouble ? publisher->last_trouble : reason);
    if (log_is_due(&publisher->trouble_limit, TROUBLE_INTERVAL_US))
        log_warning(publisher->log, "%s", what);
}

static void on_error(rd_kafka_t *kafka, int code, const char *reason, void *opaque)
{
    struct publisher *publisher = opaque;
    rd_kafka_resp_err_t error = code;
    if (publisher->failure)
        return;
    if (error == RD_KAFKA_RESP_ERR__FATAL) {
        char text[512];
        rd_kafka_fatal_error(kafka, text, sizeof text);
        log_warning(publisher->log, "the Kafka client gives up (%s): starting it again", text);
        publisher->needs_reopening = true;
    } else if (error == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN) {
        on_all_brokers_down(publisher, reason);
    } else if (error == RD_KAFKA_RESP_ERR__RESOLVE) {
        free(publisher->unresolved);
        publisher->unresolved = xstrdup(reason);
        log_debug(publisher->log, "%s", reason);
    } else if (!publisher_judge(publisher, error, reason)) {
        publisher->has_other_trouble = true;
        free(publisher->last_trouble);
        publisher->last_trouble = xstrdup(reason);
        log_debug(publisher->log, "Kafka: %s", reason); /* each attempt; a warning tells it now and then */
    }
}

static void on_delivery(rd_kafka_t *kafka, const rd_kafka_message_t *report, void *opaque)
{
    (void)kafka;
    publisher_delivered(opaque, report);
}

/* Called in the client's threads. What it tells as an error besides is told by on_error(). */
static void on_log(const rd_kafka_t *kafka, int level, const char *facility, const char *text)
{
    const struct publisher *publisher = rd_kafka_opaque(kafka);
    bool is_told_otherwise = strcmp(facility, "FAIL") == 0 || strcmp(facility, "ERROR") == 0 ||
                             strcmp(facility, "GETPID") == 0 || strcmp(facility, "FATAL") == 0;
    enum log_level ours = level >= 7 || is_told_otherwise                   ? LOG_LEVEL_DEBUG
                          : level >= 5 || strcmp(facility, "CONFWARN") == 0 ? LOG_LEVEL_INFO
                                                                            : LOG_LEVEL_WARNING;
    log_write(publisher->log, ours, "Kafka: %s: %s", facility, text);
}

void publisher_set_callbacks(rd_kafka_conf_t *conf, struct publisher *publisher)
{
    rd_kafka_conf_set_opaque(conf, publisher);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_log_cb(conf, on_log);
}
