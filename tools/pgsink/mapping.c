/* For each row: members are looked up by name (the place where the last event had the same name is tried
 * first), the columns' values are gathered, and then encoded in the order of activation. */
#include "mapping.h"

#include "common/json_write.h"
#include "event_id.h"

#include <endian.h>
#include <stdio.h>

enum source_kind {
    SOURCE_MEMBER,  /* a member, or a value within it */
    SOURCE_PROGRAM, /* a jq program's output */
    SOURCE_UNKNOWN, /* the members that no column takes */
};

struct source {
    enum source_kind kind;
    char *text; /* as described: the member's name, the path or the program */
    char *rest; /* of a dotted path, behind the first name; NULL: the member itself */
    int name;   /* index into names, of SOURCE_MEMBER */
    int next;   /* the next column that the same member fills, or -1 */
    struct jq_program *program;
    struct buffer output; /* the program's, or the members gathered */
    struct json_value value;
};

/* A member's name that some column wants. */
struct wanted {
    char *text;
    size_t len;
    int first_column; /* -1: none, it only tells the time */
};

/* How many members' places are remembered. */
#define GUESSES 64

struct mapping {
    const struct table *table;
    struct mapping_options options;
    struct source *sources; /* one for each column of the table */
    struct wanted *names;
    size_t name_count;
    int guesses[GUESSES];
    size_t *active;
    size_t active_count;
    bool *is_active;
    enum field_format format;
    int id_column;                    /* filled by derived ids, or -1 */
    int time_column;                  /* created_at, or -1 */
    int time_name;                    /* in names: tells the event's time where created_at does not */
    int unknown_column;               /* or -1 */
    const struct json_value **values; /* of the row in the making, one for each column */
    struct event_id_maker *ids;
};

static int find_name(const struct mapping *mapping, struct slice name)
{
    for (size_t i = 0; i < mapping->name_count; i++)
        if (slice_equals(name, mapping->names[i].text, mapping->names[i].len))
            return (int)i;
    return -1;
}

static int want_name(struct mapping *mapping, struct slice name)
{
    int found = find_name(mapping, name);
    if (found >= 0)
        return found;
    mapping->names = xreallocarray(mapping->names, mapping->name_count + 1, sizeof *mapping->names);
    mapping->names[mapping->name_count] = (struct wanted){xstrndup(name.data, name.len), name.len, -1};
    return (int)mapping->name_count++;
}

static void fill_from_member(struct mapping *mapping, size_t column, struct slice name)
{
    struct source *source = &mapping->sources[column];
    source->kind = SOURCE_MEMBER;
    source->text = xstrndup(name.data, name.len);
    source->name = want_name(mapping, name);
    source->next = mapping->names[source->name].first_column;
    mapping->names[source->name].first_column = (int)column;
}

static void fill_from_path(struct mapping *mapping, size_t column, const char *path)
{
    struct source *source = &mapping->sources[column];
    size_t len = strcspn(path, ".");
    fill_from_member(mapping, column, slice_of(path, len));
    source->rest = path[len] ? xstrdup(path + len + 1) : NULL;
    free(source->text);
    source->text = xstrdup(path);
}

/* A dotted path is letters, digits, underscores and hyphens between dots, a leading dot allowed. */
static bool is_dotted_path(const char *path)
{
    bool is_name_due = true;
    for (const char *at = path + (*path == '.'); *at; at++) {
        bool is_letter = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') ||
                         (*at >= '0' && *at <= '9') || *at == '_' || *at == '-' || (*at & 0x80);
        if (!is_letter && (*at != '.' || is_name_due))
            return false;
        is_name_due = !is_letter;
    }
    return !is_name_due;
}

static bool apply_map(struct mapping *mapping, const struct map_option *map, char **error)
{
    int column = table_column(mapping->table, map->column, strlen(map->column));
    if (column < 0) {
        *error = xasprintf("--map %s=%s: table %s has no column %s that can be written", map->column,
                           map->path, mapping->table->sql_name, map->column);
        return false;
    }
    struct source *source = &mapping->sources[column];
    if (source->text) {
        *error = xasprintf("--map: column %s is given twice", map->column);
        return false;
    }
    if (is_dotted_path(map->path)) {
        fill_from_path(mapping, (size_t)column, map->path + (*map->path == '.'));
        return true;
    }
    cleanup_free char *reason = NULL;
    source->kind = SOURCE_PROGRAM;
    source->text = xstrdup(map->path);
    source->next = -1;
    source->program = jq_program_new(map->path, false, &reason);
    if (!source->program)
        *error = xasprintf("--map %s: %s", map->column, reason);
    return source->program != NULL;
}

