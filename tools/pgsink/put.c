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

struct put_result put_direct(struct sink *sink, struct run run, bool is_alone)
{
    cleanup_buffer struct buffer sql = {0};
    sql_copy_direct(&sql, sink, run.batch);
    if (is_alone) {
        buffer_append_string(&sql, "; ");
        sql_look_at_table(&sql, sink);
    }
    struct put_result result = copy(sink, run, sql.data);
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
