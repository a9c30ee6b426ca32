/* put.h - the ways in which a run of rows reaches the server.
 *
 *   put_direct   COPY into the table itself
 *   put_staged   COPY into a temporary stage, then INSERT … SELECT … ON CONFLICT
 *   put_single   INSERT … ON CONFLICT of each row, in libpq's pipeline mode; needs no temporary table
 *   put_rows     the same, each row under a savepoint
 *
 * The first three are one attempt that succeeds or fails as a whole; of the last each row has its own end.
 * The caller owns the transaction.
 */
#ifndef PGSINK_PUT_H
#define PGSINK_PUT_H

#include "put_result.h"
#include "sink.h"

/* `is_alone`: it is a transaction by itself, and fails where the table is not as it was read. Within one of
 * the caller's that is to be asked once, before its COMMIT. */
struct put_result put_direct(struct sink *sink, struct run run, bool is_alone);
struct put_result put_staged(struct sink *sink, struct run run);
struct put_result put_single(struct sink *sink, struct run run);

/* Within a transaction that has a savepoint `run`: it is behind all that was stored when this returns, and
 * constraints are checked at once from then on. rows[i] becomes what came of the run's row i, for the caller
 * to clear. False where something else failed: *error says what, no row is to be blamed, and the transaction
 * is beyond saving. All rows are under way before the first answer is read, so the run should be short. */
bool put_rows(struct sink *sink, struct run run, struct put_result *rows, struct put_result *error);

#endif
