#include "writer.h"

#include "connection.h"
#include "narrow.h"
#include "put.h"
#include "sqlstate.h"
#include "statements.h"

#include <sysexits.h>

/* Staged batches in a row without a duplicate before direct COPY is tried again. */
#define QUIET_BATCHES 3
/* An error that nobody has classified is taken for a passing one so often. */
#define UNKNOWN_RETRIES 3

static struct put_result put(struct sink *sink, struct run run)
{
    switch (sink->mode) {
    case MODE_STAGED:
        return put_staged(sink, run);
    case MODE_SINGLE:
        return put_single(sink, run);
    default:
        return put_direct(sink, run, false);
    }
}

static enum sqlstate_class classify(const struct sink *sink, const struct put_result *result)
{
    enum sqlstate_class class = sqlstate_classify(result->sqlstate);
    if (class == SQLSTATE_UNKNOWN)
        return sink->backoff.attempts < UNKNOWN_RETRIES ? SQLSTATE_TRANSIENT : SQLSTATE_DATA;
    /* Where rows are to be inserted or refused, a key that is there is the row's fault. */
    if (class == SQLSTATE_CONFLICT &&
        (sink->options.on_conflict == CONFLICT_ERROR || sink->mode != MODE_DIRECT))
        return SQLSTATE_DATA;
    return class;
}

/* Whether the fault may be that the table is no longer as we know it: fields that are taken for another type
 * than they were encoded for, or a column we do not know of that must not be null. */
static bool may_be_outdated(const struct sink *sink, const struct put_result *result)
{
    if (PQstatus(sink->connection) == CONNECTION_BAD)
        return false;
    if (strncmp(result->sqlstate, "22", 2) == 0 || strcmp(result->sqlstate, "08P01") == 0 ||
        sqlstate_classify(result->sqlstate) == SQLSTATE_UNKNOWN)
        return true;
    /* The stage has the checks that the table had when it was made. */
    if (sink->mode == MODE_STAGED && strcmp(result->sqlstate, "23514") == 0)
        return true;
    if (strcmp(result->sqlstate, "23502") != 0 || !result->column)
        return false;
    size_t count;
    const size_t *active = mapping_active(sink->mapping, &count);
    int column = table_column(sink->table, result->column, strlen(result->column));
    for (size_t i = 0; i < count; i++)
        if ((int)active[i] == column)
            return false;
    return true;
}

/* Before rows are blamed: VERDICT_RETRY where the table has changed. */
static enum verdict look_again(struct sink *sink)
{
    bool is_changed;
    enum verdict verdict = connection_look_at_table(sink, &is_changed);
    if (verdict != VERDICT_DONE || !is_changed)
        return verdict;
    log_warning(&sink->log, "table %s has changed: going on with it as it is now", sink->table->sql_name);
    sink->has_stage = false;
    return VERDICT_RETRY;
}

/* A fault that is no row's: told, and turned into what to do about it. */
static enum verdict give_way(struct sink *sink, const struct put_result *result)
{
    bool is_setup = sqlstate_classify(result->sqlstate) == SQLSTATE_SETUP;
    if (is_setup || may_be_outdated(sink, result)) {
        enum verdict verdict = look_again(sink);
        if (verdict != VERDICT_DONE)
            return verdict;
    }
    if (!is_setup) {
        if (log_is_due(&sink->retry_log, 5000000))
            log_error(&sink->log, "Batch processing failed: %s%s%s%s; trying again", result->message,
                      *result->sqlstate ? " (" : "", result->sqlstate, *result->sqlstate ? ")" : "");
        /* A session stays read-only where the database no longer is, and after a fail-over the server to
         * write to is another one behind the same name. */
        if (PQstatus(sink->connection) == CONNECTION_BAD || strcmp(result->sqlstate, "25006") == 0)
            connection_close(sink);
        return VERDICT_RETRY;
    }
    log_error(&sink->log, "Batch processing failed: %s (%s)", result->message, result->sqlstate);
    sink->exit_code = sqlstate_is_permission(result->sqlstate) ? EX_NOPERM : EX_CONFIG;
    return VERDICT_STOP;
}

