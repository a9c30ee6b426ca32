#include "table.h"

#include <stdio.h>

/* $1 the table's name. Domains are followed to their base type, whose input and binary form they share. */
static const char column_query[] =
    "WITH RECURSIVE target AS (SELECT to_regclass($1) AS oid), base(attnum, oid, typbasetype, depth) AS ("
    "  SELECT a.attnum, t.oid, t.typbasetype, 0 FROM target, pg_attribute a, pg_type t"
    "  WHERE a.attrelid = target.oid AND t.oid = a.atttypid AND a.attnum > 0 AND NOT a.attisdropped"
    "  UNION ALL SELECT base.attnum, t.oid, t.typbasetype, depth + 1 FROM base, pg_type t"
    "  WHERE base.typbasetype <> 0 AND t.oid = base.typbasetype)"
    "SELECT a.attname, quote_ident(a.attname), format_type(a.atttypid, a.atttypmod), t.oid, t.typtype,"
    "  t.typcategory, a.attnotnull, CASE WHEN a.attidentity <> '' THEN"
    /* Not pg_get_serial_sequence(), which would wait for whoever has locked the table. */
    "    (SELECT 'nextval(' || s.objid || '::regclass)' FROM pg_depend s"
    "     WHERE s.classid = 'pg_class'::regclass AND s.refclassid = 'pg_class'::regclass"
    "     AND s.refobjid = a.attrelid AND s.refobjsubid = a.attnum AND s.deptype = 'i')"
    "    ELSE coalesce(pg_get_expr(d.adbin, d.adrelid), pg_get_expr(own.typdefaultbin, 0)) END,"
    "  format_type(a.atttypid, -1), a.atttypid"
    " FROM target JOIN pg_attribute a ON a.attrelid = target.oid JOIN pg_type own ON own.oid = a.atttypid"
    " JOIN base ON base.attnum = a.attnum AND base.typbasetype = 0 JOIN pg_type t ON t.oid = base.oid"
    " LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
    " WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity <> 'a'"
    " ORDER BY a.attnum";

/* `tree`: the table and its partitions; `family`: the same from the root down. Not by pg_partition_tree(),
 * which would wait for whoever has locked a partition. */
static const char table_query[] =
    "WITH RECURSIVE tree(oid) AS (SELECT to_regclass($1)::oid"
    "  UNION SELECT i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.oid"
    "  JOIN pg_class p ON p.oid = i.inhparent AND p.relkind = 'p'),"
    " family(oid) AS (SELECT coalesce(pg_partition_root(to_regclass($1)), to_regclass($1))::oid"
    "  UNION SELECT i.inhrelid FROM family JOIN pg_inherits i ON i.inhparent = family.oid"
    "  JOIN pg_class p ON p.oid = i.inhparent AND p.relkind = 'p')"
    "SELECT c.oid::regclass::text, c.relname, c.relkind,"
    " has_table_privilege(c.oid, 'INSERT') OR has_any_column_privilege(c.oid, 'INSERT'),"
    /* CREATE TABLE … (LIKE …) needs the right to read the table, and takes no check of a whole row. */
    " has_database_privilege(current_database(), 'TEMP') AND has_table_privilege(c.oid, 'SELECT')"
    " AND NOT EXISTS (SELECT FROM pg_constraint x WHERE x.conrelid = c.oid AND x.contype = 'c'"
    "   AND x.conbin::text LIKE '%:varattno 0 %'),"
    " EXISTS (SELECT 1 FROM pg_constraint x WHERE x.conrelid = c.oid AND x.contype = 'x'),"
    " (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.n) FROM pg_index i,"
    "   unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, n), pg_attribute a"
    "   WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND a.attnum = k.attnum"
    "   AND k.n <= i.indnkeyatts),"
    " quote_ident(n.nspname) || '.' || quote_ident(c.relname), current_user, current_database(),"
    " c.relkind NOT IN ('r', 'p')"
    " OR EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attidentity <> '')"
    " OR EXISTS (SELECT 1 FROM pg_trigger g WHERE NOT g.tgisinternal AND g.tgrelid IN"
    "   (SELECT oid FROM tree)),"
    /* COPY does not ask rules. A foreign key's triggers name the other table in tgconstrrelid. */
    " NOT (c.relhasrules OR EXISTS (SELECT 1 FROM pg_trigger g WHERE g.tgrelid IN"
    "   (SELECT oid FROM tree)"
    "   AND CASE WHEN g.tgisinternal THEN g.tgconstrrelid IN"
    "     (SELECT g.tgrelid UNION SELECT oid FROM family)"
    "   ELSE g.tgdeferrable END)),"
    /* BEFORE INSERT FOR EACH ROW: such a trigger may fill a column, or mend what a check would refuse. */
    " EXISTS (SELECT FROM pg_trigger g WHERE NOT g.tgisinternal AND g.tgenabled IN ('O', 'A')"
    "   AND g.tgtype & 7 = 7 AND g.tgrelid IN (SELECT oid FROM tree)), row_security_active(c.oid),"
    " EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND NOT i.indimmediate),"
    " EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND NOT i.indimmediate),"
    " EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisunique)"
    "   AND EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.ev_type IN ('2', '3'))"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1)";

