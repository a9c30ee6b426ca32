/* check_connection.h - connects once, for --check, and tells the cure where that fails. */
#ifndef PGSINK_CHECK_CONNECTION_H
#define PGSINK_CHECK_CONNECTION_H

#include "common/findings.h"

#include <libpq-fe.h>

/* The connection, or NULL and the fault is told. */
PGconn *check_connect(struct findings *findings, const char *conninfo);

#endif