/* Runs a statement that has no rows to blame. */
static enum verdict run_statement(struct sink *sink, const char *sql, struct put_result *error)
{
    PGresult *result = connection_execute(sink, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        PQclear(result);
        return VERDICT_DONE;
    }
    put_result_take_error(error, sink->connection, result);
    PQclear(result);
    return VERDICT_RETRY;
}

enum verdict writer_prepare(struct sink *sink, struct batch *batch)
{
    if (!batch->has_defaults)
        return VERDICT_DONE;
    size_t rows = 0, count;
    for (size_t i = 0; i < batch->count; i++)
        rows += batch->entries[i].state == ENTRY_ROW && batch->entries[i].has_defaults;
    cleanup_buffer struct buffer sql = {0};
    sql_select_defaults(&sql, sink, batch, rows);
    PGresult *result = NULL, *next;
    if (PQsendQueryParams(sink->connection, sql.data, 0, NULL, NULL, NULL, NULL,
                          batch->format == FORMAT_BINARY))
        while ((next = connection_await(sink))) {
            PQclear(result);
            result = next;
        }
    struct put_result error = {0};
    enum verdict verdict = VERDICT_DONE;
    if (PQresultStatus(result) == PGRES_TUPLES_OK) {
        batch_fill_defaults(batch, sink->table, mapping_active(sink->mapping, &count), result);
    } else {
        put_result_take_error(&error, sink->connection, result);
        verdict = give_way(sink, &error);
        put_result_clear(&error);
    }
    PQclear(result);
    return verdict;
}

static void count_run(struct write_counts *counts, struct run run, const struct put_result *result)
{
    counts->inserted += result->inserted;
    counts->updated += result->updated;
    counts->duplicates += run.count - result->inserted - result->updated;
}

/* Leaves direct COPY, which met a key that is there already. */
static void leave_direct(struct sink *sink)
{
    sink->mode = sink->table->can_stage ? MODE_STAGED : MODE_SINGLE;
    sink->quiet_batches = 0;
}

#define CHECK_NOW "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED; "
#define KEEP "RELEASE SAVEPOINT run; SAVEPOINT run"

/* One run of a careful batch as a whole. VERDICT_RETRY with *error filled: the transaction is beyond saving.
 */
static enum verdict write_run(struct sink *sink, struct batch *batch, struct trials *trials, struct run run,
                              struct write_counts *counts, struct put_result *error)
{
    struct put_result result = put(sink, run);
    bool needs_room = sink->mode == MODE_STAGED && trials->count > 0;
    if (result.is_ok &&
        run_statement(sink, needs_room ? CHECK_NOW "TRUNCATE " STAGE "; " KEEP : CHECK_NOW KEEP, &result) ==
            VERDICT_DONE) {
        count_run(counts, run, &result);
        put_result_clear(&result);
        return VERDICT_DONE;
    }
    enum sqlstate_class class = classify(sink, &result);
    if (!sqlstate_is_of_rows(class)) {
        *error = result;
        return VERDICT_RETRY;
    }
    bool is_suspicious = may_be_outdated(sink, &result);
    enum verdict verdict = run_statement(sink, "ROLLBACK TO SAVEPOINT run", error);
    if (verdict == VERDICT_DONE && is_suspicious)
        verdict = look_again(sink);
    if (verdict == VERDICT_DONE && class == SQLSTATE_CONFLICT) {
        leave_direct(sink); /* the stage must be made outside this transaction: begin anew */
        verdict = VERDICT_RETRY;
    }
    if (verdict == VERDICT_DONE)
        trials_narrow(trials, batch, run, &result);
    if (verdict == VERDICT_RETRY && !error->message)
        *error = result;
    else
        put_result_clear(&result);
    return verdict;
}

/* What the rows came to: VERDICT_DONE where all faults are the rows' own, else *fault is the one that is not.
 */