/* All that rows are encoded and written by, in one number. %s: the table's name, as a literal. Expressions as
 * they are stored: to spell them out would wait for whoever has locked the table. */
#define SHAPE_QUERY                                                                                          \
    "SELECT hashtextextended(concat_ws(' ', c.oid, c.relkind, c.relrowsecurity, c.relforcerowsecurity,"      \
    " (SELECT string_agg(concat_ws(' ', a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull,"         \
    "   a.attidentity, a.attgenerated, d.adbin), ',' ORDER BY a.attnum) FROM pg_attribute a"                 \
    "   LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"                             \
    "   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),"                                  \
    " (SELECT string_agg(concat_ws(' ', x.oid, x.conkey, x.condeferrable, x.conbin), ',' ORDER BY x.oid)"    \
    "   FROM pg_constraint x WHERE x.conrelid = c.oid),"                                                     \
    " (SELECT string_agg(concat_ws(' ', g.oid, g.tgtype, g.tgenabled), ',' ORDER BY g.oid)"                  \
    "   FROM pg_trigger g WHERE g.tgrelid = c.oid),"                                                         \
    " (SELECT string_agg(concat_ws(' ', r.oid, r.ev_type, r.ev_enabled), ',' ORDER BY r.oid)"                \
    "   FROM pg_rewrite r WHERE r.ev_class = c.oid)), 0) FROM pg_class c WHERE c.oid = to_regclass(%s)"

static PGresult *query(PGconn *connection, const char *sql, const char *parameter, int format)
{
    const char *parameters[] = {parameter};
    return PQexecParams(connection, sql, parameter ? 1 : 0, NULL, parameters, NULL, NULL, format);
}

static bool failed(PGconn *connection, PGresult *result, char **message, char sqlstate[6])
{
    if (PQresultStatus(result) == PGRES_TUPLES_OK)
        return false;
    const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    snprintf(sqlstate, 6, "%s", code ? code : "");
    *message = xstrdup(primary ? primary : PQerrorMessage(connection));
    return true;
}

static char *copy_field(const PGresult *result, int row, int field)
{
    return PQgetisnull(result, row, field) ? NULL : xstrdup(PQgetvalue(result, row, field));
}

static bool is_true(const PGresult *result, int field)
{
    return PQgetvalue(result, 0, field)[0] == 't';
}

/* "character varying(20)", "app.colour", "\"odd type\"[]": no operator, no call. */
static bool is_type_name(const char *sql)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ .,\"[])";
    for (sql += strspn(sql, letters); *sql == '('; sql += strspn(sql, letters))
        if (sql++, *sql < '0' || *sql > '9')
            return false;
    return *sql == '\0';
}

/* A literal, a number, true, false or NULL, with or without casts: safe to compute once. Anything with a
 * function in it is asked of the server each time. */
static bool is_constant(const char *sql)
{
    const char *at = sql;
    if (*at == '\'') {
        for (at++; *at && (*at != '\'' || at[1] == '\''); at++)
            at += *at == '\'';
        if (*at == '\'')
            at++;
    } else {
        at += strspn(at, "(-0123456789.)");
        if (at == sql) {
            static const char *const words[] = {"true", "false", "NULL"};
            for (size_t i = 0; i < sizeof words / sizeof *words && at == sql; i++)
                if (strncmp(sql, words[i], strlen(words[i])) == 0)
                    at += strlen(words[i]);
        }
    }
    if (at == sql)
        return false;
    return *at == '\0' || (strncmp(at, "::", 2) == 0 && is_type_name(at + 2));
}

