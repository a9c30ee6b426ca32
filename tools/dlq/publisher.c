#include "publisher.h"

#include "common/timestamp.h"

#include <string.h>
#include <sys/eventfd.h>
#include <sysexits.h>

struct waiting_message {
    STAILQ_ENTRY(waiting_message) link;
    uint64_t sequence;
    bool is_alone;
    char *topic;
    struct slice key, value;
    rd_kafka_headers_t *headers; /* owned */
    char bytes[];                /* topic, key, value */
};

static struct slice keep(char **at, struct slice bytes)
{
    if (!bytes.data)
        return bytes;
    struct slice kept = slice_of(*at, bytes.len);
    if (bytes.len)
        memcpy(*at, bytes.data, bytes.len);
    *at += bytes.len;
    return kept;
}

static struct waiting_message *waiting_new(uint64_t sequence, const char *topic, struct slice key,
                                           struct slice value, rd_kafka_headers_t *headers)
{
    struct waiting_message *message = xmalloc(sizeof *message + strlen(topic) + 1 + key.len + value.len);
    *message = (struct waiting_message){.sequence = sequence, .headers = headers};
    char *at = message->bytes;
    message->topic = strcpy(at, topic);
    at += strlen(topic) + 1;
    message->key = keep(&at, key);
    message->value = keep(&at, value);
    return message;
}

static void waiting_free(struct waiting_message *message)
{
    if (message->headers)
        rd_kafka_headers_destroy(message->headers);
    free(message);
}

static rd_kafka_headers_t *make_headers(const struct message *message)
{
    if (message->header_count == 0)
        return NULL;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(message->header_count);
    for (size_t i = 0; i < message->header_count; i++)
        rd_kafka_header_add(headers, message->headers[i].name, -1, message->headers[i].value.data,
                            (ssize_t)message->headers[i].value.len);
    return headers;
}

/* The headers are the client's on success alone. */
static rd_kafka_resp_err_t produce(struct publisher *publisher, uint64_t sequence, const char *topic,
                                   struct slice key, struct slice value, rd_kafka_headers_t *headers)
{
    rd_kafka_vu_t parts[6] = {
        {.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = topic},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)key.data, key.len}},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *)value.data, value.len}},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = (void *)(uintptr_t)sequence},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
    };
    rd_kafka_error_t *error = rd_kafka_produceva(publisher->kafka, parts, headers ? 6 : 5);
    if (!error) {
        publisher->in_flight++;
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    rd_kafka_error_destroy(error);
    return code;
}

/* What a broker says about a batch because of one message in it. */
static bool is_about_one_message(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || error == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE ||
           error == RD_KAFKA_RESP_ERR_INVALID_RECORD || error == RD_KAFKA_RESP_ERR_INVALID_MSG;
}

/* Our own doing, not the broker's. */
static bool is_of_reopening(rd_kafka_resp_err_t error)
{
    return error == RD_KAFKA_RESP_ERR__FATAL || error == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
           error == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT || error == RD_KAFKA_RESP_ERR__DESTROY;
}

static void wait_before_retry(struct publisher *publisher, const char *topic, rd_kafka_resp_err_t error)
{
    int64_t now = monotonic_microseconds();
    if (now >= publisher->waiting_until) /* one step for all that failed together */
        publisher->waiting_until = now + backoff_next(&publisher->backoff);
    if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        return; /* the client's memory is bounded, too: no trouble */
    cleanup_free char *what = xasprintf(
        "could not publish to topic %s: %s; trying again%s", topic, rd_kafka_err2str(error),
        error == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART
            ? " (does the topic exist? create it, or let the broker: "
              "auto.create.topics.enable)"
            : "");
    publisher_trouble(publisher, what);
}

/* Decides about a message that failed; takes it over. `by_itself`: the verdict is about this one alone. */
static void retry(struct publisher *publisher, struct waiting_message *message, rd_kafka_resp_err_t error,
                  bool by_itself)
{
    if (error == RD_KAFKA_RESP_ERR__FATAL)
        publisher->needs_reopening = true;
    if (!is_of_reopening(error)) {
        cleanup_free char *what = xasprintf("topic %s", message->topic);
        if (publisher_judge(publisher, error, what)) {
            waiting_free(message);
            return;
        }
    }
    if (is_about_one_message(error)) {
        if (error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE && by_itself &&
            publisher->owner.too_large(publisher->owner.data, message->sequence, message->topic)) {
            waiting_free(message);
            return;
        }
        if (by_itself)
            wait_before_retry(publisher, message->topic, error);
        message->is_alone = true;
    } else if (!is_of_reopening(error)) {
        wait_before_retry(publisher, message->topic, error);
    }
    if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL)
        stats_add(publisher->stats, COUNTER_publish_retries, 1);
    STAILQ_INSERT_TAIL(&publisher->waiting, message, link);
}

void publisher_send(struct publisher *publisher, const struct message *message)
{
    rd_kafka_headers_t *headers = make_headers(message);
    rd_kafka_resp_err_t error =
        produce(publisher, message->sequence, message->topic, message->key, message->value, headers);
    if (error)
        retry(publisher,
              waiting_new(message->sequence, message->topic, message->key, message->value, headers), error,
              true);
}

void publisher_send_alone(struct publisher *publisher, const struct message *message)
{
    struct waiting_message *waiting =
        waiting_new(message->sequence, message->topic, message->key, message->value, make_headers(message));
    waiting->is_alone = true;
    STAILQ_INSERT_HEAD(&publisher->waiting, waiting, link);
}

