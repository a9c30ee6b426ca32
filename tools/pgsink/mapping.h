/* mapping.h - events to rows: which member fills which column, and the row that comes of it.
 *
 * A row is encoded as its fields in the order of `active` columns, each a 4-byte big-endian length and as
 * many bytes: COPY BINARY's tuple behind its count. Length -1 is NULL; ROW_DEFAULT stands for a default
 * that only the server can compute and is replaced before the row is sent. In text format the bytes are
 * the field's unescaped text.
 *
 * A column becomes active when the first event fills it (those that every row must fill are so from the
 * start), and the table's first one when an event fills none. The order of activation never changes, so rows
 * of an older batch stay readable: they have fewer columns.
 */
#ifndef PGSINK_MAPPING_H
#define PGSINK_MAPPING_H

#include "common/jq_program.h"
#include "common/line_format.h"
#include "table.h"

#include <endian.h>

#define ROW_NULL UINT32_MAX
#define ROW_DEFAULT (UINT32_MAX - 1)

static inline void row_append_length(struct buffer *out, uint32_t length)
{
    uint32_t big = htobe32(length);
    buffer_append(out, &big, sizeof big);
}

/* The length of the field that begins at `at`, which is that of its four bytes of length. */
static inline uint32_t row_field_length(const char *at)
{
    uint32_t length;
    memcpy(&length, at, sizeof length);
    return be32toh(length);
}

enum id_mode { ID_AUTO, ID_CONTENT, ID_OFFSET, ID_NONE };
enum unknown_mode { UNKNOWN_IGNORE, UNKNOWN_REJECT, UNKNOWN_COLLECT };

struct map_option { /* --map COLUMN=PATH */
    const char *column, *path;
};

struct mapping_options {
    enum id_mode id;
    enum unknown_mode unknown;
    const char *unknown_column;
    enum nul_policy nul;
    const struct map_option *maps;
    size_t map_count;
    bool fills_all; /* every column is written from the first event on */
};

struct mapping;

/* NULL and *error (to be freed) where the options do not fit the table. The table must outlive it. */
struct mapping *mapping_new(const struct table *table, const struct mapping_options *options, char **error);
void mapping_free(struct mapping *mapping);

const size_t *mapping_active(const struct mapping *mapping, size_t *count);
enum field_format mapping_format(const struct mapping *mapping);
/* One line a column: where its value comes from. For --dry-run. */
void mapping_describe(const struct mapping *mapping, struct buffer *out);

enum row_status {
    ROW_OK,
    ROW_REFUSED,     /* *fault says why */
    ROW_NEW_COLUMNS, /* columns became active: rows encoded before must be encoded again */
};

struct row_fault {
    struct encode_fault why;
    const char *column; /* NULL: the event as a whole */
};

/* Appends the row of an event (line->kind EVENT or ENVELOPE). *has_defaults: it holds ROW_DEFAULT.
 * *unknown counts members that no column takes. */
enum row_status mapping_encode(struct mapping *mapping, const struct line *line, struct buffer *out,
                               bool *has_defaults, uint64_t *unknown, struct row_fault *fault);

#endif
