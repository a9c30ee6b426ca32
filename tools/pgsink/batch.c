#include "batch.h"

#include "common/timestamp.h"
#include "common/utf8.h"

#include <stdio.h>

/* Buffers that one huge event has blown up are given back when they exceed this. */
#define KEPT_BYTES ((size_t)16 * 1024 * 1024)

static struct entry *new_entry(struct batch *batch)
{
    if (batch->count == batch->capacity) {
        batch->capacity = batch->capacity ? batch->capacity * 2 : 1024;
        batch->entries = xreallocarray(batch->entries, batch->capacity, sizeof *batch->entries);
    }
    struct entry *entry = &batch->entries[batch->count++];
    *entry = (struct entry){.record_ms = -1, .reach = -1};
    return entry;
}

static void note_reach(struct batch *batch, struct entry *entry, struct slice topic, int32_t partition,
                       int64_t offset)
{
    size_t i = batch->reach_count;
    while (i > 0 && (batch->reaches[i - 1].partition != partition ||
                     !slice_equals(topic, batch->reaches[i - 1].topic, batch->reaches[i - 1].topic_len)))
        i--;
    if (i == 0) {
        batch->reaches = xreallocarray(batch->reaches, batch->reach_count + 1, sizeof *batch->reaches);
        i = ++batch->reach_count;
        batch->reaches[i - 1] = (struct reach){xstrndup(topic.data, topic.len), topic.len, partition, 0};
    }
    entry->reach = (int32_t)(i - 1);
    entry->offset = offset;
    if (offset >= batch->reaches[i - 1].next)
        batch->reaches[i - 1].next = offset + 1;
}

/* PostgreSQL repeats the value that it refuses, and a reject holds the event already. */
#define MESSAGE_BYTES 1024

static char *shortened(const char *message)
{
    size_t len = strlen(message), kept = utf8_prefix(message, len, MESSAGE_BYTES);
    return xasprintf("%.*s%s", (int)kept, message, kept < len ? "…" : "");
}

void batch_reject(struct batch *batch, size_t index, const char *sqlstate, const char *column,
                  const char *message)
{
    batch->faults = xreallocarray(batch->faults, batch->fault_count + 1, sizeof *batch->faults);
    struct fault *fault = &batch->faults[batch->fault_count];
    *fault = (struct fault){.message = shortened(message), .at = now_microseconds()};
    fault->column = column && *column ? xstrdup(column) : NULL;
    snprintf(fault->sqlstate, sizeof fault->sqlstate, "%s", sqlstate ? sqlstate : "");
    batch->entries[index].fault = (uint32_t)batch->fault_count++;
    batch->entries[index].state = ENTRY_REJECTED;
}

/* Encodes the entry's event. Returns false where rows before it must be encoded again. */
static bool encode_entry(struct batch *batch, size_t index, struct mapping *mapping, const struct line *line)
{
    struct row_fault fault;
    size_t row_start = batch->rows.len;
    bool has_defaults;
    enum row_status status =
        mapping_encode(mapping, line, &batch->rows, &has_defaults, &batch->unknown_members, &fault);
    struct entry *entry = &batch->entries[index];
    entry->state = ENTRY_ROW;
    entry->row_start = row_start;
    entry->row_len = batch->rows.len - row_start;
    entry->has_defaults = has_defaults;
    batch->has_defaults |= has_defaults;
    entry->is_refused = status == ROW_REFUSED;
    batch->has_refused |= entry->is_refused;
    if (status == ROW_REFUSED)
        batch_reject(batch, index, fault.why.sqlstate, fault.column, fault.why.message);
    return status != ROW_NEW_COLUMNS;
}

static void take_columns(struct batch *batch, struct mapping *mapping)
{
    mapping_active(mapping, &batch->column_count);
    batch->format = mapping_format(mapping);
}

/* The other batch's events can have made columns active, when the table had changed and both were encoded
 * again. */
