/* batch.h - the events of one transaction: their lines, their rows, and what became of each.
 *
 * Lines are kept until the batch is safe: a reject needs its line, and rows can be encoded again. Nothing
 * is allocated for an event: lines and rows lie behind each other in two buffers, entries in one array,
 * and all are used again by the next batch.
 */
#ifndef PGSINK_BATCH_H
#define PGSINK_BATCH_H

#include "common/line_format.h"
#include "mapping.h"

enum entry_state {
    ENTRY_ROW,      /* to be stored */
    ENTRY_REJECTED, /* cannot be stored: `fault` is an index into faults */
    ENTRY_PASSED,   /* a reject of an earlier tool */
};

struct entry {
    size_t line_start, line_len; /* in lines */
    size_t row_start, row_len;   /* in rows, of ENTRY_ROW */
    int64_t record_ms;           /* the record's time since 1970, or -1 */
    int64_t offset;              /* of the record, where reach is one */
    int32_t reach;               /* index into reaches, or -1 for a bare event */
    uint32_t fault;
    uint8_t state;     /* enum entry_state */
    bool is_cut;       /* only the beginning of a line that is too long */
    bool has_defaults; /* the row holds ROW_DEFAULT */
    bool is_refused;   /* by our encoder, with the table as we know it */
};

struct fault {
    char sqlstate[6];
    char *column; /* may be NULL */
    char *message;
    int64_t at;
};

/* How far the batch goes in a partition; next 0: no entry is left that does. */
struct reach {
    char *topic;
    size_t topic_len;
    int32_t partition;
    int64_t next;
};

struct batch {
    struct buffer lines, rows;
    struct entry *entries;
    size_t count, capacity;
    struct fault *faults;
    size_t fault_count;
    struct reach *reaches;
    size_t reach_count;
    size_t whole;        /* entries that belong to ended paragraphs: what may be written now */
    size_t column_count; /* of each row, see mapping.h */
    enum field_format format;
    uint64_t unknown_members;
    bool has_defaults; /* some row holds ROW_DEFAULT */
    bool has_refused;  /* our encoder has refused some */
};

/* Takes a line of the input in: encodes it, or notes why not. `is_cut`: the line is too long and only its
 * beginning is here. `line` is scratch for parsing. */
void batch_add(struct batch *batch, struct mapping *mapping, struct line *line, struct slice text,
               bool is_cut);
/* Encodes all rows again, after the mapping has changed, and tries those that our encoder has refused. */
void batch_encode_again(struct batch *batch, struct mapping *mapping, struct line *line);
/* Moves the entries from `first` on to an empty batch. */
void batch_split(struct batch *batch, size_t first, struct batch *rest);
/* Marks an entry as rejected. Takes copies of the texts, of a long message its beginning. */
void batch_reject(struct batch *batch, size_t entry, const char *sqlstate, const char *column,
                  const char *message);
/* Puts the values of computed defaults in place of ROW_DEFAULT: `values` has a row for each entry with
 * has_defaults in order, and a field for each computed default among the first column_count active
 * columns. */
void batch_fill_defaults(struct batch *batch, const struct table *table, const size_t *active,
                         const PGresult *values);
/* Indices of the entries that are ENTRY_ROW, to be freed. */
size_t *batch_rows(const struct batch *batch, size_t *count);
void batch_clear(struct batch *batch);
void batch_free(struct batch *batch);

#endif
