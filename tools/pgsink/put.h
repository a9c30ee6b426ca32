/* put.h - the three ways in which a run of rows reaches the server, each one attempt that succeeds or
 * fails as a whole:
 *
 *   put_direct   COPY into the table itself
 *   put_staged   COPY into a temporary stage, then INSERT … SELECT … ON CONFLICT
 *   put_single   INSERT … ON CONFLICT row by row in libpq's pipeline mode; needs no temporary table
 *
 * The caller owns the transaction. COPY BINARY is used where every column's type has a binary form, as
 * described in PostgreSQL's documentation of COPY, "Binary Format"; else COPY text.
 */
#ifndef PGSINK_PUT_H
#define PGSINK_PUT_H

#include "sink.h"

/* A run of a batch's rows: `entries` are indices into batch->entries. */
struct run {
    const struct batch *batch;
    const size_t *entries;
    size_t count;
};

struct put_result {
    bool is_ok;
    uint64_t inserted, updated; /* the rest of the run were duplicates */
    /* Of a failure; an empty sqlstate means that the connection was lost. */
    char sqlstate[6];
    char *message, *column; /* owned, see put_result_clear */
    size_t row;             /* which row of the run is at fault, counted from 1; 0: unknown */
    bool is_row_certain;    /* else it is a guess, good enough to try that row alone */
};

void put_result_clear(struct put_result *result);
/* Takes an error out of a libpq result (NULL: the connection's), for statements beside those here. */
void put_result_take_error(struct put_result *result, struct sink *sink, const PGresult *failed);

struct put_result put_direct(struct sink *sink, struct run run);
struct put_result put_staged(struct sink *sink, struct run run);
struct put_result put_single(struct sink *sink, struct run run);

#endif
