/* report.h - tells what became of a batch: rejects and then its ack on stdout, log lines, counters. */
#ifndef PGSINK_REPORT_H
#define PGSINK_REPORT_H

#include "sink.h"
#include "writer.h"

/* After the batch is safe. VERDICT_STOP where stdout is gone or too much was rejected. */
enum verdict report_batch(struct sink *sink, const struct batch *batch, const struct write_counts *counts,
                          int64_t microseconds);
/* The rejects alone; nothing is acknowledged. For --dry-run. */
enum verdict report_rejects(struct sink *sink, const struct batch *batch);

#endif
