/* Which column is filled from what: the options, the names, and what is left to the table. */
#include "mapping_internal.h"

int mapping_find_name(const struct mapping *mapping, struct slice name)
{
    for (size_t i = 0; i < mapping->name_count; i++)
        if (slice_equals(name, mapping->names[i].text, mapping->names[i].len))
            return (int)i;
    return -1;
}

static int want_name(struct mapping *mapping, struct slice name)
{
    int found = mapping_find_name(mapping, name);
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
    if (mapping->sources[column].text) {
        *error = xasprintf("--unknown %s: the column is filled by --map already", name);
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
    if (mapping->options.id == ID_AUTO || mapping->options.id == ID_NONE)
        return true;
    if (is_uuid && !mapping->sources[column].text)
        return true;
    *error = is_uuid ? xstrdup("--id: the column is filled by --map already")
                     : xasprintf("--id: table %s has no column id of type uuid", mapping->table->sql_name);
    return false;
}

void mapping_activate(struct mapping *mapping, size_t column)
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
        if (mapping->options.fills_all || (column->is_not_null && column->default_kind == DEFAULT_NONE) ||
            (int)i == mapping->id_column || (int)i == mapping->unknown_column ||
            mapping->sources[i].kind == SOURCE_PROGRAM)
            mapping_activate(mapping, i);
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
