#include "narrow.h"

#include <stdlib.h>

/* Rows of a COPY behind a bad row: where one was bad others may be, and all rows of its run go a second time.
 */
#define CAREFUL_ROWS 256
/* Bad rows that are no further apart are close. Measured on loopback: a row by itself costs 47 µs, a row by
 * COPY 10 µs and each bad row there 600 µs: one of sixteen costs the same either way. Some less, since bad
 * rows that are further apart in the mean are often closer by chance. */
#define CLOSE_ROWS 12
/* One bad row close behind another may be chance, and a stretch row by row is dear where no other follows. */
#define CLOSE_ENOUGH 3

void trials_add(struct trials *trials, struct run run, bool is_by_row)
{
    if (run.count == 0)
        return;
    if (trials->count == trials->capacity) {
        trials->capacity = trials->capacity ? trials->capacity * 2 : 32;
        trials->items = xreallocarray(trials->items, trials->capacity, sizeof *trials->items);
    }
    trials->items[trials->count++] = (struct trial){run, trials->may_be_by_row && is_by_row};
}

static struct run part(struct run run, size_t from, size_t to)
{
    return (struct run){run.batch, run.entries + from, to - from};
}

struct trial trials_next(struct trials *trials)
{
    struct trial next = trials->items[--trials->count];
    if (next.is_by_row && next.run.count > TRIAL_ROWS) {
        trials_add(trials, part(next.run, TRIAL_ROWS, next.run.count), true);
        next.run.count = TRIAL_ROWS;
    }
    return next;
}

static void add_in_pieces(struct trials *trials, struct run run)
{
    for (size_t end = run.count; end > 0;) {
        size_t start = end > CAREFUL_ROWS ? (end - 1) / CAREFUL_ROWS * CAREFUL_ROWS : 0;
        trials_add(trials, part(run, start, end), false);
        end = start;
    }
}

static void add_behind(struct trials *trials, struct run run, bool is_by_row)
{
    if (is_by_row)
        trials_add(trials, run, true);
    else
        add_in_pieces(trials, run);
}

static void halve(struct trials *trials, struct batch *batch, struct run run, const struct put_result *error)
{
    if (run.count == 1) {
        batch_reject(batch, run.entries[0], error->sqlstate, error->column, error->message);
    } else if (trials->may_be_by_row && run.count <= TRIAL_ROWS) {
        trials_add(trials, run, true);
    } else {
        add_in_pieces(trials, part(run, run.count / 2, run.count));
        trials_add(trials, part(run, 0, run.count / 2), false);
    }
}

void trials_narrow(struct trials *trials, struct batch *batch, struct run run, const struct put_result *error)
{
    if (error->row == 0 || run.count == 1) {
        halve(trials, batch, run, error);
        return;
    }
    size_t bad = error->row - 1;
    trials->close_bad = bad < CLOSE_ROWS ? trials->close_bad + 1 : 0;
    bool is_by_row = trials->may_be_by_row && trials->close_bad >= CLOSE_ENOUGH;
    size_t behind = is_by_row && !error->is_row_certain ? bad : bad + 1;
    add_behind(trials, part(run, behind, run.count), is_by_row);
    if (error->is_row_certain)
        batch_reject(batch, run.entries[bad], error->sqlstate, error->column, error->message);
    else
        trials_add(trials, part(run, bad, behind), false); /* the suspect alone */
    trials_add(trials, part(run, 0, bad), false);
}

void trials_go_on(struct trials *trials, size_t rows, size_t bad)
{
    if (trials->count > 0) {
        struct trial next = trials->items[--trials->count];
        add_behind(trials, next.run, bad * CLOSE_ROWS >= rows);
    }
}

void trials_free(struct trials *trials)
{
    free(trials->items);
    *trials = (struct trials){0};
}
