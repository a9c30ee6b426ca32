/* sink.h - pgsink's whole state, and the waiting that keeps it alive.
 *
 * One thread. Whenever the database lets us wait (for a connection, a result, room in its socket, or the
 * time to try again) sink_wait() also reads stdin into the batch that is being filled, so that parsing
 * runs beside the server's work, and keeps the heartbeat.
 */
#ifndef PGSINK_SINK_H
#define PGSINK_SINK_H

#include "common/backoff.h"
#include "common/log.h"
#include "common/output.h"
#include "intake.h"

enum conflict_action { CONFLICT_NOTHING, CONFLICT_UPDATE, CONFLICT_ERROR };

struct sink_options {
    const char *conninfo; /* NULL: libpq's environment */
    const char *table;
    enum conflict_action on_conflict;
    double max_reject_ratio; /* < 0: none */
    int64_t retry_for_us;    /* how long a fault of the infrastructure is retried; < 0: for ever */
    struct mapping_options mapping;
};

/* How rows are written at the moment; see writer.h. */
enum write_mode { MODE_DIRECT, MODE_STAGED, MODE_SINGLE };

struct sink {
    struct sink_options options;
    struct log log;
    struct stats_slot *stats;
    int signal_fd;

    PGconn *connection; /* NULL: not connected */
    bool was_connected;
    struct table *table; /* NULL until first connected */
    struct mapping *mapping;
    bool has_stage; /* the temporary table of this connection exists */
    enum write_mode mode;
    unsigned quiet_batches; /* staged ones in a row without a duplicate */
    struct backoff backoff;
    int64_t refused_since; /* monotonic microseconds, 0: all is well */
    struct log_limit retry_log;

    struct intake intake;
    struct batch batches[2];
    struct batch *filling, *writing;
    struct output out;
    uint64_t events_total, rejects_total;

    int exit_code;    /* of a fault that ends the tool */
    bool is_stopping; /* a signal came: finish what was read */
};

/* Waits until `fd` (< 0: none) has one of `events`, a signal comes or the time is up (microseconds, < 0:
 * none); reads stdin meanwhile. True when `fd` is ready. */
bool sink_wait(struct sink *sink, int fd, short events, int64_t timeout_us);

/* What a step came to. */
enum verdict {
    VERDICT_DONE,
    VERDICT_RETRY, /* a fault of the infrastructure, told already: try again after sink_back_off() */
    VERDICT_STOP,  /* sink->exit_code is set and the reason told */
};

/* Waits before the next attempt. False where the time for retries or a signal has ended them: exit_code is
 * set. */
bool sink_back_off(struct sink *sink);

#endif
