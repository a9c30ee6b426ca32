/* dlq.h - the state of the tool, and the parts it is made of.
 *
 * The loop (loop.c) reads lines, holds acks back and lets them go. What is done with a line that is
 * neither blank nor an ack is the mode's: dead_letters.c, replay.c or publish.c. A mode puts messages in
 * flight (in_flight.h) and gives them to the publisher (publisher.h) or the file (reject_file.h), which
 * say when they are safe.
 */
#ifndef DLQ_DLQ_H
#define DLQ_DLQ_H

#include "common/dead_letter.h"
#include "common/line_reader.h"
#include "common/options.h"
#include "common/output.h"
#include "in_flight.h"
#include "publisher.h"
#include "reject_file.h"

struct dlq;

struct mode {
    /* Takes dlq->line. False where it does not belong here: reading ends; the mode has said why. */
    bool (*take)(struct dlq *dlq);
    void (*confirmed)(struct dlq *dlq, struct delivery *delivery);
    bool (*too_large)(struct dlq *dlq, uint64_t sequence, const char *topic); /* see publisher.h */
};

extern const struct mode dead_letters_mode, replay_mode, publish_mode;

struct settings {
    const struct mode *mode;
    const char *topic;         /* -t; NULL: not given */
    const char *default_topic; /* $KAFKA_TOPIC */
    const char *group;
    const char *output_path; /* -o; NULL: publish */
    const char *key_member;
    enum dead_letter_format format;
    uint64_t max_pending;
    size_t max_pending_bytes, max_line;
    int64_t drain_timeout_us;
};

struct dlq {
    struct settings settings;
    struct log log;
    struct stats_slot *stats;

    struct line_reader reader;
    struct line line; /* the one in hand */
    bool is_cut_line; /* it was longer than max_line: line.text is its beginning */
    uint64_t line_number;
    struct output output;

    struct in_flight in_flight;
    struct publisher publisher; /* without -o */
    struct reject_file file;    /* with -o */

    struct dead_letter letter; /* the message being made */
    struct line rejected;      /* a line of in_flight that is looked at again */
    struct buffer key, topic;  /* of the message being made */
    uint64_t published;

    bool has_read_all;     /* no more lines will be taken */
    bool has_no_reader;    /* whoever read our stdout is gone */
    int64_t drain_until;   /* monotonic microseconds, 0: no signal has come */
    int64_t progress_time; /* monotonic: when something was confirmed, or the first came in flight */
    struct log_limit stall_limit;

    int exit_status; /* at the end of all */
    int failure;     /* end now, with this status; 0 while all is well */
};

/* Runs until all is done; returns the exit status. `signal_fd` as of signals_init(). */
int dlq_run(struct dlq *dlq, int signal_fd);
/* Puts a message in flight. */
uint64_t dlq_enter(struct dlq *dlq, struct delivery delivery);
/* A message that was in flight is safe. */
void dlq_confirm(struct dlq *dlq, uint64_t sequence);
/* What the line in hand is, in words. */
const char *dlq_name_line(const struct dlq *dlq);

#endif
