#include "intake.h"

#include <errno.h>

void intake_init(struct intake *intake, int fd, size_t max_line, size_t max_rows, size_t max_bytes,
                 struct stats_slot *stats)
{
    *intake = (struct intake){.max_rows = max_rows, .max_bytes = max_bytes, .stats = stats};
    line_reader_init(&intake->reader, fd, max_line);
}

void intake_free(struct intake *intake)
{
    line_reader_free(&intake->reader);
    line_free(&intake->line);
}

bool intake_is_full(const struct intake *intake, const struct batch *batch)
{
    return batch->count >= intake->max_rows || batch->lines.len >= intake->max_bytes;
}

bool intake_wants_more(const struct intake *intake, const struct batch *batch)
{
    return !intake->is_at_end && !intake_is_full(intake, batch);
}

/* A last line without a newline counts if it is whole JSON; else the writer died within it. */
static void take_torn(struct intake *intake, struct batch *batch, struct mapping *mapping, struct slice line)
{
    struct json_value value;
    if (json_scan_document(line, &value, NULL, NULL))
        batch_add(batch, mapping, &intake->line, line, false);
    else
        intake->is_torn = true;
}

void intake_take(struct intake *intake, struct batch *batch, struct mapping *mapping)
{
    struct slice line;
    while (!intake_is_full(intake, batch)) {
        size_t before = batch->count;
        switch (line_reader_next(&intake->reader, &line)) {
        case READER_LINE:
            if (line.len == 0)
                batch->whole = batch->count;
            else
                batch_add(batch, mapping, &intake->line, line, false);
            break;
        case READER_TOO_LONG:
            batch_add(batch, mapping, &intake->line, line, true);
            break;
        case READER_TORN:
            take_torn(intake, batch, mapping, line);
            break;
        case READER_EMPTY:
            return;
        case READER_END:
            intake_stop(intake, batch);
            return;
        }
        stats_add(intake->stats, COUNTER_events_read, batch->count - before);
    }
    batch->whole = batch->count;
}

void intake_read(struct intake *intake, struct batch *batch, struct mapping *mapping)
{
    /* A new batch is filled with what is here first: were something read for each, input that comes faster
     * than it is stored would gather in the reader. */
    intake_take(intake, batch, mapping);
    if (!intake_wants_more(intake, batch))
        return;
    ssize_t got = line_reader_fill(&intake->reader);
    if (got < 0) {
        if (errno == EINTR || errno == EAGAIN)
            return;
        intake->read_errno = errno;
        intake_stop(intake, batch);
        return;
    }
    intake_take(intake, batch, mapping);
}

void intake_stop(struct intake *intake, struct batch *batch)
{
    intake->is_at_end = true;
    batch->whole = batch->count;
}
