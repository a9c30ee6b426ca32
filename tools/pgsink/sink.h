/* sink.h - pgsink's whole state, and the waiting that keeps it alive.
 *
 * One thread. Whenever the database lets us wait (for a connection, a result, room in its socket, or the
 * time to try again) sink_wait() also reads stdin into the batch that is being filled, so that parsing
 * runs beside the server's work, serves the batch that is under way, and keeps the heartbeat.
 */
#ifndef PGSINK_SINK_H
#define PGSINK_SINK_H

#include "common/backoff.h"
#include "common/log.h"
#include "common/output.h"
#include "intake.h"
#include "put_result.h"

enum conflict_action { CONFLICT_NOTHING, CONFLICT_UPDATE, CONFLICT_ERROR };

struct sink_options {
    const char *conninfo; /* NULL: libpq's environment */
    const char *table;
    enum conflict_action on_conflict;
    double max_reject_ratio; /* < 0: none */
    int64_t retry_for_us;    /* how long a fault of the infrastructure is retried; < 0: for ever */
    int connections;         /* 1 or 2 */
    struct mapping_options mapping;
};

/* How rows are written at the moment; see writer.h. */
enum write_mode { MODE_DIRECT, MODE_STAGED, MODE_SINGLE };

#define BATCHES 3 /* one is filled, two may be under way */

/* See lane.h. */
enum lane_state {
    LANE_IDLE,
    LANE_COPYING,    /* all rows are sent, the server has not yet taken them all */
    LANE_INSERTING,  /* from the stage into the table */
    LANE_COPIED,     /* all is in the table; the older transaction must be committed first */
    LANE_COMMITTING, /* COMMIT is sent */
    LANE_STORED,
    LANE_FAILED, /* `result` says why */
};

struct lane {
    enum lane_state state;
    struct batch *batch;
    size_t row_count;
    PGconn *connection;  /* its own while it is under way; NULL where there were no rows to send */
    bool is_staged;      /* its rows go by the stage */
    bool is_behind;      /* an older one was under way at its start */
    bool in_transaction; /* which ends by a COMMIT of ours */
    bool may_commit;     /* nothing older is under way any more */
    struct put_result result;
    int64_t started; /* monotonic microseconds */
};

struct sink {
    struct sink_options options;
    struct log log;
    struct stats_slot *stats;
    int signal_fd;

    PGconn *connection;    /* that statements go to now; NULL: not connected */
    PGconn *spare;         /* the second one, while nobody uses it */
    struct lane older;     /* the batch that is under way, while the next one is prepared or sent */
    int64_t second_due;    /* monotonic microseconds: when a second connection may be tried again */
    unsigned lone_batches; /* to be written one after the other, since two at once have failed */
    bool was_connected;
    struct table *table; /* NULL until first connected */
    struct mapping *mapping;
    bool has_stage; /* the temporary table of this connection exists */
    enum write_mode mode;
    unsigned quiet_batches; /* staged ones in a row without a duplicate */
    int64_t look_due;       /* monotonic microseconds: when COPY asks again whether the table has changed */
    struct backoff backoff;
    int64_t refused_since; /* monotonic microseconds, 0: all is well */
    struct log_limit retry_log;
    struct log_limit connect_log; /* apart: why a lost connection cannot be had again is news */

    struct intake intake;
    struct batch batches[BATCHES];
    struct batch *filling;
    struct output out;
    uint64_t events_total, rejects_total;

    int exit_code;    /* of a fault that ends the tool */
    bool is_stopping; /* a signal came: finish what was read */
};

/* Waits until `fd` (< 0: none) has one of `events`, the older lane is over, the input ends, a signal comes or
 * the time is up (microseconds, < 0: none; then something that was read ends it too); reads stdin and serves
 * the older lane meanwhile. True when `fd` is ready. */
bool sink_wait(struct sink *sink, int fd, short events, int64_t timeout_us);

/* Whether the table has what --on-conflict needs; if not, *error (to be freed) says what it lacks. */
bool sink_may_use(const struct sink_options *options, const struct table *table, char **error);

/* What a step came to. */
enum verdict {
    VERDICT_DONE,
    VERDICT_RETRY, /* a fault of the infrastructure, told already: try again after sink_back_off() */
    VERDICT_STOP,  /* sink->exit_code is set and the reason told */
};

/* PostgreSQL refuses, from now on if it did not before. */
void sink_note_refusal(struct sink *sink);
/* Waits before the next attempt. False where the time for retries or a signal has ended them: exit_code is
 * set. */
bool sink_back_off(struct sink *sink);

#endif
