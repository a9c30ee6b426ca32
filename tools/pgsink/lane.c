#include "lane.h"

#include "common/timestamp.h"
#include "connection.h"
#include "copy.h"
#include "statements.h"

/* So often a COPY asks whether more than its columns' types has changed: a default, a key, a trigger. */
#define LOOK_US 1000000

static void append_look(struct buffer *sql, struct sink *sink)
{
    buffer_append_string(sql, "; ");
    sql_look_at_table(sql, sink);
}

bool lane_is_possible(const struct sink *sink)
{
    return sink->options.on_conflict != CONFLICT_UPDATE &&
           (sink->mode == MODE_DIRECT ||
            (sink->mode == MODE_STAGED && sink->options.on_conflict == CONFLICT_NOTHING));
}

void lane_start(struct sink *sink, struct lane *lane, struct batch *batch, bool is_behind)
{
    bool is_staged = sink->mode == MODE_STAGED;
    *lane = (struct lane){.state = LANE_STORED,
                          .batch = batch,
                          .is_staged = is_staged,
                          .is_behind = is_behind,
                          .in_transaction = is_staged || is_behind,
                          .may_commit = !is_behind,
                          .started = monotonic_microseconds()};
    cleanup_free size_t *entries = batch_rows(batch, &lane->row_count);
    if (lane->row_count == 0)
        return;
    cleanup_buffer struct buffer sql = {0};
    if (lane->in_transaction)
        buffer_append_string(&sql, "BEGIN; ");
    if (is_staged)
        sql_copy_into_new_stage(&sql, sink, batch);
    else
        sql_copy_direct(&sql, sink, batch);
    if (!is_staged && monotonic_microseconds() >= sink->look_due) {
        append_look(&sql, sink);
        sink->look_due = monotonic_microseconds() + LOOK_US;
    }
    stats_add(sink->stats, is_staged ? COUNTER_copies_staged : COUNTER_copies_direct, 1);
    stats_add(sink->stats, COUNTER_batches_overlapped, is_behind);
    bool is_sent = copy_send(sink, (struct run){batch, entries, lane->row_count}, sql.data, &lane->result);
    lane->state = is_sent ? LANE_COPYING : LANE_FAILED;
    lane->connection = sink->connection;
    sink->connection = sink->spare;
    sink->spare = NULL;
    lane_advance(sink,
                 lane); /* what came while rows were being sent is with libpq: poll() tells no more of it */
}

bool lane_is_over(const struct lane *lane)
{
    return lane->state == LANE_STORED || lane->state == LANE_FAILED;
}

static void send(struct lane *lane, const char *sql, enum lane_state state)
{
    lane->state = state;
    if (PQsendQuery(lane->connection, sql))
        return;
    put_result_take_error(&lane->result, lane->connection, NULL);
    lane->state = LANE_FAILED;
}

/* The statement has ended: on to the next one. */
static void take_end(struct sink *sink, struct lane *lane)
{
    if (!lane->result.message && PQstatus(lane->connection) == CONNECTION_BAD)
        put_result_take_error(&lane->result, lane->connection, NULL);
    if (lane->result.message) {
        lane->state = LANE_FAILED;
    } else if (lane->state == LANE_COPYING && lane->is_staged) {
        cleanup_buffer struct buffer sql = {0};
        sql_insert_from_stage(&sql, sink, lane->batch);
        append_look(&sql, sink); /* a stage like the table as it was converts values in silence */
        send(lane, sql.data, LANE_INSERTING);
    } else if (lane->state == LANE_COMMITTING || !lane->in_transaction) {
        lane->state = LANE_STORED;
    } else {
        lane->state = LANE_COPIED;
        if (lane->may_commit)
            send(lane, "COMMIT", LANE_COMMITTING);
    }
}

static void take_result(struct sink *sink, struct lane *lane, PGresult *next)
{
    put_result_note(&lane->result, lane->connection, next, sink->table->relname);
    if (PQresultStatus(next) == PGRES_TUPLES_OK && PQntuples(next) == 1)
        lane->result.inserted = strtoull(PQgetvalue(next, 0, 0), NULL, 10);
}

static bool is_at_work(const struct lane *lane)
{
    return lane->state == LANE_COPYING || lane->state == LANE_INSERTING || lane->state == LANE_COMMITTING;
}

void lane_advance(struct sink *sink, struct lane *lane)
{
    if (!is_at_work(lane))
        return;
    PQconsumeInput(lane->connection); /* of a loss PQgetResult() tells */
    while (is_at_work(lane) && !PQisBusy(lane->connection)) {
        PGresult *next = PQgetResult(lane->connection);
        if (next)
            take_result(sink, lane, next);
        PQclear(next);
        if (!next || PQstatus(lane->connection) == CONNECTION_BAD)
            take_end(sink, lane);
    }
    lane->result.is_ok = lane->state == LANE_STORED;
    if (lane->state == LANE_FAILED)
        put_result_judge_row(&lane->result, (struct run){lane->batch, NULL, lane->row_count});
}

void lane_release(struct sink *sink, struct lane *lane)
{
    lane->may_commit = true;
    lane_advance(sink, lane);
    if (lane->state == LANE_COPIED)
        send(lane, "COMMIT", LANE_COMMITTING);
}

/* Ends whatever the session is at. Its COPY may wait for a lock: if the connection were only closed, a
 * backend that holds locks of ours would stay behind. */
static void roll_back(struct sink *sink, PGconn *connection)
{
    char ignored[256];
    PGconn *other = sink->connection;
    PGcancel *cancel = PQtransactionStatus(connection) == PQTRANS_ACTIVE ? PQgetCancel(connection) : NULL;
    if (cancel)
        PQcancel(cancel, ignored, sizeof ignored);
    PQfreeCancel(cancel);
    sink->connection = connection;
    for (PGresult *next; PQstatus(connection) == CONNECTION_OK && (next = connection_await(sink));)
        PQclear(next);
    PQclear(connection_execute(sink, "ROLLBACK"));
    sink->connection = other;
}

static void give_back(struct sink *sink, PGconn *connection)
{
    if (PQstatus(connection) == CONNECTION_OK && PQtransactionStatus(connection) != PQTRANS_IDLE)
        roll_back(sink, connection);
    if (PQstatus(connection) != CONNECTION_OK) {
        PQfinish(connection);
        return;
    }
    sink->has_stage = false; /* it may be the other session's */
    *(sink->connection ? &sink->spare : &sink->connection) = connection;
}

void lane_abandon(struct sink *sink, struct lane *lane)
{
    give_back(sink, lane->connection);
    put_result_clear(&lane->result);
    lane->connection = NULL;
    lane->state = LANE_FAILED;
}

void lane_end(struct sink *sink, struct lane *lane)
{
    give_back(sink, lane->connection);
    put_result_clear(&lane->result);
    *lane = (struct lane){.state = LANE_IDLE};
}

void lane_drop(struct lane *lane)
{
    PQfinish(lane->connection);
    put_result_clear(&lane->result);
    *lane = (struct lane){.state = LANE_IDLE};
}
