/* The loop of pgsink. A batch that may be written is sent at once; while the server stores it, the next one
 * is filled. When that one is full too, the database is the bound: then it is sent on a second connection,
 * behind the older one (see lane.h). A batch that fails is written again by writer.h, alone. */
#include "stream.h"

#include "common/library_pages.h"
#include "common/timestamp.h"
#include "connection.h"
#include "lane.h"
#include "report.h"
#include "sqlstate.h"

#include <poll.h>
#include <stdio.h>

/* Batches that go one after the other, after two at once have failed. */
#define LONE_BATCHES 16
/* A transaction that is ready waits so long for an older one. Somebody who waits for the younger one may hold
 * the older one up, and the server cannot see that the one waits for the other. */
#define CROSSING_US 2000000

static bool is_ready(struct sink *sink)
{
    for (;;) {
        switch (connection_ensure(sink)) {
        case VERDICT_DONE:
            return true;
        case VERDICT_STOP:
            return false;
        default:
            if (!sink_back_off(sink))
                return false;
        }
    }
}

static void note_recovery(struct sink *sink)
{
    backoff_reset(&sink->backoff);
    if (sink->refused_since == 0)
        return;
    sink->refused_since = 0;
    sink->retry_log.last = 0;
    stats_set(sink->stats, COUNTER_database_refused_since, 0);
}

static enum verdict report(struct sink *sink, struct batch *batch, const struct write_counts *counts,
                           int64_t started)
{
    note_recovery(sink);
    enum verdict verdict = report_batch(sink, batch, counts, monotonic_microseconds() - started);
    batch_clear(batch);
    return verdict;
}

/* Writes the batch until it is safe, with nothing beside it. `failed`: see writer_write(). */
static enum verdict store_alone(struct sink *sink, struct batch *batch, const struct put_result *failed,
                                int64_t started)
{
    struct write_counts counts;
    for (;; failed = NULL) {
        enum verdict verdict =
            failed || is_ready(sink) ? writer_write(sink, batch, failed, &counts) : VERDICT_STOP;
        if (verdict == VERDICT_DONE)
            return report(sink, batch, &counts, started);
        if (verdict == VERDICT_STOP)
            return VERDICT_STOP;
        stats_add(sink->stats, COUNTER_batches_failed, 1);
        if (!sink_back_off(sink))
            return VERDICT_STOP;
    }
}

/* Waits for the end of the older lane, while `younger` (or NULL) is behind it. */
static void await_older(struct sink *sink, struct lane *younger)
{
    while (!lane_is_over(&sink->older)) {
        int64_t before = monotonic_microseconds();
        sink_wait(sink, -1, 0, CROSSING_US);
        if (!younger || lane_is_over(&sink->older) || monotonic_microseconds() - before < CROSSING_US)
            continue;
        lane_advance(sink, younger);
        if (younger->state == LANE_COPIED)
            lane_abandon(sink, younger);
    }
}

/* Ends a lane that failed and writes its batch again. */
static enum verdict mend(struct sink *sink, struct lane *lane)
{
    struct batch *batch = lane->batch;
    struct put_result failed = lane->result;
    int64_t started = lane->started;
    bool is_lost = lane->connection && PQstatus(lane->connection) != CONNECTION_OK;
    bool was_behind = lane->is_behind;
    enum write_mode mode = sink->mode;
    lane->result = (struct put_result){0};
    lane_end(sink, lane);
    if (is_lost) /* the other one is lost too, or will be */
        connection_close(sink);
    /* Behind an older one it may have missed that one's rows (a reference to them, for one): no row is blamed
     * before it was tried again. */
    bool is_of_rows = sqlstate_is_of_rows(sqlstate_classify(failed.sqlstate));
    bool may_be_wrong = was_behind || PQstatus(sink->connection) != CONNECTION_OK;
    bool is_telling = failed.message && !(may_be_wrong && is_of_rows);
    enum verdict verdict = store_alone(sink, batch, is_telling ? &failed : NULL, started);
    put_result_clear(&failed);
    /* A key that was there already only means that the stage is taken from now on. */
    sink->lone_batches = mode == sink->mode ? LONE_BATCHES : 0;
    return verdict;
}

/* Ends the older lane: its batch is safe and reported then. */
static enum verdict settle(struct sink *sink, struct lane *younger)
{
    struct lane *older = &sink->older;
    if (older->state == LANE_IDLE)
        return VERDICT_DONE;
    await_older(sink, younger);
    if (older->state == LANE_FAILED) {
        if (younger)
            lane_abandon(sink, younger);
        return mend(sink, older);
    }
    struct write_counts counts = {.inserted = older->result.inserted,
                                  .duplicates = older->row_count - older->result.inserted};
    if (older->row_count)
        writer_choose_mode(sink, &counts);
    enum verdict verdict = report(sink, older->batch, &counts, older->started);
    lane_end(sink, older);
    return verdict;
}

/* Our encoder has refused events by the table as it was: before they are blamed, it is looked at again. Rows
 * that are under way must not be encoded again, so they come to their end first. */
static enum verdict doubt_refusals(struct sink *sink)
{
    bool is_changed = false;
    enum verdict verdict = settle(sink, NULL);
    if (verdict == VERDICT_DONE)
        verdict = is_ready(sink) ? connection_look_at_table(sink, &is_changed) : VERDICT_STOP;
    if (is_changed)
        log_warning(&sink->log, "table %s has changed: going on with it as it is now", sink->table->sql_name);
    return verdict;
}