static bool has_all_columns(const struct batch *batch, const struct mapping *mapping)
{
    size_t count;
    mapping_active(mapping, &count);
    return batch->column_count == count;
}

void batch_add(struct batch *batch, struct mapping *mapping, struct line *line, struct slice text,
               bool is_cut)
{
    if (is_cut)
        line_parse_prefix(line, text);
    else
        line_parse(line, text);
    if (line->kind == LINE_BLANK)
        return;
    if (batch->count == 0)
        take_columns(batch, mapping);
    size_t index = batch->count;
    struct entry *entry = new_entry(batch);
    entry->line_start = batch->lines.len;
    entry->line_len = text.len;
    entry->is_cut = is_cut;
    entry->record_ms = line->has_timestamp ? line->timestamp_ms : -1;
    buffer_append_slice(&batch->lines, text);
    if (line->has_source)
        note_reach(batch, entry, line->topic, line->partition, line->offset);
    if (line->kind == LINE_REJECT || line->kind == LINE_ACK) {
        entry->state = ENTRY_PASSED;
    } else if (line->kind == LINE_INVALID) {
        char message[160];
        snprintf(message, sizeof message, is_cut ? "%s" : "not JSON: %s at byte %zu", line->fault,
                 line->fault_offset);
        batch_reject(batch, index, "22P02", NULL, message);
    } else if (!encode_entry(batch, index, mapping, line) || !has_all_columns(batch, mapping)) {
        batch_encode_again(batch, mapping, line);
    }
}

void batch_encode_again(struct batch *batch, struct mapping *mapping, struct line *line)
{
    bool is_complete;
    do { /* more columns may turn up on the way */
        is_complete = true;
        batch->rows.len = 0;
        batch->has_defaults = batch->has_refused = false;
        batch->unknown_members = 0;
        take_columns(batch, mapping);
        for (size_t i = 0; is_complete && i < batch->count; i++) {
            struct entry *entry = &batch->entries[i];
            if (entry->state != ENTRY_ROW && !entry->is_refused)
                continue;
            line_parse(line, slice_of(batch->lines.data + entry->line_start, entry->line_len));
            is_complete = encode_entry(batch, i, mapping, line);
        }
    } while (!is_complete);
}

static void clear_reaches(struct batch *batch)
{
    for (size_t i = 0; i < batch->reach_count; i++)
        free(batch->reaches[i].topic);
    batch->reach_count = 0;
}

static void move_entry(struct batch *batch, const struct entry *from, size_t line_start, size_t row_start,
                       struct batch *rest)
{
    struct entry *entry = new_entry(rest);
    *entry = *from;
    entry->line_start -= line_start;
    entry->row_start = from->state == ENTRY_ROW ? from->row_start - row_start : 0;
    rest->has_defaults |= entry->has_defaults;
    rest->has_refused |= entry->is_refused;
    if (from->reach >= 0) {
        const struct reach *reach = &batch->reaches[from->reach];
        note_reach(rest, entry, slice_of(reach->topic, reach->topic_len), reach->partition, from->offset);
    }
    if (from->state == ENTRY_REJECTED) {
        const struct fault *fault = &batch->faults[from->fault];
        batch_reject(rest, rest->count - 1, fault->sqlstate, fault->column, fault->message);
    }
}

void batch_split(struct batch *batch, size_t first, struct batch *rest)
{
    if (first >= batch->count)
        return;
    size_t line_start = batch->entries[first].line_start, row_start = batch->rows.len;
    for (size_t i = batch->count; i-- > first;)
        if (batch->entries[i].state == ENTRY_ROW)
            row_start = batch->entries[i].row_start;
    rest->column_count = batch->column_count;
    rest->format = batch->format;
    buffer_append(&rest->lines, batch->lines.data + line_start, batch->lines.len - line_start);
    buffer_append(&rest->rows, batch->rows.data + row_start, batch->rows.len - row_start);
    for (size_t i = first; i < batch->count; i++)
        move_entry(batch, &batch->entries[i], line_start, row_start, rest);
    batch->count = first;
    batch->lines.len = line_start;
    batch->rows.len = row_start;
    for (size_t i = 0; i < batch->reach_count; i++)
        batch->reaches[i].next = 0;
    for (size_t i = 0; i < first; i++) {
        const struct entry *entry = &batch->entries[i];
        if (entry->reach >= 0 && entry->offset >= batch->reaches[entry->reach].next)
            batch->reaches[entry->reach].next = entry->offset + 1;
    }
}

