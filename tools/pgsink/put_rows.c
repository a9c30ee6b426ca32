/* Row by row in libpq's pipeline mode, with no trip to the server and back for any row. put_single() sends
 * the INSERTs and nothing else: the first bad row ends the run. put_rows() has each row under a savepoint,
 * which costs a transaction id each: every row is a segment up to a Sync,
 *
 *   ROLLBACK TO SAVEPOINT run; INSERT; RELEASE SAVEPOINT run; SAVEPOINT run
 *
 * and where INSERT fails the server skips the rest of it. Then the savepoint is still in front of the row,
 * and the next segment's ROLLBACK TO takes back what is left of it; else the savepoint is behind the row, and
 * there is nothing to take back.
 */
#include "connection.h"
#include "put.h"
#include "statements.h"

/* The server parses them once a run. */
#define UNDO "pgsink_undo"
#define RELEASE "pgsink_release"
#define SAVE "pgsink_save"

/* Rows whose results are read before more are sent: more would only fill libpq's buffers. */
#define SINGLE_ROWS 256
/* So many bytes of rows may wait in libpq. */
#define UNSENT ((size_t)64 * 1024)

struct parameters {
    const char **values;
    int *lengths, *formats;
    struct buffer texts;
};

static void set_parameters(struct parameters *parameters, const struct batch *batch,
                           const struct entry *entry)
{
    bool is_binary = batch->format == FORMAT_BINARY;
    const char *at = batch->rows.data + entry->row_start + sizeof(uint16_t);
    parameters->texts.len = 0;
    buffer_reserve(&parameters->texts, entry->row_len + batch->column_count); /* it does not move below */
    for (size_t i = 0; i < batch->column_count; i++) {
        uint32_t length = row_field_length(at);
        at += sizeof length;
        parameters->formats[i] = is_binary;
        parameters->values[i] = NULL;
        if (length == ROW_NULL)
            continue;
        parameters->lengths[i] = (int)length;
        parameters->values[i] = at;
        if (!is_binary) { /* a text parameter is a C string */
            parameters->values[i] = parameters->texts.data + parameters->texts.len;
            buffer_append(&parameters->texts, at, length);
            buffer_append_char(&parameters->texts, '\0');
        }
        at += length;
    }
}

static bool send_prepared(PGconn *connection, const char *name)
{
    return PQsendQueryPrepared(connection, name, 0, NULL, NULL, NULL, 0) == 1;
}

static bool send_once(PGconn *connection, const char *sql)
{
    return PQsendQueryParams(connection, sql, 0, NULL, NULL, NULL, NULL, 0) == 1;
}

#define OPENING_STATEMENTS 8

/* A session of ours has no other prepared statements, and a failure may have left these. */
static bool send_opening(PGconn *connection, const char *insert)
{
    return send_once(connection, "DEALLOCATE ALL") &&
           send_once(connection, "SET CONSTRAINTS ALL IMMEDIATE") &&
           PQsendPrepare(connection, UNDO, "ROLLBACK TO SAVEPOINT run", 0, NULL) &&
           PQsendPrepare(connection, RELEASE, "RELEASE SAVEPOINT run", 0, NULL) &&
           PQsendPrepare(connection, SAVE, "SAVEPOINT run", 0, NULL) && send_prepared(connection, RELEASE) &&
           send_prepared(connection, SAVE) && PQsendPrepare(connection, "", insert, 0, NULL) &&
           PQpipelineSync(connection);
}

static bool send_insert(PGconn *connection, size_t column_count, const struct parameters *parameters)
{
    return PQsendQueryPrepared(connection, "", (int)column_count, parameters->values, parameters->lengths,
                               parameters->formats, 0) == 1;
}

static bool send_guarded(PGconn *connection, size_t column_count, const struct parameters *parameters)
{
    return send_prepared(connection, UNDO) && send_insert(connection, column_count, parameters) &&
           send_prepared(connection, RELEASE) && send_prepared(connection, SAVE) &&
           PQpipelineSync(connection);
}

/* The opening and the rows; the caller ends them with a Sync. */
static bool send_rows(struct sink *sink, struct run run, bool is_guarded)
{
    size_t columns = run.batch->column_count, unsent = 0;
    cleanup_buffer struct buffer insert = {0};
    sql_insert_single(&insert, sink, run.batch);
    struct parameters parameters = {.values = xcalloc(columns, sizeof *parameters.values),
                                    .lengths = xcalloc(columns, sizeof *parameters.lengths),
                                    .formats = xcalloc(columns, sizeof *parameters.formats)};
    bool is_sent = is_guarded ? send_opening(sink->connection, insert.data)
                              : PQsendPrepare(sink->connection, "", insert.data, 0, NULL) == 1;
    for (size_t i = 0; is_sent && i < run.count; i++) {
        const struct entry *entry = &run.batch->entries[run.entries[i]];
        set_parameters(&parameters, run.batch, entry);
        is_sent = (is_guarded ? send_guarded : send_insert)(sink->connection, columns, &parameters);
        unsent += entry->row_len;
        if (is_sent && unsent > UNSENT) {
            is_sent = connection_flush(sink);
            unsent = 0;
        }
    }
    free(parameters.values);
    free(parameters.lengths);
    free(parameters.formats);
    buffer_free(&parameters.texts);
    return is_sent;
}

