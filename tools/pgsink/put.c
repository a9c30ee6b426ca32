#include "put.h"

#include "connection.h"
#include "statements.h"

#include <endian.h>
#include <stdio.h>

/* Rows go to libpq in pieces of about this size. */
#define PIECE ((size_t)64 * 1024)

void put_result_clear(struct put_result *result)
{
    free(result->message);
    free(result->column);
    *result = (struct put_result){0};
}

static bool is_name_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* The row number in an error's context: "COPY agent_actions, line 17" in English, another word for line in
 * other languages. The COPY's own line is the last: it is the outermost context. An error behind the COPY
 * (an AFTER trigger, a deferred constraint) has other lines alone, with names and numbers of their own:
 * "PL/pgSQL function agent_actions_check() line 3 at RAISE". */
static size_t row_in_context(const char *context, const char *relname)
{
    static const char copy[] = "COPY ";
    if (!context)
        return 0;
    const char *newline = strrchr(context, '\n'), *last = newline ? newline + 1 : context;
    const char *name = last + strlen(copy), *behind = name + strlen(relname);
    if (strncmp(last, copy, strlen(copy)) != 0 || strncmp(name, relname, strlen(relname)) != 0 ||
        is_name_letter(*behind))
        return 0;
    behind += strcspn(behind, "0123456789");
    return strtoul(behind, NULL, 10);
}

/* COPY text puts the value into the context, and a value can hold a line that looks like COPY's own. A row
 * too large (54000) is found when a whole block of rows is stored: the context has the block's last line. */
static bool is_row_certain(const struct put_result *result, struct run run)
{
    return run.batch->format == FORMAT_BINARY && strcmp(result->sqlstate, "54000") != 0;
}

void put_result_take_error(struct put_result *result, struct sink *sink, const PGresult *failed)
{
    const char *sqlstate = failed ? PQresultErrorField(failed, PG_DIAG_SQLSTATE) : NULL;
    const char *primary = failed ? PQresultErrorField(failed, PG_DIAG_MESSAGE_PRIMARY) : NULL;
    const char *detail = failed ? PQresultErrorField(failed, PG_DIAG_MESSAGE_DETAIL) : NULL;
    const char *column = failed ? PQresultErrorField(failed, PG_DIAG_COLUMN_NAME) : NULL;
    put_result_clear(result);
    snprintf(result->sqlstate, sizeof result->sqlstate, "%s", sqlstate ? sqlstate : "");
    if (primary && detail)
        result->message = xasprintf("%s: %s", primary, detail);
    else
        result->message = xstrdup(primary ? primary : PQerrorMessage(sink->connection));
    result->column = column ? xstrdup(column) : NULL;
}

static bool send_piece(struct sink *sink, const char *data, size_t len)
{
    int queued = PQputCopyData(sink->connection, data, (int)len);
    while (queued == 0) { /* no memory for more before some has gone out */
        if (!connection_flush(sink))
            return false;
        queued = PQputCopyData(sink->connection, data, (int)len);
    }
    return queued > 0 && connection_flush(sink);
}

/* Rows that lie behind each other go out in one piece, straight from the batch. */
static bool send_binary(struct sink *sink, struct run run)
{
    static const char header[19] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0";
    static const char trailer[2] = "\377\377";
    if (PQputCopyData(sink->connection, header, sizeof header) <= 0)
        return false;
    for (size_t i = 0; i < run.count;) {
        const struct entry *entry = &run.batch->entries[run.entries[i]];
        size_t start = entry->row_start, end = start + entry->row_len;
        for (i++; i < run.count && end - start < PIECE; i++) {
            entry = &run.batch->entries[run.entries[i]];
            if (entry->row_start != end)
                break;
            end += entry->row_len;
        }
        if (!send_piece(sink, run.batch->rows.data + start, end - start))
            return false;
    }
    return PQputCopyData(sink->connection, trailer, sizeof trailer) > 0;
}

