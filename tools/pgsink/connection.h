/* connection.h - the connection to PostgreSQL: made, made again, and asked. */
#ifndef PGSINK_CONNECTION_H
#define PGSINK_CONNECTION_H

#include "sink.h"

/* Connects if need be, sets the session up and reads the catalogue; the batches' rows are encoded again
 * where the table has changed. */
enum verdict connection_ensure(struct sink *sink);
/* Reads the catalogue again. VERDICT_DONE with *is_changed. */
enum verdict connection_read_table(struct sink *sink, bool *is_changed);
/* The same, where a small query says that the table has changed. */
enum verdict connection_look_at_table(struct sink *sink, bool *is_changed);
/* Takes what the server says unasked, of an idle session: closes the connection where it is the end of it. */
void connection_take_notice(struct sink *sink);
/* While the lane has the connection there was: makes sink->connection a second one. False where that cannot
 * be had, which is no fault: there may be a limit. */
bool connection_open_second(struct sink *sink);
/* Closes both; not the lane's. */
void connection_close(struct sink *sink);

/* The next result of what was sent, NULL at its end. Waits with sink_wait(). */
PGresult *connection_await(struct sink *sink);
/* Runs SQL (several statements allowed) and returns its last result, or its first that is an error. The
 * caller clears it. NULL where the connection is lost. */
PGresult *connection_execute(struct sink *sink, const char *sql);
/* Sends what libpq has buffered, waiting for room. False where the connection is lost. */
bool connection_flush(struct sink *sink);

/* The SQLSTATE in a message of verbosity PQERRORS_VERBOSE: libpq 15 keeps no error fields of a failed
 * connection, and the words are in the server's language. */
bool connection_find_sqlstate(const char *message, char sqlstate[6]);
/* Such a message without its SQLSTATE and the lines behind the first; to be freed. */
char *connection_plain_message(const char *message);

#endif
