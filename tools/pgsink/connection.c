#include "connection.h"

#include "common/timestamp.h"
#include "sqlstate.h"
#include "statements.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sysexits.h>

#define CONNECT_TIMEOUT_US 10000000
/* The older batch is not acknowledged before the second connection is there, or is not to be had. */
#define SECOND_TIMEOUT_US 2000000
/* After the second connection was refused it is not tried again for so long. */
#define SECOND_RETRY_US 60000000

PGresult *connection_await(struct sink *sink)
{
    while (PQisBusy(sink->connection)) {
        int flushing = PQflush(sink->connection);
        short events = (short)(POLLIN | (flushing > 0 ? POLLOUT : 0));
        if (!sink_wait(sink, PQsocket(sink->connection), events, -1))
            continue;
        if (!PQconsumeInput(sink->connection))
            break; /* PQgetResult tells of the loss */
    }
    return PQgetResult(sink->connection);
}

PGresult *connection_execute(struct sink *sink, const char *sql)
{
    PGresult *last = NULL, *result;
    if (!PQsendQuery(sink->connection, sql))
        return NULL;
    while ((result = connection_await(sink))) {
        if (last && PQresultStatus(last) == PGRES_FATAL_ERROR) {
            PQclear(result);
            continue;
        }
        PQclear(last);
        last = result;
    }
    return PQstatus(sink->connection) == CONNECTION_BAD && !last ? NULL : last;
}

bool connection_flush(struct sink *sink)
{
    for (;;) {
        int pending = PQflush(sink->connection);
        if (pending < 0)
            return false;
        if (pending == 0)
            return true;
        /* The server may be stuck writing to us (notices): both directions are served. */
        if (sink_wait(sink, PQsocket(sink->connection), POLLIN | POLLOUT, -1) &&
            !PQconsumeInput(sink->connection))
            return false;
    }
}

void connection_close(struct sink *sink)
{
    PQfinish(sink->connection);
    PQfinish(sink->spare);
    sink->connection = sink->spare = NULL;
    sink->has_stage = false;
    stats_set(sink->stats, COUNTER_database_connected, 0);
}

static enum verdict stop(struct sink *sink, int code)
{
    sink->exit_code = code;
    connection_close(sink);
    return VERDICT_STOP;
}