void publisher_delivered(struct publisher *publisher, const rd_kafka_message_t *report)
{
    uint64_t sequence = (uintptr_t)report->_private;
    bool was_alone = publisher->has_sent_alone && publisher->sent_alone == sequence;
    publisher->in_flight--;
    if (was_alone)
        publisher->has_sent_alone = false;
    if (!report->err) {
        backoff_reset(&publisher->backoff);
        publisher->owner.confirmed(publisher->owner.data, sequence);
        return;
    }
    rd_kafka_headers_t *headers = NULL;
    rd_kafka_message_detach_headers((rd_kafka_message_t *)report, &headers);
    struct waiting_message *message =
        waiting_new(sequence, rd_kafka_topic_name(report->rkt), slice_of(report->key, report->key_len),
                    slice_of(report->payload, report->len), headers);
    message->is_alone = was_alone;
    retry(publisher, message, report->err, was_alone);
}

static bool is_due(const struct publisher *publisher, const struct waiting_message *message)
{
    return !publisher->has_sent_alone && !(message->is_alone && publisher->in_flight > 0) &&
           monotonic_microseconds() >= publisher->waiting_until;
}

static void send_waiting(struct publisher *publisher)
{
    struct waiting_message *message;
    while (!publisher->failure && !publisher->needs_reopening &&
           (message = STAILQ_FIRST(&publisher->waiting)) && is_due(publisher, message)) {
        STAILQ_REMOVE_HEAD(&publisher->waiting, link);
        rd_kafka_resp_err_t error = produce(publisher, message->sequence, message->topic, message->key,
                                            message->value, message->headers);
        if (error) {
            retry(publisher, message, error, true);
            continue;
        }
        message->headers = NULL;
        if (message->is_alone) {
            publisher->has_sent_alone = true;
            publisher->sent_alone = message->sequence;
        }
        waiting_free(message);
    }
}

static char *make_client(struct publisher *publisher)
{
    static const uint64_t one = 1;
    char reason[512];
    rd_kafka_conf_t *conf = rd_kafka_conf_dup(publisher->conf);
    publisher->kafka = rd_kafka_new(RD_KAFKA_PRODUCER, conf, reason, sizeof reason);
    if (!publisher->kafka) {
        rd_kafka_conf_destroy(conf);
        return xstrdup(reason);
    }
    publisher->queue = rd_kafka_queue_get_main(publisher->kafka);
    rd_kafka_queue_io_event_enable(publisher->queue, publisher->event_fd, &one, sizeof one);
    return NULL;
}

/* False where the client kept a message to itself. */
static bool destroy_client(struct publisher *publisher)
{
    if (!publisher->kafka)
        return true;
    rd_kafka_purge(publisher->kafka,
                   RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
    /* Each message comes back with an error, and waits for the next client. */
    for (int attempts = 0; rd_kafka_outq_len(publisher->kafka) > 0 && attempts < 50; attempts++)
        rd_kafka_poll(publisher->kafka, 100);
    rd_kafka_queue_destroy(publisher->queue);
    rd_kafka_destroy(publisher->kafka);
    publisher->kafka = NULL;
    publisher->has_sent_alone = false;
    return publisher->in_flight == 0;
}

char *publisher_open(struct publisher *publisher, rd_kafka_conf_t *conf)
{
    publisher->conf = conf;
    STAILQ_INIT(&publisher->waiting);
    publisher->backoff = (struct backoff){.first_us = 100000, .most_us = 10000000};
    publisher_set_callbacks(conf, publisher);
    publisher->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return make_client(publisher);
}

void publisher_close(struct publisher *publisher)
{
    destroy_client(publisher);
    struct waiting_message *message;
    while ((message = STAILQ_FIRST(&publisher->waiting))) {
        STAILQ_REMOVE_HEAD(&publisher->waiting, link);
        waiting_free(message);
    }
    if (publisher->conf)
        rd_kafka_conf_destroy(publisher->conf);
    close(publisher->event_fd);
    free(publisher->unresolved);
    free(publisher->last_trouble);
}

static void reopen(struct publisher *publisher)
{
    publisher->needs_reopening = false;
    cleanup_free char *reason =
        destroy_client(publisher) ? make_client(publisher) : xstrdup("it did not give all messages back");
    if (reason) {
        log_error(publisher->log, "could not make the Kafka client anew: %s", reason);
        publisher->failure = EX_TEMPFAIL;
    }
}

void publisher_poll(struct publisher *publisher)
{
    uint64_t events;
    ssize_t ignored = read(publisher->event_fd, &events, sizeof events);
    (void)ignored;
    /* The event comes when the queue stops being empty: it must be emptied each time. */
    while (rd_kafka_poll(publisher->kafka, 0) > 0)
        ;
    if (publisher->needs_reopening && !publisher->failure)
        reopen(publisher);
    send_waiting(publisher);
}

bool publisher_is_busy(const struct publisher *publisher)
{
    return !STAILQ_EMPTY(&publisher->waiting) || publisher->has_sent_alone;
}

int64_t publisher_wait(const struct publisher *publisher)
{
    const struct waiting_message *message = STAILQ_FIRST(&publisher->waiting);
    if (!message || publisher->has_sent_alone || (message->is_alone && publisher->in_flight > 0))
        return INT64_MAX; /* an answer comes first */
    int64_t left = publisher->waiting_until - monotonic_microseconds();
    return left > 0 ? left : 0;
}
