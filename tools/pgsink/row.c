/* Events to rows: members are looked up by name (the place where the last event had the same name is tried
 * first), the columns' values are gathered, and then encoded in the order of activation. */
#include "mapping_internal.h"

#include "common/json_write.h"
#include "common/utf8.h"

#include <endian.h>
#include <stdio.h>

/* The value within `value` that a dotted path leads to; false if there is none. */
static bool descend(const struct json_value *value, const char *path, struct json_value *found)
{
    *found = *value;
    while (*path) {
        size_t len = strcspn(path, ".");
        struct json_scanner s;
        struct json_key key;
        struct json_value member;
        bool has_it = false;
        json_scanner_init(&s, found->text.data, found->text.len);
        if (!json_enter_object(&s))
            return false;
        struct json_value last = {0};
        while (json_next_key(&s, &key) && json_scan_value(&s, &member))
            if (json_key_is(&key, slice_of(path, len))) {
                last = member;
                has_it = true;
            }
        if (!has_it)
            return false;
        *found = last;
        path += len + (path[len] == '.');
    }
    return true;
}

static void take_member(struct mapping *mapping, int name, const struct json_value *value)
{
    for (int column = mapping->names[name].first_column; column >= 0;
         column = mapping->sources[column].next) {
        struct source *source = &mapping->sources[column];
        if (!source->rest)
            mapping->values[column] = value;
        else
            mapping->values[column] = descend(value, source->rest, &source->value) ? &source->value : NULL;
    }
}

static int look_up(struct mapping *mapping, size_t place, const struct json_key *key)
{
    int *guess = place < GUESSES ? &mapping->guesses[place] : NULL;
    if (guess && !key->escaped && (size_t)*guess < mapping->name_count &&
        slice_equals(key->text, mapping->names[*guess].text, mapping->names[*guess].len))
        return *guess;
    int name;
    if (key->escaped) {
        cleanup_buffer struct buffer plain = {0};
        name = json_decode_string(key->text, NUL_KEEP, &plain)
                   ? -1
                   : mapping_find_name(mapping, buffer_slice(&plain));
    } else {
        name = mapping_find_name(mapping, key->text);
    }
    if (guess && name >= 0)
        *guess = name;
    return name;
}

static bool take_unknown(struct mapping *mapping, const struct json_member *member, struct row_fault *fault)
{
    if (mapping->options.unknown == UNKNOWN_REJECT) {
        int shown = (int)utf8_prefix(member->key.text.data, member->key.text.len, 100);
        fault->why.sqlstate = "42703";
        snprintf(fault->why.message, sizeof fault->why.message, "no column takes the member \"%.*s\"", shown,
                 member->key.text.data);
        return false;
    }
    if (mapping->unknown_column < 0)
        return true;
    struct buffer *out = &mapping->sources[mapping->unknown_column].output;
    if (out->len == 0)
        json_open(out, '{');
    json_item(out);
    buffer_append_char(out, '"');
    buffer_append_slice(out, member->key.text);
    buffer_append_string(out, "\":");
    buffer_append_slice(out, member->value.text);
    return true;
}

/* Scans text that is known to be JSON into a value; NULL where it is nested too deeply. */
static const struct json_value *value_of_text(struct source *source)
{
    json_scan_document(buffer_slice(&source->output), &source->value, NULL, NULL);
    return source->value.type == JSON_ABSENT ? NULL : &source->value;
}

static bool refuse_program(const struct mapping *mapping, size_t column, struct slice reason,
                           struct row_fault *fault)
{
    fault->column = mapping->table->columns[column].name;
    fault->why.sqlstate = "22000";
    snprintf(fault->why.message, sizeof fault->why.message, "--map: %.*s",
             (int)utf8_prefix(reason.data, reason.len, 120), reason.data);
    return false;
}

static bool run_program(struct mapping *mapping, size_t column, const struct line *line,
                        struct row_fault *fault)
{
    struct source *source = &mapping->sources[column];
    switch (jq_program_run(source->program, line->payload.text, slice_of(NULL, 0), &source->output, NULL)) {
    case JQ_VALUE:
        mapping->values[column] = value_of_text(source);
        return mapping->values[column] ||
               refuse_program(mapping, column, slice_of_string("its output is nested too deeply"), fault);
    case JQ_EMPTY:
        return true;
    default:
        return refuse_program(mapping, column, buffer_slice(&source->output), fault);
    }
}

/* Fills mapping->values. */
static bool gather(struct mapping *mapping, const struct line *line, const struct json_value **time,
                   uint64_t *unknown, struct row_fault *fault)
{
    memset(mapping->values, 0, mapping->table->column_count * sizeof *mapping->values);
    if (mapping->unknown_column >= 0)
        mapping->sources[mapping->unknown_column].output.len = 0;
    for (size_t i = 0; i < line->member_count; i++) {
        const struct json_member *member = &line->members[i];
        int name = look_up(mapping, i, &member->key);
        if (name == mapping->time_name)
            *time = &member->value;
        if (name >= 0 && mapping->names[name].first_column >= 0) {
            take_member(mapping, name, &member->value);
            continue;
        }
        (*unknown)++;
        if (!take_unknown(mapping, member, fault))
            return false;
    }
    for (size_t i = 0; i < mapping->table->column_count; i++)
        if (mapping->sources[i].kind == SOURCE_PROGRAM && !run_program(mapping, i, line, fault))
            return false;
    if (mapping->unknown_column >= 0 && mapping->sources[mapping->unknown_column].output.len) {
        json_close(&mapping->sources[mapping->unknown_column].output, '}');
        mapping->values[mapping->unknown_column] = value_of_text(&mapping->sources[mapping->unknown_column]);
    }
    if (mapping->time_column >= 0 && mapping->values[mapping->time_column])
        *time = mapping->values[mapping->time_column];
    return true;
}

