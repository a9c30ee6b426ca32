#include "copy.h"

#include "connection.h"

/* Rows go to libpq in pieces of about this size. */
#define PIECE ((size_t)64 * 1024)

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
    if (!send_piece(sink, header, sizeof header))
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
    return send_piece(sink, trailer, sizeof trailer);
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

static bool send_text(struct sink *sink, struct run run)
{
    cleanup_buffer struct buffer out = {0};
    for (size_t i = 0; i < run.count; i++) {
        const char *at =
            run.batch->rows.data + run.batch->entries[run.entries[i]].row_start + sizeof(uint16_t);
        for (size_t k = 0; k < run.batch->column_count; k++) {
            uint32_t length = row_field_length(at);
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

bool copy_send(struct sink *sink, struct run run, const char *sql, struct put_result *result)
{
    PGconn *connection = sink->connection;
    if (!PQsendQuery(connection, sql)) {
        put_result_take_error(result, connection, NULL);
        return false;
    }
    PGresult *ready = connection_await(sink);
    while (PQresultStatus(ready) == PGRES_COMMAND_OK) { /* of a BEGIN before the COPY */
        PQclear(ready);
        ready = connection_await(sink);
    }
    if (PQresultStatus(ready) != PGRES_COPY_IN) {
        put_result_take_error(result, connection, ready);
        PQclear(ready);
        copy_finish(sink, result, NULL);
        return false;
    }
    PQclear(ready);
    bool is_sent = run.batch->format == FORMAT_BINARY ? send_binary(sink, run) : send_text(sink, run);
    if (is_sent && PQputCopyEnd(connection, NULL) > 0 && connection_flush(sink))
        return true;
    /* The server's last words, if it had any, say more than our broken pipe. */
    copy_finish(sink, result, NULL);
    if (!result->message)
        put_result_take_error(result, connection, NULL);
    result->is_ok = false;
    return false;
}

void copy_finish(struct sink *sink, struct put_result *result, PGresult **tuples)
{
    PGconn *connection = sink->connection;
    PGresult *next;
    while ((next = connection_await(sink))) {
        put_result_note(result, connection, next, sink->table->relname);
        if (PQresultStatus(next) == PGRES_TUPLES_OK && tuples && !*tuples)
            *tuples = next;
        else
            PQclear(next);
        if (PQstatus(connection) == CONNECTION_BAD)
            break;
    }
    if (!result->message && PQstatus(connection) == CONNECTION_BAD)
        put_result_take_error(result, connection, NULL);
    result->is_ok = !result->message;
}
