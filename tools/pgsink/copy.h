/* copy.h - sends a run of rows by COPY, and reads what the server says to it.
 *
 * COPY BINARY where every column's type has a binary form, as described in PostgreSQL's documentation of
 * COPY, "Binary Format"; else COPY text.
 */
#ifndef PGSINK_COPY_H
#define PGSINK_COPY_H

#include "put_result.h"
#include "sink.h"

/* Sends `sql`, a COPY or "BEGIN; COPY …", and all rows on sink->connection. False where that failed: *result
 * says why. The server's verdict is still to come. */
bool copy_send(struct sink *sink, struct run run, const char *sql, struct put_result *result);
/* Waits for the end of what was sent. The first result that is a table goes to *tuples, unless that is NULL;
 * the caller clears it. */
void copy_finish(struct sink *sink, struct put_result *result, PGresult **tuples);

#endif
