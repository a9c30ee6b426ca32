#include "check.h"

#include "check_connection.h"

#include <sysexits.h>

/* What an event fills in agent_actions, with a value that is as long or as large as they come. */
static const struct expected {
    const char *column, *type, *sample;
} expected_columns[] = {
    {"id", "uuid", "01a20990-957b-8d3e-8f74-bd41a5a2a700"},
    {"correlation_id", "uuid", "11111111-2222-3333-4444-555555555555"},
    {"agent_name", "text",
     "agent-actions --check: a name of a hundred characters -----------------------------"
     "-----------------"},
    {"action_type", "text", "tool_call"},
    {"action_name", "text",
     "agent-actions --check: a name of a hundred characters ----------------------------"
     "------------------"},
    {"action_details", "jsonb", "{\"check\":[1]}"},
    {"debug_mode", "boolean", "true"},
    {"duration_ms", "integer", "2147483647"},
    {"created_at", "timestamp with time zone", "2026-11-23T18:00:00.123999Z"},
};

static const char rights_query[] =
    "SELECT current_user, has_database_privilege(current_database(), 'TEMP'), pg_is_in_recovery(),"
    " current_setting('transaction_read_only'), c.relname,"
    " has_table_privilege(c.oid, 'INSERT') OR has_any_column_privilege(c.oid, 'INSERT'),"
    " has_table_privilege(c.oid, 'SELECT'), has_table_privilege(c.oid, 'UPDATE'),"
    " EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)"
    " FROM (SELECT to_regclass($1) AS oid) t LEFT JOIN pg_class c ON c.oid = t.oid";

struct target {
    bool is_ours; /* agent_actions, whose columns are known */
    bool may_insert;
    bool has_key;
};

static bool is_true(const PGresult *result, int field)
{
    return PQgetvalue(result, 0, field)[0] == 't';
}

static void check_table_rights(struct findings *findings, const PGresult *result,
                               const struct sink_options *options)
{
    const char *user = PQgetvalue(result, 0, 0), *table = options->table;
    if (!is_true(result, 5))
        findings_fault(findings, EX_NOPERM,
                       "user %s may not insert into %s; as its owner: GRANT INSERT, SELECT ON %s TO %s", user,
                       table, table, user);
    if (!is_true(result, 6))
        findings_fault(
            findings, EX_NOPERM,
            "user %s may not read %s, which duplicates need; as its owner: GRANT SELECT ON %s TO %s", user,
            table, table, user);
    if (options->on_conflict == CONFLICT_UPDATE && !is_true(result, 7))
        findings_fault(
            findings, EX_NOPERM,
            "user %s may not update %s (--on-conflict update); as its owner: GRANT UPDATE ON %s TO %s", user,
            table, table, user);
    if (!is_true(result, 1))
        findings_warning("user %s may not make temporary tables: duplicates are slower; as the owner of the "
                         "database: GRANT TEMPORARY ON DATABASE ... TO %s",
                         user, user);
}

/* True where there is a table to look at. */
static bool check_rights(struct findings *findings, PGconn *connection, const struct sink_options *options,
                         struct target *target)
{
    const char *parameters[] = {options->table};
    PGresult *result = PQexecParams(connection, rights_query, 1, NULL, parameters, NULL, NULL, 0);
    bool is_there = false;
    if (PQresultStatus(result) != PGRES_TUPLES_OK) {
        findings_fault(findings, EX_NOPERM, "could not look table %s up: %s; check -T and the user's rights",
                       options->table, PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
    } else {
        if (is_true(result, 2) || strcmp(PQgetvalue(result, 0, 3), "on") == 0)
            findings_fault(findings, EX_UNAVAILABLE,
                           "the database is read-only%s; POSTGRES_HOST must name the primary, and "
                           "default_transaction_read_only must be off",
                           is_true(result, 2) ? " (a standby)" : "");
        is_there = !PQgetisnull(result, 0, 4);
        *target = (struct target){.is_ours = strcmp(PQgetvalue(result, 0, 4), "agent_actions") == 0,
                                  .may_insert = is_true(result, 5),
                                  .has_key = is_true(result, 8)};
        if (is_there)
            check_table_rights(findings, result, options);
        else
            findings_fault(findings, EX_CONFIG,
                           "there is no table %s in database %s; `agent-actions init` makes agent_actions, "
                           "POSTGRES_DATABASE or -T names another",
                           options->table, PQdb(connection));
    }
    PQclear(result);
    return is_there;
}

static const char column_query[] =
    "SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute a"
    " WHERE a.attrelid = to_regclass($1) AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped";

static void check_type(struct findings *findings, PGconn *connection, const char *table, const char *type,
                       const struct expected *expected)
{
    cleanup_free char *sql = xasprintf("SELECT ($1::text::%s)::text = $1", type);
    const char *parameters[] = {expected->sample}, *column = expected->column;
    PGresult *result = PQexecParams(connection, sql, 1, NULL, parameters, NULL, NULL, 0);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        findings_fault(
            findings, EX_CONFIG,
            "column %s is of type %s, which does not take what events have (%s); ALTER TABLE %s ALTER "
            "COLUMN %s TYPE %s USING %s::text::%s",
            column, type, PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY), table, column, expected->type,
            column, expected->type);
    else if (strcmp(expected->type, "text") == 0 && !is_true(result, 0))
        findings_warning(
            "column %s is of type %s: events with a longer one go to the dead letters; ALTER TABLE "
            "%s ALTER COLUMN %s TYPE text",
            column, type, table, column);
    PQclear(result);
}