static enum verdict judge_rows(struct sink *sink, struct put_result *rows, size_t count,
                               struct put_result **fault)
{
    struct put_result *suspicious = NULL;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].is_ok)
            continue;
        *fault = &rows[i];
        enum sqlstate_class class = classify(sink, &rows[i]);
        if (!sqlstate_is_of_rows(class))
            return VERDICT_RETRY;
        if (class == SQLSTATE_CONFLICT) {
            leave_direct(sink);
            return VERDICT_RETRY;
        }
        if (!suspicious && may_be_outdated(sink, &rows[i]))
            suspicious = &rows[i];
    }
    *fault = suspicious;
    return suspicious ? look_again(sink) : VERDICT_DONE;
}

/* The same row by row: no row is blamed before all have been judged. */
static enum verdict write_rows(struct sink *sink, struct batch *batch, struct trials *trials, struct run run,
                               struct write_counts *counts, struct put_result *error)
{
    struct put_result rows[TRIAL_ROWS] = {0}, *fault = NULL;
    enum verdict verdict = VERDICT_RETRY;
    size_t bad = 0;
    if (put_rows(sink, run, rows, error))
        verdict = judge_rows(sink, rows, run.count, &fault);
    if (verdict == VERDICT_RETRY && fault) {
        *error = *fault;
        *fault = (struct put_result){0};
    }
    for (size_t i = 0; i < run.count; i++) {
        if (verdict == VERDICT_DONE && rows[i].is_ok) {
            count_run(counts, (struct run){.count = 1}, &rows[i]);
        } else if (verdict == VERDICT_DONE) {
            batch_reject(batch, run.entries[i], rows[i].sqlstate, rows[i].column, rows[i].message);
            bad++;
        }
        put_result_clear(&rows[i]);
    }
    if (verdict == VERDICT_DONE)
        trials_go_on(trials, run.count, bad);
    return verdict;
}

static enum verdict write_next(struct sink *sink, struct batch *batch, struct trials *trials,
                               struct write_counts *counts, struct put_result *error)
{
    struct trial trial = trials_next(trials);
    return (trial.is_by_row ? write_rows : write_run)(sink, batch, trials, trial.run, counts, error);
}

static enum verdict make_stage(struct sink *sink)
{
    if (sink->mode != MODE_STAGED || sink->has_stage)
        return VERDICT_DONE;
    cleanup_buffer struct buffer sql = {0};
    struct put_result error = {0};
    sql_make_stage(&sql, sink);
    if (run_statement(sink, sql.data, &error) == VERDICT_DONE) {
        sink->has_stage = true;
        return VERDICT_DONE;
    }
    enum verdict verdict = give_way(sink, &error);
    put_result_clear(&error);
    return verdict;
}

/* Whether every row failed with an internal error: then it is the server that is ill, not the rows. */
static bool is_server_ill(const struct batch *batch, struct run all)
{
    for (size_t i = 0; i < all.count; i++) {
        const struct entry *entry = &batch->entries[all.entries[i]];
        if (entry->state != ENTRY_REJECTED || strncmp(batch->faults[entry->fault].sqlstate, "XX", 2) != 0)
            return false;
    }
    return true;
}

/* The rows may have been converted by what the table no longer is: the types of the stage, or of parameters.
 */
static enum verdict commit(struct sink *sink, struct put_result *error)
{
    cleanup_buffer struct buffer sql = {0};
    sql_look_at_table(&sql, sink);
    buffer_append_string(&sql, "; COMMIT");
    buffer_terminate(&sql);
    return run_statement(sink, sql.data, error);
}