/* Has the server compute a constant default, in both formats. */
static bool read_constant(PGconn *connection, struct column *column, const char *sql, char **message,
                          char sqlstate[6])
{
    cleanup_free char *select = xasprintf("SELECT (%s)::%s", sql, column->cast_name);
    for (int format = 0; format < 2; format++) {
        if (format == 1 && !encoder_is_binary(column->encoder))
            continue;
        PGresult *result = query(connection, select, NULL, format);
        bool is_failed = failed(connection, result, message, sqlstate);
        if (!is_failed) {
            column->is_default_null = PQgetisnull(result, 0, 0);
            buffer_append(format ? &column->default_binary : &column->default_text, PQgetvalue(result, 0, 0),
                          (size_t)PQgetlength(result, 0, 0));
        }
        PQclear(result);
        if (is_failed)
            return false;
    }
    return true;
}

static bool read_column(PGconn *connection, const PGresult *result, int row, struct column *column,
                        char **message, char sqlstate[6])
{
    Oid type = (Oid)strtoul(PQgetvalue(result, row, 3), NULL, 10);
    *column = (struct column){
        .name = copy_field(result, row, 0),
        .quoted = copy_field(result, row, 1),
        .type_name = copy_field(result, row, 2),
        .cast_name = copy_field(result, row, 8),
        .type = (Oid)strtoul(PQgetvalue(result, row, 9), NULL, 10),
        .encoder = encoder_for(type, PQgetvalue(result, row, 4)[0], PQgetvalue(result, row, 5)[0]),
        .is_uuid = type == 2950,
        .is_json = type == 114 || type == 3802,
        .is_not_null = PQgetvalue(result, row, 6)[0] == 't',
    };
    if (PQgetisnull(result, row, 7))
        return true;
    const char *sql = PQgetvalue(result, row, 7);
    column->default_kind = is_constant(sql) ? DEFAULT_CONSTANT : DEFAULT_COMPUTED;
    column->default_sql = xstrdup(sql);
    return column->default_kind == DEFAULT_COMPUTED ||
           read_constant(connection, column, sql, message, sqlstate);
}

static bool refuse(char **message, char sqlstate[6], const char *code, char *text)
{
    *message = text;
    memcpy(sqlstate, code, 6);
    return false;
}

static bool read_table(PGconn *connection, const char *name, struct table *table, char **message,
                       char sqlstate[6])
{
    PGresult *result = query(connection, table_query, name, 0);
    bool is_good = !failed(connection, result, message, sqlstate);
    if (is_good && PQntuples(result) == 0) {
        is_good = refuse(message, sqlstate, "42P01",
                         xasprintf("there is no table %s in database %s; `agent-actions init` makes "
                                   "agent_actions, -T names another",
                                   name, PQdb(connection)));
    } else if (is_good && !strchr("rpvf", PQgetvalue(result, 0, 2)[0])) {
        is_good = refuse(message, sqlstate, "42809", xasprintf("%s is not a table", name));
    } else if (is_good && !is_true(result, 3)) {
        is_good =
            refuse(message, sqlstate, "42501",
                   xasprintf("user %s may not insert into %s; as its owner: GRANT INSERT, SELECT ON %s TO %s",
                             PQgetvalue(result, 0, 8), name, name, PQgetvalue(result, 0, 8)));
    } else if (is_good && is_true(result, 13)) {
        is_good =
            refuse(message, sqlstate, "0A000",
                   xasprintf("row-level security applies to user %s on %s, and COPY cannot go by it; as a "
                             "superuser: ALTER ROLE %s BYPASSRLS",
                             PQgetvalue(result, 0, 8), name, PQgetvalue(result, 0, 8)));
    } else if (is_good) {
        table->sql_name = copy_field(result, 0, 7);
        table->relname = copy_field(result, 0, 1);
        table->is_partitioned = PQgetvalue(result, 0, 2)[0] == 'p';
        table->can_stage = is_true(result, 4);
        table->has_exclusion = is_true(result, 5);
        table->key_columns = copy_field(result, 0, 6);
        table->shows_order = is_true(result, 10);
        table->can_split = is_true(result, 11);
        table->has_row_triggers = is_true(result, 12);
        table->has_late_key = is_true(result, 14);
        table->has_late_unique = is_true(result, 15);
        table->has_rules = is_true(result, 16);
    }
    PQclear(result);
    return is_good;
}