/* Sends a batch, behind the older one if there is one, and settles that. */
static enum verdict start(struct sink *sink, struct batch *batch)
{
    struct lane younger;
    bool is_behind = sink->older.state != LANE_IDLE;
    if (!is_behind && !is_ready(sink))
        return VERDICT_STOP;
    if (batch->has_refused) {
        enum verdict verdict = doubt_refusals(sink);
        if (verdict == VERDICT_STOP)
            return verdict;
        is_behind = false;
        if (verdict == VERDICT_RETRY)
            return store_alone(sink, batch, NULL, monotonic_microseconds());
    }
    /* What asks for defaults may find a fault, and judge it by the table. */
    if (is_behind && batch->has_defaults) {
        enum verdict verdict = settle(sink, NULL);
        if (verdict != VERDICT_DONE)
            return verdict;
        is_behind = false;
        if (!is_ready(sink))
            return VERDICT_STOP;
    }
    if (!lane_is_possible(sink))
        return store_alone(sink, batch, NULL, monotonic_microseconds());
    switch (writer_prepare(sink, batch)) {
    case VERDICT_STOP:
        settle(sink, NULL);
        return VERDICT_STOP;
    case VERDICT_RETRY: {
        enum verdict verdict = settle(sink, NULL);
        return verdict == VERDICT_DONE ? store_alone(sink, batch, NULL, monotonic_microseconds()) : verdict;
    }
    default:
        break;
    }
    lane_start(sink, &younger, batch, is_behind);
    enum verdict verdict = settle(sink, is_behind ? &younger : NULL);
    if (verdict != VERDICT_DONE) {
        lane_drop(&younger);
        return verdict;
    }
    if (is_behind)
        lane_release(sink, &younger);
    sink->older = younger;
    return VERDICT_DONE;
}

static bool may_overlap(struct sink *sink)
{
    return sink->options.connections > 1 && lane_is_possible(sink) && !sink->table->shows_order &&
           sink->lone_batches == 0 && intake_is_full(&sink->intake, sink->filling) &&
           connection_open_second(sink);
}

/* Takes the batch that may be written; lines beyond its last paragraph go to the next one. */
static struct batch *take_batch(struct sink *sink)
{
    struct batch *batch = sink->filling;
    for (int i = 0; sink->filling == batch; i++)
        if (&sink->batches[i] != batch && &sink->batches[i] != sink->older.batch)
            sink->filling = &sink->batches[i];
    batch_split(batch, batch->whole, sink->filling);
    return batch;
}

/* Nothing is to be done: waits for input, or for news of the connection. One that is lost is had again at
 * once, not with the next event, which may be long in coming. False where a fault has ended all. */
static bool idle(struct sink *sink)
{
    if (!sink->connection) {
        enum verdict verdict = connection_ensure(sink);
        if (verdict == VERDICT_DONE)
            note_recovery(sink);
        if (verdict == VERDICT_RETRY)
            sink_note_refusal(sink);
        if (verdict == VERDICT_RETRY)
            sink_wait(sink, -1, 0, backoff_next(&sink->backoff));
        return verdict != VERDICT_STOP;
    }
    if (sink_wait(sink, PQsocket(sink->connection), POLLIN, -1))
        connection_take_notice(sink);
    return true;
}

/* Waits until there is something to do; false at the end of all. */
static bool await_work(struct sink *sink)
{
    struct lane *older = &sink->older;
    intake_take(&sink->intake, sink->filling, sink->mapping);
    while (!lane_is_over(older)) {
        if (older->state == LANE_IDLE ? sink->filling->whole > 0 : may_overlap(sink))
            return true;
        if (older->state == LANE_IDLE && sink->intake.is_at_end)
            return false;
        if (older->state == LANE_IDLE && !idle(sink))
            return false;
        if (older->state != LANE_IDLE && !lane_is_over(older))
            sink_wait(sink, -1, 0, -1);
    }
    return true;
}

void stream_store(struct sink *sink)
{
    enum verdict verdict = is_ready(sink) ? VERDICT_DONE : VERDICT_STOP;
    if (verdict == VERDICT_DONE)
        note_recovery(sink);
    library_pages_give_back();
    while (verdict == VERDICT_DONE && await_work(sink)) {
        if (lane_is_over(&sink->older)) {
            verdict = settle(sink, NULL);
        } else {
            sink->lone_batches -= sink->lone_batches > 0;
            verdict = start(sink, take_batch(sink));
        }
    }
    lane_drop(&sink->older);
}

void stream_check(struct sink *sink)
{
    if (!is_ready(sink))
        return;
    cleanup_buffer struct buffer text = {0};
    mapping_describe(sink->mapping, &text);
    fwrite(text.data, 1, text.len, stderr);
    enum verdict verdict = VERDICT_DONE;
    while (verdict == VERDICT_DONE && await_work(sink)) {
        struct batch *batch = take_batch(sink);
        sink->events_total += batch->count;
        for (size_t i = 0; i < batch->count; i++)
            sink->rejects_total += batch->entries[i].state == ENTRY_REJECTED;
        verdict = report_rejects(sink, batch);
        batch_clear(batch);
    }
    fprintf(stderr, "%llu events, %llu of them would be rejected before the database sees them\n",
            (unsigned long long)sink->events_total, (unsigned long long)sink->rejects_total);
}
