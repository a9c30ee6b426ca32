/* lane.h - one batch on its way into the table, on a connection that is its own meanwhile: by direct COPY, or
 * while duplicates come by COPY into the stage and INSERT … ON CONFLICT DO NOTHING.
 *
 * Two of them make pgsink fast: while the server still stores the rows of the older batch, the rows of the
 * younger one are sent to a second backend. The order stays: the younger transaction is committed only after
 * the older one. Where the older one fails the younger one is taken back, and both are written again one
 * after the other, with all the care of writer.h.
 *
 * What fails is never told here and nothing is tried again: that is for the writer.
 */
#ifndef PGSINK_LANE_H
#define PGSINK_LANE_H

#include "put_result.h"
#include "sink.h"

/* Whether batches may go by a lane, as rows are written now; else the writer does it. */
bool lane_is_possible(const struct sink *sink);
/* Sends the batch on sink->connection, which is the lane's from now on: sink->connection becomes the spare
 * one, or NULL. `is_behind`: another lane is under way, whose commit must come first. */
void lane_start(struct sink *sink, struct lane *lane, struct batch *batch, bool is_behind);
/* Takes what the server has said. Never waits. */
void lane_advance(struct sink *sink, struct lane *lane);
/* The older lane's transaction is committed: this one's may be. */
void lane_release(struct sink *sink, struct lane *lane);
/* Takes the transaction back and gives the connection back. The lane counts as failed for no reason of its
 * own. Waits. */
void lane_abandon(struct sink *sink, struct lane *lane);
/* The lane is over and told: gives its connection back, or closes it where it is lost. */
void lane_end(struct sink *sink, struct lane *lane);
/* At the end of all: closes the connection; the server takes back what is open. */
void lane_drop(struct lane *lane);

/* Stored, or failed. */
bool lane_is_over(const struct lane *lane);

#endif
