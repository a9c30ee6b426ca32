/* publisher.h - messages to Kafka until the broker confirms them.
 *
 * A message that fails is produced again, with backoff, for ever; only what no retry can mend is told to
 * the owner. A broker judges a batch as a whole: when it finds one too large, or invalid, each message of
 * the batch is sent again alone, so that the judgement costs the guilty one only. When the client library
 * itself gives up (a fatal error of the idempotent producer), it is made anew and gets all messages again.
 *
 * Everything happens within publisher_send() and publisher_poll(), in the caller's thread.
 */
#ifndef DLQ_PUBLISHER_H
#define DLQ_PUBLISHER_H

#include "common/backoff.h"
#include "common/counters.h"
#include "common/kafka_config.h"
#include "common/line_format.h"
#include "common/log.h"

#include <sys/queue.h>

struct message {
    uint64_t sequence; /* the owner's, handed back with the answer */
    const char *topic;
    struct slice key, value; /* NULL data: null */
    const struct record_header *headers;
    size_t header_count;
};

/* What the owner is told. Both may call publisher_send_alone(). */
struct publisher_owner {
    void *data;
    void (*confirmed)(void *data, uint64_t sequence);
    /* The message alone is larger than the broker or the client takes. False: try again for ever. */
    bool (*too_large)(void *data, uint64_t sequence, const char *topic);
};

/* A message that waits to be produced (again). */
struct waiting_message;
STAILQ_HEAD(waiting_list, waiting_message);

struct publisher {
    rd_kafka_conf_t *conf; /* to make the client anew with */
    rd_kafka_t *kafka;
    rd_kafka_queue_t *queue;
    int event_fd; /* readable when there is something to poll */
    struct publisher_owner owner;
    const struct log *log;
    struct stats_slot *stats;

    size_t in_flight; /* with the client */
    struct waiting_list waiting;
    int64_t waiting_until; /* monotonic microseconds */
    struct backoff backoff;
    bool has_sent_alone; /* one is in flight that must have no company */
    uint64_t sent_alone;
    bool needs_reopening;

    char *unresolved; /* why a broker's name was not resolved, while none was ever reached */
    bool has_other_trouble;
    char *last_trouble;
    struct log_limit trouble_limit;

    int failure; /* of sysexits.h: the tool must end, and the log says why; 0 while all is well */
};

/* Takes `conf` over. NULL or why not (to be freed). `publisher` must stay where it is. */
char *publisher_open(struct publisher *publisher, rd_kafka_conf_t *conf);
void publisher_close(struct publisher *publisher);

/* Produces a copy of the message. */
void publisher_send(struct publisher *publisher, const struct message *message);
/* The same, with no other message in its batch, before all others that wait. */
void publisher_send_alone(struct publisher *publisher, const struct message *message);
/* Takes the answers that have come, and produces again what is due. */
void publisher_poll(struct publisher *publisher);
/* Whether messages wait to be produced again: no new ones should come then. */
bool publisher_is_busy(const struct publisher *publisher);
/* Microseconds until publisher_poll() has something to do without an event, INT64_MAX if never. */
int64_t publisher_wait(const struct publisher *publisher);

/* Called by the parts of the publisher: says what is wrong, at most every 30 seconds. */
void publisher_trouble(struct publisher *publisher, const char *what);
/* The answers and errors of the client (publisher_events.c). */
void publisher_set_callbacks(rd_kafka_conf_t *conf, struct publisher *publisher);
/* Ends the tool for an error outside the infrastructure. True if it is one. */
bool publisher_judge(struct publisher *publisher, rd_kafka_resp_err_t error, const char *what);
/* A delivery has ended (publisher.c). */
void publisher_delivered(struct publisher *publisher, const rd_kafka_message_t *report);

#endif