static bool apply_unknown(struct mapping *mapping, char **error)
{
    mapping->unknown_column = -1;
    if (mapping->options.unknown != UNKNOWN_COLLECT)
        return true;
    const char *name = mapping->options.unknown_column;
    int column = table_column(mapping->table, name, strlen(name));
    if (column < 0 || !mapping->table->columns[column].is_json) {
        *error = xasprintf("--unknown %s: table %s has no json or jsonb column of that name", name,
                           mapping->table->sql_name);
        return false;
    }
    mapping->unknown_column = column;
    mapping->sources[column] =
        (struct source){.kind = SOURCE_UNKNOWN, .text = xstrdup("(unknown members)"), .next = -1};
    return true;
}

/* Every column that nothing was said about takes the member of its name. */
static void apply_names(struct mapping *mapping)
{
    const struct table *table = mapping->table;
    bool is_agent_actions = strcmp(table->relname, "agent_actions") == 0;
    for (size_t i = 0; i < table->column_count; i++) {
        if (mapping->sources[i].text)
            continue;
        const char *name = table->columns[i].name;
        if (is_agent_actions && strcmp(name, "created_at") == 0)
            name = "timestamp";
        fill_from_member(mapping, i, slice_of_string(name));
    }
}

static bool apply_id(struct mapping *mapping, char **error)
{
    int column = table_column(mapping->table, "id", 2);
    bool is_uuid = column >= 0 && mapping->table->columns[column].is_uuid;
    mapping->id_column = mapping->options.id != ID_NONE && is_uuid ? column : -1;
    if (is_uuid || mapping->options.id == ID_AUTO || mapping->options.id == ID_NONE)
        return true;
    *error = xasprintf("--id: table %s has no column id of type uuid", mapping->table->sql_name);
    return false;
}

static void activate(struct mapping *mapping, size_t column)
{
    mapping->is_active[column] = true;
    mapping->active[mapping->active_count++] = column;
    if (!encoder_is_binary(mapping->table->columns[column].encoder))
        mapping->format = FORMAT_TEXT;
}

static void activate_needed(struct mapping *mapping)
{
    for (size_t i = 0; i < mapping->table->column_count; i++) {
        const struct column *column = &mapping->table->columns[i];
        if ((column->is_not_null && column->default_kind == DEFAULT_NONE) || (int)i == mapping->id_column ||
            (int)i == mapping->unknown_column || mapping->sources[i].kind == SOURCE_PROGRAM)
            activate(mapping, i);
    }
}

struct mapping *mapping_new(const struct table *table, const struct mapping_options *options, char **error)
{
    struct mapping *mapping = xcalloc(1, sizeof *mapping);
    *mapping = (struct mapping){
        .table = table,
        .options = *options,
        .sources = xcalloc(table->column_count, sizeof *mapping->sources),
        .active = xcalloc(table->column_count, sizeof *mapping->active),
        .is_active = xcalloc(table->column_count, sizeof *mapping->is_active),
        .values = xcalloc(table->column_count, sizeof *mapping->values),
        .format = FORMAT_BINARY,
        .ids = event_id_maker_new(),
    };
    bool is_good = true;
    for (size_t i = 0; is_good && i < options->map_count; i++)
        is_good = apply_map(mapping, &options->maps[i], error);
    is_good = is_good && apply_unknown(mapping, error) && apply_id(mapping, error);
    if (!is_good) {
        mapping_free(mapping);
        return NULL;
    }
    apply_names(mapping);
    mapping->time_column = table_column(table, "created_at", 10);
    mapping->time_name = want_name(mapping, slice_of_string("timestamp"));
    activate_needed(mapping);
    return mapping;
}

void mapping_free(struct mapping *mapping)
{
    if (!mapping)
        return;
    for (size_t i = 0; i < mapping->table->column_count; i++) {
        struct source *source = &mapping->sources[i];
        free(source->text);
        free(source->rest);
        jq_program_free(source->program);
        buffer_free(&source->output);
    }
    for (size_t i = 0; i < mapping->name_count; i++)
        free(mapping->names[i].text);
    free(mapping->names);
    free(mapping->sources);
    free(mapping->active);
    free(mapping->is_active);
    free(mapping->values);
    event_id_maker_free(mapping->ids);
    free(mapping);
}

