/* put.h - the three ways in which a run of rows reaches the server, each one attempt that succeeds or
 * fails as a whole:
 *
 *   put_direct   COPY into the table itself
 *   put_staged   COPY into a temporary stage, then INSERT … SELECT … ON CONFLICT
 *   put_single   INSERT … ON CONFLICT row by row in libpq's pipeline mode; needs no temporary table
 *
 * The caller owns the transaction.
 */
#ifndef PGSINK_PUT_H
#define PGSINK_PUT_H

#include "put_result.h"
#include "sink.h"

struct put_result put_direct(struct sink *sink, struct run run);
struct put_result put_staged(struct sink *sink, struct run run);
struct put_result put_single(struct sink *sink, struct run run);

#endif
