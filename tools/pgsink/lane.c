#include "lane.h"

#include "common/timestamp.h"
#include "connection.h"
#include "copy.h"
#include "statements.h"

void lane_start(struct sink *sink, struct lane *lane, struct batch *batch, bool is_behind)
{
    *lane = (struct lane){.batch = batch, .is_behind = is_behind, .started = monotonic_microseconds()};
    size_t count;
    cleanup_free size_t *entries = batch_rows(batch, &count);
    lane->row_count = count;
    lane->state = LANE_STORED;
    if (count == 0)
        return;
    cleanup_buffer struct buffer sql = {0};
    if (is_behind)
        buffer_append_string(&sql, "BEGIN; ");
    sql_copy_direct(&sql, sink, batch);
    stats_add(sink->stats, COUNTER_copies_direct, 1);
    stats_add(sink->stats, COUNTER_batches_overlapped, is_behind);
    bool is_sent = copy_send(sink, (struct run){batch, entries, count}, sql.data, &lane->result);
    lane->state = is_sent ? LANE_STORING : LANE_FAILED;
    lane->connection = sink->connection;
    sink->connection = sink->spare;
    sink->spare = NULL;
}

bool lane_is_over(const struct lane *lane)
{
    return lane->state == LANE_STORED || lane->state == LANE_FAILED;
}

static void commit(struct lane *lane)
{
    lane->state = LANE_COMMITTING;
    if (PQsendQuery(lane->connection, "COMMIT"))
        return;
    put_result_take_error(&lane->result, lane->connection, NULL);
    lane->state = LANE_FAILED;
}

/* The statement has ended. */
static void take_end(struct lane *lane)
{
    if (!lane->result.message && PQstatus(lane->connection) == CONNECTION_BAD)
        put_result_take_error(&lane->result, lane->connection, NULL);
    if (lane->result.message)
        lane->state = LANE_FAILED;
    else if (lane->state == LANE_STORING && lane->is_behind)
        lane->state = LANE_COPIED;
    else
        lane->state = LANE_STORED;
    if (lane->state == LANE_COPIED && lane->may_commit)
        commit(lane);
}

void lane_advance(struct sink *sink, struct lane *lane)
{
    if (lane->state != LANE_STORING && lane->state != LANE_COMMITTING)
        return;
    PQconsumeInput(lane->connection); /* of a loss PQgetResult() tells */
    while (!PQisBusy(lane->connection)) {
        PGresult *next = PQgetResult(lane->connection);
        if (next)
            put_result_note(&lane->result, lane->connection, next, sink->table->relname);
        PQclear(next);
        if (next && PQstatus(lane->connection) == CONNECTION_OK)
            continue;
        take_end(lane);
        if (lane_is_over(lane) || lane->state == LANE_COPIED)
            break;
    }
    lane->result.is_ok = lane->state == LANE_STORED;
    if (lane->state == LANE_FAILED)
        put_result_judge_row(&lane->result, (struct run){lane->batch, NULL, lane->row_count});
    if (lane->result.is_ok)
        lane->result.inserted = lane->row_count;
}

void lane_release(struct sink *sink, struct lane *lane)
{
    lane->may_commit = true;
    lane_advance(sink, lane);
    if (lane->state == LANE_COPIED)
        commit(lane);
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