static bool send_end(struct sink *sink)
{
    return PQpipelineSync(sink->connection) && connection_flush(sink);
}

static void count(PGresult *result, struct put_result *row)
{
    row->is_ok = true;
    if (PQresultStatus(result) == PGRES_COMMAND_OK) {
        row->inserted = strtoull(PQcmdTuples(result), NULL, 10);
    } else if (PQntuples(result) == 1) {
        row->inserted = PQgetvalue(result, 0, 0)[0] == 't';
        row->updated = !row->inserted;
    }
}

/* Takes what one statement came to. False where the connection is lost. */
static bool take(struct sink *sink, struct put_result *result)
{
    for (PGresult *next; (next = connection_await(sink)); PQclear(next)) {
        ExecStatusType status = PQresultStatus(next);
        if (status == PGRES_FATAL_ERROR && !result->message)
            put_result_take_error(result, sink->connection, next);
        else if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
            count(next, result);
        if (PQstatus(sink->connection) == CONNECTION_BAD) {
            PQclear(next);
            return false;
        }
    }
    return PQstatus(sink->connection) == CONNECTION_OK;
}

/* Those of statements that are no row's. */
static bool take_others(struct sink *sink, size_t statements, struct put_result *error)
{
    while (statements-- > 0)
        if (!take(sink, error))
            return false;
    return true;
}

static bool take_sync(struct sink *sink)
{
    PQclear(connection_await(sink));
    return PQstatus(sink->connection) == CONNECTION_OK;
}

static bool take_rows(struct sink *sink, size_t row_count, struct put_result *rows, struct put_result *error)
{
    bool is_alive = take_others(sink, OPENING_STATEMENTS, error) && take_sync(sink);
    for (size_t i = 0; is_alive && i < row_count; i++) {
        is_alive = take_others(sink, 1, error) && take(sink, &rows[i]) && take_others(sink, 2, error) &&
                   take_sync(sink);
        if (!is_alive && rows[i].message && !error->message) {
            *error = rows[i]; /* the server's last words */
            rows[i] = (struct put_result){0};
        }
    }
    return is_alive && take_others(sink, 1, error) && take_sync(sink);
}

/* `result` gets the first row's fault, with the row's number, or what all have come to. */
static bool take_single(struct sink *sink, size_t row_count, size_t rows_before, struct put_result *result)
{
    struct put_result prepared = {0};
    bool is_alive = take(sink, &prepared);
    if (prepared.message)
        *result = prepared;
    for (size_t i = 0; is_alive && i < row_count; i++) {
        struct put_result row = {0};
        is_alive = take(sink, &row);
        result->inserted += row.inserted;
        result->updated += row.updated;
        if (row.message && !result->message) {
            *result = row;
            result->row = rows_before + i + 1;
            result->is_row_certain = true;
        } else {
            put_result_clear(&row);
        }
    }
    return is_alive && take_sync(sink);
}

/* After something else than a row's fault: where the connection is not lost, nobody knows what it is at. */
static void give_up(struct sink *sink, struct put_result *error)
{
    if (!error->message)
        put_result_take_error(error, sink->connection, NULL);
    connection_close(sink);
}

struct put_result put_single(struct sink *sink, struct run run)
{
    struct put_result result = {0};
    bool is_alive = PQenterPipelineMode(sink->connection) == 1;
    for (size_t done = 0; is_alive && done < run.count && !result.message; done += SINGLE_ROWS) {
        size_t left = run.count - done;
        struct run stretch = {run.batch, run.entries + done, left < SINGLE_ROWS ? left : SINGLE_ROWS};
        is_alive = send_rows(sink, stretch, false) && send_end(sink) &&
                   take_single(sink, stretch.count, done, &result);
    }
    stats_add(sink->stats, COUNTER_rows_single, run.count);
    if (!is_alive || !PQexitPipelineMode(sink->connection))
        give_up(sink, &result);
    result.is_ok = !result.message;
    return result;
}

bool put_rows(struct sink *sink, struct run run, struct put_result *rows, struct put_result *error)
{
    stats_add(sink->stats, COUNTER_rows_single, run.count);
    /* The last row may be a bad one. */
    bool is_alive = PQenterPipelineMode(sink->connection) && send_rows(sink, run, true) &&
                    send_prepared(sink->connection, UNDO) && send_end(sink) &&
                    take_rows(sink, run.count, rows, error) && PQexitPipelineMode(sink->connection);
    if (is_alive)
        return !error->message;
    give_up(sink, error);
    return false;
}