static bool read_columns(PGconn *connection, const char *name, struct table *table, char **message,
                         char sqlstate[6])
{
    PGresult *result = query(connection, column_query, name, 0);
    bool is_good = !failed(connection, result, message, sqlstate);
    int count = is_good ? PQntuples(result) : 0;
    table->columns = xcalloc((size_t)count, sizeof *table->columns);
    for (int i = 0; is_good && i < count; i++)
        is_good =
            read_column(connection, result, i, &table->columns[table->column_count++], message, sqlstate);
    PQclear(result);
    return is_good;
}

/* Whether a computed default tells nothing of the order of rows that one transaction's start would not. */
static bool is_orderless(const char *sql)
{
    static const char *const known[] = {"now()", "CURRENT_TIMESTAMP", "transaction_timestamp()",
                                        "gen_random_uuid()"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(sql, known[i]) == 0)
            return true;
    return false;
}

static bool has_order_in_defaults(const struct table *table)
{
    for (size_t i = 0; i < table->column_count; i++)
        if (table->columns[i].default_kind == DEFAULT_COMPUTED &&
            !is_orderless(table->columns[i].default_sql))
            return true;
    return false;
}

static bool read_shape(PGconn *connection, const char *sql, char **shape, char **message, char sqlstate[6])
{
    PGresult *result = query(connection, sql, NULL, 0);
    bool is_good = !failed(connection, result, message, sqlstate);
    if (is_good) /* no row: no table */
        *shape = PQntuples(result) == 1 ? copy_field(result, 0, 0) : xstrdup("0");
    PQclear(result);
    return is_good;
}

bool table_is_unchanged(PGconn *connection, const struct table *table)
{
    cleanup_free char *shape = NULL, *message = NULL;
    char sqlstate[6];
    return read_shape(connection, table->shape_sql, &shape, &message, sqlstate) &&
           strcmp(shape, table->shape) == 0;
}

struct table *table_read(PGconn *connection, const char *name, char **message, char sqlstate[6])
{
    struct table *table = xcalloc(1, sizeof *table);
    char *literal = PQescapeLiteral(connection, name, strlen(name));
    table->shape_sql = xasprintf(SHAPE_QUERY, literal ? literal : "NULL");
    PQfreemem(literal);
    /* The shape first: what changes meanwhile is seen by the next look. */
    if (read_shape(connection, table->shape_sql, &table->shape, message, sqlstate) &&
        read_table(connection, name, table, message, sqlstate) &&
        read_columns(connection, name, table, message, sqlstate)) {
        table->shows_order |= has_order_in_defaults(table);
        return table;
    }
    table_free(table);
    return NULL;
}

void table_free(struct table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->column_count; i++) {
        struct column *column = &table->columns[i];
        free(column->name);
        free(column->quoted);
        free(column->type_name);
        free(column->cast_name);
        free(column->default_sql);
        buffer_free(&column->default_binary);
        buffer_free(&column->default_text);
    }
    free(table->columns);
    free(table->sql_name);
    free(table->relname);
    free(table->key_columns);
    free(table->shape);
    free(table->shape_sql);
    free(table);
}

int table_column(const struct table *table, const char *name, size_t len)
{
    for (size_t i = 0; i < table->column_count; i++)
        if (slice_equals(slice_of_string(table->columns[i].name), name, len))
            return (int)i;
    return -1;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

bool table_equals(const struct table *a, const struct table *b)
{
    if (a->column_count != b->column_count || !same_text(a->sql_name, b->sql_name) ||
        !same_text(a->key_columns, b->key_columns) || !same_text(a->shape, b->shape) ||
        a->can_stage != b->can_stage || a->shows_order != b->shows_order || a->can_split != b->can_split ||
        a->has_row_triggers != b->has_row_triggers)
        return false;
    for (size_t i = 0; i < a->column_count; i++) {
        const struct column *x = &a->columns[i], *y = &b->columns[i];
        if (!same_text(x->name, y->name) || !same_text(x->type_name, y->type_name) ||
            !same_text(x->default_sql, y->default_sql) || x->is_not_null != y->is_not_null)
            return false;
    }
    return true;
}