/* "FATAL:  28P01: password …" */
bool connection_find_sqlstate(const char *message, char sqlstate[6])
{
    for (const char *at = message; (at = strstr(at, ":  ")); at += 3)
        if (strspn(at + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 && at[8] == ':') {
            memcpy(sqlstate, at + 3, 5);
            sqlstate[5] = '\0';
            return true;
        }
    return false;
}

char *connection_plain_message(const char *message)
{
    static const char attempt[] = "connection to server ";
    char sqlstate[6];
    /* Of several addresses each has its lines; the last one is where it ended. */
    for (const char *next = message; (next = strstr(next, attempt)); next += strlen(attempt))
        message = next;
    cleanup_free char *copy = xstrndup(message, strcspn(message, "\n"));
    if (!connection_find_sqlstate(copy, sqlstate))
        return xstrdup(copy);
    char *code = strstr(copy, sqlstate);
    while (code && strncmp(code - 3, ":  ", 3) != 0)
        code = strstr(code + 1, sqlstate);
    if (!code)
        return xstrdup(copy);
    return xasprintf("%.*s%s", (int)(code - copy - 1), copy, code + 7);
}

static bool mentions(const char *message, const char *const *words)
{
    for (; *words; words++)
        if (strstr(message, *words))
            return true;
    return false;
}

/* libpq's own messages are English: the program never calls setlocale(). */
static enum verdict judge_connect_failure(struct sink *sink, const char *message)
{
    static const char *const password[] = {"no password supplied", "password authentication failed", NULL};
    static const char *const name[] = {"could not translate host name", NULL};
    static const char *const options[] = {"invalid port number",   "invalid integer value",
                                          "invalid sslmode value", "definition of service",
                                          "service file",          NULL};
    static const char *const tls[] = {"certificate", "SSL error", "does not support SSL", "sslmode", NULL};
    char sqlstate[6] = "";
    cleanup_free char *plain = connection_plain_message(message);
    bool has_code = connection_find_sqlstate(message, sqlstate);
    enum sqlstate_class class = sqlstate_classify(sqlstate);
    if ((has_code && sqlstate_is_permission(sqlstate)) || mentions(message, password)) {
        log_error(&sink->log, "%s; check the user, and the password in PGPASSWORD or ~/.pgpass", plain);
        return stop(sink, EX_NOPERM);
    }
    if (has_code && class == SQLSTATE_SETUP) {
        log_error(&sink->log, "%s", plain);
        return stop(sink, EX_CONFIG);
    }
    if (mentions(message, options)) {
        log_error(&sink->log, "%s; check -d and libpq's environment", plain);
        return stop(sink, EX_CONFIG);
    }
    if (mentions(message, tls)) {
        log_error(&sink->log, "%s; check PGSSLMODE and PGSSLROOTCERT", plain);
        return stop(sink, EX_CONFIG);
    }
    if (mentions(message, name) && !sink->was_connected) {
        log_error(&sink->log, "%s; check PGHOST or -d", plain);
        return stop(sink, EX_UNAVAILABLE);
    }
    if (log_is_due(&sink->connect_log, 10000000))
        log_warning(&sink->log, "%s; trying again", plain);
    connection_close(sink);
    return VERDICT_RETRY;
}

static PGconn *start_connecting(const struct sink *sink)
{
    /* A server that has vanished is noticed within a minute or so. conninfo, expanded behind these,
     * overrides them, but not the encoding: JSON is UTF-8. */
    const char *keywords[] = {
        "fallback_application_name", "keepalives_idle", "keepalives_interval", "keepalives_count",
        "tcp_user_timeout",          "dbname",          "client_encoding",     NULL};
    const char *values[] = {"pgsink", "30", "10", "3", "60000", sink->options.conninfo, "UTF8", NULL};
    return PQconnectStartParams(keywords, values, 1);
}

/* Waits for a socket while a connection is being made. False where that takes too long. */
static bool wait_for_server(struct sink *sink, short events, int64_t deadline, bool *is_ready)
{
    int64_t left = deadline - monotonic_microseconds();
    if (left <= 0 || sink->is_stopping)
        return false;
    *is_ready = sink_wait(sink, PQsocket(sink->connection), events, left);
    return true;
}

static bool wait_for_connection(struct sink *sink, int64_t deadline)
{
    bool is_ready;
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    while (PQstatus(sink->connection) != CONNECTION_BAD && state != PGRES_POLLING_OK &&
           state != PGRES_POLLING_FAILED) {
        if (!wait_for_server(sink, state == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline, &is_ready))
            return false;
        if (is_ready)
            state = PQconnectPoll(sink->connection);
    }
    return true;
}

static enum verdict connect_once(struct sink *sink)
{
    sink->connection = start_connecting(sink);
    if (!sink->connection)
        return stop(sink, EX_OSERR);
    PQsetErrorVerbosity(sink->connection, PQERRORS_VERBOSE);
    if (!wait_for_connection(sink, monotonic_microseconds() + CONNECT_TIMEOUT_US)) {
        if (log_is_due(&sink->connect_log, 10000000))
            log_warning(&sink->log, "PostgreSQL did not answer within %d s; trying again",
                        CONNECT_TIMEOUT_US / 1000000);
        connection_close(sink);
        return VERDICT_RETRY;
    }
    if (PQstatus(sink->connection) == CONNECTION_OK)
        return VERDICT_DONE;
    cleanup_free char *message = xstrdup(PQerrorMessage(sink->connection));
    return judge_connect_failure(sink, message);
}

/* What says how text is read, whatever the role, the database or PGOPTIONS have set; and how a default's
 * value is written. Not lc_monetary: by it the server knows how many decimals a stored money value has. */
#define SESSION_SETTINGS                                                                                     \
    "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET IntervalStyle = 'postgres'; "                     \
    "SET array_nulls = on; SET xmloption = content; SET standard_conforming_strings = on; "                  \
    "SET extra_float_digits = 3; SET client_min_messages = error"

static bool set_session(struct sink *sink, int64_t deadline)
{
    bool is_good = PQsendQuery(sink->connection, SESSION_SETTINGS) == 1;
    PQsetErrorVerbosity(sink->connection, PQERRORS_DEFAULT);
    for (bool is_over = !is_good, is_ready; !is_over;) {
        while (PQisBusy(sink->connection)) {
            if (!wait_for_server(sink, POLLIN, deadline, &is_ready) ||
                (is_ready && !PQconsumeInput(sink->connection)))
                return false;
        }
        PGresult *result = PQgetResult(sink->connection);
        is_over = !result;
        is_good &= is_over || PQresultStatus(result) == PGRES_COMMAND_OK;
        PQclear(result);
    }
    return is_good;
}

static enum verdict set_up_session(struct sink *sink)
{
    if (set_session(sink, monotonic_microseconds() + CONNECT_TIMEOUT_US))
        return VERDICT_DONE;
    if (log_is_due(&sink->connect_log, 10000000))
        log_warning(&sink->log, "could not set up the session: %s", PQerrorMessage(sink->connection));
    connection_close(sink);
    return VERDICT_RETRY;
}

bool connection_open_second(struct sink *sink)
{
    if (sink->connection)
        return PQstatus(sink->connection) == CONNECTION_OK;
    if (monotonic_microseconds() < sink->second_due)
        return false;
    int64_t deadline = monotonic_microseconds() + SECOND_TIMEOUT_US;
    sink->connection = start_connecting(sink);
    if (sink->connection && wait_for_connection(sink, deadline) &&
        PQstatus(sink->connection) == CONNECTION_OK && set_session(sink, deadline) &&
        PQsetnonblocking(sink->connection, 1) == 0)
        return true;
    log_info(&sink->log, "going on with one connection: %s",
             sink->connection ? PQerrorMessage(sink->connection) : "out of memory");
    PQfinish(sink->connection);
    sink->connection = NULL;
    sink->second_due = monotonic_microseconds() + SECOND_RETRY_US;
    return false;
}

/* Makes the mapping for a new table and encodes what was read for the old one again. */
static enum verdict adopt_table(struct sink *sink, struct table *table)
{
    cleanup_free char *error = NULL;
    struct mapping *mapping = sink_may_use(&sink->options, table, &error)
                                  ? mapping_new(table, &sink->options.mapping, &error)
                                  : NULL;
    if (!mapping) {
        log_error(&sink->log, "%s", error);
        table_free(table);
        return stop(sink, EX_CONFIG);
    }
    bool is_first = !sink->mapping;
    mapping_free(sink->mapping);
    table_free(sink->table);
    sink->mapping = mapping;
    sink->table = table;
    if (!is_first)
        for (int i = 0; i < BATCHES; i++)
            batch_encode_again(&sink->batches[i], mapping, &sink->intake.line);
    return VERDICT_DONE;
}

/* They are like the table as it was. */
static void drop_stages(struct sink *sink)
{
    PQfinish(sink->spare);
    sink->spare = NULL;
    sink->has_stage = false;
    PQclear(connection_execute(sink, "DROP TABLE IF EXISTS " STAGE));
}

enum verdict connection_read_table(struct sink *sink, bool *is_changed)
{
    cleanup_free char *message = NULL;
    char sqlstate[6] = "";
    *is_changed = false;
    PQsetnonblocking(sink->connection, 0);
    struct table *table = table_read(sink->connection, sink->options.table, &message, sqlstate);
    if (!table) {
        enum sqlstate_class class = sqlstate_classify(sqlstate);
        if (class == SQLSTATE_TRANSIENT) {
            if (log_is_due(&sink->retry_log, 10000000))
                log_warning(&sink->log, "could not read the catalogue: %s; trying again", message);
            connection_close(sink);
            return VERDICT_RETRY;
        }
        log_error(&sink->log, "%s", message);
        return stop(sink, sqlstate_is_permission(sqlstate) ? EX_NOPERM : EX_CONFIG);
    }
    PQsetnonblocking(sink->connection, 1);
    if (sink->table && table_equals(sink->table, table)) {
        table_free(table);
        return VERDICT_DONE;
    }
    *is_changed = true;
    if (sink->table)
        drop_stages(sink);
    return adopt_table(sink, table);
}

enum verdict connection_look_at_table(struct sink *sink, bool *is_changed)
{
    *is_changed = false;
    PQsetnonblocking(sink->connection, 0);
    bool is_unchanged = table_is_unchanged(sink->connection, sink->table);
    PQsetnonblocking(sink->connection, 1);
    if (is_unchanged)
        return VERDICT_DONE;
    return connection_read_table(sink, is_changed);
}

void connection_take_notice(struct sink *sink)
{
    PQconsumeInput(sink->connection);
    PQclear(PQisBusy(sink->connection) ? NULL : PQgetResult(sink->connection));
    if (PQstatus(sink->connection) == CONNECTION_OK)
        return;
    cleanup_free char *message = connection_plain_message(PQerrorMessage(sink->connection));
    log_warning(&sink->log, "the connection to PostgreSQL is lost: %s", message);
    connection_close(sink);
}

enum verdict connection_ensure(struct sink *sink)
{
    if (sink->connection && PQstatus(sink->connection) == CONNECTION_OK)
        return VERDICT_DONE;
    connection_close(sink);
    bool is_changed;
    enum verdict verdict = connect_once(sink);
    if (verdict == VERDICT_DONE)
        verdict = set_up_session(sink);
    if (verdict == VERDICT_DONE)
        verdict = connection_read_table(sink, &is_changed);
    if (verdict != VERDICT_DONE)
        return verdict;
    if (sink->was_connected) {
        stats_add(sink->stats, COUNTER_reconnects, 1);
        log_warning(&sink->log, "connected to PostgreSQL again");
    }
    sink->was_connected = true;
    sink->connect_log.last = 0;
    stats_set(sink->stats, COUNTER_database_connected, 1);
    return VERDICT_DONE;
}