/* Copies one row, taking row `values_row` of `values` for the fields that wait for it. */
static void fill_row(struct buffer *out, const char *row, size_t column_count, const PGresult *values,
                     int values_row, const int *value_fields)
{
    const char *at = row + sizeof(uint16_t);
    buffer_append(out, row, sizeof(uint16_t));
    for (size_t i = 0; i < column_count; i++) {
        uint32_t length = row_field_length(at);
        if (length != ROW_DEFAULT) {
            size_t size = sizeof length + (length == ROW_NULL ? 0 : length);
            buffer_append(out, at, size);
            at += size;
            continue;
        }
        at += sizeof length;
        if (PQgetisnull(values, values_row, value_fields[i])) {
            row_append_length(out, ROW_NULL);
        } else {
            row_append_length(out, (uint32_t)PQgetlength(values, values_row, value_fields[i]));
            buffer_append(out, PQgetvalue(values, values_row, value_fields[i]),
                          (size_t)PQgetlength(values, values_row, value_fields[i]));
        }
    }
}

void batch_fill_defaults(struct batch *batch, const struct table *table, const size_t *active,
                         const PGresult *values)
{
    cleanup_free int *value_fields = xcalloc(batch->column_count, sizeof *value_fields);
    int field = 0, values_row = 0;
    for (size_t i = 0; i < batch->column_count; i++)
        if (table->columns[active[i]].default_kind == DEFAULT_COMPUTED)
            value_fields[i] = field++;
    struct buffer rows = {0};
    buffer_reserve(&rows, batch->rows.len);
    for (size_t i = 0; i < batch->count; i++) {
        struct entry *entry = &batch->entries[i];
        if (entry->state != ENTRY_ROW)
            continue;
        size_t start = rows.len;
        const char *row = batch->rows.data + entry->row_start;
        if (entry->has_defaults)
            fill_row(&rows, row, batch->column_count, values, values_row++, value_fields);
        else
            buffer_append(&rows, row, entry->row_len);
        entry->row_start = start;
        entry->row_len = rows.len - start;
        entry->has_defaults = false;
    }
    buffer_free(&batch->rows);
    batch->rows = rows;
    batch->has_defaults = false;
}

size_t *batch_rows(const struct batch *batch, size_t *count)
{
    size_t *entries = xcalloc(batch->count, sizeof *entries);
    *count = 0;
    for (size_t i = 0; i < batch->count; i++)
        if (batch->entries[i].state == ENTRY_ROW)
            entries[(*count)++] = i;
    return entries;
}

static void clear_faults(struct batch *batch)
{
    for (size_t i = 0; i < batch->fault_count; i++) {
        free(batch->faults[i].column);
        free(batch->faults[i].message);
    }
    batch->fault_count = 0;
}

void batch_clear(struct batch *batch)
{
    clear_reaches(batch);
    clear_faults(batch);
    buffer_reset(&batch->lines, KEPT_BYTES);
    buffer_reset(&batch->rows, KEPT_BYTES);
    batch->count = batch->whole = 0;
    batch->unknown_members = 0;
    batch->has_defaults = batch->has_refused = false;
}

void batch_free(struct batch *batch)
{
    batch_clear(batch);
    buffer_free(&batch->lines);
    buffer_free(&batch->rows);
    free(batch->entries);
    free(batch->faults);
    free(batch->reaches);
    *batch = (struct batch){0};
}