static void append_uuid(struct buffer *out, const struct uuid *uuid, enum field_format format)
{
    char text[UUID_TEXT_SIZE];
    if (format == FORMAT_BINARY) {
        row_append_length(out, sizeof uuid->bytes);
        buffer_append(out, uuid->bytes, sizeof uuid->bytes);
        return;
    }
    uuid_format(uuid, text);
    row_append_length(out, UUID_TEXT_SIZE - 1);
    buffer_append(out, text, UUID_TEXT_SIZE - 1);
}

static bool append_derived_id(struct mapping *mapping, const struct line *line, const struct json_value *time,
                              struct buffer *out, struct row_fault *fault)
{
    struct uuid uuid;
    if (mapping->options.id != ID_OFFSET) {
        uuid = event_id_of_content(mapping->ids, &line->payload, time);
    } else if (line->has_source) {
        uuid = event_id_of_offset(mapping->ids, line->topic, line->partition, line->offset,
                                  line->has_timestamp ? line->timestamp_ms : UUID_NO_TIME);
    } else {
        fault->column = "id";
        fault->why.sqlstate = "22004";
        snprintf(fault->why.message, sizeof fault->why.message,
                 "--id offset needs envelopes: this event has no topic, partition and offset");
        return false;
    }
    append_uuid(out, &uuid, mapping->format);
    return true;
}

/* An absent member: the column's default, or NULL. */
static bool append_default(const struct mapping *mapping, size_t index, struct buffer *out,
                           bool *has_defaults, struct row_fault *fault)
{
    const struct column *column = &mapping->table->columns[index];
    if (column->default_kind == DEFAULT_COMPUTED) {
        row_append_length(out, ROW_DEFAULT);
        *has_defaults = true;
        return true;
    }
    if (column->default_kind == DEFAULT_CONSTANT && !column->is_default_null) {
        const struct buffer *value =
            mapping->format == FORMAT_BINARY ? &column->default_binary : &column->default_text;
        row_append_length(out, (uint32_t)value->len);
        buffer_append(out, value->data, value->len);
        return true;
    }
    if (!column->is_not_null || mapping->table->has_row_triggers) { /* a trigger may fill it */
        row_append_length(out, ROW_NULL);
        return true;
    }
    fault->column = column->name;
    fault->why.sqlstate = "23502";
    snprintf(fault->why.message, sizeof fault->why.message, "column \"%.60s\" must not be null",
             column->name);
    return false;
}

static bool append_field(struct mapping *mapping, size_t index, struct buffer *out, bool *has_defaults,
                         struct row_fault *fault)
{
    const struct column *column = &mapping->table->columns[index];
    const struct json_value *value = mapping->values[index];
    if (!value || (value->type == JSON_NULL && column->is_not_null))
        return append_default(mapping, index, out, has_defaults, fault);
    if (value->type == JSON_NULL) {
        row_append_length(out, ROW_NULL);
        return true;
    }
    size_t length_at = out->len;
    row_append_length(out, 0);
    if (!encode_value(column->encoder, value, mapping->format, mapping->options.nul, out, &fault->why)) {
        fault->column = column->name;
        return false;
    }
    uint32_t big = htobe32((uint32_t)(out->len - length_at - sizeof big));
    memcpy(out->data + length_at, &big, sizeof big);
    return true;
}

static bool activate_filled(struct mapping *mapping)
{
    bool is_any = false;
    for (size_t i = 0; i < mapping->table->column_count; i++)
        if (mapping->values[i] && !mapping->is_active[i]) {
            mapping_activate(mapping, i);
            is_any = true;
        }
    /* A row of defaults alone needs a column too: SQL knows no COPY of none. */
    if (mapping->active_count == 0 && mapping->table->column_count > 0) {
        mapping_activate(mapping, 0);
        is_any = true;
    }
    return is_any;
}

enum row_status mapping_encode(struct mapping *mapping, const struct line *line, struct buffer *out,
                               bool *has_defaults, uint64_t *unknown, struct row_fault *fault)
{
    size_t start = out->len;
    const struct json_value *time = NULL;
    *has_defaults = false;
    *fault = (struct row_fault){0};
    if (line->payload.type != JSON_OBJECT) {
        fault->why.sqlstate = "22023";
        snprintf(fault->why.message, sizeof fault->why.message, "the event is not a JSON object");
        return ROW_REFUSED;
    }
    if (!gather(mapping, line, &time, unknown, fault))
        return ROW_REFUSED;
    if (activate_filled(mapping))
        return ROW_NEW_COLUMNS;
    uint16_t count = htobe16((uint16_t)mapping->active_count);
    buffer_append(out, &count, sizeof count);
    for (size_t i = 0; i < mapping->active_count; i++) {
        size_t column = mapping->active[i];
        const struct json_value *own = mapping->values[column];
        bool is_derived = (int)column == mapping->id_column &&
                          (mapping->options.id != ID_AUTO || !own || own->type == JSON_NULL);
        if (is_derived ? append_derived_id(mapping, line, time, out, fault)
                       : append_field(mapping, column, out, has_defaults, fault))
            continue;
        out->len = start;
        return ROW_REFUSED;
    }
    return ROW_OK;
}
