/* put_result.h - what became of an attempt to put a run of rows into the database. */
#ifndef PGSINK_PUT_RESULT_H
#define PGSINK_PUT_RESULT_H

#include "batch.h"

/* A run of a batch's rows: `entries` are indices into batch->entries. */
struct run {
    const struct batch *batch;
    const size_t *entries;
    size_t count;
};

struct put_result {
    bool is_ok;
    uint64_t inserted, updated; /* the rest were there already, or a trigger left them out */
    /* Of a failure; an empty sqlstate means that the connection was lost. */
    char sqlstate[6];
    char *message, *column; /* owned, see put_result_clear */
    size_t row;             /* which row of the run is at fault, counted from 1; 0: unknown */
    bool is_row_certain;    /* else it is a guess, good enough to try that row alone */
};

void put_result_clear(struct put_result *result);
/* Takes the error out of a libpq result (NULL: the connection's). */
void put_result_take_error(struct put_result *result, const PGconn *connection, const PGresult *failed);
/* Takes a COPY's result: how many rows it has stored (a trigger may have left some out), or, unless an
 * earlier result was an error, its error with the row that COPY into the table of that name, or into the
 * stage, was at. */
void put_result_note(struct put_result *result, const PGconn *connection, PGresult *next,
                     const char *relname);
/* After the last result of a COPY: how far the row is to be trusted. */
void put_result_judge_row(struct put_result *result, struct run run);

#endif