/* COPY's text format: a backslash before what would otherwise end a field or a line. */
static void append_escaped(struct buffer *out, const char *data, size_t len)
{
    const char *end = data + len, *run = data;
    for (const char *at = data; at < end; at++) {
        char letter = *at == '\\' ? '\\' : *at == '\n' ? 'n' : *at == '\r' ? 'r' : *at == '\t' ? 't' : 0;
        if (!letter)
            continue;
        buffer_append(out, run, (size_t)(at - run));
        char escape[2] = {'\\', letter};
        buffer_append(out, escape, 2);
        run = at + 1;
    }
    buffer_append(out, run, (size_t)(end - run));
}

static uint32_t field_length(const char *at)
{
    uint32_t length;
    memcpy(&length, at, sizeof length);
    return be32toh(length);
}

static bool send_text(struct sink *sink, struct run run)
{
    cleanup_buffer struct buffer out = {0};
    for (size_t i = 0; i < run.count; i++) {
        const char *at =
            run.batch->rows.data + run.batch->entries[run.entries[i]].row_start + sizeof(uint16_t);
        for (size_t k = 0; k < run.batch->column_count; k++) {
            uint32_t length = field_length(at);
            at += sizeof length;
            if (k)
                buffer_append_char(&out, '\t');
            if (length == ROW_NULL) {
                buffer_append_string(&out, "\\N");
                continue;
            }
            append_escaped(&out, at, length);
            at += length;
        }
        buffer_append_char(&out, '\n');
        if (out.len >= PIECE) {
            if (!send_piece(sink, out.data, out.len))
                return false;
            out.len = 0;
        }
    }
    return out.len == 0 || send_piece(sink, out.data, out.len);
}

/* Reads results to the end of the query; the first error stays in `result`. */
static void finish_query(struct sink *sink, struct put_result *result, PGresult **tuples)
{
    PGresult *next;
    while ((next = connection_await(sink))) {
        ExecStatusType status = PQresultStatus(next);
        if (status == PGRES_FATAL_ERROR && !result->message) {
            put_result_take_error(result, sink, next);
            result->row = 0;
            const char *context = PQresultErrorField(next, PG_DIAG_CONTEXT);
            size_t row = row_in_context(context, STAGE_RELNAME);
            result->row = row ? row : row_in_context(context, sink->table->relname);
        }
        if (status == PGRES_TUPLES_OK && tuples && !*tuples)
            *tuples = next;
        else
            PQclear(next);
        if (PQstatus(sink->connection) == CONNECTION_BAD)
            break;
    }
    result->is_ok = !result->message;
    if (result->is_ok && PQstatus(sink->connection) == CONNECTION_BAD) {
        put_result_take_error(result, sink, NULL);
        result->is_ok = false;
    }
}

static struct put_result copy(struct sink *sink, struct run run, const char *sql)
{
    struct put_result result = {0};
    if (!PQsendQuery(sink->connection, sql)) {
        put_result_take_error(&result, sink, NULL);
        return result;
    }
    PGresult *ready = connection_await(sink);
    if (PQresultStatus(ready) != PGRES_COPY_IN) {
        put_result_take_error(&result, sink, ready);
        PQclear(ready);
        finish_query(sink, &result, NULL);
        return result;
    }
    PQclear(ready);
    bool is_sent = run.batch->format == FORMAT_BINARY ? send_binary(sink, run) : send_text(sink, run);
    if (!is_sent || PQputCopyEnd(sink->connection, NULL) <= 0 || !connection_flush(sink)) {
        /* The server's last words, if it had any, say more than our broken pipe. */
        finish_query(sink, &result, NULL);
        if (!result.message)
            put_result_take_error(&result, sink, NULL);
        result.is_ok = false;
        return result;
    }
    finish_query(sink, &result, NULL);
    if (result.row > run.count)
        result.row = 0;
    result.is_row_certain = is_row_certain(&result, run);
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
        put_result_take_error(&result, sink, NULL);
        result.is_ok = false;
        return result;
    }
    finish_query(sink, &result, &tuples);
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
        uint32_t length = field_length(at);
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
            put_result_take_error(result, sink, next);
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
        put_result_take_error(&result, sink, NULL);
    result.is_ok = is_alive && !result.message;
    if (is_alive)
        PQexitPipelineMode(sink->connection);
    stats_add(sink->stats, COUNTER_rows_single, run.count);
    return result;
}
