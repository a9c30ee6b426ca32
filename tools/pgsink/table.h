/* table.h - the table that rows go to, as the catalogue describes it. */
#ifndef PGSINK_TABLE_H
#define PGSINK_TABLE_H

#include "common/buffer.h"
#include "encoder.h"

#include <libpq-fe.h>

enum default_kind {
    DEFAULT_NONE,     /* an absent member is NULL */
    DEFAULT_CONSTANT, /* the same value for every row, known beforehand */
    DEFAULT_COMPUTED, /* now(), nextval(), gen_random_uuid() …: asked of the server for each row */
};

struct column {
    char *name;
    char *quoted;    /* as an SQL identifier */
    char *type_name; /* as SQL spells it, for messages */
    char *cast_name; /* without the length or precision: an explicit cast to varchar(10) cuts silently */
    Oid type;        /* its own, which may be a domain; the encoder is that of the base type */
    const struct encoder *encoder;
    bool is_uuid, is_json;
    bool is_not_null;
    enum default_kind default_kind;
    char *default_sql; /* the expression; NULL: there is no default */
    /* The value of DEFAULT_CONSTANT in both formats; is_default_null: it is NULL. */
    struct buffer default_binary, default_text;
    bool is_default_null;
};

struct table {
    char *sql_name;         /* quoted, with its schema */
    char *relname;          /* bare, as in COPY's error context */
    struct column *columns; /* those that can be written: no generated ones */
    size_t column_count;
    char *key_columns; /* the primary key's, quoted and with commas; NULL: there is none */
    bool is_partitioned;
    bool has_exclusion;    /* an exclusion constraint: a row it refuses is no duplicate */
    bool can_stage;        /* we may make a temporary table like it */
    bool has_row_triggers; /* that fire before an INSERT: they may fill a column */
    bool has_late_key,
        has_late_unique; /* the primary key, or any unique index, is checked late (DEFERRABLE) */
    bool has_rules;      /* for INSERT or UPDATE, beside a unique index */
    /* The order in which rows are inserted shows beyond their commits: by a sequence, a trigger, or a default
     * that we know nothing of. */
    bool shows_order;
    /* A row fares the same by an INSERT of its own as among others in a COPY. Not so where it may refer to
     * one behind it, in the table itself or by a trigger that waits for the end. */
    bool can_split;
    char *shape;     /* what SQL of that text gave when the table was read; anything else: it has changed */
    char *shape_sql; /* a SELECT of one value */
};

/* Reads the catalogue. `name` is [schema.]table as the user gave it, folded and quoted by SQL's rules.
 * On failure NULL; *message (to be freed) names the fault and its cure, *sqlstate the code (a static text,
 * or of the database's error; empty: the connection was lost). */
struct table *table_read(PGconn *connection, const char *name, char **message, char sqlstate[6]);
void table_free(struct table *table);

/* Whether the table is as it was read, at the cost of one small query. False where it cannot be asked, too.
 */
bool table_is_unchanged(PGconn *connection, const struct table *table);

/* Index of the column of that name, or -1. */
int table_column(const struct table *table, const char *name, size_t len);
/* Whether rows are encoded and written alike for both. */
bool table_equals(const struct table *a, const struct table *b);

#endif