/* The batch in one transaction, run by run. `refused` is how direct COPY failed because of a row, or NULL. */
static enum verdict write_carefully(struct sink *sink, struct run all, struct batch *batch,
                                    const struct put_result *refused, struct write_counts *counts)
{
    struct put_result error = {0};
    struct trials trials = {.may_be_by_row = sink->table->can_split};
    enum write_mode mode = sink->mode;
    enum verdict verdict = make_stage(sink);
    if (verdict != VERDICT_DONE)
        return verdict;
    if (refused)
        trials_narrow(&trials, batch, all, refused);
    else
        trials_add(&trials, all, false);
    verdict = run_statement(sink, "BEGIN; SAVEPOINT run", &error);
    while (verdict == VERDICT_DONE && trials.count)
        verdict = write_next(sink, batch, &trials, counts, &error);
    if (verdict == VERDICT_DONE && is_server_ill(batch, all)) {
        log_error(&sink->log, "PostgreSQL fails with an internal error whatever the row: %s",
                  batch->faults[batch->entries[all.entries[0]].fault].message);
        sink->exit_code = EX_UNAVAILABLE;
        verdict = VERDICT_STOP;
    }
    if (verdict == VERDICT_DONE)
        verdict = commit(sink, &error);
    trials_free(&trials);
    if (verdict == VERDICT_DONE)
        return VERDICT_DONE;
    if (sink->connection && PQstatus(sink->connection) == CONNECTION_OK) {
        struct put_result ignored = {0};
        run_statement(sink, "ROLLBACK", &ignored);
        if (!sink->has_stage) /* dropped in vain, where the table was seen to have changed meanwhile */
            run_statement(sink, "DROP TABLE IF EXISTS " STAGE, &ignored);
        put_result_clear(&ignored);
    }
    *counts = (struct write_counts){0};
    if (mode != sink->mode) { /* direct COPY met a duplicate: not a fault, another way */
        put_result_clear(&error);
        return writer_write(sink, batch, NULL, counts);
    }
    if (verdict != VERDICT_STOP)
        verdict = give_way(sink, &error);
    put_result_clear(&error);
    return verdict;
}

void writer_choose_mode(struct sink *sink, const struct write_counts *counts)
{
    if (sink->mode == MODE_DIRECT || sink->options.on_conflict == CONFLICT_UPDATE)
        return;
    sink->quiet_batches = counts->duplicates ? 0 : sink->quiet_batches + 1;
    if (sink->quiet_batches >= QUIET_BATCHES)
        sink->mode = MODE_DIRECT;
}

/* What a direct COPY's end means, and what there is to be done about it. */
static enum verdict conclude_direct(struct sink *sink, struct run all, struct batch *batch,
                                    const struct put_result *result, struct write_counts *counts)
{
    if (result->is_ok) {
        count_run(counts, all, result);
        return VERDICT_DONE;
    }
    enum verdict verdict = VERDICT_DONE;
    switch (classify(sink, result)) {
    case SQLSTATE_CONFLICT:
        leave_direct(sink);
        return write_carefully(sink, all, batch, NULL, counts);
    case SQLSTATE_DATA:
        if (may_be_outdated(sink, result))
            verdict = look_again(sink);
        return verdict == VERDICT_DONE ? write_carefully(sink, all, batch, result, counts) : verdict;
    default:
        return give_way(sink, result);
    }
}

enum verdict writer_write(struct sink *sink, struct batch *batch, const struct put_result *failed,
                          struct write_counts *counts)
{
    *counts = (struct write_counts){0};
    if (sink->options.on_conflict == CONFLICT_UPDATE && sink->mode == MODE_DIRECT)
        leave_direct(sink);
    if (failed && !sqlstate_is_of_rows(classify(sink, failed)))
        return give_way(sink, failed);
    enum verdict verdict = writer_prepare(sink, batch);
    if (verdict != VERDICT_DONE)
        return verdict;
    size_t count;
    cleanup_free size_t *entries = batch_rows(batch, &count);
    if (count == 0)
        return VERDICT_DONE;
    struct run all = {batch, entries, count};
    if (sink->mode != MODE_DIRECT) {
        verdict = write_carefully(sink, all, batch, NULL, counts);
    } else if (failed) {
        verdict = conclude_direct(sink, all, batch, failed, counts);
    } else {
        struct put_result result = put_direct(sink, all, true);
        verdict = conclude_direct(sink, all, batch, &result, counts);
        put_result_clear(&result);
    }
    if (verdict == VERDICT_DONE)
        writer_choose_mode(sink, counts);
    return verdict;
}