static void check_column(struct findings *findings, PGconn *connection, const char *table,
                         const struct expected *expected)
{
    const char *parameters[] = {table, expected->column};
    PGresult *result = PQexecParams(connection, column_query, 2, NULL, parameters, NULL, NULL, 0);
    if (PQntuples(result) == 1)
        check_type(findings, connection, table, PQgetvalue(result, 0, 0), expected);
    else
        findings_fault(findings, EX_CONFIG, "%s has no column %s; ALTER TABLE %s ADD COLUMN %s %s", table,
                       expected->column, table, expected->column, expected->type);
    PQclear(result);
}

/* Stores an event and takes it back: what else the table may have against it (a trigger, a constraint, no
 * partition) shows here alone. */
static void try_row(struct findings *findings, PGconn *connection, const char *table)
{
    cleanup_buffer struct buffer sql = {0};
    buffer_append_string(&sql, "INSERT INTO ");
    buffer_append_string(&sql, table);
    size_t count = sizeof expected_columns / sizeof *expected_columns;
    for (size_t i = 0; i < count; i++) {
        buffer_append_string(&sql, i ? ", " : " (");
        buffer_append_string(&sql, expected_columns[i].column);
    }
    for (size_t i = 0; i < count; i++) {
        const char *value = strcmp(expected_columns[i].type, "text") == 0   ? "tool_call"
                            : strcmp(expected_columns[i].column, "id") == 0 ? NULL
                            : strcmp(expected_columns[i].column, "created_at") == 0
                                ? "now"
                                : expected_columns[i].sample;
        cleanup_free char *literal = value ? xasprintf("'%s'", value) : xstrdup("gen_random_uuid()");
        buffer_append_string(&sql, i ? ", " : ") VALUES (");
        buffer_append_string(&sql, literal);
    }
    buffer_append(&sql, ")", 2);
    PGresult *result = PQexec(connection, "BEGIN"); /* without it a row would stay */
    if (PQresultStatus(result) == PGRES_COMMAND_OK) {
        PQclear(result);
        result = PQexec(connection, sql.data);
    }
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (PQresultStatus(result) == PGRES_COMMAND_OK) {
        findings_ok("table %s: takes events (tried, and rolled back)", table);
    } else {
        const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        findings_fault(
            findings, sqlstate && strcmp(sqlstate, "42501") == 0 ? EX_NOPERM : EX_CONFIG,
            "table %s refuses an event: %s; mend the constraint, trigger, partition or column that it "
            "names",
            table, message ? message : PQerrorMessage(connection));
    }
    PQclear(result);
    PQclear(PQexec(connection, "ROLLBACK"));
}

static void check_agent_actions(struct findings *findings, PGconn *connection, const char *table,
                                bool has_key)
{
    for (size_t i = 0; i < sizeof expected_columns / sizeof *expected_columns; i++)
        check_column(findings, connection, table, &expected_columns[i]);
    if (!has_key)
        findings_fault(
            findings, EX_CONFIG,
            "%s has no primary key: an event that comes twice would be stored twice; ALTER TABLE %s ADD "
            "PRIMARY KEY (id)",
            table, table);
    if (findings->exit_code == 0)
        try_row(findings, connection, table);
}

/* Whether the options fit the table. */
static void check_mapping(struct findings *findings, PGconn *connection, const struct sink_options *options)
{
    char sqlstate[6] = "";
    cleanup_free char *message = NULL;
    struct table *table = table_read(connection, options->table, &message, sqlstate);
    struct mapping *mapping = table && sink_may_use(options, table, &message)
                                  ? mapping_new(table, &options->mapping, &message)
                                  : NULL;
    if (mapping)
        findings_ok("table %s: %zu columns", options->table, table->column_count);
    else
        findings_fault(findings, EX_CONFIG, "%s", message);
    mapping_free(mapping);
    table_free(table);
}

int check_run(const struct sink_options *options)
{
    struct findings findings = {0};
    struct target target = {0};
    PGconn *connection = check_connect(&findings, options->conninfo);
    if (connection && check_rights(&findings, connection, options, &target)) {
        if (target.may_insert)
            check_mapping(&findings, connection, options);
        if (target.is_ours && options->mapping.map_count == 0)
            check_agent_actions(&findings, connection, options->table, target.has_key);
    }
    PQfinish(connection);
    return findings.exit_code;
}