const size_t *mapping_active(const struct mapping *mapping, size_t *count)
{
    *count = mapping->active_count;
    return mapping->active;
}

enum field_format mapping_format(const struct mapping *mapping)
{
    return mapping->format;
}

void mapping_describe(const struct mapping *mapping, struct buffer *out)
{
    for (size_t i = 0; i < mapping->table->column_count; i++) {
        const struct column *column = &mapping->table->columns[i];
        cleanup_free char *line = xasprintf(
            "%-20s %-28s <- %s%s%s%s%s\n", column->name, column->type_name, mapping->sources[i].text,
            (int)i == mapping->id_column ? " (else derived)" : "", column->default_sql ? ", default " : "",
            column->default_sql ? column->default_sql : "", column->is_not_null ? ", not null" : "");
        buffer_append_string(out, line);
    }
}

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
            if (slice_equals(key.text, path, len)) {
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
    if (guess && (size_t)*guess < mapping->name_count &&
        slice_equals(key->text, mapping->names[*guess].text, mapping->names[*guess].len))
        return *guess;
    int name;
    if (key->escaped) {
        cleanup_buffer struct buffer plain = {0};
        name =
            json_decode_string(key->text, NUL_KEEP, &plain) ? -1 : find_name(mapping, buffer_slice(&plain));
    } else {
        name = find_name(mapping, key->text);
    }
    if (guess && name >= 0)
        *guess = name;
    return name;
}

static bool take_unknown(struct mapping *mapping, const struct json_member *member, struct row_fault *fault)
{
    if (mapping->options.unknown == UNKNOWN_REJECT) {
        int shown = (int)(member->key.text.len > 100 ? 100 : member->key.text.len);
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

/* Scans text that is known to be JSON into a value. */
static const struct json_value *value_of_text(struct source *source)
{
    json_scan_document(buffer_slice(&source->output), &source->value, NULL, NULL);
    return source->value.type == JSON_ABSENT ? NULL : &source->value;
}

static bool run_program(struct mapping *mapping, size_t column, const struct line *line,
                        struct row_fault *fault)
{
    struct source *source = &mapping->sources[column];
    switch (jq_program_run(source->program, line->payload.text, slice_of(NULL, 0), &source->output, NULL)) {
    case JQ_VALUE:
        mapping->values[column] = value_of_text(source);
        return true;
    case JQ_EMPTY:
        return true;
    default:
        fault->column = mapping->table->columns[column].name;
        fault->why.sqlstate = "22000";
        snprintf(fault->why.message, sizeof fault->why.message, "--map: %.*s",
                 (int)(source->output.len > 120 ? 120 : source->output.len), source->output.data);
        return false;
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

static void append_length(struct buffer *out, uint32_t length)
{
    uint32_t big = htobe32(length);
    buffer_append(out, &big, sizeof big);
}

static void append_uuid(struct buffer *out, const struct uuid *uuid, enum field_format format)
{
    char text[UUID_TEXT_SIZE];
    if (format == FORMAT_BINARY) {
        append_length(out, sizeof uuid->bytes);
        buffer_append(out, uuid->bytes, sizeof uuid->bytes);
        return;
    }
    uuid_format(uuid, text);
    append_length(out, UUID_TEXT_SIZE - 1);
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
static bool append_default(const struct column *column, enum field_format format, struct buffer *out,
                           bool *has_defaults, struct row_fault *fault)
{
    if (column->default_kind == DEFAULT_COMPUTED) {
        append_length(out, ROW_DEFAULT);
        *has_defaults = true;
        return true;
    }
    if (column->default_kind == DEFAULT_CONSTANT && !column->is_default_null) {
        const struct buffer *value =
            format == FORMAT_BINARY ? &column->default_binary : &column->default_text;
        append_length(out, (uint32_t)value->len);
        buffer_append(out, value->data, value->len);
        return true;
    }
    if (!column->is_not_null) {
        append_length(out, ROW_NULL);
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
        return append_default(column, mapping->format, out, has_defaults, fault);
    if (value->type == JSON_NULL) {
        append_length(out, ROW_NULL);
        return true;
    }
    size_t length_at = out->len;
    append_length(out, 0);
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
            activate(mapping, i);
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
