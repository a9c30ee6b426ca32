/* stream.h - from stdin to the table, batch behind batch, until the input ends or a fault does. */
#ifndef PGSINK_STREAM_H
#define PGSINK_STREAM_H

#include "sink.h"

/* Stores all that comes. A fault that ends it is told, and in sink->exit_code. */
void stream_store(struct sink *sink);
/* For --dry-run: shows the mapping and rejects what the encoder refuses; writes nothing to the database. */
void stream_check(struct sink *sink);

#endif
