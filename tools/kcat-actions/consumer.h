/* consumer.h - kcat-actions' whole state, and who does what with it.
 *
 *   kafka.c      the client: its configuration, its errors, commits
 *   prefetch.c   how far the client reads ahead
 *   group.c      membership: assignment, and revocation after a drain
 *   adhoc.c      partitions and offsets given by hand (-p, -o)
 *   records.c    from records to lines on stdout
 *   acks.c       from acks on the fifo to offsets that may be committed
 *   loop.c       the one poll() loop: backpressure, and the end
 *   arguments.c  the command line
 *   main.c       opens and closes everything
 */
#ifndef KCAT_ACTIONS_CONSUMER_H
#define KCAT_ACTIONS_CONSUMER_H

#include "common/jq_program.h"
#include "common/kafka_config.h"
#include "common/line_format.h"
#include "common/line_reader.h"
#include "common/log.h"
#include "common/output.h"
#include "tracker.h"

enum offset_kind {
    OFFSET_DEFAULT,
    OFFSET_BEGINNING,
    OFFSET_END,
    OFFSET_STORED,
    OFFSET_AT,
    OFFSET_TAIL,
    OFFSET_TIME
};

struct consumer_options {
    const char *group; /* NULL: none */
    const char **topics;
    size_t topic_count;
    int32_t *partitions; /* of -p */
    size_t partition_count;
    enum offset_kind start_kind;
    int64_t start;    /* offset, count or milliseconds, as start_kind says */
    int64_t end_time; /* of e@, milliseconds; -1: none */
    int64_t count;    /* of -c, 0: no limit */
    bool ends_at_end; /* -e */
    const char *acks; /* path of the fifo, NULL: none */
    bool commits_on_write;
    bool is_bare;
    int64_t max_in_flight, max_in_flight_bytes;
    int64_t drain_timeout_us;
};

/* A revocation that waits until what is in flight of its partitions is safe. */
struct revocation {
    rd_kafka_topic_partition_list_t *partitions; /* NULL: none is waiting */
    int64_t deadline;                            /* monotonic microseconds */
};

/* See prefetch.c. */
struct prefetch {
    bool needs_waking;         /* this librdkafka sleeps while its queue is full */
    char *username, *password; /* of SASL as they are set */
    size_t taken;              /* bytes since the last wake-up */
    int64_t disturbed_at;      /* when partitions last came, went or were resumed, monotonic; 0: long ago */
};

struct consumer {
    struct consumer_options options;
    struct log log;
    struct stats_slot *stats;
    int signal_fd;

    rd_kafka_t *kafka;
    struct prefetch prefetch;
    rd_kafka_queue_t *queue;
    int queue_fd;         /* readable when the queue may hold something */
    bool was_connected;   /* some broker has answered */
    bool name_is_unknown; /* a broker's host name could not be resolved */
    struct log_limit error_log, topic_log, select_log;

    struct tracker tracker;
    struct revocation revocation;
    bool is_assigned; /* there has been an assignment */
    bool is_paused;
    int64_t stuck_since;    /* when downstream stopped taking, monotonic; 0: it takes */
    int64_t pause_after_us; /* how long it may be so before the partitions are paused */
    size_t ends_asked;      /* of paused partitions, in turns */

    struct output out;
    bool out_is_closed;
    struct jq_program *select;
    struct buffer scratch, selected;
    struct record_header *headers; /* of the record in hand */
    size_t header_capacity;
    uint64_t passed_on; /* records written */

    struct line_reader acks; /* fd < 0: none */
    struct line ack_line;
    bool acks_are_closed;

    bool is_draining;
    bool is_asked_to_end; /* by a signal */
    int64_t drain_deadline;
    bool is_closing; /* the group is being left: nothing waits any more */
    int exit_code;   /* of a fault that ends the tool */
};

/* Begins to end: no more records are read; what is in flight becomes safe. With a code other than 0 the
 * tool will exit with it. */
void consumer_drain(struct consumer *consumer, int code);
/* --drain-timeout begins now: to end was asked for, or something has become safe meanwhile. */
void consumer_limit_drain(struct consumer *consumer);
/* Whether as much is in flight, or waits for stdout, as may be. */
bool consumer_is_full(const struct consumer *consumer);
/* loop.c: reads, writes and settles until all is drained. */
void consumer_run(struct consumer *consumer);

/* kafka.c: our defaults, to be set before the user's own words. */
void kafka_set_defaults(struct kafka_config *config, const struct consumer_options *options);
/* After the user's own words: commits are as our options say. A property set otherwise is named. */
void kafka_insist(struct kafka_config *config, const struct consumer_options *options, const struct log *log);
/* Makes the client. False with exit_code set and the reason told. */
bool kafka_open(struct consumer *consumer, struct kafka_config *config);
/* Hands the safe offset of a partition over to be committed at the next interval. */
void kafka_store(struct consumer *consumer, struct tracked_partition *partition);
/* Commits the safe offsets of `partitions` (NULL: all that are assigned) and waits for the broker. False
 * where it does not confirm them all in time. */
bool kafka_commit(struct consumer *consumer, const rd_kafka_topic_partition_list_t *partitions);
/* Counts whether a broker answers, and since when none does. */
void kafka_note_connection(struct consumer *consumer, bool is_connected);
/* An error told in place of a record. */
void kafka_note_error(struct consumer *consumer, rd_kafka_resp_err_t error, const char *message,
                      const char *topic);
/* Commits what is safe for the last time: from here on nothing is waited for. False as kafka_commit(). */
bool kafka_commit_last(struct consumer *consumer);
/* Leaves the group and gives the client back, the last thing to be done. Either can wait for ever: for a
 * broker that is frozen, or (2.0.2, after a topic was deleted and made anew) for its own threads. Then, and
 * where there never was an assignment, the process exits with `code` from here. */
void kafka_close(struct consumer *consumer, int code);

/* prefetch.c: our defaults; then what it needs of the client that was made. */
void prefetch_set_defaults(struct kafka_config *config);
void prefetch_open(struct prefetch *prefetch, rd_kafka_t *kafka);
/* A record of so many bytes has left the client's queue. */
void prefetch_took(struct prefetch *prefetch, rd_kafka_t *kafka, size_t bytes);
/* Partitions were given, taken or resumed: the brokers' threads may sleep over it. */
void prefetch_disturbed(struct prefetch *prefetch);
/* Before a wait for records: wakes the threads where they may sleep. How long to wait, in microseconds. */
int64_t prefetch_wait(struct prefetch *prefetch, rd_kafka_t *kafka, int64_t longest);
void prefetch_close(struct prefetch *prefetch);

/* group.c */
void group_rebalance(rd_kafka_t *kafka, rd_kafka_resp_err_t error,
                     rd_kafka_topic_partition_list_t *partitions, void *opaque);
bool group_join(struct consumer *consumer);
/* Gives waiting partitions up where all of them is safe, or the time is over. */
void group_settle(struct consumer *consumer);

/* adhoc.c: assigns what -t, -p and -o say. False with exit_code set. */
bool adhoc_assign(struct consumer *consumer);

/* records.c: takes up to `most` records that wait, until we are full; false when none waits any more. */
bool records_take(struct consumer *consumer, size_t most);
/* Writes what stdout takes. */
void records_write(struct consumer *consumer);

/* acks.c: opens the fifo. False with exit_code set. */
bool acks_open(struct consumer *consumer);
void acks_read(struct consumer *consumer);

#endif
