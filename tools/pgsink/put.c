#include "put.h"

#include "connection.h"
#include "copy.h"
#include "statements.h"

static struct put_result copy(struct sink *sink, struct run run, const char *sql)
{
    struct put_result result = {0};
    if (copy_send(sink, run, sql, &result)) {
        copy_finish(sink, &result, NULL);
        put_result_judge_row(&result, run);
    }
    return result;
}

struct put_result put_direct(struct sink *sink, struct run run)
{
    cleanup_buffer struct buffer sql = {0};
    sql_copy_direct(&sql, sink, run.batch);
    struct put_result result = copy(sink, run, sql.data);
    result.inserted = result.is_ok ? run.count : 0;
    stats_add(sink->stats, COUNTER_copies_direct, 1);
    return result;
}

struct put_result put_staged(struct sink *sink, struct run run)
{
    cleanup_buffer struct buffer sql = {0};
    sql_copy_stage(&sql, sink, run.batch);
    struct put_result result = copy(sink, run, sql.data);
    stats_add(sink->stats, COUNTER_copies_staged, 1);
    if (!result.is_ok)
        return result;
    sql.len = 0;
    sql_insert_from_stage(&sql, sink, run.batch);
    PGresult *tuples = NULL;
    if (!PQsendQuery(sink->connection, sql.data)) {
        put_result_take_error(&result, sink->connection, NULL);
        result.is_ok = false;
        return result;
    }
    copy_finish(sink, &result, &tuples);
    if (result.is_ok && tuples && PQntuples(tuples) == 1) {
        result.inserted = strtoull(PQgetvalue(tuples, 0, 0), NULL, 10);
        result.updated = strtoull(PQgetvalue(tuples, 0, 1), NULL, 10);
    }
    result.row = 0; /* what INSERT refuses has no line */
    PQclear(tuples);
    return result;
}

static bool send_single(struct sink *sink, struct run run, size_t index, const char *sql, bool is_first)
{
    size_t columns = run.batch->column_count;
    const char **values = xcalloc(columns, sizeof *values);
    cleanup_free int *lengths = xcalloc(columns, sizeof *lengths),
                     *formats = xcalloc(columns, sizeof *formats);
    cleanup_buffer struct buffer texts = {0};
    const struct entry *entry = &run.batch->entries[run.entries[index]];
    const char *at = run.batch->rows.data + entry->row_start + sizeof(uint16_t);
    buffer_reserve(&texts, entry->row_len + columns); /* so that it does not move below */
    for (size_t i = 0; i < columns; i++) {
        uint32_t length = row_field_length(at);
        at += sizeof length;
        formats[i] = run.batch->format == FORMAT_BINARY;
        if (length == ROW_NULL)
            continue;
        lengths[i] = (int)length;
        values[i] = texts.data + texts.len;
        buffer_append(&texts, at, length);
        buffer_append_char(&texts, '\0'); /* a text parameter is a C string */
        at += length;
    }
    bool is_sent = (!is_first || PQsendPrepare(sink->connection, "", sql, 0, NULL)) &&
                   PQsendQueryPrepared(sink->connection, "", (int)columns, values, lengths, formats, 0);
    free(values);
    return is_sent && connection_flush(sink);
}

/* Takes the result of one row's INSERT: an error ends the run, with the row's number. */
static void take_single(struct sink *sink, struct put_result *result, size_t row)
{
    for (PGresult *next; (next = connection_await(sink)); PQclear(next)) {
        ExecStatusType status = PQresultStatus(next);
        if (status == PGRES_FATAL_ERROR && !result->message) {
            put_result_take_error(result, sink->connection, next);
            result->row = row;
            result->is_row_certain = true;
        } else if (status == PGRES_TUPLES_OK && PQntuples(next) == 1) {
            bool is_new = PQgetvalue(next, 0, 0)[0] == 't';
            result->inserted += is_new;
            result->updated += !is_new;
        } else if (status == PGRES_COMMAND_OK) {
            result->inserted += strtoull(PQcmdTuples(next), NULL, 10);
        }
        if (PQstatus(sink->connection) == CONNECTION_BAD) {
            PQclear(next);
            return;
        }
    }
}

/* How many rows are sent before their results are read: more would only fill libpq's buffers. */
#define PIPELINE_ROWS 256

struct put_result put_single(struct sink *sink, struct run run)
{
    struct put_result result = {0};
    cleanup_buffer struct buffer sql = {0};
    sql_insert_single(&sql, sink, run.batch);
    bool is_alive = PQenterPipelineMode(sink->connection) == 1;
    for (size_t done = 0; is_alive && done < run.count && !result.message;) {
        size_t sent = 0;
        for (; is_alive && sent < PIPELINE_ROWS && done + sent < run.count; sent++)
            is_alive = send_single(sink, run, done + sent, sql.data, sent == 0);
        is_alive = is_alive && PQpipelineSync(sink->connection) && connection_flush(sink);
        if (is_alive)
            take_single(sink, &result, 0); /* of the PREPARE */
        for (size_t i = 0; is_alive && i < sent; i++)
            take_single(sink, &result, done + i + 1);
        if (is_alive)
            PQclear(connection_await(sink)); /* of the sync */
        is_alive = is_alive && PQstatus(sink->connection) == CONNECTION_OK;
        done += sent;
    }
    if (!is_alive && !result.message)
        put_result_take_error(&result, sink->connection, NULL);
    result.is_ok = is_alive && !result.message;
    if (is_alive)
        PQexitPipelineMode(sink->connection);
    stats_add(sink->stats, COUNTER_rows_single, run.count);
    return result;
}
