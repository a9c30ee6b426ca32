#include "statements.h"

static void append_columns(struct buffer *out, const struct sink *sink, const struct batch *batch)
{
    size_t count;
    const size_t *active = mapping_active(sink->mapping, &count);
    for (size_t i = 0; i < batch->column_count; i++) {
        buffer_append_string(out, i ? ", " : "");
        buffer_append_string(out, sink->table->columns[active[i]].quoted);
    }
}

/* A field can pass for another type's: the bytes of the bigint 7 are those of the numeric 0.0000000, and the
 * text of a date is one of a timestamp. COPY has locked the table until the transaction ends, so behind it is
 * the place to ask whether the columns have the types that the rows were encoded for. No row if so; else an
 * error of class 22, from concat() so that it is not computed beforehand. */
static void append_check_of_types(struct buffer *out, const char *target, const struct sink *sink,
                                  const struct batch *batch)
{
    size_t count;
    const size_t *active = mapping_active(sink->mapping, &count);
    buffer_append_string(out, "; SELECT concat('a column has another type')::int WHERE ");
    for (size_t i = 0; i < batch->column_count; i++) {
        const struct column *column = &sink->table->columns[active[i]];
        buffer_append_string(out, i ? " OR pg_typeof((NULL::" : "pg_typeof((NULL::");
        buffer_append_string(out, target);
        buffer_append_string(out, ").");
        buffer_append_string(out, column->quoted);
        buffer_append_string(out, ") <> '");
        buffer_append_int(out, column->type);
        buffer_append_string(out, "'::oid");
    }
}

static void append_copy(struct buffer *out, const char *target, const struct sink *sink,
                        const struct batch *batch)
{
    buffer_append_string(out, "COPY ");
    buffer_append_string(out, target);
    buffer_append_string(out, " (");
    append_columns(out, sink, batch);
    buffer_append_string(out,
                         batch->format == FORMAT_BINARY ? ") FROM STDIN (FORMAT binary)" : ") FROM STDIN");
    append_check_of_types(out, target, sink, batch);
    buffer_terminate(out);
}

void sql_look_at_table(struct buffer *out, const struct sink *sink)
{
    buffer_append_string(out, "SELECT concat('the table has changed')::int WHERE (");
    buffer_append_string(out, sink->table->shape_sql);
    buffer_append_string(out, ") IS DISTINCT FROM ");
    buffer_append_string(out, sink->table->shape);
    buffer_terminate(out);
}

void sql_copy_direct(struct buffer *out, const struct sink *sink, const struct batch *batch)
{
    append_copy(out, sink->table->sql_name, sink, batch);
}

void sql_copy_stage(struct buffer *out, const struct sink *sink, const struct batch *batch)
{
    append_copy(out, STAGE, sink, batch);
}

/* The order of arrival. The place in the stage is not that order: a short row can fill a gap that a long
 * one has left. */
#define ARRIVAL "pgsink_arrival"

/* Where triggers may mend a row first, nothing but the table itself may refuse it. */
static void append_no_checks(struct buffer *out, const struct table *table)
{
    size_t count = 0;
    for (size_t i = 0; i < table->column_count; i++) {
        if (!table->columns[i].is_not_null)
            continue;
        buffer_append_string(out, count++ ? ", ALTER " : "; ALTER TABLE " STAGE " ALTER ");
        buffer_append_string(out, table->columns[i].quoted);
        buffer_append_string(out, " DROP NOT NULL");
    }
}

/* With the table's checks, so that a row they refuse is found by its line in COPY. */
static void append_stage(struct buffer *out, const struct sink *sink, const char *create)
{
    bool has_checks = !sink->table->has_row_triggers;
    buffer_append_string(out, create);
    buffer_append_string(out, " " STAGE_RELNAME " (LIKE ");
    buffer_append_string(out, sink->table->sql_name);
    buffer_append_string(out, has_checks ? " INCLUDING CONSTRAINTS" : "");
    buffer_append_string(out, " INCLUDING DEFAULTS INCLUDING IDENTITY INCLUDING GENERATED, " ARRIVAL
                              " bigint GENERATED ALWAYS AS IDENTITY) ON COMMIT DELETE ROWS");
    if (!has_checks)
        append_no_checks(out, sink->table);
}

void sql_make_stage(struct buffer *out, const struct sink *sink)
{
    append_stage(out, sink, "DROP TABLE IF EXISTS " STAGE "; CREATE TEMPORARY TABLE");
    buffer_terminate(out);
}

void sql_copy_into_new_stage(struct buffer *out, const struct sink *sink, const struct batch *batch)
{
    append_stage(out, sink, "CREATE TEMPORARY TABLE IF NOT EXISTS");
    buffer_append_string(out, "; ");
    sql_copy_stage(out, sink, batch);
}

