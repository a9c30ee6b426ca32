/* writer.h - writes a batch: a small machine over the ways of put.h.
 *
 *   direct   one COPY into the table, a transaction by itself: nearly all batches end here.
 *   staged   once a COPY met a key that is there already, through the stage; back to direct when
 *            several batches in a row had no duplicate.
 *   single   row by row, where the role may not make temporary tables.
 *
 * A batch with a bad row is written carefully: in one transaction, run by run, each under a savepoint.
 * narrow.h says which rows are tried next, and whether as one or row by row.
 */
#ifndef PGSINK_WRITER_H
#define PGSINK_WRITER_H

#include "sink.h"

struct write_counts {
    uint64_t inserted, updated, duplicates;
};

/* What came of a batch says how the next one is best written. */
void writer_choose_mode(struct sink *sink, const struct write_counts *counts);
/* Gets the batch ready to be sent: asks the server for the defaults that only it can compute. */
enum verdict writer_prepare(struct sink *sink, struct batch *batch);
/* One attempt at the batch. After VERDICT_DONE every ENTRY_ROW left is stored, all others are rejected;
 * with VERDICT_RETRY nothing of it is known to be stored. `failed`: how a lane has ended, which is
 * not tried again in the same way then; or NULL. */
enum verdict writer_write(struct sink *sink, struct batch *batch, const struct put_result *failed,
                          struct write_counts *counts);

#endif
