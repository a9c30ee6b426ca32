#include "check_connection.h"

#include "common/memory.h"
#include "common/timestamp.h"
#include "connection.h"

#include <poll.h>
#include <string.h>
#include <sysexits.h>

#define CONNECT_TIMEOUT_US 10000000

/* A failure whose message has `part`: its status and its cure. libpq's messages are English, the server's
 * need not be: those are known by their SQLSTATE. */
struct cure {
    const char *part;
    int exit_code;
    const char *text;
};

static const struct cure by_sqlstate[] = {
    {"28P01", EX_NOPERM, "check POSTGRES_USER and POSTGRES_PASSWORD"},
    {"28000", EX_NOPERM,
     "check POSTGRES_USER, and let an administrator allow this user and host in pg_hba.conf; "
     "where it says \"no encryption\", set POSTGRES_SSLMODE to require or more"},
    {"3D000", EX_CONFIG, "create it (createdb), or check POSTGRES_DATABASE"},
    {"42501", EX_NOPERM, "let its owner allow it: GRANT CONNECT ON DATABASE ... TO ..."},
    {"53300", EX_UNAVAILABLE, "raise max_connections, or end what holds them"},
};

static const struct cure by_message[] = {
    {"no password supplied", EX_NOPERM, "set POSTGRES_PASSWORD, POSTGRES_PASSWORD_FILE or ~/.pgpass"},
    {"does not match host name", EX_CONFIG,
     "POSTGRES_HOST must be a name that stands in the server's certificate"},
    {"certificate verify failed", EX_CONFIG,
     "POSTGRES_SSLROOTCERT must name the CA that signed the server's certificate"},
    {"root certificate file", EX_CONFIG, "set POSTGRES_SSLROOTCERT to the CA's certificate"},
    {"does not support SSL", EX_CONFIG,
     "turn it on in the server (ssl = on), or set POSTGRES_SSLMODE=prefer"},
    {"private key file", EX_CONFIG, "check POSTGRES_SSLKEY; it must be readable by this user alone"},
    {"certificate", EX_CONFIG, "check POSTGRES_SSLCERT, POSTGRES_SSLKEY and POSTGRES_SSLROOTCERT"},
    {"SSL error", EX_CONFIG, "check POSTGRES_SSLMODE and the certificates"},
    {"sslmode", EX_CONFIG, "check POSTGRES_SSLMODE"},
    {"could not translate host name", EX_UNAVAILABLE, "check POSTGRES_HOST"},
    {"invalid", EX_CONFIG, "check -d and libpq's environment"},
};

static const struct cure unreached = {
    "", EX_UNAVAILABLE,
    "is it running, are POSTGRES_HOST and POSTGRES_PORT right, is there a firewall between?"};

static const struct cure *find_cure(const char *message)
{
    char sqlstate[6] = "";
    if (connection_find_sqlstate(message, sqlstate))
        for (size_t i = 0; i < sizeof by_sqlstate / sizeof *by_sqlstate; i++)
            if (strcmp(sqlstate, by_sqlstate[i].part) == 0)
                return &by_sqlstate[i];
    for (size_t i = 0; i < sizeof by_message / sizeof *by_message; i++)
        if (strstr(message, by_message[i].part))
            return &by_message[i];
    return &unreached;
}

/* False when the time is up. */
static bool wait_for_connection(PGconn *connection)
{
    int64_t deadline = monotonic_microseconds() + CONNECT_TIMEOUT_US;
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    while (PQstatus(connection) != CONNECTION_BAD && state != PGRES_POLLING_OK &&
           state != PGRES_POLLING_FAILED) {
        struct pollfd waiting = {.fd = PQsocket(connection),
                                 .events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        int64_t left = deadline - monotonic_microseconds();
        if (left <= 0)
            return false;
        if (poll(&waiting, 1, (int)(left / 1000 + 1)) > 0)
            state = PQconnectPoll(connection);
    }
    return true;
}

PGconn *check_connect(struct findings *findings, const char *conninfo)
{
    const char *keywords[] = {"fallback_application_name", "dbname", "client_encoding", NULL};
    const char *values[] = {"pgsink --check", conninfo, "UTF8", NULL};
    PGconn *connection = PQconnectStartParams(keywords, values, 1);
    if (connection)
        PQsetErrorVerbosity(connection, PQERRORS_VERBOSE);
    bool is_in_time = connection && wait_for_connection(connection);
    if (is_in_time && PQstatus(connection) == CONNECTION_OK) {
        PQsetErrorVerbosity(connection, PQERRORS_DEFAULT);
        findings_ok("PostgreSQL %s, port %s: database %s, user %s, %s", PQhost(connection),
                    PQport(connection), PQdb(connection), PQuser(connection),
                    PQsslInUse(connection) ? PQsslAttribute(connection, "protocol") : "no TLS");
        return connection;
    }
    const char *message = is_in_time ? PQerrorMessage(connection) : "no answer within 10 s";
    const struct cure *cure = find_cure(message);
    cleanup_free char *plain = connection_plain_message(message);
    findings_fault(findings, cure->exit_code, "PostgreSQL: %s; %s", plain, cure->text);
    PQfinish(connection);
    return NULL;
}
