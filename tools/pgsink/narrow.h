/* narrow.h - finds the bad rows of a batch: which of its rows are tried next, and how.
 *
 * By COPY first. A run that fails at a known row gives that row up and goes on with the rows before and
 * behind it; one that fails without saying where is halved. Where bad rows are close to each other the rows
 * go one by one, in stretches; the end of each says how to go on.
 */
#ifndef PGSINK_NARROW_H
#define PGSINK_NARROW_H

#include "put_result.h"

/* Rows of a stretch. */
#define TRIAL_ROWS 128

struct trial {
    struct run run;
    bool is_by_row; /* each with its own end; else all as one */
};

/* Zero but for the setting, these are no trials. */
struct trials {
    bool may_be_by_row;
    unsigned close_bad;  /* bad rows in a row that COPY has found, each close behind the one before */
    struct trial *items; /* the next one is the last */
    size_t count, capacity;
};

void trials_add(struct trials *trials, struct run run, bool is_by_row);
/* Takes the next one out; of rows one by one at most TRIAL_ROWS. There must be one. */
struct trial trials_next(struct trials *trials);
/* After a COPY of this run has failed: blames the row that is to blame, and adds what remains to be tried. */
void trials_narrow(struct trials *trials, struct batch *batch, struct run run,
                   const struct put_result *error);
/* After so many rows went one by one, of which some were bad: chooses the way of what comes next. */
void trials_go_on(struct trials *trials, size_t rows, size_t bad);
void trials_free(struct trials *trials);

#endif