static void append_conflict(struct buffer *out, const struct sink *sink, const struct batch *batch)
{
    size_t count;
    const size_t *active = mapping_active(sink->mapping, &count);
    if (sink->options.on_conflict == CONFLICT_ERROR)
        return;
    if (sink->options.on_conflict == CONFLICT_NOTHING) {
        /* With no target, whatever an exclusion constraint refuses would count as a duplicate. */
        if (sink->table->has_exclusion && sink->table->key_columns) {
            buffer_append_string(out, " ON CONFLICT (");
            buffer_append_string(out, sink->table->key_columns);
            buffer_append_string(out, ") DO NOTHING");
        } else {
            buffer_append_string(out, " ON CONFLICT DO NOTHING");
        }
        return;
    }
    buffer_append_string(out, " ON CONFLICT (");
    buffer_append_string(out, sink->table->key_columns);
    buffer_append_string(out, ") DO UPDATE SET ");
    for (size_t i = 0; i < batch->column_count; i++) {
        const char *column = sink->table->columns[active[i]].quoted;
        buffer_append_string(out, i ? ", " : "");
        buffer_append_string(out, column);
        buffer_append_string(out, " = excluded.");
        buffer_append_string(out, column);
    }
}

/* Tells rows that were inserted from those that were updated. A fresh row version has no xmax; one that
 * replaced another has the updating transaction's. Of a partitioned table xmax cannot be had: there it is
 * asked whether the key was there when the statement began. */
static void append_is_new(struct buffer *out, const struct sink *sink)
{
    if (!sink->table->is_partitioned) {
        buffer_append_string(out, " RETURNING xmax = 0");
        return;
    }
    buffer_append_string(out, " RETURNING NOT EXISTS (SELECT FROM (SELECT target.*) AS own JOIN ");
    buffer_append_string(out, sink->table->sql_name);
    buffer_append_string(out, " AS before USING (");
    buffer_append_string(out, sink->table->key_columns);
    buffer_append_string(out, "))");
}

void sql_insert_from_stage(struct buffer *out, const struct sink *sink, const struct batch *batch)
{
    bool updates = sink->options.on_conflict == CONFLICT_UPDATE;
    buffer_append_string(out, "WITH written AS (INSERT INTO ");
    buffer_append_string(out, sink->table->sql_name);
    buffer_append_string(out, " AS target (");
    append_columns(out, sink, batch);
    buffer_append_string(out, ") SELECT ");
    append_columns(out, sink, batch);
    if (updates) {
        /* One statement may not update a row twice: the last of equal keys counts. */
        buffer_append_string(out, " FROM (SELECT DISTINCT ON (");
        buffer_append_string(out, sink->table->key_columns);
        buffer_append_string(out, ") * FROM " STAGE " ORDER BY ");
        buffer_append_string(out, sink->table->key_columns);
        buffer_append_string(out, ", " ARRIVAL " DESC) AS latest ORDER BY " ARRIVAL);
    } else {
        buffer_append_string(out, " FROM " STAGE " ORDER BY " ARRIVAL);
    }
    append_conflict(out, sink, batch);
    if (!updates) {
        buffer_append_string(out, " RETURNING 1) SELECT count(*), 0 FROM written");
    } else {
        append_is_new(out, sink);
        buffer_append_string(out, " AS is_new) SELECT count(*) FILTER (WHERE is_new),"
                                  " count(*) FILTER (WHERE NOT is_new) FROM written");
    }
    buffer_terminate(out);
}

void sql_insert_single(struct buffer *out, const struct sink *sink, const struct batch *batch)
{
    size_t count;
    const size_t *active = mapping_active(sink->mapping, &count);
    buffer_append_string(out, "INSERT INTO ");
    buffer_append_string(out, sink->table->sql_name);
    buffer_append_string(out, " AS target (");
    append_columns(out, sink, batch);
    buffer_append_string(out, ") VALUES (");
    for (size_t i = 0; i < batch->column_count; i++) {
        buffer_append_string(out, i ? ", $" : "$");
        buffer_append_int(out, (int64_t)i + 1);
        buffer_append_string(out, "::");
        buffer_append_string(out, sink->table->columns[active[i]].cast_name);
    }
    buffer_append_char(out, ')');
    if (sink->mode != MODE_DIRECT)
        append_conflict(out, sink, batch);
    if (sink->options.on_conflict == CONFLICT_UPDATE)
        append_is_new(out, sink);
    buffer_terminate(out);
}

void sql_select_defaults(struct buffer *out, const struct sink *sink, const struct batch *batch, size_t rows)
{
    size_t count, found = 0;
    const size_t *active = mapping_active(sink->mapping, &count);
    buffer_append_string(out, "SELECT ");
    for (size_t i = 0; i < batch->column_count; i++) {
        const struct column *column = &sink->table->columns[active[i]];
        if (column->default_kind != DEFAULT_COMPUTED)
            continue;
        buffer_append_string(out, found++ ? ", (" : "(");
        buffer_append_string(out, column->default_sql);
        buffer_append_string(out, ")::");
        buffer_append_string(out, column->cast_name);
    }
    buffer_append_string(out, " FROM generate_series(1, ");
    buffer_append_int(out, (int64_t)rows);
    buffer_append_char(out, ')');
    buffer_terminate(out);
}
