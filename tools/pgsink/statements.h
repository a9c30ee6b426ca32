/* statements.h - the SQL that pgsink sends, made for a table and its active columns. */
#ifndef PGSINK_STATEMENTS_H
#define PGSINK_STATEMENTS_H

#include "sink.h"

/* Each appends a statement, and terminates the buffer. */
void sql_copy_direct(struct buffer *out, const struct sink *sink, const struct batch *batch);
/* Fails with an error of class 22 where the table is no longer as it was read. */
void sql_look_at_table(struct buffer *out, const struct sink *sink);
void sql_copy_stage(struct buffer *out, const struct sink *sink, const struct batch *batch);
/* The same, behind a statement that makes the stage where there is none. */
void sql_copy_into_new_stage(struct buffer *out, const struct sink *sink, const struct batch *batch);
void sql_make_stage(struct buffer *out, const struct sink *sink);
/* From the stage into the table. Its result is one row: inserted, updated. */
void sql_insert_from_stage(struct buffer *out, const struct sink *sink, const struct batch *batch);
/* One row from parameters; a key that is there is an error as long as COPY goes into the table itself. */
void sql_insert_single(struct buffer *out, const struct sink *sink, const struct batch *batch);
/* The computed defaults among the batch's columns, `rows` times over. */
void sql_select_defaults(struct buffer *out, const struct sink *sink, const struct batch *batch, size_t rows);

#define STAGE "pg_temp.pgsink_stage"
#define STAGE_RELNAME "pgsink_stage"

#endif
